"""Inputs and numbers of PostHog's public retention tests, in a notation of our own.

From `posthog/hogql_queries/insights/retention/test/test_retention_query_runner.py` (commit
9518f16c6c6eee6176605f54afb7a2aa7de32ba5). Day 0 is 10 June 2020, all at 5 in the morning unless said. They
show every cohort of the range, here those with anybody; a row ends with the period that holds `as_of`.
"""

from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
import pytest

import opsanalytics
from opsanalytics import Cohort, Filter, Retention, Segment, Step
from opsanalytics_tests.behavior.notation import events_of

DAY_0 = datetime(2020, 6, 10, 5, tzinfo=UTC)
Rows = dict[int, list[int]]
"""Who came back in the periods 0, 1, ... of each cohort, by its number."""


def tagged(event: str, value: Any) -> Step:
    return Step(event, where={"tag": value})


def result(people: dict[str, str] | pl.DataFrame, days: int, **asked: Any) -> opsanalytics.RetentionResult:
    """`days`: as of the end of this day."""
    names = ("preset", "breakdown", "persons", "timezone", "week_start", "as_of")
    outer = {name: asked.pop(name) for name in names if name in asked}
    frame = people if isinstance(people, pl.DataFrame) else events_of(people, start=DAY_0, unit="days")
    ends = datetime(2020, 6, 11, tzinfo=UTC) + timedelta(days=days, microseconds=-1)
    definition = {"start": "V", "returning": "V", "period": "day", "cohort": "recurring", "periods": days}
    return opsanalytics.retention(
        frame, Retention(**(definition | asked)), **({"preset": "posthog", "as_of": ends} | outer)
    )


def rows_of(found: opsanalytics.RetentionResult, day_0: datetime = DAY_0) -> Rows:
    cells = found.to_polars().filter(pl.col("cohort").is_not_null())
    by_cohort = cells.group_by("cohort", maintain_order=True).agg("returned")
    return {(cohort - day_0.date()).days: returned for cohort, returned in by_cohort.rows()}


def triangle(*rows: list[int]) -> Rows:
    """The rows of cohorts that anybody is in."""
    return {number: row for number, row in enumerate(rows) if row[0]}


