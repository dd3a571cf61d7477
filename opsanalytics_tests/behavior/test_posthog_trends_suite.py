"""Inputs and numbers of PostHog's public tests of trends, stickiness and paths, in a notation of our own.

From `posthog/hogql_queries/insights/`: `trends/test/test_formula.py` (commit
3929530898f11344141d333bb71264e58a1f6294), `test/test_stickiness_query_runner.py`
(7c159bb4143c6039104b598d865ccfd5f9b0f55b), `test/test_paths_query_runner.py`
(d96a6558d9c6ac7eec551547b3f16a8a94e5c8d3), `stickiness/test/test_stickiness_query_runner.py`
(14f7fdcf82370f2e948c1288e31f733746cdb913), `trends/test/test_trends_query_runner.py`
(00e8a1090f9d090dade32c3be68f079320ca6e9c and 8b78c8545de6ec876e60b6f109350330022b097c).
"""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import polars as pl
import pytest

import opsanalytics
from opsanalytics import Formula, Paths, Stickiness, Trends
from opsanalytics_tests.behavior.examples import table
from opsanalytics_tests.behavior.notation import events_of


def sold(
    event: str, day: int, second: int, xyz: int, location: str, url: str | None = None
) -> tuple[Any, ...]:
    at = datetime(2020, 1, day, 13, 1, 1, tzinfo=UTC) + timedelta(seconds=second)
    return ("blabla", event, at, {"xyz": xyz, "location": location, "url": url, "session": "s1", "org": "5"})


EVENTS = pl.DataFrame(
    [
        sold("start", 2, 0, 200, "Paris", "http://example.org"),
        sold("start", 2, 0, 300, "Paris"),
        sold("start", 2, 0, 400, "London"),
        sold("start", 3, 0, 400, "London"),
        sold("start", 3, 180, 500, "London"),
        sold("end", 3, 180, 500, "London"),
        sold("end", 3, 180, 500, "Belo Horizonte"),
        sold("end", 3, 180, 400, ""),
    ],
    schema=["person", "event", "ts", "properties"],
    orient="row",
)
SUM = {"event": "start", "measure": "sum", "property": "xyz"}
AVERAGE = {"event": "start", "measure": "average", "property": "xyz"}
WEEK = {"first": date(2019, 12, 28), "last": date(2020, 1, 4)}


def trend(
    formula: str, *series: Any, breakdown: Any = None, period: Any = "day", **days: Any
) -> dict[str, Any]:
    """The formula's numbers by value of the breakdown, "" without one."""
    found = opsanalytics.trends(
        EVENTS,
        Trends(
            series=series or [SUM, AVERAGE], formulas=[Formula(formula=formula, name="it")], period=period
        ),
        preset="posthog",
        breakdown=breakdown,
        as_of=datetime(2020, 1, 5, tzinfo=UTC),
        week_start="sunday",
        **(days or WEEK),
    ).to_polars()
    chosen = found.filter(pl.col("series") == formula)
    groups = chosen.group_by("value", maintain_order=True).agg("number")
    return dict(groups.rows())


def of_week(*thursday_on: float) -> list[float]:
    """Eight days, the first five without anything."""
    return [0.0] * 5 + [*thursday_on] + [0.0] * (3 - len(thursday_on))


ALL = {"event": "*"}
STARTS: dict[str, Any] = {"event": "start"}
ON_PAGE = SUM | {"event": {"event": "start", "where": {"url": "http://example.org"}}}


@pytest.mark.parametrize(
    ("formula", "series", "expected"),
    [
        ("A + B", (), of_week(1200, 1350)),
        ("A - B", (), of_week(600, 450)),
        ("A * B", (), of_week(270_000, 405_000)),
        ("A / B", (), of_week(3, 2)),
        ("(A/3600)/B", (), of_week(1 / 1200, 1 / 1800)),
        ("A / 0 + 0 * B", (), of_week()),
        ("A + B", (SUM, AVERAGE, AVERAGE), of_week(1200, 1350)),
        ("A + B", (ON_PAGE, AVERAGE), of_week(500, 450)),
        ("A + B", (ON_PAGE, ON_PAGE | {"measure": "average"}), of_week(400)),
        ("A + B", (STARTS, {"event": "end"}), of_week(3, 5)),
        ("A + B", (STARTS | {"measure": "persons"}, STARTS | {"measure": "persons"}), of_week(2, 2)),
        ("B + A", (SUM, {"event": "error", "measure": "sum", "property": "nothing"}), of_week(900, 900)),
        ("A + B", (STARTS, ALL), of_week(6, 7)),
    ],
)
def test_formulas_by_day(formula: str, series: tuple[Any, ...], expected: list[float]) -> None:
    assert trend(formula, *series)[""] == pytest.approx(expected)


