"""Two sources beside each other: counts, intervals, verdicts, and whether they are one product."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import polars as pl
import pytest

from opsanalytics.behavior.overlaps import Overlap
from opsanalytics.behavior.source_comparison import (
    COUNTED,
    SOURCE_COMPARISON,
    compare_sources,
    overlap_evidence,
)

FIRST = date(2026, 9, 1)


def events(**persons: list[list[str | None]]) -> pl.LazyFrame:
    """Purchases: for each source, for each day, who bought."""
    rows = [
        (person, source, "purchase", datetime(2026, 9, 1, 9, tzinfo=UTC) + timedelta(days=day))
        for source, days in persons.items()
        for day, buyers in enumerate(days)
        for person in buyers
    ]
    schema = {
        "person": pl.String,
        "source": pl.String,
        "event": pl.String,
        "ts": pl.Datetime("us", "UTC"),
    }
    return pl.DataFrame(rows, schema=schema, orient="row").lazy()


def people(count: int, start: int = 0) -> list[str | None]:
    return [f"u{number}" for number in range(start, start + count)]


def compared(frame: pl.LazyFrame, *overlaps: Overlap) -> pl.DataFrame:
    return compare_sources(frame, ["web", "app"], overlaps)


def one(frame: pl.DataFrame, day: date | None = None) -> dict[str, Any]:
    return frame.filter(pl.col("day").eq_missing(pl.lit(day, pl.Date))).row(0, named=True)


def test_the_columns_are_those_of_the_table() -> None:
    assert compared(events(web=[people(2)], app=[people(2)])).schema == {
        name: dtype for name, dtype in SOURCE_COMPARISON.schema.items() if name not in COUNTED
    }


def test_a_day_has_the_counts_of_both_and_the_persons_in_both() -> None:
    row = one(compared(events(web=[["a", "a", "b", None]], app=[["b", "c"]])), FIRST)
    counts = ("events_a", "events_b", "persons_a", "persons_b", "persons_both", "difference")
    assert [row[name] for name in counts] == [4, 2, 2, 2, 1, -2]
    assert row["ratio"] == 0.5
    assert row["ratio_low"] < 0.5 < row["ratio_high"]


def test_all_days_together_count_a_person_once() -> None:
    row = one(compared(events(web=[["a"], ["a", "b"]], app=[["a"], []])))
    assert (row["events_a"], row["persons_a"], row["persons_both"]) == (3, 2, 1)


def test_an_event_that_one_source_alone_sends_is_not_compared() -> None:
    assert compared(events(web=[people(3)])).is_empty()


@pytest.mark.parametrize(
    ("web", "app", "verdict"),
    [
        (people(100), people(103), "agree"),
        (people(3000), people(2500), "differ"),
        (people(10), people(8), "unclear"),
        (people(5), [], "only_a"),
        ([], people(5), "only_b"),
    ],
)
def test_the_verdict_of_a_day(web: list[str | None], app: list[str | None], verdict: str) -> None:
    rows = compared(events(web=[web, people(1)], app=[app, people(1)]))
    assert one(rows, FIRST)["verdict"] == verdict


def test_the_interval_is_that_of_a_share_of_both_counts() -> None:
    row = one(compared(events(web=[people(40)], app=[people(60)])), FIRST)
    # Wilson, 60 of 100: 0.5020 to 0.6906; as odds
    assert row["ratio_low"] == pytest.approx(1.008, abs=0.002)
    assert row["ratio_high"] == pytest.approx(2.232, abs=0.005)


def test_the_same_persons_in_both_are_evident() -> None:
    rows = compared(events(web=[people(20), people(20)], app=[people(18), people(20)]))
    assert set(rows["relation"]) == {"evident"}
    (found,) = overlap_evidence(rows).to_dicts()
    assert (found["person_days"], found["in_both"], found["evident"]) == (38, 38, True)
    assert found["examples"] == ["purchase: 38 of 38 person-days"]


@pytest.mark.parametrize(
    "app", [[people(40, start=35)], [people(12)]], ids=["few in both", "too few to judge by"]
)
def test_sources_of_other_persons_are_apart(app: list[list[str | None]]) -> None:
    rows = compared(events(web=[people(40)], app=app))
    assert set(rows["relation"]) == {"apart"}


def test_a_declared_overlap_is_called_so() -> None:
    both = events(web=[people(40)], app=[people(40)])
    rows = compared(both, Overlap(prefer=("app", "web"), events=("purchase",)))
    assert set(rows["relation"]) == {"declared"}
    assert overlap_evidence(rows)["declared"].to_list() == [True]


def test_every_two_of_three_sources_are_compared() -> None:
    three = events(web=[people(2)], app=[people(2)], shop=[people(2)])
    rows = compare_sources(three, ["web", "app", "shop"])
    pairs = rows.select("source_a", "source_b").unique().sort("source_a", "source_b").rows()
    assert pairs == [("app", "shop"), ("web", "app"), ("web", "shop")]
