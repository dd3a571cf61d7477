"""Breakdown by a property of the entry event."""

import json
from collections.abc import Sequence

import polars as pl
import pytest

from opsanalytics.behavior.funnel_breakdown import funnel_breakdown
from opsanalytics.behavior.marts import mart_rows
from opsanalytics.behavior.segments import Segment
from opsanalytics.behavior.spec import Funnel
from opsanalytics.behavior.statistics import two_proportion_p
from opsanalytics.behavior.tables import FUNNEL_BREAKDOWN
from opsanalytics_tests.behavior.examples import LATER, at

DEFINITION = Funnel(name="f", steps=["A", "B"], window="60s")
Row = tuple[str, str, int, str | None]


def events(rows: Sequence[Row]) -> pl.DataFrame:
    """Rows of person, event, second and plan."""
    return pl.DataFrame(
        [
            (person, event, at(second), json.dumps({} if plan is None else {"plan": plan}))
            for person, event, second, plan in rows
        ],
        schema={
            "person": pl.String,
            "event": pl.String,
            "ts": pl.Datetime("us", "UTC"),
            "properties": pl.String,
        },
        orient="row",
    )


def by_plan(rows: Sequence[Row], limit: int = 10) -> dict[str, tuple[int, int]]:
    """(entered, converted) by value."""
    frame = funnel_breakdown(events(rows), DEFINITION, segment="plan", limit=limit, as_of=LATER)
    last = frame.filter(pl.col("step") == 2)
    return {row["value"]: (row["entered"], row["persons"]) for row in last.to_dicts()}


def crowd(plan: str | None, entered: int, converted: int) -> list[Row]:
    rows: list[Row] = [(f"{plan}{i}", "A", 0, plan) for i in range(entered)]
    return rows + [(f"{plan}{i}", "B", 1, None) for i in range(converted)]


def test_the_entry_event_decides_the_value() -> None:
    assert by_plan([("p", "A", 0, "pro"), ("p", "B", 1, "free")]) == {"pro": (1, 1)}


def test_a_missing_value_is_a_value_of_its_own() -> None:
    assert by_plan([*crowd(None, 2, 1), *crowd("pro", 1, 0)]) == {"(none)": (2, 1), "pro": (1, 0)}


def test_the_first_entry_decides_not_the_one_that_converts() -> None:
    # Otherwise success would pick the group, and "free" would lose a failure.
    rows: list[Row] = [("p", "A", 0, "free"), ("p", "A", 100, "pro"), ("p", "B", 101, None)]
    assert by_plan(rows) == {"free": (1, 1)}


def test_of_tied_entries_the_value_that_sorts_first() -> None:
    rows: list[Row] = [("p", "A", 0, "pro"), ("p", "A", 0, "free")]
    assert by_plan(rows) == by_plan(rows[::-1]) == {"free": (1, 0)}


def test_values_beyond_the_limit_are_one() -> None:
    rows = [*crowd("a", 3, 1), *crowd("b", 2, 1), *crowd("c", 1, 1), *crowd(None, 4, 0)]
    assert by_plan(rows, limit=1) == {"(none)": (4, 0), "(other)": (3, 2), "a": (3, 1)}


def test_a_value_that_reads_like_ours_is_quoted() -> None:
    assert by_plan([*crowd("(other)", 2, 1), *crowd(None, 1, 0)]) == {'"(other)"': (2, 1), "(none)": (1, 0)}


def test_open_attempts_do_not_count() -> None:
    rows = [*crowd("pro", 1, 1), ("late", "A", 100, "pro")]
    frame = funnel_breakdown(events(rows), DEFINITION, segment="plan", as_of=at(120))
    assert frame["entered"].to_list() == [1, 1]


