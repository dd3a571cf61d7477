"""Inputs of PostHog's public tests, in a notation of our own, and the numbers that they expect.

`A1` is event A at hour 1 of 1 May 2021, `A1.5=x` has the property `tag` = x.
"""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import polars as pl
import pytest

import opsanalytics
from opsanalytics import Exclusion, Filter, Funnel, Retention, Segment, Step

DAY_ZERO = datetime(2021, 5, 1, tzinfo=UTC)
DAYS = {"first": date(2021, 5, 1), "last": date(2021, 5, 14)}
ABC = ["A", "B", "C"]
SCHEMA = {"person": pl.String, "event": pl.String, "ts": pl.Datetime("us", "UTC"), "tag": pl.String}


def journeys(people: dict[str, str]) -> pl.DataFrame:
    rows = []
    for person, words in people.items():
        for word in words.split():
            moment, _, tag = word.partition("=")
            ts = DAY_ZERO + timedelta(hours=float(moment[1:]))
            rows.append((person, moment[0], ts, tag or None))
    return pl.DataFrame(rows, schema=SCHEMA, orient="row")


def ask(people: dict[str, str], breakdown: Any = None, **definition: Any) -> opsanalytics.FunnelResult:
    return opsanalytics.funnel(
        journeys(people),
        Funnel(**({"steps": ABC, "window": "14d"} | definition)),
        preset="posthog",
        breakdown=breakdown,
        as_of=datetime(2021, 6, 1, tzinfo=UTC),
        **DAYS,
    )


def at_steps(result: opsanalytics.FunnelResult) -> list[list[str]]:
    steps = range(1, len(result.definition.steps) + 1)
    return [sorted(result.persons(k)["person"].to_list()) for k in steps]


TIMES = [
    (
        {"p": "A1 B2 C3 A52 B53 A79 B82"},
        {"window": "1d"},
        [1, 1, 1],
        [(3600.0, 3600.0), (3600.0, 3600.0)],
    ),
    (
        {"p": "A12 B13 C15", "q": "A38 B40", "r": "A38 B40 C41"},
        {"window": "7d"},
        [3, 3, 2],
        [(6000.0, 7200.0), (5400.0, 5400.0)],
    ),
    (
        {"p": "A1 B1.083333333333", "q": "A1", "r": "A1 B1.25"},
        {"steps": ["A", "B"]},
        [3, 2],
        [(600.0, 600.0)],
    ),
    (
        {"p": "A1 B1.083333333333", "q": "A1", "r": "A1 B1.25"},
        {"steps": ["A", "B"], "window": "5 minutes"},
        [3, 1],
        [(300.0, 300.0)],
    ),
    (
        {"p": "A0", "q": "A0 B1", "r": "A0 B2 C4"},
        {"order": "strict"},
        [3, 2, 1],
        [(5400.0, 5400.0), (7200.0, 7200.0)],
    ),
    (
        {"p": "A24", "q": "B24 A25", "r": "C24 A26 B28 B48 C51 A54"},
        {"order": "any", "window": "1d"},
        [3, 2, 1],
        [(5400.0, 5400.0), (7200.0, 7200.0)],
    ),
]


@pytest.mark.parametrize(("people", "definition", "counts", "times"), TIMES)
def test_counts_and_conversion_times(
    people: dict[str, str], definition: dict[str, Any], counts: list[int], times: list[Any]
) -> None:
    steps = ask(people, **definition).to_polars()
    assert steps["persons"].to_list() == counts
    found = steps.select(pl.col("mean_seconds", "median_seconds").round(3)).rows()[1:]
    assert found == times


STRICT = {
    "p1": "A1",
    "p2": "B1 A2",
    "p3": "A1 B2 x3 C4",
    "p4": "C1 x2 B3 A4",
    "p5": "B1 A2 x3 B4 C5",
    "p6": "x1 A2 x3 B4",
    "p7": "x1 A2 B3 C4 x5",
    "p8": "C1 B2",
}