VISITS = {"p1": "V0 V1 V2 V5 V5.17 V6", "p2": "V1 V2 V3 V6"}
EVERYBODY = triangle(
    [1, 1, 1, 0, 0, 1, 1, 0, 0, 0, 0],
    [2, 2, 1, 0, 1, 2, 0, 0, 0, 0],
    [2, 1, 0, 1, 2, 0, 0, 0, 0],
    [1, 0, 0, 1, 0, 0, 0, 0],
    [0],
    [1, 1, 0, 0, 0, 0],
    [2, 0, 0, 0, 0],
)
ONE_PERSON = triangle([1, 1, 1, 0, 0, 1, 1], [1, 1, 0, 0, 1, 1], [1, 0, 0, 1, 1], [0], [0], [1, 1], [1])
MORE = {"p1": "V0 V3 V4", "p2": "V0 V1", "p3": "V1 V2 V3", "p4": "V3 V4", "p5": "V4"}
FIRST = {
    "no": "S-5 S-1",
    "p1": "S-1 V0 S1 V1 S2 V2 S3 S4 V5 V5.17 V6",
    "p2": "S-1 V1 V2 V3 V6",
    "p3": "S0 V1 V3 V4 V5",
    "p4": "S2 V3 V5",
}
EVER = {
    "p1": "V0 S1 V1.01 V3 V5",
    "p2": "S1 V2 V4",
    "p3": "V2 S3 V4 V6",
    "p4": "V-1 S2 V3",
    "p5": "S3 V4 V5",
}
SOME = {"p1": "S0 S1 S2 S3 V5 V6", "p2": "S0 S1 S2 S3 V5", "p3": "S5"}
SIGNED_UP = {"start": "S", "returning": "V"}
CASES: dict[str, tuple[Any, ...]] = {
    "by day": (VISITS, 10, {}, EVERYBODY),
    "any event starts": (VISITS, 10, {"start": "*"}, EVERYBODY),
    "either event starts": (VISITS, 10, {"start": ["*", "never"]}, EVERYBODY),
    "one person": ({"p1": VISITS["p1"]}, 6, {}, ONE_PERSON),
    "both persons": (
        VISITS,
        6,
        {},
        triangle(
            [1, 1, 1, 0, 0, 1, 1],
            [2, 2, 1, 0, 1, 2],
            [2, 1, 0, 1, 2],
            [1, 0, 0, 1],
            [0],
            [1, 1],
            [2],
        ),
    ),
    "the other person": (
        {"p2": VISITS["p2"]},
        10,
        {},
        triangle(
            [0],
            [1, 1, 1, 0, 0, 1, 0, 0, 0, 0],
            [1, 1, 0, 0, 1, 0, 0, 0, 0],
            [1, 0, 0, 1, 0, 0, 0, 0],
            [0],
            [0],
            [1, 0, 0, 0, 0],
        ),
    ),
    "at least twice a day": (
        VISITS,
        10,
        {"start": "*", "minimum": 2},
        triangle(
            [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0],
            [2, 0, 0, 0, 1, 0, 0, 0, 0, 0],
            [2, 0, 0, 1, 0, 0, 0, 0, 0],
            [1, 0, 0, 0, 0, 0, 0, 0],
            [0],
            [1, 0, 0, 0, 0, 0],
            [2, 0, 0, 0, 0],
        ),
    ),
    "at least twice, everything twice but one": (
        {"p1": " ".join(["V0 V1 V2 V5 V5.17 V6"] * 2) + " V3"},
        6,
        {"minimum": 2},
        triangle([1, 1, 1, 0, 0, 1, 1], [1, 1, 0, 0, 1, 1], [1, 0, 0, 1, 1], [1, 0, 1, 1], [0], [1, 1], [1]),
    ),
    "unbounded": (
        MORE,
        5,
        {"start": "*", "returning": "*", "returns": "on_or_after"},
        triangle([2, 2, 1, 1, 1, 0], [2, 1, 1, 0, 0], [1, 1, 0, 0], [3, 2, 0], [3, 0]),
    ),
    "unbounded, three times": (
        {"p1": "V0 V3 V4 V4 V4", "p2": "V0 V1", "p3": "V1 V2 V3 V3 V3", "p4": "V3 V4", "p5": "V4"},
        5,
        {"returns": "on_or_after", "minimum": 3},
        {
            0: [2, 1, 1, 1, 1, 0],
            1: [2, 1, 1, 0, 0],
            2: [1, 1, 0, 0],
            3: [3, 1, 0],
            4: [3, 0],
        },
    ),
    "one event starts, another returns": (
        SOME,
        6,
        SIGNED_UP,
        triangle([2, 0, 0, 0, 0, 2, 1], [2, 0, 0, 0, 2, 1], [2, 0, 0, 2, 1], [2, 0, 2, 1], [0], [1, 0]),
    ),
    "any event starts, any returns": (
        SOME,
        6,
        {"start": "*", "returning": "*"},
        triangle(
            [2, 2, 2, 2, 0, 2, 1],
            [2, 2, 2, 0, 2, 1],
            [2, 2, 0, 2, 1],
            [2, 0, 2, 1],
            [0],
            [3, 1],
            [1],
        ),
    ),
    "returns on the day of the start": (
        {"p1": "S0 S1 S2 S3 V3.01", "p2": "S0 S1 S2 S3 V5"},
        6,
        SIGNED_UP,
        triangle([2, 0, 0, 1, 0, 1, 0], [2, 0, 1, 0, 1, 0], [2, 1, 0, 1, 0], [2, 0, 1, 0]),
    ),
    "first time": (
        FIRST,
        5,
        SIGNED_UP | {"cohort": "first_time", "periods": 6},
        {
            -5: [1, 0, 0, 0, 0, 0, 0],
            -1: [2, 1, 2, 2, 1, 0, 1],
            0: [1, 1, 0, 1, 1, 1],
            2: [1, 1, 0, 1],
        },
    ),
    "first event ever of the name": (
        EVER,
        7,
        SIGNED_UP | {"cohort": "first_ever", "periods": 6},
        triangle([0], [2, 1, 1, 1, 1, 0, 0], [1, 1, 0, 0, 0, 0], [2, 2, 1, 1, 0]),
    ),
    "first ever, at least twice": (
        {"p1": "S1 V2 V2.1 V4", "p2": "S2 V3 V3.1 V3.2 V5 V5.1", "p3": "S3 V4"},
        7,
        SIGNED_UP | {"cohort": "first_ever", "minimum": 2, "periods": 6},
        triangle([0], [1, 1, 0, 0, 0, 0, 0], [1, 1, 0, 1, 0, 0], [1, 0, 0, 0, 0]),
    ),
    "first of another event": (
        {"p": "A0 A1 A2 B2 B3"},
        2,
        {"start": "B", "returning": "*", "cohort": "first"},
        {2: [1]},
    ),
    "a filter on start and return": (
        {"p1": "V0=x V1 V2=x V5 V5.17=x V6", "p2": "V1=x V2 V3=x V6"},
        10,
        {"start": tagged("V", "x"), "returning": tagged("V", "x")},
        triangle(
            [1, 0, 1, 0, 0, 1, 0, 0, 0, 0, 0],
            [1, 0, 1, 0, 0, 0, 0, 0, 0, 0],
            [1, 0, 0, 1, 0, 0, 0, 0, 0],
            [1, 0, 0, 0, 0, 0, 0, 0],
            [0],
            [1, 0, 0, 0, 0, 0],
        ),
    ),
    "a filter on the start": (
        VISITS | {"p1": "V0=x V1 V2 V5 V5.17 V6"},
        10,
        {"start": tagged("V", "x")},
        triangle([1, 1, 1, 0, 0, 1, 1, 0, 0, 0, 0]),
    ),
    "a filter on the first start": (
        VISITS | {"p1": "V0 V1 V2=x V5=x V5.17 V6"},
        10,
        {"start": tagged("V", "x"), "cohort": "first"},
        {2: [1, 0, 0, 1, 1, 0, 0, 0, 0]},
    ),
    "a filter on the return": (
        VISITS | {"p1": "V0 V1=x V2 V5 V5.17 V6"},
        10,
        {"returning": tagged("V", "x")},
        triangle(
            [1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0],
            [2, 0, 0, 0, 0, 0, 0, 0, 0, 0],
            [2, 0, 0, 0, 0, 0, 0, 0, 0],
            [1, 0, 0, 0, 0, 0, 0, 0],
            [0],
            [1, 0, 0, 0, 0, 0],
            [2, 0, 0, 0, 0],
        ),
    ),
    "a filter on the return after the first start": (
        VISITS | {"p1": "V0 V1 V2 V5=x V5.17 V6"},
        10,
        {"returning": tagged("V", "x"), "cohort": "first"},
        {0: [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0], 1: [1, 0, 0, 0, 0, 0, 0, 0, 0, 0]},
    ),
    "any event with a filter starts": (
        {"p1": "V0=value V1", "p2": "V0=other V1"},
        6,
        {"start": tagged("*", "value"), "returning": "*"},
        {0: [1, 1, 0, 0, 0, 0, 0]},
    ),
    "any event with a filter returns": (
        {"p1": "V0 V1=value", "p2": "V0 V1=other"},
        6,
        {"start": "*", "returning": tagged("*", "value"), "cohort": "first"},
        {0: [2, 1, 0, 0, 0, 0, 0]},
    ),
}
BRACKETS: dict[str, tuple[Any, ...]] = {
    "first ever": (
        {"p1": "V0 S1 V3 V8", "p2": "S2 V4 V9"},
        10,
        SIGNED_UP | {"cohort": "first_ever", "brackets": (5, 5)},
        {1: [1, 1, 1], 2: [1, 1, 1]},
    ),
    "first that passes a filter": (
        {"p1": "V0 V2=true V4 V9"},
        10,
        {"start": tagged("V", True), "cohort": "first", "brackets": (4, 5)},
        {2: [1, 1, 1]},
    ),
    "at least twice": (
        {"p1": "V0 V2 V2 V7", "p2": "V0 V3 V8 V8"},
        10,
        {"cohort": "first", "brackets": (5, 5), "minimum": 2},
        {0: [2, 1, 1]},
    ),
    "unbounded": (
        {"p1": "V0 V8", "p2": "V0 V3"},
        10,
        {"cohort": "first", "brackets": (5, 5), "returns": "on_or_after"},
        {0: [2, 2, 1]},
    ),
    "a filter on the return": (
        {"p1": "V0=organic V2=organic V7=organic V8=paid"},
        10,
        {"returning": tagged("V", "organic"), "cohort": "first", "brackets": (4, 6)},
        {0: [1, 1, 1]},
    ),
    "nobody in between": (
        {"p1": "V0 V12"},
        15,
        {"cohort": "first", "brackets": (3, 5, 4)},
        {0: [1, 0, 0, 1]},
    ),
    "by the day of the start": (
        {"p1": "V0 V2", "p2": "V3 V5"},
        10,
        {"cohort": "first", "brackets": (3, 4)},
        {0: [1, 1, 0], 3: [1, 1, 0]},
    ),
}