@pytest.mark.parametrize("period", ["week", "month"])
def test_formulas_by_longer_periods(period: str) -> None:
    days = {"first": date(2019, 12, 15) if period == "week" else date(2019, 11, 1), "last": date(2020, 1, 3)}
    assert trend("A + B", period=period, **days)[""] == [0, 0, 2160]


def test_formulas_by_hour() -> None:
    days = {"first": date(2020, 1, 2), "last": date(2020, 1, 3)}
    found = trend("A + B", period="hour", **days)[""]
    assert {hour: number for hour, number in enumerate(found) if number} == {13: 1200, 37: 1350}


@pytest.mark.parametrize(
    ("formula", "series", "expected"),
    [
        ("A - B", (), {"London": of_week(0, 450), "Paris": of_week(250)}),
        (
            "A + B",
            (SUM, SUM | {"event": "end"}),
            {"London": of_week(400, 1400), "Paris": of_week(500), "Belo Horizonte": of_week(0, 500)},
        ),
        (
            "A + B",
            (STARTS, {"event": "end"}),
            {"London": of_week(1, 3), "Paris": of_week(2), "Belo Horizonte": of_week(0, 1)},
        ),
        ("B / A", (STARTS, {"event": "error"}), {"London": of_week(), "Paris": of_week()}),
    ],
)
def test_formulas_by_value(formula: str, series: tuple[Any, ...], expected: dict[str, list[float]]) -> None:
    found = trend(formula, *series, breakdown="location")
    without = found.pop("", None) or found.pop("(none)", None)
    assert found == expected
    if series and series[1]["event"] == "end":
        assert without == of_week(0, 400 if series[0] is SUM else 1)


def test_the_change_against_the_days_before() -> None:
    found = opsanalytics.trends(
        EVENTS,
        Trends(series=[SUM, AVERAGE], formulas="A + B", period="day"),
        preset="posthog",
        as_of=datetime(2020, 1, 5, tzinfo=UTC),
        first=date(2020, 1, 3),
        last=date(2020, 1, 4),
    ).to_polars()
    formula = found.filter(pl.col("series") == "A + B")
    assert formula["number"].to_list() == [1350, 0]
    assert formula["previous_start"].to_list() == [date(2020, 1, 1), date(2020, 1, 2)]
    assert formula["previous"].to_list()[1] == 1200


def test_groups_in_place_of_persons() -> None:
    counted = STARTS | {"measure": "persons"}
    found = opsanalytics.trends(
        EVENTS,
        Trends(series=[counted, counted], formulas="A + B", period="day", entity="org"),
        preset="posthog",
        as_of=datetime(2020, 1, 5, tzinfo=UTC),
        **WEEK,
    ).to_polars()
    assert found.filter(pl.col("series") == "A + B")["number"].to_list() == of_week(2, 2)


def viewed(people: dict[str, str], hour: int = 12) -> pl.DataFrame:
    """Views on these days of January 2020."""
    return table(
        {
            person: [("view", datetime(2020, 1, int(day), hour, tzinfo=UTC)) for day in days.split()]
            for person, days in people.items()
        }
    )


TWO = {"p1": "11 12 13 14 15 16 17 18 19", "p2": "11 13 15 17 19"}
THREE = {"p1": "11 12 13", "p2": "11 12", "p3": "11"}


def sticky(frame: pl.DataFrame, first: int, last: int, cumulative: bool = False, **asked: Any) -> list[int]:
    week_start = asked.pop("week_start", "monday")
    found = opsanalytics.stickiness(
        frame,
        Stickiness(**({"unit": "day", "period": "range"} | asked)),
        preset="posthog",
        week_start=week_start,
        first=date(2020, 1, first),
        last=date(2020, 1, last),
    )
    cells = found.to_polars().filter(pl.col("period_start").is_not_null())
    return cells["at_least" if cumulative else "persons"].to_list()


