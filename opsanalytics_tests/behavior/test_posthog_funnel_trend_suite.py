"""Inputs and numbers of PostHog's public tests of funnel trends and times to convert, in our own notation.

From `posthog/hogql_queries/insights/funnels/test/test_funnel_trends.py` (commit
1b3b61d46a1b700c06f7ebadf2e2b972d68a5e7e), `test_funnel_unordered.py`
(75bea9911c811fe98fe8300c22fed23995b6ca41) and `test_funnel_time_to_convert.py`
(2506df87718170757426e5b47fabcdd32c06d555). They list every period of the range, here those from the first to
the last with an entry.
"""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import polars as pl
import pytest

import opsanalytics
from opsanalytics import Funnel
from opsanalytics_tests.behavior.notation import events_of, posthog

ABC = ["A", "B", "C"]


def trend(
    people: dict[str, str], *, start: datetime = datetime(2021, 5, 1, tzinfo=UTC), **asked: Any
) -> dict[date, tuple[int, int]]:
    """Entered and converted by first day of the period, without those in which nobody entered."""
    names = ("period", "timezone", "week_start", "from_step", "to_step", "first", "last")
    outer = {"period": "day"} | {name: asked.pop(name) for name in names if name in asked}
    rows = opsanalytics.funnel_trend(
        events_of(people, start=start, unit=asked.pop("unit", "hours")),
        Funnel(**({"steps": ABC, "window": "7d"} | asked)),
        preset="posthog",
        **outer,
    )
    days = {
        begin: (entered, converted)
        for begin, entered, converted in rows.select("period_start", "entered", "converted").rows()
    }
    return {begin: counts for begin, counts in days.items() if counts != (0, 0)}


def may(day: int) -> date:
    return date(2021, 5, day)