@pytest.mark.parametrize(
    ("people", "days", "asked", "expected"), (CASES | BRACKETS).values(), ids=CASES | BRACKETS
)
def test_retention(people: dict[str, str], days: int, asked: dict[str, Any], expected: Rows) -> None:
    people = {person: words.replace("-", "_") for person, words in people.items()}
    frame = events_of(
        {p: " ".join(w for w in words.split() if "_" not in w) for p, words in people.items()},
        start=DAY_0,
        unit="days",
    )
    before = [(p, w[0], w[2:]) for p, words in people.items() for w in words.split() if "_" in w]
    early = pl.DataFrame(
        [(p, e, DAY_0 - timedelta(days=float(d)), "{}") for p, e, d in before],
        schema=frame.schema,
        orient="row",
    )
    assert rows_of(result(pl.concat([frame, early]), days, **asked)) == expected


def moments(people: dict[str, list[datetime]], event: str = "V") -> pl.DataFrame:
    rows = [(person, event, ts) for person, made in people.items() for ts in made]
    return pl.DataFrame(
        rows, schema={"person": pl.String, "event": pl.String, "ts": pl.Datetime("us", "UTC")}, orient="row"
    )


TWELVE = {"p1": (0, 1, 2, 4, 5, 8), "p2": (0, 1, 2, 5, 6, 10)}
OF_TWELVE = [
    [2, 2, 2, 0, 1, 2, 1, 0, 1, 0, 1],
    [2, 2, 0, 1, 2, 1, 0, 1, 0, 1],
    [2, 0, 1, 2, 1, 0, 1, 0, 1],
    [1, 1, 0, 0, 1, 0, 0],
    [2, 1, 0, 1, 0, 1],
    [1, 0, 0, 0, 1],
    [1, 0, 0],
    [1],
]