@pytest.mark.parametrize(
    ("people", "first", "last", "cumulative", "expected"),
    [
        (TWO, 11, 20, False, [0, 0, 0, 0, 1, 0, 0, 0, 1, 0]),
        (TWO, 12, 20, False, [0, 0, 0, 1, 0, 0, 0, 1, 0]),
        (TWO, 11, 19, False, [0, 0, 0, 0, 1, 0, 0, 0, 1]),
        ({"p1": TWO["p1"]}, 11, 20, False, [0, 0, 0, 0, 0, 0, 0, 0, 1, 0]),
        (THREE, 11, 13, True, [3, 2, 1]),
        ({"p1": THREE["p1"]}, 11, 13, True, [1, 1, 1]),
    ],
)
def test_stickiness(people: Any, first: int, last: int, cumulative: bool, expected: list[int]) -> None:
    assert sticky(viewed(people), first, last, cumulative) == expected
    other = viewed(people).with_columns(event=pl.lit("leave"))
    assert sticky(pl.concat([viewed(people), other]), first, last, cumulative, events="*") == expected


@pytest.mark.parametrize(
    ("asked", "first", "expected"),
    [
        ({"minimum": 2}, 12, [0, 1, 1, 0, 0, 0, 0, 0, 0]),
        ({"at_most": 1}, 12, [2, 0, 0, 0, 0, 0, 0, 0, 0]),
        ({"minimum": 2, "at_most": 2}, 11, [0, 1, 1, 0, 0, 0, 0, 0, 0, 0]),
    ],
)
def test_stickiness_by_events_a_day(asked: Any, first: int, expected: list[int]) -> None:
    people = {"p1": "11 11 13 13 15 15 17 17 17 19", "p2": "12 12 13 13 19"}
    assert sticky(viewed(people), first, 20, **asked) == expected


def test_stickiness_by_events_a_day_or_more() -> None:
    people = {"p1": "11 11 12 12 13", "p2": "11 11 12", "p3": "11"}
    assert sticky(viewed(people), 11, 13, cumulative=True, minimum=2) == [2, 1, 0]


def test_stickiness_by_weeks_and_months() -> None:
    assert sticky(viewed(TWO), 11, 20, unit="week", week_start="sunday") == [0, 0, 2]
    assert sticky(viewed(TWO), 11, 20, unit="month") == [2]
    assert sticky(viewed({"p": "1"}).clear(), 11, 13, cumulative=True) == [0, 0, 0]


def test_stickiness_of_groups() -> None:
    frame = viewed(TWO).with_columns(org=pl.lit("org:1"))
    assert sticky(frame, 11, 20, entity="org") == [0, 0, 0, 0, 0, 0, 0, 0, 1, 0]


PAGES = {
    "p1": "home about",
    "p2": "home pricing about",
    "p3": "pricing home",
    "p4": "home pricing",
}


def steps(people: dict[str, str], **asked: Any) -> dict[tuple[int, str, str], int]:
    """How often each step from one page to the next was made; ends of paths apart."""
    rows = [
        (person, "view", datetime(2020, 1, 1, 12, minute, tzinfo=UTC), page)
        for person, pages in people.items()
        for minute, page in enumerate(pages.split())
    ]
    frame = pl.DataFrame(rows, schema=["person", "event", "ts", "page"], orient="row")
    found = opsanalytics.paths(
        frame,
        Paths(**({"by": "page", "min_persons": 1, "occurrence": "every"} | asked)),
        as_of=datetime(2020, 2, 1, tzinfo=UTC),
    ).to_polars()
    made = found.filter(~pl.col("to_event").str.starts_with("("))
    return {
        (n, a, b): count for n, a, b, count in made.select("step", "from_event", "to_event", "count").rows()
    }


def test_paths() -> None:
    assert steps(PAGES) == {
        (1, "home", "pricing"): 2,
        (1, "home", "about"): 1,
        (1, "pricing", "home"): 1,
        (2, "pricing", "about"): 1,
    }


def test_paths_of_some() -> None:
    assert steps({who: PAGES[who] for who in ("p1", "p2")}) == {
        (1, "home", "about"): 1,
        (1, "home", "pricing"): 1,
        (2, "pricing", "about"): 1,
    }


FROM = {
    "p1": "home about",
    "p2": "home pricing about",
    "p3": "pricing home about",
    "p4": "home pricing",
    "p5": "pricing about pricing help",
}