def test_strict_steps_are_neighbours() -> None:
    everybody = [f"p{k}" for k in range(1, 8)]
    assert at_steps(ask(STRICT, order="strict")) == [everybody, ["p3", "p7"], ["p7"]]


def test_strict_with_steps_that_any_event_may_serve() -> None:
    val = Step("*", where={"tag": "val"})
    people = {
        "p1": "u1",
        "p2": "u1 v2",
        "p3": "u1 s2=val s3=val2 v4 x5 i6",
        "p4": "x1 u2 s3=val v4=val x5",
        "p5": "x1 u2 s3=val v4 x5",
        "p6": "x1 u2 s3=val v4 w5=val1",
        "p7": "x1 u2 s3=val v4 u5 w6=val",
        "p8": "x1 u2 u3 s4=val v5 w6=val",
    }
    result = ask(people, steps=["u", val, "v", val], order="strict")
    later = ["p4", "p5", "p6", "p7", "p8"]
    assert at_steps(result) == [[f"p{k}" for k in range(1, 9)], ["p3", *later], later, ["p8"]]


EXCLUDED = {
    "p1": "A1 x2 B3 C4 y4.5 D5 E6",
    "p2": "A1 y1.5 B2 C4 y4.5 D5 x5.5 E6",
    "p3": "A1 x1.5 B2 C4 D5 x5.5 E6",
    "p4": "A1 B2 C4 D5 E6",
    "p5": "A1 x1.5 B2 x2.5 C4 y4.5 D5 x5.5 E6",
}
FIVE = ["A", "B", "C", "D", "E"]


@pytest.mark.parametrize("spans", [((1, 2), (3, 4)), ((1, 2), (1, 2)), ((1, 5), (1, 5))])
def test_a_person_with_an_exclusion_between_the_steps_is_nowhere(spans: Any) -> None:
    people = {one: EXCLUDED[one] for one in ("p1", "p2", "p3", "p4")}
    exclusions = [
        Exclusion(event=name, from_step=a, to_step=b) for name, (a, b) in zip("xy", spans, strict=True)
    ]
    assert at_steps(ask(people, steps=FIVE, exclusions=exclusions)) == [["p4"]] * 5


def test_unordered_attempts_that_meet_an_exclusion_are_thrown_away() -> None:
    result = ask(EXCLUDED, steps=FIVE, order="any", exclusions=[Exclusion(event="x"), Exclusion(event="y")])
    assert at_steps(result) == [sorted(EXCLUDED), ["p1", "p4"], ["p4"], ["p4"], ["p4"]]


@pytest.mark.parametrize(
    ("people", "definition", "counts"),
    [
        ({"p": "A1 B2", "q": "A3 x3.5 B4", "r": "A5 B6"}, {"steps": ["A", "B"]}, [3, 2]),
        ({"p": "A1 B2 C3 x4 C5"}, {}, [1, 1, 1]),
        ({"p": "A10 B11 x12 C13", "q": "A10 B11 C12"}, {"window": "6h"}, [2, 1, 1]),
    ],
)
def test_unordered_exclusions(people: dict[str, str], definition: dict[str, Any], counts: list[int]) -> None:
    result = ask(people, order="any", exclusions=[{"event": "x"}], **definition)
    assert result.to_polars()["persons"].to_list() == counts


UNORDERED = {
    "p1": "A1",
    "p2": "B1 A2",
    "p3": "A1 B2 C3",
    "p4": "C1 x2 B3 A4",
    "p5": "C1 A2 x3 B4 D5",
    "p6": "x1 C2",
    "p7": "B1 x2",
    "p8": "C1 B2",
}


def test_unordered_steps_in_any_order() -> None:
    result = ask(UNORDERED, steps=["A", "B", "C", "D"], order="any")
    assert result.to_polars()["persons"].to_list() == [8, 5, 3, 1]