@pytest.mark.parametrize("timezone", ["UTC", "US/Pacific"])
def test_by_hour(timezone: str) -> None:
    events = moments(
        {p: [datetime(2020, 6, 10, 6 + k, tzinfo=UTC) for k in made] for p, made in TWELVE.items()}
    )
    found = result(
        events, 10, period="hour", timezone=timezone, as_of=datetime(2020, 6, 10, 16, 13, tzinfo=UTC)
    )
    cells = found.to_polars().filter(pl.col("cohort").is_not_null())
    by_cohort = cells.group_by("cohort", maintain_order=True).agg("returned")
    assert by_cohort["returned"].to_list() == OF_TWELVE
    assert [cohort.hour for cohort in by_cohort["cohort"]] == [6, 7, 8, 10, 11, 12, 14, 16]


def test_by_month() -> None:
    events = moments(
        {p: [datetime(2020, 1 + k, 10, 5, tzinfo=UTC) for k in made] for p, made in TWELVE.items()}
    )
    found = result(events, 10, period="month", as_of=datetime(2020, 11, 25, tzinfo=UTC))
    assert list(rows_of(found).values()) == OF_TWELVE


def test_two_persons_merged_by_month() -> None:
    events = moments({"both": [datetime(2020, month, 10, 5, tzinfo=UTC) for month in range(1, 12)] * 2})
    found = result(events, 10, period="month", as_of=datetime(2020, 11, 11, tzinfo=UTC))
    assert list(rows_of(found).values()) == [[1] * (11 - k) for k in range(11)]


WEEKS = {"p1": "V0 V1 V7 V14 V24 V31", "p2": "V0 V1 V7 V24 V31 V45"}
OF_WEEKS = [[2, 2, 1, 2, 2, 0, 1], [2, 1, 2, 2, 0, 1], [1, 1, 1, 0, 0], [2, 2, 0, 1], [2, 0, 1], [1]]


@pytest.mark.parametrize(("week_start", "first_week"), [("sunday", -3), ("monday", -2)])
def test_by_week(week_start: Any, first_week: int) -> None:
    events = events_of(WEEKS, start=DAY_0, unit="days")
    found = result(
        events, 6, period="week", week_start=week_start, as_of=datetime(2020, 7, 25, 12, tzinfo=UTC)
    )
    assert rows_of(found) == dict(
        zip((first_week + 7 * k for k in (0, 1, 2, 3, 4, 6)), OF_WEEKS, strict=True)
    )


def test_first_time_by_week() -> None:
    early = moments(
        {
            "no": [DAY_0 - timedelta(days=5), DAY_0 - timedelta(days=1)],
            "p1": [DAY_0 - timedelta(days=1)],
            "p2": [DAY_0 - timedelta(days=1)],
        },
        "S",
    )
    people = {
        person: " ".join(word for word in made.split() if "-" not in word) for person, made in FIRST.items()
    }
    events = pl.concat([events_of(people, start=DAY_0, unit="days").drop("properties"), early])
    found = result(events, 6, **SIGNED_UP, cohort="first", period="week", periods=6, week_start="sunday")
    assert rows_of(found) == {-10: [1, 0, 0], -3: [4, 4]}


def test_first_ever_by_week() -> None:
    people = {"p1": "S1 V8 V15", "p2": "V8 S14 V20", "p3": "S14 V20 V50"}
    asked = SIGNED_UP | {"cohort": "first_ever", "period": "week", "periods": 4, "week_start": "sunday"}
    found = result(people, 40, **asked)
    assert rows_of(found) == {-3: [1, 1, 1, 0, 0], 11: [2, 2, 0, 0, 0]}


def test_brackets_of_weeks_and_months() -> None:
    weeks = moments(
        {
            "p": [
                datetime(2020, 6, 10, 5, tzinfo=UTC),
                datetime(2020, 7, 1, 5, tzinfo=UTC),
                datetime(2020, 7, 22, 5, tzinfo=UTC),
            ]
        }
    )
    asked: dict[str, Any] = {"cohort": "first", "as_of": datetime(2021, 2, 10, tzinfo=UTC)}
    assert list(rows_of(result(weeks, 16, period="week", brackets=(4, 4), **asked)).values()) == [[1, 1, 1]]
    months = moments({"p": [datetime(2020, month, 10, 5, tzinfo=UTC) for month in (6, 8, 11)]})
    assert list(rows_of(result(months, 8, period="month", brackets=(3, 3), **asked)).values()) == [[1, 1, 1]]


