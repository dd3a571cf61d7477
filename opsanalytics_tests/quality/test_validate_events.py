import os
import socket
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from opsanalytics.lake.files import write_parquet
from opsanalytics.lake.manifests import Manifest, write_manifest
from opsanalytics.lake.paths import Home
from opsanalytics.lake.schemas import EVENTS
from opsanalytics.quality import frames
from opsanalytics.quality.results import CheckOutcome, latest
from opsanalytics.quality.rules import EVENT_RULES, Rule
from opsanalytics.quality.validate import RuleError, validate_events
from opsanalytics_tests.samples import MONDAY, event, write_events

NOW = datetime(2024, 2, 1, tzinfo=UTC)
LATER = NOW + timedelta(days=1)
TUESDAY = date(2024, 1, 2)


def check(home: Home, *days: date, sources: tuple[str, ...] = ("web",), **options: Any) -> list[CheckOutcome]:
    return validate_events(home, days, sources=sources, **{"checked_at": NOW} | options)


def failed(outcomes: list[CheckOutcome]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for outcome in outcomes:
        if not outcome.passed:
            found.setdefault(outcome.partition, []).append(outcome.check)
    return found


def write_unchecked(home: Home, frame: pl.DataFrame, day: date = MONDAY) -> None:
    """As a broken writer would: without conforming to the table."""
    write_parquet(home.events_file("web", day), frame)


def land(home: Home, delivery: str, fetched_at: datetime) -> None:
    write_manifest(
        home,
        Manifest(
            source="web",
            kind="mixpanel",
            delivery=delivery,
            first_day=MONDAY,
            last_day=MONDAY,
            request={},
            status=200,
            attempts=1,
            fetched_at=fetched_at,
            files=(),
            sha256="abc",
        ),
    )


def test_good_events_pass_every_rule(home: Home) -> None:
    write_events(home, [event("1"), event("2")])
    outcomes = check(home, MONDAY)
    assert [outcome.check for outcome in outcomes] == [rule.name for rule in EVENT_RULES]
    assert failed(outcomes) == {}


BROKEN: list[tuple[str, dict[str, Any]]] = [
    ("event_named", {"event": "  "}),
    ("ts_plausible", {"ts": datetime(1999, 12, 31, tzinfo=UTC)}),
    ("ts_on_its_day", {"ts": datetime(2024, 1, 2, tzinfo=UTC)}),
    ("properties_are_object", {"properties": "[1]"}),
    ("properties_are_object", {"properties": '{"a": }'}),
    ("person_known", {"user_id": None, "distinct_id": None}),
    ("source_configured", {"source": "elsewhere"}),
    ("received_after_ts", {"received_at": datetime(2024, 1, 1, 10, 59, 59, tzinfo=UTC)}),
]


@pytest.mark.parametrize(("rule", "fields"), BROKEN, ids=[f"{rule}-{fields}" for rule, fields in BROKEN])
def test_a_broken_event_fails_the_rule_made_for_it(home: Home, rule: str, fields: dict[str, Any]) -> None:
    write_events(home, [event("1"), event("2", **fields)])
    (outcome,) = [outcome for outcome in check(home, MONDAY) if outcome.check == rule]
    assert (outcome.passed, outcome.checked, outcome.unexpected) == (False, 2, 1)


def test_a_clock_ahead_by_less_than_an_hour_is_tolerated(home: Home) -> None:
    write_events(home, [event("1", received_at=datetime(2024, 1, 1, 11, 0, 0, tzinfo=UTC))])
    assert failed(check(home, MONDAY)) == {}


def test_a_repeated_event_id_fails(home: Home) -> None:
    write_events(home, [event("1"), event("1"), event("2")])
    assert failed(check(home, MONDAY)) == {"2024-01-01": ["event_id_unique"]}


def test_an_event_id_repeated_across_sources_fails(home: Home) -> None:
    write_events(home, [event("1")])
    write_events(home, [event("1", source="app")], source="app")
    assert failed(check(home, MONDAY, sources=("web", "app"))) == {"2024-01-01": ["event_id_unique"]}


def test_an_event_id_may_come_back_on_another_day_of_the_same_batch(home: Home) -> None:
    write_events(home, [event("1")])
    write_events(home, [event("1", TUESDAY)], TUESDAY)
    assert failed(check(home, MONDAY, TUESDAY)) == {}


def test_a_missing_event_id_fails(home: Home) -> None:
    good = write_events(home, [event("1"), event("2")])
    write_unchecked(home, good.with_columns(event_id=pl.when(pl.col("event_id") == "1").then("event_id")))
    assert failed(check(home, MONDAY)) == {"2024-01-01": ["event_id_present"]}


@pytest.mark.parametrize(("ahead", "expected"), [(24, []), (25, ["ts_not_in_future"])])
def test_the_future_starts_a_day_after_the_delivery_was_fetched(
    home: Home, ahead: int, expected: list[str]
) -> None:
    write_events(home, [event("1", ingest_run="window@abc")])
    land(home, "window", datetime(2024, 1, 1, 12, tzinfo=UTC) - timedelta(hours=ahead))
    assert failed(check(home, MONDAY)).get("2024-01-01", []) == expected


def test_failures_are_told_by_day_although_small_days_are_checked_together(home: Home) -> None:
    days = [MONDAY + timedelta(days=number) for number in range(5)]
    for number, day in enumerate(days):
        bad = number in (1, 3)
        rows = [
            event(f"{number}-{i}", day, properties="no" if bad and i < number else "{}") for i in range(4)
        ]
        write_events(home, rows, day)
    outcomes = [outcome for outcome in check(home, *days) if outcome.check == "properties_are_object"]
    assert [outcome.unexpected for outcome in outcomes] == [0, 1, 0, 3, 0]
    assert [outcome.checked for outcome in outcomes] == [4] * 5


def test_splitting_and_joining_days_gives_the_same_results(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number, day in enumerate((MONDAY, TUESDAY)):
        rows = [
            event(
                f"{i % 11}-{number}", day, user_id=None if i % 3 else "u", distinct_id=None, properties="{}"
            )
            for i in range(12)
        ]
        write_events(home, rows, day)
    together = check(home, MONDAY, TUESDAY)
    assert failed(together) == {
        day: ["event_id_unique", "person_known"] for day in ("2024-01-01", "2024-01-02")
    }
    other = Home(tmp_path / "other")
    other.root.mkdir()
    other.lake.symlink_to(home.lake)
    monkeypatch.setattr(frames, "BATCH_ROWS", 5)
    split = check(other, MONDAY, TUESDAY)
    figures = [(o.partition, o.check, o.passed, o.checked, o.unexpected) for o in together]
    assert [(o.partition, o.check, o.passed, o.checked, o.unexpected) for o in split] == figures


def test_at_most_five_examples_are_kept_and_ids_are_redacted(home: Home) -> None:
    write_events(
        home, [event(f"secret-{i}", properties=f'"ada{i}@example.org"', user_id="ada") for i in range(9)]
    )
    (outcome,) = [o for o in check(home, MONDAY) if o.check == "properties_are_object"]
    assert len(outcome.examples) == 5
    assert all(example.startswith("event=sign_up, properties=<") for example in outcome.examples)
    assert "ada" not in "".join(outcome.examples)
    assert "secret" not in "".join(outcome.examples)


def test_equal_examples_are_kept_once(home: Home) -> None:
    write_events(home, [event(f"{i}", user_id=None, distinct_id=None) for i in range(3)])
    (outcome,) = [o for o in check(home, MONDAY) if o.check == "person_known"]
    assert outcome.examples == ("event=sign_up, ts=2024-01-01T12:00:00Z",)


def test_event_names_and_times_are_shown_in_full(home: Home) -> None:
    write_events(home, [event("1", ts=datetime(2024, 1, 2, 3, 4, 5, tzinfo=UTC))])
    (outcome,) = [o for o in check(home, MONDAY) if o.check == "ts_on_its_day"]
    assert outcome.examples == ("ts=2024-01-02T03:04:05Z, event=sign_up",)


def test_an_empty_day_passes_where_nothing_usually_happens(home: Home) -> None:
    assert failed(check(home, MONDAY)) == {}


def test_an_empty_day_is_told_where_that_weekday_usually_has_events(home: Home) -> None:
    for weeks in range(1, 5):
        day = MONDAY - timedelta(weeks=weeks)
        write_events(home, [event(f"{i}", day) for i in range(10)], day)
    (outcome,) = [o for o in check(home, MONDAY) if o.check == "volume"]
    assert (outcome.passed, outcome.severity) == (False, "warning")
    assert outcome.examples == ("rows=0, usual_events=10.0",)


def test_an_empty_day_is_told_again_once_its_past_was_filled_in(home: Home) -> None:
    assert failed(check(home, MONDAY)) == {}
    for weeks in range(1, 5):
        day = MONDAY - timedelta(weeks=weeks)
        write_events(home, [event(f"{i}", day) for i in range(10)], day)
    assert failed(check(home, MONDAY)) == {"2024-01-01": ["volume"]}


def test_an_unchanged_day_keeps_its_results_and_their_time(home: Home) -> None:
    write_events(home, [event("1", properties="no")])
    first = check(home, MONDAY)
    before = {path: path.stat().st_ino for path in home.quality.rglob("*.parquet")}
    assert check(home, MONDAY, checked_at=LATER) == first
    assert {path: path.stat().st_ino for path in home.quality.rglob("*.parquet")} == before


def test_an_unchanged_day_is_not_validated_again(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    write_events(home, [event("1")])
    check(home, MONDAY)
    monkeypatch.setattr("opsanalytics.quality.validate._Session", None)
    assert failed(check(home, MONDAY)) == {}


def test_a_changed_day_is_validated_again(home: Home) -> None:
    write_events(home, [event("1")])
    check(home, MONDAY)
    write_events(home, [event("1", event="")])
    assert failed(check(home, MONDAY, checked_at=LATER)) == {"2024-01-01": ["event_named"]}
    assert set(latest(home)["checked_at"]) == {LATER}


def test_other_rules_are_applied_to_unchanged_days(home: Home) -> None:
    write_events(home, [event("1")])
    check(home, MONDAY)
    assert failed(check(home, MONDAY, sources=("app",))) == {"2024-01-01": ["source_configured"]}


def test_the_results_of_a_removed_rule_go_away(home: Home) -> None:
    write_events(home, [event("1")])
    check(home, MONDAY)
    check(home, MONDAY, rules=EVENT_RULES[1:])
    assert EVENT_RULES[0].name not in set(latest(home)["check"])


def rule(**fields: Any) -> tuple[Rule, ...]:
    given = {
        "name": "mine",
        "expectation": "ExpectColumnValuesToNotBeNull",
        "kwargs": {"column": "country"},
        "severity": "warning",
        "description": "Mine.",
    }
    return (Rule(**given | fields),)


@pytest.mark.parametrize(("mostly", "passed"), [(0.5, True), (0.75, False)])
def test_a_rule_may_ask_for_a_share_of_the_rows_only(home: Home, mostly: float, passed: bool) -> None:
    write_events(home, [event("1", country="FR"), event("2")])
    (outcome,) = check(home, MONDAY, rules=rule(mostly=mostly))
    assert (outcome.passed, outcome.unexpected) == (passed, 1)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"expectation": "ExpectTheBest"}, "mine: .*no expectation 'ExpectTheBest'"),
        ({"kwargs": {"colum": "country"}}, "mine .*colum"),
        (
            {"expectation": "ExpectColumnValuesToMatchRegex", "kwargs": {"column": "country", "regex": "("}},
            "mine",
        ),
        (
            {"expectation": "ExpectColumnMeanToBeBetween", "kwargs": {"column": "event_length"}},
            "mine .*row by row",
        ),
    ],
)
def test_a_wrong_rule_is_told_apart_from_wrong_data(home: Home, fields: dict[str, Any], message: str) -> None:
    write_events(home, [event("1", country="FR")])
    with pytest.raises(RuleError, match=message):
        check(home, MONDAY, rules=rule(**fields))


def test_two_rules_of_one_name_are_refused(home: Home) -> None:
    with pytest.raises(RuleError, match="several are named mine"):
        check(home, MONDAY, rules=rule() * 2)


def test_only_the_columns_that_rules_name_are_read(home: Home) -> None:
    frame = write_events(home, [event("1", country="FR")])
    write_unchecked(home, frame.select("country"))
    assert failed(check(home, MONDAY, rules=rule())) == {}


def test_nothing_is_sent_anywhere(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    called: list[object] = []
    monkeypatch.setattr(socket.socket, "connect", lambda _, address: called.append(address))
    write_events(home, [event("1", event="")])
    check(home, MONDAY)
    assert called == []
    assert os.environ["GX_ANALYTICS_ENABLED"] == "false"


def test_every_canonical_column_a_rule_names_exists() -> None:
    known = {
        *EVENTS.names,
        *frames.DERIVED_COLUMNS[EVENTS.name],
        "partition",
        "rows",
        "usual_events",
        "missing_events",
    }
    assert {name for rule in EVENT_RULES for name in (*rule.columns, *rule.shows)} <= known
