"""Trends: numbers against a plain reference, formulas, comparison, intervals."""

from collections import defaultdict
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import opsanalytics
from opsanalytics import Segment, Trends
from opsanalytics.behavior.activity_tables import TRENDS
from opsanalytics.behavior.formulas import evaluate, formula_names
from opsanalytics.behavior.statistics import wilson
from opsanalytics.behavior.trends import trends
from opsanalytics_tests.behavior import activity_reference as reference

SPRING = datetime(2026, 3, 20, tzinfo=UTC)
AS_OF = datetime(2026, 6, 1, tzinfo=UTC)
SCHEMA = {
    "person": pl.String,
    "event": pl.String,
    "ts": pl.Datetime("us", "UTC"),
    "amount": pl.Float64,
    "plan": pl.String,
}
ROWS = st.lists(
    st.tuples(
        st.sampled_from("pqr"),
        st.sampled_from("AB"),
        st.integers(0, 24 * 40).map(lambda h: SPRING + timedelta(hours=h)),
        st.sampled_from([None, 0.0, 1.5, -2.0, 10.0]),
        st.sampled_from([None, "free", "pro"]),
    ),
    min_size=1,
    max_size=25,
)
MEASURES: dict[str, Any] = {
    "total": lambda rows: float(len(rows)),
    "persons": lambda rows: float(len({row[0] for row in rows})),
    "per_person": lambda rows: len(rows) / len({row[0] for row in rows}) if rows else None,
    "sum": lambda rows: float(sum(numbers(rows))),
    "average": lambda rows: sum(numbers(rows)) / len(numbers(rows)) if numbers(rows) else None,
    "median": lambda rows: float(np.median(numbers(rows))) if numbers(rows) else None,
    "min": lambda rows: min(numbers(rows), default=None),
    "max": lambda rows: max(numbers(rows), default=None),
}


def numbers(rows: list[Any]) -> list[float]:
    return [row[3] for row in rows if row[3] is not None]


def frame(rows: list[Any]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=SCHEMA, orient="row")


def asked(measure: str, event: str = "A") -> dict[str, Any]:
    of_property = measure not in ("total", "persons", "per_person")
    return {"event": event, "measure": measure} | ({"property": "amount"} if of_property else {})


@settings(max_examples=25, deadline=None)
@given(ROWS, st.sampled_from(["day", "week", "month"]), st.sampled_from(["UTC", "Europe/Berlin"]))
def test_every_measure_is_that_of_the_reference(rows: list[Any], period: Any, zone: str) -> None:
    definition = Trends(series=[asked(measure) for measure in MEASURES], period=period)
    found = trends(frame(rows), definition, as_of=AS_OF, timezone=zone).rows
    by_period = defaultdict(list)
    for row in rows:
        if row[1] == "A":
            by_period[reference.first_day_of(row[2], period, zone)].append(row)
    for letter, measure in zip(definition.letters, MEASURES, strict=True):
        for row in found.filter(pl.col("series") == letter).to_dicts():
            mine = by_period.get(row["period_start"], [])
            expected = MEASURES[measure](mine)
            assert row["number"] == (None if expected is None else pytest.approx(expected))
            assert row["n"] == len({each[0] for each in mine})
    assert set(by_period) <= set(found["period_start"].to_list())


@settings(max_examples=15, deadline=None)
@given(ROWS, st.randoms())
def test_breakdowns_add_up_and_the_order_of_rows_changes_nothing(rows: list[Any], random: Any) -> None:
    definition = Trends(series=["A", asked("sum", "B")], formulas=["A + B"])
    whole = trends(frame(rows), definition, as_of=AS_OF).rows
    apart = trends(frame(rows), definition, as_of=AS_OF, breakdown=Segment("plan", limit=1)).rows
    summed = apart.group_by("series", "starts_at").agg(pl.col("number").sum()).sort("series", "starts_at")
    if apart.height:
        expected = whole.select("series", "starts_at", "number").sort("series", "starts_at")
        assert summed.select("number").to_series().to_list() == pytest.approx(expected["number"].to_list())
    mixed = list(rows)
    random.shuffle(mixed)
    assert trends(frame(mixed), definition, as_of=AS_OF).rows.equals(whole)


def many(days: int = 4, persons: int = 40) -> pl.DataFrame:
    """All persons do A on every day; person i does B on day d where i < 10 (d + 1)."""
    noon = datetime(2026, 3, 2, 12, tzinfo=UTC)
    rows: list[Any] = []
    for day in range(days):
        ts = noon + timedelta(days=day)
        for person in range(persons):
            rows.append((f"p{person:02}", "A", ts, float(person), None))
            if person < 10 * (day + 1):
                rows.append((f"p{person:02}", "B", ts, 1.0, None))
    return frame(rows)


SHARE = Trends(
    series=[{"event": "B", "measure": "persons"}, {"event": "A", "measure": "persons"}],
    formulas=["A / B"],
    period="day",
)
MIDDAY = datetime(2026, 3, 5, 12, 30, tzinfo=UTC)


