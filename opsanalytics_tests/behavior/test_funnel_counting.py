"""What is counted and kept apart: sessions, attempts, properties held constant, several events a step."""

from datetime import datetime, timedelta
from typing import Any

import polars as pl
import pytest

from opsanalytics.behavior.funnel import FunnelResult, funnel
from opsanalytics.behavior.funnel_breakdown import funnel_breakdown
from opsanalytics.behavior.funnel_trend import funnel_trend
from opsanalytics.behavior.spec import Funnel
from opsanalytics_tests.behavior.examples import LATER, START, at, table, written


def persons(result: FunnelResult) -> list[int]:
    return result.to_polars()["persons"].to_list()


def two(**more: Any) -> Funnel:
    return Funnel(**({"name": "f", "steps": ["A", "B"], "window": "2h"} | more))


def tagged(rows: list[tuple[str, str, int, str | None]]) -> pl.DataFrame:
    schema = {"person": pl.String, "event": pl.String, "ts": pl.Datetime("us", "UTC"), "plan": pl.String}
    return pl.DataFrame([(p, e, at(s), plan) for p, e, s, plan in rows], schema=schema, orient="row")


def test_any_of_several_events_serves_a_step() -> None:
    either = two(steps=["A", ["B", "C"]])
    people = {"p": written("A0 B1"), "q": written("A0 C1"), "r": written("A0 D1")}
    assert persons(funnel(table(people), either, as_of=LATER)) == [3, 2]


def test_several_events_with_filters_of_their_own() -> None:
    either = two(steps=["A", ["B", {"event": "C", "where": {"plan": "pro"}}]])
    frame = tagged([("p", "A", 0, None), ("p", "C", 1, "free"), ("q", "A", 0, None), ("q", "C", 1, "pro")])
    assert persons(funnel(frame, either, as_of=LATER)) == [2, 1]


def test_optional_steps_are_counted_and_their_rates_are_of_the_step_before() -> None:
    definition = two(steps=["A", {"event": "B", "optional": True}, "C"])
    people = {"p": written("A0 B10 C30"), "q": written("A0 C5"), "r": written("A0 B1"), "s": written("A0")}
    frame = funnel(table(people), definition, as_of=LATER).to_polars()
    assert frame.select("persons", "previous").rows() == [(4, 4), (2, 4), (2, 4)]
    assert frame["mean_seconds"].to_list() == [None, 5.5, 12.5]


def test_an_optional_step_before_the_next_step_is_taken_one_after_it_is_not() -> None:
    definition = two(steps=["A", {"event": "B", "optional": True}, "C"])
    people = {"p": written("A0 C5 B6"), "q": written("A0 B5 C5")}
    assert persons(funnel(table(people), definition, as_of=LATER)) == [2, 1, 2]


def test_sessions_are_counted_each_by_itself() -> None:
    definition = two(counting="sessions")
    minute = timedelta(minutes=1)
    times = [("A", 0), ("B", 10), ("A", 50), ("A", 60), ("B", 100), ("A", 200)]
    people = {"p": [(name, START + n * minute) for name, n in times], "q": [("A", START)]}
    # Pauses of more than 30 minutes: A B | A A | B | A.
    result = funnel(table(people), definition, as_of=LATER)
    assert persons(result) == [4, 1]
    assert result.persons["person"].to_list() == ["p", "p", "p", "q"]
    longer = funnel(table(people), two(counting="sessions", session_gap="40m"), as_of=LATER)
    assert persons(longer) == [3, 1]


def test_a_pause_of_exactly_the_gap_ends_no_session_and_other_events_fill_pauses() -> None:
    definition = two(counting="sessions")
    minute = timedelta(minutes=1)
    for events, converted in (
        ([("A", 0), ("B", 30)], 1),
        ([("A", 0), ("B", 31)], 0),
        ([("A", 0), ("other", 20), ("B", 40)], 1),
    ):
        people = {"p": [(name, START + n * minute) for name, n in events]}
        assert persons(funnel(table(people), definition, as_of=LATER)) == [1, converted]


def test_sessions_by_a_property() -> None:
    definition = two(counting="sessions", session_property="plan")
    rows = [("p", "A", 0, "s1"), ("p", "B", 9, "s2"), ("p", "A", 10, "s2"), ("p", "B", 11, "s2")]
    result = funnel(tagged(rows), definition, as_of=LATER)
    assert persons(result) == [2, 1]
    assert result.persons["unit"].to_list() == ["s1", "s2"]