@pytest.mark.parametrize(
    ("page", "expected"),
    [
        (
            "pricing",
            {
                (1, "pricing", "about"): 2,
                (1, "pricing", "home"): 1,
                (2, "home", "about"): 1,
                (2, "about", "pricing"): 1,
                (3, "pricing", "help"): 1,
            },
        ),
        ("home", {(1, "home", "about"): 2, (1, "home", "pricing"): 2, (2, "pricing", "about"): 1}),
    ],
)
def test_paths_from_the_first_view_of_a_page(page: str, expected: dict[Any, int]) -> None:
    start = {"event": "view", "where": {"page": page}}
    assert steps(FROM, start=start, occurrence="first") == expected


def test_paths_end_with_the_session() -> None:
    days = [datetime(2020, 4, day, 3, minute, tzinfo=UTC) for day in (14, 15) for minute in (25, 30)]
    frame = pl.DataFrame({"person": "p1", "event": ["home", "about"] * 2, "ts": days})
    found = opsanalytics.paths(
        frame, Paths(min_persons=1, occurrence="every"), as_of=datetime(2020, 5, 1, tzinfo=UTC)
    ).to_polars()
    made = found.filter(pl.col("to_event") == "about").select("step", "from_event", "count").rows()
    assert made == [(1, "home", 2)]


def test_events_by_name() -> None:
    frame = events_of({"p1": "A C", "p2": "A B C", "p3": "B A", "p4": "A B"}, unit="minutes")
    found = opsanalytics.paths(
        frame, Paths(min_persons=1, occurrence="every"), as_of=datetime(2021, 6, 1, tzinfo=UTC)
    ).to_polars()
    made = found.filter(~pl.col("to_event").str.starts_with("("))
    assert sorted(made.select("step", "from_event", "to_event", "count").rows()) == [
        (1, "A", "B", 2),
        (1, "A", "C", 1),
        (1, "B", "A", 1),
        (2, "B", "C", 1),
    ]


BROWSERS = {
    "p1": ("Chrome", 10, True, "11 12 13 15 17 19", "11 12 13"),
    "p2": ("Firefox", 20, False, "9 12", "13"),
    "p3": ("Edge", 30, True, "12", "13"),
    "p4": ("Safari", 40, False, "15", "16"),
}
VISITED = pl.DataFrame(
    [
        (person, event, datetime(2020, 1, int(day), 12, tzinfo=UTC), browser, prop, flag)
        for person, (browser, prop, flag, views, leaves) in BROWSERS.items()
        for event, days in (("view", views), ("leave", leaves))
        for day in days.split()
    ],
    schema=["person", "event", "ts", "browser", "prop", "flag"],
    orient="row",
)


def by_day(
    first: int, last: int, *series: Any, wanted: str = "A", column: str = "number", **asked: Any
) -> dict[str, list[float]]:
    """A series or formula of the days of January 2020, by value."""
    outer = {name: asked.pop(name) for name in ("breakdown", "persons") if name in asked}
    found = opsanalytics.trends(
        VISITED,
        Trends(**({"series": series, "period": "day"} | asked)),
        preset="posthog",
        as_of=datetime(2020, 2, 1, tzinfo=UTC),
        first=date(2020, 1, first),
        last=date(2020, 1, last),
        **outer,
    ).to_polars()
    chosen = found.filter(pl.col("series") == wanted)
    return dict(chosen.group_by("value", maintain_order=True).agg(column).rows())


VIEWS_AND_LEAVES = ("view", "leave")
OF_PROP = {"event": "view", "property": "prop"}


