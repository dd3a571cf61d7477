"""Inputs of PostHog's public tests of lifecycle and stickiness, in a notation of our own, and their numbers.

`p=9 12` is a page view of p at noon of 9 and 12 January 2020, UTC.
"""

from datetime import UTC, date, datetime
from typing import Any

import polars as pl
import pytest

import opsanalytics
from opsanalytics_tests.behavior.examples import table

FOUR = {"p1": "11 12 13 15 17 19", "p2": "9 12", "p3": "12", "p4": "15"}
EXPECTED = {
    "new": [1, 0, 0, 1, 0, 0, 0, 0],
    "returning": [1, 1, 0, 0, 0, 0, 0, 0],
    "resurrected": [1, 0, 0, 1, 0, 1, 0, 1],
    "dormant": [0, 2, 1, 0, 2, 0, 1, 0],
}


def noons(people: dict[str, str], *, year: int = 2020, month: int = 1) -> pl.DataFrame:
    """A word is a day of the month, or month-day."""
    rows = {}
    for person, words in people.items():
        moments = [[str(month), *word.split("-")][-2:] for word in words.split()]
        rows[person] = [("$pageview", datetime(year, int(m), int(d), 12, tzinfo=UTC)) for m, d in moments]
    return table(rows)


def states(frame: pl.DataFrame, first: date, last: date, **asked: Any) -> dict[str, list[int]]:
    keywords = {name: asked.pop(name) for name in ("timezone", "week_start") if name in asked}
    found = opsanalytics.lifecycle(
        frame, {"period": "day"} | asked, preset="posthog", first=first, last=last, **keywords
    )
    rows = found.to_polars()
    return {name: rows[name].to_list() for name in EXPECTED}


JANUARY = (date(2020, 1, 12), date(2020, 1, 19))


def test_a_range() -> None:
    assert states(noons(FOUR), *JANUARY) == EXPECTED


def test_the_whole_range() -> None:
    assert states(noons(FOUR), date(2020, 1, 9), date(2020, 1, 19)) == {
        "new": [1, 0, 1, 1, 0, 0, 1, 0, 0, 0, 0],
        "returning": [0, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0],
        "resurrected": [0, 0, 0, 1, 0, 0, 1, 0, 1, 0, 1],
        "dormant": [0, 1, 0, 0, 2, 1, 0, 2, 0, 1, 0],
    }


def test_who_is_dormant_the_day_after_the_range() -> None:
    found = states(noons(FOUR), date(2020, 1, 20), date(2020, 1, 20))
    assert {name: counts[0] for name, counts in found.items()} == {
        "new": 0,
        "returning": 0,
        "resurrected": 0,
        "dormant": 1,
    }


def test_any_event() -> None:
    frame = noons(FOUR).with_columns(
        event=pl.when(pl.col("person").is_in(["p3", "p4"])).then(pl.lit("$other")).otherwise("event")
    )
    assert states(frame, *JANUARY, events="*") == EXPECTED


def test_a_filter() -> None:
    frame = noons(FOUR).with_columns(number=pl.when(pl.col("person") == "p1").then(1))
    filtered = {"event": "$pageview", "where": {"number": 1}}
    assert states(frame, *JANUARY, events=filtered) == EXPECTED | {
        "new": [0] * 8,
        "resurrected": [0, 0, 0, 1, 0, 1, 0, 1],
        "dormant": [0, 0, 1, 0, 1, 0, 1, 0],
    }


def test_without_a_person_whose_mail_is_that_of_a_tester() -> None:
    frame = noons(FOUR).filter(pl.col("person") != "p1")
    assert states(frame, *JANUARY) == {
        "new": [1, 0, 0, 1, 0, 0, 0, 0],
        "returning": [0] * 8,
        "resurrected": [1, 0, 0, 0, 0, 0, 0, 0],
        "dormant": [0, 2, 0, 0, 1, 0, 0, 0],
    }


def test_one_person() -> None:
    assert states(noons({"p1": "12 14 15 17 19"}), *JANUARY) == {
        "new": [1, 0, 0, 0, 0, 0, 0, 0],
        "returning": [0, 0, 0, 1, 0, 0, 0, 0],
        "resurrected": [0, 0, 1, 0, 0, 1, 0, 1],
        "dormant": [0, 1, 0, 0, 1, 0, 1, 0],
    }


