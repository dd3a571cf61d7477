"""Two days with equal prints give equal numbers; anything that can change a number changes a print."""

from datetime import date
from typing import Any

import polars as pl
import pytest

from opsanalytics.lake import day_prints as module
from opsanalytics.lake.day_prints import day_prints
from opsanalytics.lake.paths import Home
from opsanalytics_tests.samples import MONDAY, event, person, write_events, write_persons

TUESDAY = date(2024, 1, 2)
RUN = "first@0123456789ab"


def prints(home: Home, *rows: dict[str, Any]) -> dict[str, Any]:
    """The print of Monday when it holds just these rows."""
    if rows:
        write_events(home, list(rows))
    return day_prints(home).filter(day=MONDAY).row(0, named=True)


def test_an_empty_lake_has_no_prints(home: Home) -> None:
    assert day_prints(home).is_empty()


def test_a_print_tells_rows_and_deliveries(home: Home) -> None:
    found = prints(home, event("1", ingest_run=RUN), event("2", ingest_run="second@0123456789ab"))
    assert found["rows"] == 2
    assert found["deliveries"] == ["first", "second"]


def test_the_same_events_in_another_delivery_have_the_same_print(home: Home) -> None:
    before = prints(home, event("1", ingest_run=RUN))
    after = prints(home, event("1", ingest_run="second@0123456789ab"))
    assert (after["content"], after["persons"]) == (before["content"], before["persons"])
    assert after["deliveries"] == ["second"]


@pytest.mark.parametrize(
    "changed",
    [{"event": "purchase"}, {"properties": '{"a": 1}'}, {"platform": ""}, {"user_id": None}],
    ids=str,
)
def test_another_value_is_another_print(home: Home, changed: dict[str, Any]) -> None:
    before = prints(home, event("1"))
    assert prints(home, event("1", **changed))["content"] != before["content"]


def test_values_that_change_places_are_another_print(home: Home) -> None:
    before = prints(home, event("1", url="a", os="x"), event("2", url="b", os="y"))
    after = prints(home, event("1", url="b", os="x"), event("2", url="a", os="y"))
    assert after["content"] != before["content"]


def test_a_merge_changes_whose_events_they_are_and_nothing_else(home: Home) -> None:
    write_events(home, [event("1")])
    write_events(home, [event("2", TUESDAY, user_id="bob")], TUESDAY)
    write_persons(home, [person("user", "ada", "p1"), person("user", "bob", "p2")])
    before = day_prints(home)
    write_persons(home, [person("user", "ada", "p9"), person("user", "bob", "p2")])
    after = day_prints(home)
    assert after["content"].to_list() == before["content"].to_list()
    assert [a == b for a, b in zip(after["persons"], before["persons"], strict=True)] == [False, True]


def test_a_file_that_is_gone_has_no_print(home: Home) -> None:
    write_events(home, [event("1")])
    write_events(home, [event("2", source="app")], source="app")
    assert day_prints(home)["source"].to_list() == ["app", "web"]
    home.events_file("web", MONDAY).unlink()
    assert day_prints(home)["source"].to_list() == ["app"]


def test_prints_are_not_taken_again_of_the_same_files(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    write_events(home, [event("1")])
    first = day_prints(home)
    taken: list[pl.DataFrame] = []
    contents = module._contents
    monkeypatch.setattr(
        module, "_contents", lambda where, files: taken.append(files) or contents(where, files)
    )
    assert day_prints(home).equals(first)
    write_events(home, [event("2", TUESDAY)], TUESDAY)
    day_prints(home)
    assert [files["day"].to_list() for files in taken] == [[], [TUESDAY]]


def test_prints_of_another_version_are_taken_anew(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    write_events(home, [event("1")])
    first = day_prints(home)
    monkeypatch.setattr(module, "VERSION", "another")
    monkeypatch.setattr(module, "_SEED", 18)
    assert day_prints(home)["content"].to_list() != first["content"].to_list()


def test_more_files_than_are_read_at_once_have_the_same_prints(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    days = [date(2024, 1, number) for number in (1, 2, 3, 5, 6)]
    for day in days:
        write_events(home, [event(f"{day}", day)], day)
    whole = day_prints(home)
    (home.fingerprints / "days.parquet").unlink()
    monkeypatch.setattr(module, "AT_ONCE", 2)
    assert day_prints(home).equals(whole)