@pytest.mark.parametrize(
    ("last", "series", "asked", "expected"),
    [
        (19, ("view",), {}, [1, 0, 1, 3, 1, 0, 2, 0, 1, 0, 1]),
        (19, VIEWS_AND_LEAVES, {"wanted": "B"}, [0, 0, 1, 1, 3, 0, 0, 1, 0, 0, 0]),
        (
            19,
            VIEWS_AND_LEAVES,
            {"formulas": "A+2*B", "wanted": "A+2*B"},
            [1, 0, 3, 5, 7, 0, 2, 2, 1, 0, 1],
        ),
        (
            19,
            VIEWS_AND_LEAVES,
            {"formulas": ["A+2*B", "A-B"], "wanted": "A-B"},
            [1, 0, 0, 2, -2, 0, 2, -1, 1, 0, 1],
        ),
        (20, ({"event": "view", "measure": "persons"},), {}, [1, 0, 1, 3, 1, 0, 2, 0, 1, 0, 1, 0]),
        (20, (OF_PROP | {"measure": "sum"},), {}, [20, 0, 10, 60, 10, 0, 50, 0, 10, 0, 10, 0]),
        (20, (OF_PROP | {"measure": "average"},), {}, [20, 0, 10, 20, 10, 0, 25, 0, 10, 0, 10, 0]),
        (20, (OF_PROP | {"measure": "max"},), {}, [20, 0, 10, 30, 10, 0, 40, 0, 10, 0, 10, 0]),
        (20, (OF_PROP | {"measure": "median"},), {}, [20, 0, 10, 20, 10, 0, 25, 0, 10, 0, 10, 0]),
        (20, (OF_PROP | {"measure": "p90"},), {}, [20, 0, 10, 28, 10, 0, 37, 0, 10, 0, 10, 0]),
    ],
)
def test_views_by_day(last: int, series: Any, asked: Any, expected: list[float]) -> None:
    """Their tests have no numbers for the average, median, maximum and 90th percentile."""
    assert by_day(9, last, *series, **asked)[""] == pytest.approx(expected)


@pytest.mark.parametrize(
    ("back", "expected"),
    [(5, [0, 3, 5, 7, 0]), (2, [7, 0, 2, 2, 1]), (7, [0, 1, 0, 3, 5])],
)
def test_views_compared_with_days_before(back: int, expected: list[float]) -> None:
    asked = {"formulas": "A+2*B", "wanted": "A+2*B", "compare": back}
    assert by_day(15, 19, *VIEWS_AND_LEAVES, **asked)[""] == [2, 2, 1, 0, 1]
    assert by_day(15, 19, *VIEWS_AND_LEAVES, column="previous", **asked)[""] == expected


def test_views_by_value() -> None:
    found = by_day(9, 20, "view", breakdown="browser")
    assert {value: sum(numbers) for value, numbers in found.items() if value} == {
        "Chrome": 6,
        "Firefox": 2,
        "Edge": 1,
        "Safari": 1,
    }
    flags = by_day(9, 20, "view", breakdown="flag")
    assert {value: sum(numbers) for value, numbers in flags.items() if value} == {"true": 7, "false": 3}
    sums = by_day(9, 20, OF_PROP | {"measure": "sum"}, breakdown="browser")
    assert sums["Chrome"] == [0, 0, 10, 10, 10, 0, 10, 0, 10, 0, 10, 0]
    assert sums["Firefox"] == [20, 0, 0, 20, 0, 0, 0, 0, 0, 0, 0, 0]
    assert sums["Safari"] == [0, 0, 0, 0, 0, 0, 40, 0, 0, 0, 0, 0]
    assert sums["Edge"] == [0, 0, 0, 30, 0, 0, 0, 0, 0, 0, 0, 0]


def test_a_formula_by_value_and_compared() -> None:
    asked: dict[str, Any] = {"formulas": "A+2*B", "wanted": "A+2*B", "breakdown": "browser"}
    found = by_day(9, 20, *VIEWS_AND_LEAVES, **asked)
    assert found["Chrome"] == [0, 0, 3, 3, 3, 0, 1, 0, 1, 0, 1, 0]
    assert sum(found["Firefox"]) == 4
    found = by_day(15, 19, *VIEWS_AND_LEAVES, compare=3, **asked)
    assert found["Chrome"] == [1, 0, 1, 0, 1]
    assert sum(found["Safari"]) == 3
    before = by_day(15, 19, *VIEWS_AND_LEAVES, compare=3, column="previous", **asked)
    assert before["Chrome"] == [3, 3, 0, 1, 0]


def test_active_in_the_week_that_ends_with_a_day() -> None:
    found = opsanalytics.stickiness(
        VISITED,
        Stickiness(events="view"),
        as_of=datetime(2020, 2, 1, tzinfo=UTC),
        first=date(2020, 1, 9),
        last=date(2020, 1, 20),
    ).days()
    assert found["dau"].to_list() == [1, 0, 1, 3, 1, 0, 2, 0, 1, 0, 1, 0]
    assert found["wau"].to_list() == [1, 1, 2, 3, 3, 3, 4, 4, 4, 4, 2, 2]