@pytest.mark.parametrize(
    ("start", "first_week"), [("sunday", date(2020, 2, 2)), ("monday", date(2020, 2, 3))]
)
def test_weeks(start: Any, first_week: date) -> None:
    people = {"p1": "2-1 2-5 2-10 2-15 2-27 3-2", "p2": "2-11 2-18", "p3": "2-12", "p4": "2-27"}
    days = (date(2020, 2, 5), date(2020, 3, 9))
    found = opsanalytics.lifecycle(
        noons(people), {}, preset="posthog", first=days[0], last=days[1], week_start=start
    ).to_polars()
    assert found["period_start"][0] == first_week
    assert {name: found[name].to_list() for name in EXPECTED} == {
        "new": [0, 2, 0, 1, 0, 0],
        "returning": [1, 1, 1, 0, 1, 0],
        "resurrected": [0, 0, 0, 1, 0, 0],
        "dormant": [0, 0, 2, 1, 1, 1],
    }


def test_months() -> None:
    people = {"p1": "1-11 2-12 3-13 5-15 7-17 9-19", "p2": "2-12", "p3": "2-12", "p4": "5-15"}
    december = table({"p2": [("$pageview", datetime(2019, 12, 9, 12, tzinfo=UTC))]})
    frame = pl.concat([noons(people), december])
    assert states(frame, date(2020, 2, 1), date(2020, 9, 1), period="month") == EXPECTED


def test_time_zones() -> None:
    frame = noons(FOUR).with_columns(
        ts=pl.when(pl.col("ts") == datetime(2020, 1, 11, 12, tzinfo=UTC))
        .then(datetime(2020, 1, 11, 23, tzinfo=UTC))
        .when((pl.col("person") == "p1") & (pl.col("ts") == datetime(2020, 1, 12, 12, tzinfo=UTC)))
        .then(datetime(2020, 1, 12, 1, tzinfo=UTC))
        .otherwise("ts")
    )
    assert states(frame, *JANUARY) == EXPECTED
    assert states(frame, *JANUARY, timezone="US/Pacific") == {
        "new": [1, 0, 0, 1, 0, 0, 0, 0],
        "returning": [0] * 8,
        "resurrected": [1, 1, 0, 1, 0, 1, 0, 1],
        "dormant": [1, 2, 1, 0, 2, 0, 1, 0],
    }


def test_dormant_after_the_day_of_23_hours() -> None:
    frame = noons({"p1": "9"}, year=2025, month=3)
    found = states(frame, date(2025, 3, 8), date(2025, 3, 11), timezone="US/Pacific")
    assert (found["new"], found["dormant"]) == ([0, 1, 0, 0], [0, 0, 1, 0])


def test_groups() -> None:
    frame = noons({"p1": "11 12 13 15 17 19", "p2": "9 12", "p3": "12", "p4": "15 18"}).with_columns(
        org=pl.lit("org:5")
    )
    assert states(frame, date(2020, 1, 9), date(2020, 1, 19), entity="org") == {
        "new": [1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        "returning": [0, 0, 0, 1, 1, 0, 0, 0, 0, 1, 1],
        "resurrected": [0, 0, 1, 0, 0, 0, 1, 0, 1, 0, 0],
        "dormant": [0, 1, 0, 0, 0, 1, 0, 1, 0, 0, 0],
    }


TWO = {"p1": "11 12 13 14 15 16 17 18 19", "p2": "11 13 15 17 19"}


@pytest.mark.parametrize(
    ("unit", "expected"),
    [
        ("day", [0, 0, 0, 0, 1, 0, 0, 0, 1, 0]),
        ("week", [0, 0, 2]),
        ("month", [2]),
    ],
)
def test_stickiness(unit: Any, expected: list[int]) -> None:
    found = opsanalytics.stickiness(
        noons(TWO),
        {"unit": unit, "period": "range"},
        preset="posthog",
        first=date(2020, 1, 11),
        last=date(2020, 1, 20),
        week_start="sunday",
    )
    cells = found.to_polars().filter(pl.col("period_start").is_not_null())
    assert cells["persons"].to_list() == expected


def test_stickiness_of_hours() -> None:
    found = opsanalytics.stickiness(
        noons(TWO),
        {"unit": "hour"},
        preset="posthog",
        first=date(2020, 1, 11),
        last=date(2020, 1, 11),
    )
    cells = found.to_polars().filter(pl.col("period_start").is_not_null())
    assert cells["persons"].to_list() == [2] + [0] * 23