@pytest.mark.parametrize(
    ("timezone", "expected"),
    [
        ("UTC", {-1: [1, 1, 1], 0: [1, 1, 0], 1: [1, 0, 0], 6: [1, 0, 0]}),
        ("US/Pacific", {-2: [1, 1, 1], -1: [1, 1, 0], 0: [1, 0, 0], 5: [1, 1, 0], 6: [1, 0, 0]}),
    ],
)
def test_time_zones(timezone: str, expected: Rows) -> None:
    one = timedelta(hours=-4)
    events = moments(
        {
            "p1": [DAY_0 + one + timedelta(days=k) for k in (-1, 0, 1)],
            "p2": [DAY_0 + one + timedelta(days=6), DAY_0 + timedelta(days=6, hours=4)],
        }
    )
    assert rows_of(result(events, 10, periods=2, timezone=timezone)) == expected


def test_person_properties() -> None:
    persons = pl.DataFrame({"person": ["p1", "p2"], "email": ["person1@test.com", "person2@test.com"]})
    one = Filter(property="email", value="person1@test.com", of="person")
    assert rows_of(result(VISITS, 6, start=Step("V", where=one), persons=persons)) == ONE_PERSON


COUNTRIES = {"p1": "V0 V1 V3", "p2": "V0 V1 V4", "p3": "V0 V2", "p4": "V0 V5"}
BY_COUNTRY = {
    "US": {0: [2, 1, 1, 1, 0, 0], 1: [1, 0, 1, 0, 0], 2: [1, 0, 0, 0], 3: [1, 0, 0]},
    "UK": {0: [1, 1, 0, 0, 1, 0], 1: [1, 0, 0, 1, 0], 4: [1, 0]},
    "Germany": {0: [1, 0, 0, 0, 0, 1], 5: [1]},
}


def test_breakdown_by_a_person_property() -> None:
    persons = pl.DataFrame({"person": ["p1", "p2", "p3", "p4"], "country": ["US", "UK", "US", "Germany"]})
    found = result(COUNTRIES, 5, breakdown=Segment("country", of="person"), persons=persons)
    assert {value: rows_of(group) for value, group in found.groups().items()} == BY_COUNTRY


def test_breakdown_by_a_property_of_the_events() -> None:
    country = {"p1": "US", "p2": "UK", "p3": "US", "p4": "Germany"}
    people = {p: " ".join(f"{word}={country[p]}" for word in made.split()) for p, made in COUNTRIES.items()}
    found = result(people, 5, breakdown="tag")
    assert {value: rows_of(group) for value, group in found.groups().items()} == BY_COUNTRY


def test_breakdown_of_those_who_returned_twice() -> None:
    def twice(words: str) -> str:
        return " ".join([words] * 2)

    people = {
        "p1": twice("V0=C V1=C V3=C") + " V5=C",
        "p3": twice("V0=C V2=C") + " V3=C",
        "p2": twice("V0=S V1=S V4=S") + " V2=S",
        "p4": twice("V0=F V5=F") + " V3=F",
    }
    found = result(people, 5, breakdown="tag", minimum=2)
    assert {value: rows_of(group) for value, group in found.groups().items()} == {
        "C": {0: [2, 1, 1, 1, 0, 0], 1: [1, 0, 1, 0, 0], 2: [1, 0, 0, 0], 3: [2, 0, 0], 5: [1]},
        "S": {0: [1, 1, 0, 0, 1, 0], 1: [1, 0, 0, 1, 0], 2: [1, 0, 1, 0], 4: [1, 0]},
        "F": {0: [1, 0, 0, 0, 0, 1], 3: [1, 0, 1], 5: [1]},
    }


def test_unbounded_breakdown() -> None:
    people = {"p1": "V0=C V1=C V3=C", "p2": "V0=S V1=S V2=S", "p3": "V0=F V2=F"}
    groups = result(people, 5, breakdown="tag", returns="on_or_after").groups()
    assert set(groups) == {"C", "S", "F"}
    assert rows_of(groups["C"])[0] == [1, 1, 1, 1, 0, 0]


def test_start_and_return_share_the_value() -> None:
    people = {
        "p1": "S0=c B1=c B3 B5=e",
        "p2": "S0=c B2=c",
        "p3": "S0=e B1=e B4=e",
        "p4": "S1=e B1.1=e B2=e B3=c",
    }
    groups = result(people, 5, start="S", returning="B", breakdown="tag").groups()
    assert rows_of(groups["c"]) == {0: [2, 1, 1, 0, 0, 0]}
    assert rows_of(groups["e"]) == {0: [1, 1, 0, 0, 1, 0], 1: [1, 1, 0, 0, 0]}