def test_a_share_of_persons_has_a_wilson_interval() -> None:
    rows = trends(many(), SHARE, as_of=MIDDAY).rows.filter(pl.col("series") == "A / B")
    low, high = wilson([10, 20, 30, 40], [40] * 4)
    assert rows["number"].to_list() == [0.25, 0.5, 0.75, 1.0]
    assert rows["number_low"].to_list() == pytest.approx(low.tolist())
    assert rows["number_high"].to_list() == pytest.approx(high.tolist())
    assert rows["n"].to_list() == [40] * 4


def test_what_is_no_share_has_a_bootstrap_interval() -> None:
    definition = Trends(
        series=["B", {"event": "A", "measure": "average", "property": "amount"}],
        formulas=["A / B"],
        period="day",
    )
    rows = trends(many(), definition, as_of=MIDDAY).rows
    average = rows.filter(pl.col("series") == "B").row(0, named=True)
    # The mean of 0 to 39 has a standard error of 1.87.
    assert average["number"] == 19.5
    assert 19.5 - 5.5 < average["number_low"] < 19.5 - 2 < 19.5 + 2 < average["number_high"] < 19.5 + 5.5
    quotient = rows.filter(pl.col("series") == "A / B").row(1, named=True)
    assert quotient["number_low"] < quotient["number"] < quotient["number_high"]


def test_a_running_period_has_no_change() -> None:
    rows = trends(many(), SHARE, as_of=MIDDAY).rows.filter(pl.col("series") == "A")
    told = rows.select("number", "previous", "change", "complete").rows()
    assert told == [
        (10.0, None, None, True),
        (20.0, 10.0, 1.0, True),
        (30.0, 20.0, 0.5, True),
        (40.0, 30.0, None, False),
    ]
    assert rows["change_low"][1] < 1.0 < rows["change_high"][1]


def test_a_range_is_compared_with_as_many_periods_before() -> None:
    days = {"first": date(2026, 3, 4), "last": date(2026, 3, 5)}
    rows = trends(many(), SHARE, as_of=AS_OF, **days).rows.filter(pl.col("series") == "A")
    assert rows.select("previous_start", "previous", "change").rows() == [
        (date(2026, 3, 2), 10.0, 2.0),
        (date(2026, 3, 3), 20.0, 1.0),
    ]


def test_few_persons_have_no_bootstrap_interval() -> None:
    definition = Trends(series=[{"event": "A", "measure": "per_person"}], period="day")
    assert trends(many(persons=9), definition, as_of=MIDDAY).rows["number_low"].null_count() == 4


def test_posthog_shows_zero_for_a_quotient_of_nothing() -> None:
    definition = Trends(series=["B", "C"], formulas=["A / B"], period="day")
    ours, theirs = (
        opsanalytics.trends(many(), definition, as_of=MIDDAY, preset=preset)
        .to_polars()
        .filter(pl.col("series") == "A / B")["number"]
        .to_list()
        for preset in ("opsanalytics", "posthog")
    )
    assert (ours, theirs) == ([None] * 4, [0.0] * 4)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("A / B", 2.0), ("(A + B) * 100", 900.0), ("-A + 2 * B - 0.5", -0.5), ("A", 6.0), ("A / (B - 3)", None)],
)
def test_formulas(text: str, expected: float | None) -> None:
    found = evaluate(text, {"A": np.array([6.0]), "B": np.array([3.0])})
    assert found.tolist() == [pytest.approx(expected)] if expected is not None else np.isnan(found).all()


@pytest.mark.parametrize(
    "text",
    ["A //", "A ** B", "__import__('os')", "A.b", "AB", "a", "A if B else C", "[A]", "A" * 201, "1e400j"],
)
def test_what_is_no_formula_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="formula"):
        formula_names(text)


def test_hostile_times_and_no_events() -> None:
    far = frame(
        [
            ("p", "A", datetime(1931, 5, 1, tzinfo=UTC), 1.0, None),
            ("p", "A", datetime(2231, 5, 1, tzinfo=UTC), 2.0, None),
        ]
    )
    definition = Trends(series=["A", asked("average")], formulas=["A / B"], period="month")
    for rows in (far, far.clear()):
        found = trends(rows, definition, as_of=datetime(2240, 1, 1, tzinfo=UTC)).rows
        TRENDS.conform(found.with_columns(quality=pl.lit("passed")))
        assert found.filter(pl.col("series") == "A")["number"].sum() == rows.height


def test_a_breakdown_of_nothing_has_zeros() -> None:
    events = pl.DataFrame(
        {"person": ["a"], "event": ["other"], "ts": [datetime(2026, 3, 2, tzinfo=UTC)], "plan": ["pro"]}
    )
    found = trends(
        events, Trends(series=["S"]), as_of=datetime(2026, 3, 9, tzinfo=UTC), breakdown=Segment("plan")
    )
    assert found.rows.select("value", "number").rows() == [("(none)", 0.0)] * 2