def test_attempts_are_counted_one_after_the_other() -> None:
    definition = two(counting="attempts", window="60s")
    people = {"p": written("A0 B10 A20 A30 B40 A50"), "q": written("A0 A59 B61 A70")}
    result = funnel(table(people), definition, as_of=LATER)
    assert persons(result) == [5, 2]
    assert result.persons.select("person", "unit", "step_reached").rows() == [
        ("p", "1", 2),
        ("p", "2", 2),
        ("p", "3", 1),
        ("q", "1", 1),
        ("q", "2", 1),
    ]


def test_open_attempts_are_apart_from_the_mature_ones() -> None:
    definition = two(counting="attempts", window="60s")
    frame = table({"p": written("A0 B1 A50")})
    row = funnel(frame, definition, as_of=at(100)).to_polars().row(0, named=True)
    assert (row["entered"], row["immature_entered"]) == (1, 1)


def test_a_property_held_constant() -> None:
    definition = two(hold="plan")
    rows = [
        ("p", "A", 0, "x"),
        ("p", "B", 1, "y"),
        ("q", "A", 0, "x"),
        ("q", "A", 1, "y"),
        ("q", "B", 2, "y"),
        ("r", "A", 0, None),
        ("r", "B", 1, None),
    ]
    by_preset = {
        name: persons(funnel(tagged(rows), definition, as_of=LATER, preset=name))
        for name in ("opsanalytics", "mixpanel", "amplitude")
    }
    assert by_preset == {"opsanalytics": [2, 1], "mixpanel": [2, 0], "amplitude": [3, 1]}


def test_the_range_may_limit_all_steps() -> None:
    day = timedelta(days=1)
    people = {"p": [("A", START), ("B", START + day)]}
    asked = {"as_of": LATER, "first": START.date(), "last": START.date()}
    for limits, converted in (("entry", 1), ("all_steps", 0)):
        definition = two(window="7d", date_range=limits)
        assert persons(funnel(table(people), definition, **asked)) == [1, converted]  # type: ignore[arg-type]


def test_steps_of_an_unordered_funnel_are_named_by_their_number() -> None:
    found = funnel(table({"p": written("B0 A5")}), two(order="any"), as_of=LATER).to_polars()
    assert found.select("step_name", "persons").rows() == [("1 of 2 steps", 1), ("2 of 2 steps", 1)]


@pytest.mark.parametrize("order", ["ordered", "strict", "any"])
def test_trend_and_breakdown_follow_the_order(order: str) -> None:
    frame = tagged(
        [("p", "B", 0, "x"), ("p", "A", 5, "x"), ("q", "A", 0, "y"), ("q", "o", 1, "y"), ("q", "B", 2, "y")]
    )
    definition = two(order=order, window="1h")
    whole = persons(funnel(frame, definition, as_of=LATER))
    trend = funnel_trend(frame, definition, as_of=LATER)
    assert trend.select(pl.col("entered", "converted").sum()).row(0) == tuple(whole)
    parts = funnel_breakdown(frame, definition, segment="plan", as_of=LATER)
    assert parts.group_by("step").agg(pl.col("persons").sum()).sort("step")["persons"].to_list() == whole


def test_breakdown_of_attempts_is_by_the_entry_of_each() -> None:
    rows = [("p", "A", 0, "x"), ("p", "B", 1, "x"), ("p", "A", 2, "y"), ("q", "A", 0, "x")]
    definition = two(counting="attempts")
    parts = funnel_breakdown(tagged(rows), definition, segment="plan", as_of=LATER)
    assert parts.select("value", "step", "persons").rows() == [
        ("x", 1, 2),
        ("x", 2, 1),
        ("y", 1, 1),
        ("y", 2, 0),
    ]


@pytest.mark.slow
@pytest.mark.parametrize(
    "change",
    [
        {"exclusions": [{"event": "X"}]},
        {"order": "any"},
        {"order": "strict"},
        {"counting": "attempts"},
        {"steps": ["A", {"event": "B", "within": "9d"}, "C"]},
        {"steps": ["A", {"event": "B", "optional": True}, "C"]},
    ],
)
def test_one_person_with_a_million_events(change: dict[str, Any]) -> None:
    n = 1_000_000
    events = pl.DataFrame({"i": pl.int_range(n, eager=True)}).select(
        person=pl.lit("p"),
        event=pl.when(pl.col("i") % 2 == 0).then(pl.lit("A")).otherwise(pl.lit("B")),
        ts=pl.lit(START) + pl.duration(seconds=pl.col("i")),
    )
    later: datetime = LATER + timedelta(days=365)
    result = funnel(events, two(**({"steps": ["A", "B", "C"], "window": "30d"} | change)), as_of=later)
    assert result.persons["step_reached"].max() == 2