def test_the_rarest_values_are_put_together() -> None:
    people = {
        "c1": "V0=C V1=C",
        "c2": "V0=C V2=C",
        "c3": "V0=C",
        "s1": "V0=S V1=S",
        "s2": "V0=S",
        "f1": "V0=F V3=F",
        "e1": "V0=E V4=E",
    }
    groups = result(people, 5, breakdown=Segment("tag", limit=2)).groups()
    assert {value: rows_of(group) for value, group in groups.items()} == {
        "C": {0: [3, 1, 1, 0, 0, 0], 1: [1, 0, 0, 0, 0], 2: [1, 0, 0, 0]},
        "S": {0: [2, 1, 0, 0, 0, 0], 1: [1, 0, 0, 0, 0]},
        "(other)": {0: [2, 0, 0, 1, 1, 0], 3: [1, 0, 0], 4: [1, 0]},
    }


def test_first_ever_by_a_property_of_person_and_event() -> None:
    people = {"p1": "V1 S2 V3 V5", "p2": "S1 V2 V4", "p3": "S2 V3 V5", "p4": "V3 S4 V5 V6"}
    persons = pl.DataFrame({"person": ["p1", "p2", "p3", "p4"], "age": ["25", "30", "25", "30"]})
    asked = SIGNED_UP | {"cohort": "first_ever", "periods": 6}
    groups = result(people, 7, **asked, persons=persons, breakdown=Segment("age", of="person")).groups()
    assert {value: rows_of(group) for value, group in groups.items()} == {
        "25": {2: [2, 2, 0, 2, 0, 0]},
        "30": {1: [1, 1, 0, 1, 0, 0, 0], 4: [1, 1, 1, 0]},
    }
    sources = {
        "p1": "V1=web S2=web V3=web V5=web",
        "p2": "S1=mobile V2=mobile V4=mobile",
        "p3": "S2=web V3=web V5=web",
    }
    groups = result(sources, 7, **asked, breakdown="tag").groups()
    assert {value: rows_of(group) for value, group in groups.items()} == {
        "web": {2: [2, 2, 0, 2, 0, 0]},
        "mobile": {1: [1, 1, 0, 1, 0, 0, 0]},
    }


def test_persons_of_a_cohort() -> None:
    people = {"p1": "V0 V1 V2", "p2": "V0 V1", "p3": "V0 V3"}
    persons = pl.DataFrame({"person": ["p1", "p2", "p3"], "name": ["person1", "person2", "person3"]})
    members = Cohort(
        name="members",
        where=[{"property": "name", "op": "in", "value": ["person1", "person2"]}],
    )
    found = result(people, 4, among=members, persons=persons)
    assert rows_of(found) == {0: [2, 2, 1, 0, 0], 1: [2, 1, 0, 0], 2: [1, 0, 0]}


def at(day: int, hour: int) -> datetime:
    return datetime(2020, 6, day, hour, tzinfo=UTC)


def rolling(people: dict[str, list[datetime]], **asked: Any) -> Rows:
    return rows_of(result(moments(people), 10, cohort="first", clock="rolling", periods=2, **asked))


def test_windows_of_24_hours() -> None:
    late = {"p1": [at(10, 23), at(11, 1), at(11, 23)]}
    assert rolling(late) == {0: [1, 1, 0]}
    early = {"p2": [at(11, 1), at(11, 23), at(12, 2)]}
    assert rolling(late | early) == {0: [1, 1, 0], 1: [1, 1, 0]}
    calendar = rows_of(result(moments(late | early), 10, periods=2))
    assert calendar[0] == [1, 1, 0]
    assert calendar[1][:2] == [2, 1]


def test_windows_of_24_hours_by_person() -> None:
    assert rolling({"usa": [at(10, 23), at(11, 22)]}) == {0: [1, 0, 0]}
    assert rolling({"canada": [at(10, 12), at(11, 13)]}) == {0: [1, 1, 0]}


def test_windows_of_24_hours_from_the_first_ever() -> None:
    people = {"p1": [at(10, 14), at(10, 23)], "p2": [at(10, 23), at(11, 22)]}
    found = result(moments(people), 10, cohort="first_ever", clock="rolling", periods=2)
    assert rows_of(found) == {0: [2, 0, 0]}


def test_windows_of_24_hours_from_the_first_that_passes() -> None:
    events = moments({"p": [at(10, 10), at(10, 14), at(11, 13), at(11, 15)]}).with_columns(
        browser=pl.Series(["Safari", "Chrome", "Chrome", "Chrome"])
    )
    start = Step("V", where={"browser": "Chrome"})
    found = result(events, 10, start=start, cohort="first", clock="rolling", periods=2)
    assert rows_of(found) == {0: [1, 1, 0]}