def test_difference_to_all_others_with_its_interval() -> None:
    # Newcombe (1998), table II, example (a) of method 10: 56/70 against 48/80 gives 0.0524 to 0.3339.
    rows = [*crowd("pro", 70, 56), *crowd("free", 80, 48)]
    frame = funnel_breakdown(events(rows), DEFINITION, segment="plan", as_of=LATER)
    row = frame.row(by_predicate=(pl.col("value") == "pro") & (pl.col("step") == 2), named=True)
    assert row["difference"] == pytest.approx(0.2)
    assert (row["difference_low"], row["difference_high"]) == pytest.approx((0.0524, 0.3339), abs=5e-5)


def test_step_one_has_nothing_to_compare() -> None:
    frame = funnel_breakdown(
        events([*crowd("pro", 9, 5), *crowd("free", 9, 1)]), DEFINITION, segment="plan", as_of=LATER
    )
    first = frame.filter(pl.col("step") == 1).select("difference", "difference_low", "q_value")
    assert first.rows() == [(0.0, None, None)] * 2


def test_a_single_value_has_no_others() -> None:
    frame = funnel_breakdown(events(crowd("pro", 9, 5)), DEFINITION, segment="plan", as_of=LATER)
    assert frame.select("difference", "q_value").rows() == [(None, None)] * 2


def test_more_segments_make_the_test_stricter() -> None:
    rows = [*crowd("pro", 40, 30), *crowd("free", 40, 10)]
    frame = events(rows).with_columns(coin=pl.col("person").hash(seed=1).mod(4).cast(pl.String))

    def q(segments: list[Segment]) -> float:
        result = funnel_breakdown(frame, DEFINITION, segment=segments, as_of=LATER)
        return float(
            result.row(by_predicate=(pl.col("value") == "pro") & (pl.col("step") == 2), named=True)["q_value"]
        )

    alone = q([Segment("plan")])
    assert alone == pytest.approx(float(two_proportion_p(30, 40, 10, 40)))
    assert q([Segment("plan"), Segment("coin", name="noise")]) > alone


def test_rows_conform_to_the_mart() -> None:
    frame = funnel_breakdown(
        events(crowd("pro", 2, 1)), DEFINITION, segment=Segment("plan", "tier"), as_of=LATER
    )
    rows = mart_rows(FUNNEL_BREAKDOWN, [frame], quality="warning")
    assert rows.select("segment", "value", "step", "quality").row(0) == ("tier", "pro", 1, "warning")


def test_nobody_at_all() -> None:
    frame = funnel_breakdown(events([]), DEFINITION, segment="plan", as_of=LATER)
    assert mart_rows(FUNNEL_BREAKDOWN, [frame], quality="passed").height == 0


def test_a_segment_without_property_is_refused() -> None:
    with pytest.raises(ValueError, match="property is empty"):
        Segment("")


def test_a_limit_below_one_is_refused() -> None:
    with pytest.raises(ValueError, match="limit is 0"):
        Segment("plan", limit=0)


def test_the_first_or_last_event_of_any_step_may_give_the_value() -> None:
    events = pl.DataFrame(
        {
            "person": ["p"] * 4 + ["q"],
            "event": ["A", "A", "B", "other", "A"],
            "ts": [at(0), at(1), at(2), at(3), at(0)],
            "plan": [None, "x", "y", "z", None],
        }
    )
    definition = Funnel(name="f", steps=["A", "B"], window="60s")
    shown = {}
    for attribution in ("entry", "first", "last"):
        segment = Segment("plan", attribution=attribution)  # type: ignore[arg-type]
        rows = funnel_breakdown(events, definition, segment=segment, as_of=LATER)
        shown[attribution] = rows.filter(pl.col("step") == 2).select("value", "entered", "persons").rows()
    assert shown == {
        "entry": [("(none)", 2, 1)],
        "first": [("(none)", 1, 0), ("x", 1, 1)],
        "last": [("(none)", 1, 0), ("y", 1, 1)],
    }
    with pytest.raises(ValueError, match="attribution 'middle' is not one of entry, first"):
        Segment("plan", attribution="middle")  # type: ignore[arg-type]