SAMPLE = {
    "one": "A0 B48 C96",
    "two": "A24 B72",
    "three": "A120",
    "four": "N120",
    "five": "A1 B2 C3",
    "six": "A0 B48 C96",
    "seven": "A24 B72",
}
WINDOWS = {
    "one": "A1 B2 C3 A49 B50 A83 B84 C85",
    "two": "A90",
}
STRICT = {"one": "A1 B2 C3 A49 B50 x50.5 C51 A83 B84 C85", "two": "A90 x90.3 B91"}
ANY = {"one": "A1 C2 B3 B49 A50 C83 A84 B85", "two": "A90"}
RUNS = {"one": "A1 B26 C27", "two": "A1", "three": "B26 C27", "four": "A25 B26"}
PERIODS = {may(1): (1, 1), may(3): (1, 0), may(4): (2, 1)}
SHORT = {"steps": ["A", "B"], "window": "10s", "unit": "seconds", "exclusions": [{"event": "x"}]}
DAY = 86_400
SECOND_OF_THREE = SHORT | {"steps": ABC, "exclusions": [{"event": "x", "from_step": 2, "to_step": 3}]}
CASES: dict[str, tuple[Any, ...]] = {
    "one user, one step": ({"a": "A19"}, {}, {may(1): (1, 0)}),
    "one user in the west": ({"a": "A19"}, {"timezone": "US/Pacific"}, {may(1): (1, 0)}),
    "by day": (SAMPLE, {}, {may(1): (3, 3), may(2): (2, 0), may(6): (1, 0)}),
    "a window of a day": (SAMPLE, {"window": "1d"}, {may(1): (3, 1), may(2): (2, 0), may(6): (1, 0)}),
    "by week": ({"one": "A0 B1 C2"}, {"period": "week", "week_start": "sunday"}, {date(2021, 4, 25): (1, 1)}),
    "by month": ({"one": "A0 B1 C2"}, {"period": "month"}, {may(1): (1, 1)}),
    "by month in the west": (
        {"one": "A0 B1 C2"},
        {"period": "month", "timezone": "US/Pacific"},
        {date(2021, 4, 1): (1, 1)},
    ),
    "two runs in one period": ({"one": "A0 B1 C2 A13 B14 C15"}, {"window": "1d"}, {may(1): (1, 1)}),
    "in reverse": ({"one": "C1 B2 A3"}, {"window": "1d"}, {may(1): (1, 0)}),
    "several periods": (WINDOWS, {"window": "1d"}, PERIODS),
    "several periods, strict": (STRICT, {"window": "1d", "order": "strict"}, PERIODS),
    "several periods, unordered": (ANY, {"window": "1d", "order": "any"}, PERIODS),
    "from the second step": (RUNS, {"window": "3d", "from_step": 2}, {may(1): (1, 1), may(2): (1, 0)}),
    "to the second step": (RUNS, {"window": "3d", "to_step": 2}, {may(1): (2, 1), may(2): (1, 1)}),
    "completed out of order": ({"a": "A19 C20 B21"}, {"to_step": 2}, {may(1): (1, 1)}),
    "an attempt after an excluded one": (
        {"one": "A0 x1 B31 A3600 B3629"},
        SHORT | {"window": "30s"},
        {may(1): (1, 1)},
    ),
    "excluded without an end": (
        {"p1": "A1 B2", "p2": "A3 x3.5 B4", "p3": "A5 x6", "p4": "A7 x32"},
        {"steps": ["A", "B"], "window": "1d", "exclusions": [{"event": "x"}]},
        {may(1): (2, 1)},
    ),
    "excluded, then entered again": ({"p": "A0 x1 A31"}, SHORT, {may(1): (1, 0)}),
    "entered, then entered again and excluded": ({"p": "A0 A31 x32"}, SHORT, {may(1): (1, 0)}),
    "both entries excluded": ({"p": "A0 A1 x2"}, SHORT, {}),
    "an exclusion after the goal": ({"p": "A0 B1 C3 A4 B5 x6 C7"}, SECOND_OF_THREE, {may(1): (1, 1)}),
    "completed on the first day": (
        {"p": f"A0 B1 A{DAY + 4} x{DAY + 5} B{DAY + 6}"},
        SHORT,
        {may(1): (1, 1)},
    ),
    "completed on the second day": ({"p": f"A0 x1 B2 A{DAY + 4} B{DAY + 6}"}, SHORT, {may(2): (1, 1)}),
    "open on the second day": ({"p": f"A0 A{DAY + 30} x{DAY + 31}"}, SHORT, {may(1): (1, 0)}),
    "open at the second step": (
        {"p": f"A0 B1 A{DAY + 4} B{DAY + 5} x{DAY + 6}"},
        SECOND_OF_THREE,
        {may(1): (1, 0)},
    ),
    "the completing attempt is excluded": ({"p": "A0 x11 A12 x13 B14"}, SHORT, {}),
    "exclusions with filters": (
        {"a": "A0 x1=true B2", "b": "A0 x1=yes B2", "c": "A0", "d": "A0 x1=false B2"},
        SHORT | {"exclusions": [{"event": "x", "where": {"tag": value}} for value in ("true", "yes")]},
        {may(1): (2, 1)},
    ),
    "a window of a hundred years": (
        {"second": "B24", "first": "A48"},
        {"steps": ["A", "B"], "window": timedelta(seconds=3_122_064_000)},
        {may(3): (1, 0)},
    ),
    "unordered with an exclusion, to the second step": (
        {"p1": "A10 B11 x12 C13", "p2": "A10 B11 C12"},
        {"window": "6h", "order": "any", "exclusions": [{"event": "x"}], "to_step": 2},
        {may(1): (2, 1)},
    ),
}
# Their trend forgets everything of a person of whom one entry was completed after an exclusion, entries on
# other days too. Here those stay: nothing excluded them.
KEPT = {"p": f"A0 A{DAY + 30} x{DAY + 31} B{DAY + 32}"}


@pytest.mark.parametrize(("people", "asked", "expected"), CASES.values(), ids=CASES)
def test_trend(people: dict[str, str], asked: dict[str, Any], expected: dict[date, tuple[int, int]]) -> None:
    assert trend(people, **asked) == expected


def test_an_exclusion_on_another_day_leaves_the_first_day_alone() -> None:
    assert trend(KEPT, **SHORT) == {may(1): (1, 0)}