def values_of(found: opsanalytics.RetentionResult, what: str) -> dict[int, list[float]]:
    cells = found.values().filter(pl.col("cohort").is_not_null()).with_columns(pl.col(what).fill_null(0))
    by_cohort = cells.group_by("cohort", maintain_order=True).agg(what)
    return {(cohort - DAY_0.date()).days: numbers for cohort, numbers in by_cohort.rows()}


TWO = {"user1": "V0=10 V1=20 V2=30", "user2": "V0=40 V1=50 V2=60"}
OFTEN = {"user1": "V0=10 V1=20 V1.1=30 V2=40 V2.1=50 V2.2=60", "user2": "V0=100 V1=200 V2=300"}
FEWER = {"user1": "V0=10 V1=20 V2=30", "user2": "V0=40 V1=50", "user3": "V0=100"}
BOUGHT = {"user1": "S0 P0.1=50 S1 P1=100", "user2": "S0 P0.1=30"}
BEFORE = {"user1": "P0=999 S0.1 P0.2=50"}
EARNED = {"start": "S", "returning": "P"}


@pytest.mark.parametrize(
    ("people", "asked", "what", "expected"),
    [
        (TWO, {}, "total", {0: [50, 70, 90, 0], 1: [70, 90, 0, 0], 2: [90, 0, 0, 0]}),
        (TWO, {}, "per_returned", {0: [25, 35, 45, 0], 1: [35, 45, 0, 0], 2: [45, 0, 0, 0]}),
        (OFTEN, {}, "total", {0: [110, 250, 450, 0], 1: [250, 450, 0, 0], 2: [450, 0, 0, 0]}),
        (OFTEN, {}, "per_returned", {0: [55, 125, 225, 0], 1: [125, 225, 0, 0], 2: [225, 0, 0, 0]}),
        (FEWER, {}, "total", {0: [150, 70, 30, 0], 1: [70, 30, 0, 0], 2: [30, 0, 0, 0]}),
        (FEWER, {}, "returned", {0: [3, 2, 1, 0], 1: [2, 1, 0, 0], 2: [1, 0, 0, 0]}),
        (BOUGHT, EARNED, "total", {0: [80, 100, 0, 0], 1: [0, 0, 0, 0]}),
        (BOUGHT, EARNED, "per_returned", {0: [40, 100, 0, 0], 1: [0, 0, 0, 0]}),
        (BEFORE, EARNED, "total", {0: [50, 0, 0, 0]}),
    ],
)
def test_a_property_added_up(people: Any, asked: Any, what: str, expected: Any) -> None:
    assert values_of(result(people, 6, value="tag", periods=3, **asked), what) == expected


def test_a_property_added_up_by_a_property_of_persons() -> None:
    persons = pl.DataFrame(
        {"person": ["user1", "user2", "user3"], "browser": ["Chrome", "Chrome", "Firefox"]}
    )
    people = {"user1": "V0=10 V1=20", "user2": "V0=40", "user3": "V0=100 V1=200"}
    found = result(
        people, 6, value="tag", periods=1, breakdown=Segment("browser", of="person"), persons=persons
    )
    assert {value: rows_of(group)[0] for value, group in found.groups().items()} == {
        "Chrome": [2, 1],
        "Firefox": [1, 1],
    }
    totals = {value: values_of(group, "total")[0] for value, group in found.groups().items()}
    assert totals == {"Chrome": [50, 20], "Firefox": [100, 200]}


BRACKETS: dict[str, tuple[Any, ...]] = {
    "of days": (
        {"p1": "V0 V1 V5 V16", "p2": "V0 V4 V10", "p3": "V0"},
        20,
        {"brackets": (4, 10, 3)},
        {0: [3, 2, 2, 1]},
    ),
    "at an edge": ({"a": "V0 V7"}, 10, {"brackets": (7, 2)}, {0: [1, 1, 0]}),
    "by day at least twice": (
        {"p1": "V0 V2 V2 V7", "p2": "V0 V3 V8 V8"},
        10,
        {"brackets": (5, 5), "minimum": 2},
        {0: [2, 1, 1]},
    ),
    "unbounded": (
        {"p1": "V0 V8", "p2": "V0 V3"},
        10,
        {"brackets": (5, 5), "returns": "on_or_after"},
        {0: [2, 2, 1]},
    ),
    "nobody in the middle": ({"p": "V0 V12"}, 15, {"brackets": (3, 5, 4)}, {0: [1, 0, 0, 1]}),
    "cohorts of two days": (
        {"p1": "V0 V2", "p2": "V3 V5"},
        10,
        {"brackets": (3, 4)},
        {0: [1, 1, 0], 3: [1, 1, 0]},
    ),
    "first ever": (
        {"p1": "V0 S1 V3 V8", "p2": "S2 V4 V9"},
        20,
        {"brackets": (5, 5), "start": "S", "cohort": "first_ever"},
        {1: [1, 1, 1], 2: [1, 1, 1]},
    ),
    "first that passes a filter": (
        {"p": "V0 V2=premium V4 V9"},
        20,
        {"brackets": (4, 5), "start": tagged("V", "premium"), "cohort": "first"},
        {2: [1, 1, 1]},
    ),
    "a filter on the return": (
        {"p": "V0=organic V2=organic V7=organic V8=paid"},
        10,
        {"brackets": (4, 6), "returning": tagged("V", "organic")},
        {0: [1, 1, 1]},
    ),
}