BROWSERS = {
    "p1": "s12=Chrome b13",
    "p2": "s13 b37=Safari",
    "p3": "s38=Mac b39",
    "p4": "s39=0 b40=alakazam",
    "p5": "s39 b40",
}
FOUR = {one: BROWSERS[one] for one in ("p1", "p2", "p3", "p4")}
INCOMPLETE = {"p1": "s12=Chrome b13", "p2": "s13", "p3": "s38=Mac", "p4": "s39=0 b40=alakazam"}


@pytest.mark.parametrize("order", ["ordered", "strict", "any"])
@pytest.mark.parametrize(
    ("people", "attribution", "expected"),
    [
        (
            BROWSERS,
            {},
            {"(none)": ["p5"], "0": ["p4"], "Chrome": ["p1"], "Mac": ["p3"], "Safari": ["p2"]},
        ),
        (
            BROWSERS,
            {"attribution": "last"},
            {"(none)": ["p5"], "alakazam": ["p4"], "Chrome": ["p1"], "Mac": ["p3"], "Safari": ["p2"]},
        ),
        (
            FOUR,
            {"attribution": "step", "step": 1},
            {"(none)": ["p2"], "0": ["p4"], "Chrome": ["p1"], "Mac": ["p3"]},
        ),
        (
            FOUR,
            {"attribution": "step", "step": 2},
            {"(none)": ["p1", "p3"], "Safari": ["p2"], "alakazam": ["p4"]},
        ),
        (INCOMPLETE, {"attribution": "step", "step": 2}, {"(none)": ["p1"], "alakazam": ["p4"]}),
    ],
)
def test_breakdown_attribution(
    order: str, people: dict[str, str], attribution: dict[str, Any], expected: dict[str, list[str]]
) -> None:
    result = ask(people, Segment("tag", **attribution), steps=["s", "b"], window="7d", order=order)
    groups = result.groups()
    reached = 2 if people is not INCOMPLETE or attribution else 1
    assert {value: sorted(one.persons(reached)["person"]) for value, one in groups.items()} == expected


def test_breakdown_by_the_values_of_all_events() -> None:
    people = {"p": "s1=one s2=two x3=one x4=two b5=one b6=two"}
    by_first = ask(people, "tag", steps=["s", "b"], order="strict")
    assert {value: one.conversion for value, one in by_first.groups().items()} == {"one": 0.0}
    by_all = ask(people, Segment("tag", attribution="all"), steps=["s", "b"], order="strict")
    assert {value: one.conversion for value, one in by_all.groups().items()} == {"one": 0.0, "two": 0.0}


def test_times_of_a_group() -> None:
    people = {"p": "s12=Chrome m13=Chrome b15=Chrome", "q": "s38=Safari m40=Safari", "r": "s38=Safari"}
    groups = ask(people, "tag", steps=["s", "m", "b"], window="7d").groups()
    assert groups["Chrome"].to_polars()["mean_seconds"].to_list() == [None, 3600.0, 7200.0]
    assert groups["Safari"].to_polars()["persons"].to_list() == [2, 1, 0]
    assert groups["Safari"].to_polars()["mean_seconds"].to_list() == [None, 7200.0, None]


def test_two_properties_together() -> None:
    events = journeys({"p1": "s12=Chrome b13", "p3": "s38=Mac b39", "p5": "s39 b40"})
    events = events.with_columns(version=pl.when(pl.col("tag") == "Chrome").then(pl.lit("xyz")))
    result = opsanalytics.funnel(
        events,
        Funnel(steps=["s", "b"], window="7d"),
        preset="posthog",
        breakdown=Segment(("tag", "version"), attribution="first"),
    )
    assert list(result.groups()) == ["Chrome, xyz", "Mac, (none)", "(none)"]


