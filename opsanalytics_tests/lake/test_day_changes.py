"""The log of days that changed: what, when noticed, and by how much."""

from datetime import UTC, date, datetime
from typing import Any

import pytest

from opsanalytics.lake import day_changes as module
from opsanalytics.lake.day_changes import note_day_changes, read_day_changes
from opsanalytics.lake.paths import Home
from opsanalytics_tests.samples import MONDAY, event, write_events

TUESDAY, WEDNESDAY = date(2024, 1, 2), date(2024, 1, 3)


def noted(home: Home, day: int = 10) -> list[tuple[Any, ...]]:
    changes = note_day_changes(home, noticed_at=datetime(2024, 1, day, tzinfo=UTC))
    return changes.select("day", "change", "before", "after", "delivery").rows()


def deliver(home: Home, day: date, count: int, delivery: str) -> None:
    write_events(
        home, [event(f"{day}-{n}", day, ingest_run=f"{delivery}@0123456789ab") for n in range(count)], day
    )


def test_days_in_their_turn_are_new(home: Home) -> None:
    deliver(home, MONDAY, 2, "a")
    assert noted(home) == [(MONDAY, "new", 0, 2, "a")]
    deliver(home, TUESDAY, 3, "b")
    assert noted(home) == [(TUESDAY, "new", 0, 3, "b")]


def test_nothing_is_noted_when_nothing_changed(home: Home) -> None:
    deliver(home, MONDAY, 2, "a")
    noted(home)
    before = (home.changes / "days.parquet").read_bytes()
    assert noted(home, 11) == []
    assert (home.changes / "days.parquet").read_bytes() == before


def test_a_day_before_the_newest_one_is_late(home: Home) -> None:
    deliver(home, TUESDAY, 2, "a")
    noted(home)
    deliver(home, MONDAY, 5, "b")
    assert noted(home) == [(MONDAY, "late", 0, 5, "b")]


def test_a_changed_day_tells_by_how_much_and_which_delivery_did_it(home: Home) -> None:
    deliver(home, MONDAY, 2, "a")
    noted(home)
    deliver(home, MONDAY, 3, "b")
    assert noted(home) == [(MONDAY, "changed", 2, 3, "b")]


def test_other_events_in_the_same_number_are_a_change(home: Home) -> None:
    write_events(home, [event("1")])
    noted(home)
    write_events(home, [event("1", event="purchase")])
    assert noted(home) == [(MONDAY, "changed", 1, 1, None)]


def test_the_same_events_in_another_delivery_are_no_change(home: Home) -> None:
    deliver(home, MONDAY, 2, "a")
    noted(home)
    deliver(home, MONDAY, 2, "b")
    assert noted(home) == []


def test_a_day_that_is_gone_is_noted_and_may_come_back(home: Home) -> None:
    deliver(home, MONDAY, 2, "a")
    deliver(home, TUESDAY, 2, "a")
    noted(home)
    home.events_file("web", MONDAY).unlink()
    assert noted(home) == [(MONDAY, "removed", 2, 0, None)]
    deliver(home, MONDAY, 1, "b")
    assert noted(home) == [(MONDAY, "late", 0, 1, "b")]


def test_the_log_keeps_everything_in_order(home: Home) -> None:
    for day, count in ((10, 1), (11, 2), (12, 3)):
        deliver(home, MONDAY, count, f"d{day}")
        noted(home, day)
    log = read_day_changes(home)
    assert log.select("before", "after").rows() == [(0, 1), (1, 2), (2, 3)]
    assert [moment.day for moment in log["noticed_at"]] == [10, 11, 12]


def test_an_empty_home_has_an_empty_log(home: Home) -> None:
    assert noted(home) == []
    assert read_day_changes(home).is_empty()


def test_another_version_of_polars_is_no_change(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    deliver(home, MONDAY, 2, "a")
    deliver(home, TUESDAY, 2, "a")
    noted(home)
    (home.fingerprints / "days.parquet").unlink()
    monkeypatch.setattr(module, "VERSION", "another")
    monkeypatch.setattr("opsanalytics.lake.day_prints.VERSION", "another")
    monkeypatch.setattr("opsanalytics.lake.day_prints._SEED", 18)
    deliver(home, TUESDAY, 3, "b")
    deliver(home, WEDNESDAY, 1, "b")
    assert noted(home) == [(TUESDAY, "changed", 2, 3, "b"), (WEDNESDAY, "new", 0, 1, "b")]
    assert noted(home) == []