@pytest.mark.parametrize("case", BRACKETS)
def test_brackets(case: str) -> None:
    people, days, asked, expected = BRACKETS[case]
    found = rows_of(result(people, days, **asked))
    assert {cohort: found[cohort] for cohort in expected} == expected


def test_brackets_by_a_property() -> None:
    persons = pl.DataFrame({"person": ["p1", "p2", "p3"], "country": ["USA", "USA", "Canada"]})
    people = {"p1": "V0 V2 V6", "p2": "V0 V3", "p3": "V0 V7"}
    by_country = Segment("country", of="person")
    groups = result(people, 10, brackets=(4, 6), breakdown=by_country, persons=persons).groups()
    assert {value: rows_of(group)[0] for value, group in groups.items()} == {
        "USA": [2, 2, 1],
        "Canada": [1, 0, 1],
    }
    people = {"p1": "V0=Chrome V2=Chrome V8=Chrome", "p2": "V0=Safari V3=Safari"}
    groups = result(people, 10, brackets=(5, 5), breakdown="tag").groups()
    assert {value: rows_of(group)[0] for value, group in groups.items()} == {
        "Chrome": [1, 1, 1],
        "Safari": [1, 1, 0],
    }


def test_a_breakdown_by_cohort() -> None:
    persons = pl.DataFrame({"person": ["p1", "p2"], "name": ["one", "two"]})
    people = {"p1": "V0 V1", "p2": "V0 V2"}
    first = Cohort(name="first", where=[{"property": "name", "value": "one"}])
    groups = result(people, 4, breakdown=Segment(cohort=first), persons=persons).groups()
    assert [rows_of(group)[0] for group in groups.values()] == [[1, 1, 0, 0, 0], [1, 0, 1, 0, 0]]


def test_groups_in_place_of_persons() -> None:
    """The days of June and July 2020 on which three persons came, for the groups that they came with."""
    june = datetime(2020, 6, 10, tzinfo=UTC)
    july = datetime(2020, 7, 10, tzinfo=UTC)
    came = [
        (june, 0, "org:5", "company:1"),
        (june, 0, "org:6", None),
        (june, 0, None, None),
        (june, 1, "org:5", None),
        (june, 1, "org:6", None),
        (june, 7, "org:5", None),
        (june, 7, "org:6", None),
        (june, 14, "org:5", None),
        (july, -6, "org:5", "company:1"),
        (july, -6, "org:6", None),
        (july, 1, "org:6", None),
        (july, 1, "org:5", None),
        (july, 15, "org:6", "company:1"),
    ]
    rows = [("somebody", "V", month + timedelta(days=day), org, of) for month, day, org, of in came]
    events = pl.DataFrame(rows, schema=["person", "event", "ts", "org", "company"], orient="row")
    asked: dict[str, Any] = {
        "period": "week",
        "week_start": "sunday",
        "as_of": datetime(2020, 7, 25, 23, tzinfo=UTC),
    }
    by_org = rows_of(result(events, 6, entity="org", **asked))
    assert list(by_org.values()) == [
        [2, 2, 1, 2, 2, 0, 1],
        [2, 1, 2, 2, 0, 1],
        [1, 1, 1, 0, 0],
        [2, 2, 0, 1],
        [2, 0, 1],
        [1],
    ]
    by_company = rows_of(result(events, 6, entity="company", **asked))
    assert list(by_company.values()) == [[1, 0, 0, 1, 0, 0, 1], [1, 0, 0, 1], [1]]


def test_weeks_and_months_of_24_hours() -> None:
    weekly = {"p": [at(10, 14), at(16, 12), at(18, 14)]}
    found = result(moments(weekly), 30, cohort="first", clock="rolling", period="week", periods=2)
    assert list(rows_of(found).values()) == [[1, 1, 0]]
    july = [datetime(2020, 7, day, hour, tzinfo=UTC) for day, hour in ((9, 12), (15, 14))]
    found = result(
        moments({"p": [at(10, 14), *july]}), 90, cohort="first", clock="rolling", period="month", periods=2
    )
    assert list(rows_of(found).values()) == [[1, 1, 0]]