DAILY = {
    "u1": [*range(8)],
    "u2": [0, 2, 4, 6],
    "u3": [0, 4],
    "u4": [0],
    "u5": [],
}


def days(numbers: list[int], event: str, hour: int = 10) -> list[str]:
    return [f"{event}{24 * day + hour}" for day in numbers]


def test_unordered_by_day() -> None:
    people = {who: " ".join([*days(made, "C"), "A179", "B180"]) for who, made in DAILY.items()}
    start = datetime(2024, 3, 1, tzinfo=UTC)
    asked = {"order": "any", "window": "8d", "first": date(2024, 3, 1), "last": date(2024, 3, 8)}
    expected = [(4, 4), (1, 1), (2, 2), (1, 1), (3, 3), (1, 1), (2, 2), (5, 1)]
    assert list(trend(people, start=start, **asked).values()) == expected


def test_unordered_from_the_second_step() -> None:
    start = datetime(2024, 3, 1, tzinfo=UTC)
    people = {
        "u1": " ".join([*days([*range(8)], "C"), "A179"]),
        "u2": " ".join([*days([*range(8)], "C"), "A179", "B180"]),
    }
    asked = {"order": "any", "window": "8d", "from_step": 2, "to_step": 3}
    assert list(trend(people, start=start, **asked).values()) == [(2, 1)] * 8


def test_unordered_for_one_person() -> None:
    start = datetime(2024, 12, 1, tzinfo=UTC)
    made = [*days([*range(8)], "C"), *days([*range(4)], "B", 11), *days([0, 1], "A", 12)]
    people = {"u": " ".join(sorted(made, key=lambda word: float(word[1:])))}
    asked = {"order": "any", "window": "8d", "from_step": 2, "to_step": 3}
    assert list(trend(people, start=start, **asked).values()) == [(1, 1), (1, 1), (1, 0), (1, 0)]


BINS = [(2220, 2), (42510, 0), (82800, 1)]
CONVERTED = {"a": "A18 B19 C21", "b": "A37 B37.616666666667", "c": "A79 B102"}
TIMES: dict[str, tuple[Any, ...]] = {
    "bins by themselves": (CONVERTED, {}, None, BINS),
    "one event in all steps": (
        {who: made.translate(str.maketrans("BC", "AA")) for who, made in CONVERTED.items()},
        {"steps": ["A", "A", "A"]},
        None,
        BINS,
    ),
    "seven bins": (
        CONVERTED,
        {},
        7,
        list(
            zip(
                (2220, 13732, 25244, 36756, 48268, 59780, 71292, 82804), (2, 0, 0, 0, 0, 0, 1, 0), strict=True
            )
        ),
    ),
    "strict": (
        CONVERTED | {"b": "A37 B37.616666666667 x37.633 C37.65", "d": "A79 x103 B105"},
        {"order": "strict"},
        None,
        BINS,
    ),
}


@pytest.mark.parametrize(("people", "asked", "bins", "expected"), TIMES.values(), ids=TIMES)
def test_times_to_convert(
    people: dict[str, str], asked: dict[str, Any], bins: int | None, expected: Any
) -> None:
    times = posthog(people, **({"steps": ABC, "window": "7d"} | asked)).times(1, 2)
    found = times.histogram(bins).select(pl.col("from_seconds").round().cast(pl.Int64), "persons").rows()
    assert found == expected
    assert round(times.to_dict()["mean"]) == 29_540


def test_times_to_convert_unordered() -> None:
    people = {"a": "C18 A19 B21", "b": "A37 B37.616666666667", "c": "B79 A102"}
    times = posthog(people, steps=ABC, window="7d", order="any").times(1, 2)
    assert times.histogram().select(pl.col("from_seconds").round().cast(pl.Int64), "persons").rows() == BINS
    assert round(times.to_dict()["mean"]) == 29_540


def test_the_whole_funnel_by_default() -> None:
    result = posthog(CONVERTED, steps=ABC, window="7d")
    assert result.times().to_dict() == result.times(1, 3).to_dict()
    assert result.times().histogram().select("from_seconds", "persons").rows() == [
        (10_800.0, 1),
        (10_860.0, 0),
    ]
