from datetime import UTC, datetime

import polars as pl
import pytest

from opsanalytics.lake.paths import Home
from opsanalytics.quality.generated import event_rules
from opsanalytics.quality.plan import TrackingPlan
from opsanalytics.quality.plan_rows import PLAN_COLUMNS, plan_columns, plan_rules
from opsanalytics.quality.results import CheckOutcome, state
from opsanalytics.quality.settings import QualitySettings
from opsanalytics.quality.validate import validate_events
from opsanalytics_tests.samples import MONDAY, event, write_events


def declared(blocking: bool = False, **properties: object) -> TrackingPlan:
    return TrackingPlan.model_validate(
        {"events": [{"name": "buy", "blocking": blocking, "properties": properties}]}
    )


def judged(plan: TrackingPlan, *properties: str, **columns: str | None) -> dict[str, list[str | None]]:
    frame = pl.DataFrame({"event": ["buy"] * len(properties), "properties": properties}).with_columns(
        pl.lit(value, pl.String).alias(name) for name, value in {"source": "web", **columns}.items()
    )
    found = plan_columns(frame, plan)
    assert found.columns == list(PLAN_COLUMNS)
    return {name: found[name].to_list() for name in found.columns if found[name].null_count() < found.height}


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        ("string", ['"a"', '""', '"2026-01-01"'], ["1", "true", "[]"]),
        ("integer", ["1", "-5", "18446744073709551615"], ["1.5", '"1"']),
        ("number", ["1", "1.5", "1e3"], ['"1"', "false"]),
        ("boolean", ["true", "false"], ["1", '"true"']),
        ("datetime", ['"2026-01-01"', '"2026-01-01T10:00:00Z"'], ['"soon"', "1700000000"]),
        ("list", ["[]", "[1]"], ["{}", '"[]"']),
        ("object", ["{}"], ["[]", "1"]),
    ],
)
def test_types(kind: str, good: list[str], bad: list[str]) -> None:
    plan = declared(x={"type": kind})
    sent = [f'{{"x": {value}}}' for value in (*good, *bad)]
    assert judged(plan, *sent) == {"plan_types": [None] * len(good) + ["x"] * len(bad)}


def test_required_properties_are_there_and_not_null() -> None:
    plan = declared(x={"type": "string", "required": True})
    assert judged(plan, '{"x": "a"}', "{}", '{"x": null}') == {"plan_required": [None, "x", "x"]}


def test_a_column_of_events_fills_a_required_property() -> None:
    plan = declared(platform={"type": "string", "required": True})
    assert judged(plan, "{}", platform="web") == {}
    assert judged(plan, "{}", platform=None) == {"plan_required": ["platform"]}


def test_values_and_patterns() -> None:
    plan = declared(
        plan={"type": "string", "values": ["pro", "it's"]},
        code={"type": "string", "pattern": "[A-Z]{3}"},
        seats={"type": "integer", "values": [1, 5]},
        trial={"type": "boolean", "values": [True]},
    )
    assert judged(plan, '{"plan": "it\'s", "code": "EUR", "seats": 5, "trial": true}') == {}
    assert judged(plan, '{"plan": "free", "code": "EURO", "seats": 2, "trial": false}') == {
        "plan_values": ["plan, code, seats, trial"]
    }


def test_what_is_not_declared() -> None:
    frame = pl.DataFrame(
        {
            "source": ["web"] * 3,
            "event": ["buy", "sell", None],
            "properties": ['{"x": 1, "y": 2}', "{}", "{}"],
        }
    )
    found = plan_columns(frame, declared(x={"type": "integer"}))
    assert found["plan_declared"].to_list() == ["y", "the event", None]


def test_what_a_vendor_adds_need_not_be_declared() -> None:
    frame = pl.DataFrame(
        {"source": ["web", "app"], "event": "buy", "properties": '{"x": 1, "time": 2, "$warehouse_id": 3}'}
    )
    found = plan_columns(frame, declared(x={"type": "integer"}), {"web": {"time", "$warehouse_*"}})
    assert found["plan_declared"].to_list() == [None, "time, $warehouse_id"]


@pytest.mark.parametrize("name", ["$os", "a.b", 'quo"te', "sla/sh~", "it's", "🙂"])
def test_names_are_found_whatever_they_are_made_of(name: str) -> None:
    plan = declared(**{name: {"type": "integer", "required": True}})
    sent = pl.select(pl.struct(pl.lit("text").alias(name)).struct.json_encode()).item()
    assert judged(plan, sent) == {"plan_types": [name]}


def test_breaches_of_a_blocking_event_stand_apart() -> None:
    plan = declared(blocking=True, x={"type": "integer", "required": True})
    assert judged(plan, '{"y": 1}') == {"plan_declared": ["y"], "plan_blocking": ["x"]}


def test_a_plan_that_declares_nothing_has_no_rules() -> None:
    assert plan_rules(TrackingPlan()) == ()


def validated(home: Home, plan: TrackingPlan) -> dict[str, CheckOutcome]:
    rules = event_rules(QualitySettings(tracking_plan=plan))
    now = datetime(2024, 2, 1, tzinfo=UTC)
    outcomes = validate_events(home, [MONDAY], sources=["web"], checked_at=now, rules=rules, plan=plan)
    return {outcome.check: outcome for outcome in outcomes}


@pytest.mark.parametrize(("blocking", "expected"), [(False, "warning"), (True, "failed")])
def test_a_breach_marks_numbers_or_withholds_them(home: Home, blocking: bool, expected: str) -> None:
    write_events(home, [event("1", event="buy", properties='{"x": "1"}')])
    found = validated(home, declared(blocking=blocking, x={"type": "integer"}))
    failed = {name for name, outcome in found.items() if not outcome.passed}
    assert failed == {"plan_blocking" if blocking else "plan_types"}
    assert state(home, ["events"]) == expected


def test_a_changed_plan_is_checked_against_days_already_checked(home: Home) -> None:
    write_events(home, [event("1", event="buy", properties='{"x": "1"}')])
    assert validated(home, declared(x={"type": "string"}))["plan_types"].passed
    outcome = validated(home, declared(x={"type": "integer"}))["plan_types"]
    assert (outcome.passed, outcome.examples) == (False, ("event=buy, plan_types=x",))