def test_time_to_convert_bins() -> None:
    people = {"a": "A18 B19 C21", "b": "A37 B37.616666666667", "c": "A79 B102"}
    times = ask(people, window="7d").times(1, 2)
    auto = times.histogram().select("from_seconds", "persons").rows()
    assert [(round(begin), n) for begin, n in auto] == [(2220, 2), (42510, 0), (82800, 1)]
    seven = [(round(begin), n) for begin, n in times.histogram(7).select("from_seconds", "persons").rows()]
    edges = (2220, 13732, 25244, 36756, 48268, 59780, 71292, 82804)
    assert seven == list(zip(edges, (2, 0, 0, 0, 0, 0, 1, 0), strict=True))
    assert round(times.to_dict()["mean"]) == 29_540
    one = ask({"a": "A18 B19 C21"}).times().histogram().select("from_seconds", "persons").rows()
    assert one == [(10800.0, 1), (10860.0, 0)]


def test_the_window_is_in_seconds_whatever_the_clocks_do() -> None:
    entry = datetime(2024, 3, 1, 15, 10, tzinfo=UTC)
    events = pl.DataFrame(
        {"person": "p", "event": ["A", "B"], "ts": [entry, datetime(2024, 3, 15, 14, 27, tzinfo=UTC)]}
    )
    for timezone in ("UTC", "US/Pacific"):
        result = opsanalytics.funnel(
            events,
            Funnel(steps=["A", "B"], window="14 days", order="any"),
            preset="posthog",
            first=date(2024, 2, 17),
            last=date(2024, 3, 18),
            timezone=timezone,
        )
        assert result.to_polars()["mean_seconds"].to_list() == [None, 1_207_020.0]


def test_an_entry_on_the_day_before_in_the_zone_is_not_in_the_range() -> None:
    events = pl.DataFrame({"person": "p", "event": "A", "ts": [datetime(2020, 1, 1, 1, tzinfo=UTC)]})
    asked = {"first": date(2020, 1, 1), "last": date(2020, 1, 14), "timezone": "US/Pacific"}
    result = opsanalytics.funnel(events, Funnel(steps=["A", "B"], window="14d"), preset="posthog", **asked)  # type: ignore[arg-type]
    assert result.entered == 0


def test_steps_with_different_filters_on_the_same_event() -> None:
    url = [Step("v", where={"tag": tag}) for tag in ("aloha", "aloha2", "aloha2")]
    people = {
        "p1": "u1",
        "p2": "u1 v2=aloha",
        "p3": "u1 v2=aloha x3=aloha v4=aloha2",
        "p4": "u1 v2=aloha v3=aloha2 v4=aloha2 x5",
        "p5": "u1 v2=aloha x3 v4=aloha2 v5=aloha v6=aloha2",
    }
    result = ask(people, steps=["u", *url, "v"])
    assert result.to_polars()["persons"].to_list() == [5, 4, 3, 2, 0]


def test_person_properties_decide_who_is_counted() -> None:
    email = Filter(property="email", op="contains", value=".com", of="person")
    persons = pl.DataFrame({"person": ["p", "q", "r"], "email": ["a@test.com", "b@test.com", None]})
    result = opsanalytics.funnel(
        journeys({"p": "s1 s2", "q": "s1", "r": "s1 s2"}),
        Funnel(steps=[Step("s", where=email), Step("s", where=email)], window="14d"),
        preset="posthog",
        persons=persons,
    )
    assert at_steps(result) == [["p", "q"], ["p"]]


def test_trend_by_month_of_the_zone() -> None:
    events = journeys({"p": "A0 B1 C2"})
    for timezone, month in (("UTC", date(2021, 5, 1)), ("US/Pacific", date(2021, 4, 1))):
        trend = opsanalytics.funnel_trend(
            events, Funnel(steps=ABC, window="7d"), period="month", preset="posthog", timezone=timezone
        )
        assert trend.select("period_start", "entered", "converted").rows() == [(month, 1, 1)]


def retained(people: dict[str, str], cohorts: int, **definition: Any) -> list[list[int]]:
    """Returned by cohort and period, cohorts without anybody left out."""
    end = DAY_ZERO + timedelta(days=cohorts)
    result = opsanalytics.retention(
        journeys(people),
        Retention(**({"start": "V", "returning": "V", "period": "day", "cohort": "recurring"} | definition)),
        preset="posthog",
        as_of=end - timedelta(microseconds=1),
    )
    cells = result.to_polars().filter(pl.col("cohort").is_not_null())
    groups = cells.group_by("cohort", maintain_order=True).agg("returned")
    return groups["returned"].to_list()  # type: ignore[no-any-return]


VISITS = {
    "p1": " ".join(f"V{24 * day + 5}" for day in (0, 1, 2, 5)) + " V129 V149",
    "p2": " ".join(f"V{24 * day + 5}" for day in (1, 2, 3, 6)),
}
MORE = {
    "p1": "V5 V77 V101",
    "p2": "V5 V29",
    "p3": "V29 V53 V77",
    "p4": "V77 V101",
    "p5": "V101",
}


def test_recurring_retention_by_day() -> None:
    assert retained(VISITS, 11, periods=10) == [
        [1, 1, 1, 0, 0, 1, 1, 0, 0, 0, 0],
        [2, 2, 1, 0, 1, 2, 0, 0, 0, 0],
        [2, 1, 0, 1, 2, 0, 0, 0, 0],
        [1, 0, 0, 1, 0, 0, 0, 0],
        [1, 1, 0, 0, 0, 0],
        [2, 0, 0, 0, 0],
    ]


def test_minimum_occurrences_are_not_asked_of_the_first_period() -> None:
    assert retained(VISITS, 11, periods=10, minimum=2) == [
        [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0],
        [2, 0, 0, 0, 1, 0, 0, 0, 0, 0],
        [2, 0, 0, 1, 0, 0, 0, 0, 0],
        [1, 0, 0, 0, 0, 0, 0, 0],
        [1, 0, 0, 0, 0, 0],
        [2, 0, 0, 0, 0],
    ]


def test_unbounded_retention_counts_nobody_twice() -> None:
    assert retained(MORE, 6, periods=5, returns="on_or_after") == [
        [2, 2, 1, 1, 1, 0],
        [2, 1, 1, 0, 0],
        [1, 1, 0, 0],
        [3, 2, 0],
        [3, 0],
    ]


def test_any_event_may_start() -> None:
    assert retained(VISITS, 11, periods=10, start="*") == retained(VISITS, 11, periods=10)


def test_recurring_retention_by_hour_and_month() -> None:
    hours = {"p1": (0, 1, 2, 4, 5, 8), "p2": (0, 1, 2, 5, 6, 10)}
    by_hour = {person: " ".join(f"V{hour}" for hour in made) for person, made in hours.items()}
    expected = [
        [2, 2, 2, 0, 1, 2, 1, 0, 1, 0, 1],
        [2, 2, 0, 1, 2, 1, 0, 1, 0, 1],
        [2, 0, 1, 2, 1, 0, 1, 0, 1],
        [1, 1, 0, 0, 1, 0, 0],
        [2, 1, 0, 1, 0, 1],
        [1, 0, 0, 0, 1],
        [1, 0, 0],
        [1],
    ]
    asked = Retention(start="V", returning="V", period="hour", periods=10, cohort="recurring")
    result = opsanalytics.retention(journeys(by_hour), asked, preset="posthog")
    assert result.counts.by_hour is not None
    found = result.counts.by_hour.group_by("cohort", maintain_order=True).agg("returned")
    assert found["returned"].to_list() == expected
    month = [datetime(2020, 1 + k, 10, 5, tzinfo=UTC) for k in range(11)]
    rows = [(person, "V", month[k]) for person, made in hours.items() for k in made]
    events = pl.DataFrame(
        rows, schema={"person": pl.String, "event": pl.String, "ts": pl.Datetime("us", "UTC")}, orient="row"
    )
    monthly = asked.model_copy(update={"period": "month"})
    cells = opsanalytics.retention(events, monthly, preset="posthog").to_polars()
    cells = (
        cells.filter(pl.col("cohort").is_not_null()).group_by("cohort", maintain_order=True).agg("returned")
    )
    assert cells["returned"].to_list() == expected
