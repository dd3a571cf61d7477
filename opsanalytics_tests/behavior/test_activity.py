"""Lifecycle, stickiness and usage interval against a plain reference, and their rules one by one."""

from collections import Counter
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from opsanalytics.behavior.activity_spec import Lifecycle, Stickiness, UsageInterval
from opsanalytics.behavior.activity_tables import (
    ACTIVE_PERSONS,
    LIFECYCLE,
    STICKINESS,
    USAGE_INTERVAL_PAUSES,
    USAGE_INTERVALS,
)
from opsanalytics.behavior.lifecycle import STATES, lifecycle
from opsanalytics.behavior.periods import WEEKDAYS
from opsanalytics.behavior.statistics import count_ratio, median_interval, quantile_interval
from opsanalytics.behavior.stickiness import stickiness
from opsanalytics.behavior.usage_interval import usage_interval
from opsanalytics_tests.behavior import activity_reference as reference
from opsanalytics_tests.behavior.examples import table

SPRING = datetime(2026, 3, 20, tzinfo=UTC)
"""Nine days before the clocks of Berlin go forward."""
AS_OF = datetime(2026, 7, 2, tzinfo=UTC)
ZONES = st.sampled_from(["UTC", "Europe/Berlin", "America/Santiago", "Asia/Kolkata"])
HOURS = st.lists(st.integers(0, 24 * 70), max_size=12)
PEOPLE = st.dictionaries(st.sampled_from("abcde"), HOURS.filter(bool), min_size=1)


def used(people: dict[str, list[int]]) -> reference.Uses:
    return {person: [SPRING + timedelta(hours=h) for h in hours] for person, hours in people.items()}


def events(uses: reference.Uses) -> pl.DataFrame:
    return table({person: [("use", ts) for ts in times] for person, times in uses.items()})


def days(**people: str) -> pl.DataFrame:
    """Noon of days of March 2026: `days(p="1 2 5")`."""
    return table(
        {
            person: [("use", datetime(2026, 3, int(day), 12, tzinfo=UTC)) for day in text.split()]
            for person, text in people.items()
        }
    )


@settings(max_examples=40, deadline=None)
@given(PEOPLE, st.sampled_from(["day", "week", "month"]), ZONES, st.sampled_from(WEEKDAYS))
def test_lifecycle_is_that_of_the_reference(
    people: dict[str, list[int]], period: Any, zone: str, week_start: Any
) -> None:
    uses = used(people)
    expected = reference.lifecycle(uses, period, zone, WEEKDAYS.index(week_start))
    found = lifecycle(
        events(uses), Lifecycle(period=period), as_of=AS_OF, timezone=zone, week_start=week_start
    )
    rows = found.periods.to_dicts()
    seen = {row["period_start"]: {state: row[state] or 0 for state in STATES} for row in rows}
    assert {day: counts for day, counts in seen.items() if any(counts.values())} == {
        day: {state: counts[state] for state in STATES} for day, counts in expected.items()
    }
    for before, row in pairwise(rows):
        assert row["previous"] == before["active"]
        assert row["returning"] + (row["dormant"] or 0) == row["previous"]


@settings(max_examples=30, deadline=None)
@given(PEOPLE, st.sampled_from(["week", "month"]), ZONES, st.sampled_from([1, 1, 2]))
def test_stickiness_is_that_of_the_reference(
    people: dict[str, list[int]], period: Any, zone: str, minimum: int
) -> None:
    definition = Stickiness(period=period, minimum=minimum)
    everything = used(people)
    found = stickiness(events(everything), definition, as_of=AS_OF, timezone=zone)
    days = Counter(
        (person, reference.first_day_of(ts, "day", zone))
        for person, times in everything.items()
        for ts in times
    )
    uses = {
        person: [ts for ts in times if days[person, reference.first_day_of(ts, "day", zone)] >= minimum]
        for person, times in everything.items()
    }
    expected = reference.stickiness(uses, period, zone)
    cells = found.cells.filter(pl.col("period_start").is_not_null())
    seen = {(row["period_start"], row["units"]): row for row in cells.to_dicts()}
    assert {key: row["persons"] for key, row in seen.items() if row["persons"]} == {
        (start, units): persons for start, counts in expected.items() for units, persons in counts.items()
    }
    for (start, units), row in seen.items():
        more = [n for k, n in expected.get(start, {}).items() if k >= units]
        assert (row["at_least"], row["n"]) == (sum(more), sum(expected.get(start, {}).values()))
    for row in found.days.to_dicts()[::9]:
        counts = [reference.active_in(uses, row["day"], length, zone) for length in (1, 7, 30)]
        assert [row["dau"], row["wau"], row["mau"]] == counts


@settings(max_examples=30, deadline=None)
@given(PEOPLE, ZONES)
def test_usage_interval_is_that_of_the_reference(people: dict[str, list[int]], zone: str) -> None:
    uses = used(people)
    expected = reference.median_pauses(uses, zone)
    found = usage_interval(events(uses), UsageInterval(share=0.5), as_of=AS_OF, timezone=zone)
    known = found.persons.drop_nulls("median_pause")
    assert dict(known.select("person", "median_pause").iter_rows()) == expected
    row = found.summary.row(0, named=True)
    assert (row["n"], row["once"]) == (len(expected), len(uses) - len(expected))
    if expected:
        within = [sum(pause <= bound for pause in expected.values()) for bound in (row["interval"],)]
        assert within[0] >= len(expected) / 2
        assert found.pauses["within"].to_list()[-1] == len(expected)


@settings(max_examples=20, deadline=None)
@given(PEOPLE, st.randoms())
def test_the_order_of_rows_changes_nothing(people: dict[str, list[int]], random: Any) -> None:
    frame = events(used(people))
    order = list(range(frame.height))
    random.shuffle(order)
    shuffled = frame[order]
    for ask, definition in (
        (lifecycle, Lifecycle()),
        (stickiness, Stickiness()),
        (usage_interval, UsageInterval()),
    ):
        first, second = (ask(each, definition, as_of=AS_OF) for each in (frame, shuffled))  # type: ignore[operator]
        assert first.to_polars().equals(second.to_polars())


def test_nobody_is_dormant_before_the_period_is_over() -> None:
    noon = datetime(2026, 3, 3, 12, tzinfo=UTC)
    rows = lifecycle(days(p="1 2", q="2 3"), Lifecycle(period="day"), as_of=noon).periods
    assert rows.select("period_start", "returning", "dormant", "return_rate", "complete").rows()[1:] == [
        (date(2026, 3, 2), 1, 0, 1.0, True),
        (date(2026, 3, 3), 1, None, None, False),
    ]


def test_the_last_instant_of_a_period_makes_it_complete() -> None:
    end = datetime(2026, 3, 3, tzinfo=UTC) - timedelta(microseconds=1)
    rows = lifecycle(days(p="1", q="2"), Lifecycle(period="day"), as_of=end).periods
    assert rows.select("dormant", "complete").rows() == [(0, True), (1, True)]


def test_posthog_counts_the_running_period_as_the_others() -> None:
    noon = datetime(2026, 3, 3, 12, tzinfo=UTC)
    rows = lifecycle(days(p="1 2", q="2 3"), Lifecycle(period="day"), as_of=noon, preset="posthog").periods
    assert rows.select("dormant", "complete").rows()[-1] == (1, False)


@pytest.mark.parametrize(("preset", "states"), [("opsanalytics", "new"), ("amplitude", "resurrected")])
def test_who_came_earlier_with_another_event_is_new_or_resurrected(preset: Any, states: str) -> None:
    frame = table(
        {"p": [("visit", datetime(2026, 3, 1, tzinfo=UTC)), ("buy", datetime(2026, 3, 5, tzinfo=UTC))]}
    )
    asked = Lifecycle(events="buy", period="day")
    found = lifecycle(frame, asked, as_of=datetime(2026, 3, 6, tzinfo=UTC), preset=preset)
    assert found.states["state"].to_list() == [states]


def test_a_day_of_23_hours_has_23_hours() -> None:
    berlin = {"timezone": "Europe/Berlin", "as_of": datetime(2026, 4, 2, tzinfo=UTC)}
    every = [datetime(2026, 3, 28, 23, tzinfo=UTC) + timedelta(hours=h) for h in range(23)]
    frame = table({"p": [("use", ts) for ts in every]})
    cells = stickiness(frame, Stickiness(unit="hour", period="day"), **berlin).cells
    day = cells.filter(pl.col("period_start") == date(2026, 3, 29))
    assert (day["units"].max(), day.filter(pl.col("persons") > 0)["units"].to_list()) == (23, [23])
    rows = lifecycle(frame, Lifecycle(period="day"), **berlin).periods
    assert rows["starts_at"].diff().drop_nulls().to_list()[0] == timedelta(hours=23)


def test_where_midnight_is_skipped_the_day_starts_later() -> None:
    noon = datetime(2018, 11, 4, 14, tzinfo=UTC)
    frame = table({"p": [("use", noon)]})
    found = lifecycle(
        frame, Lifecycle(period="day"), as_of=noon + timedelta(days=2), timezone="America/Sao_Paulo"
    )
    assert found.periods["starts_at"][0] == datetime(2018, 11, 4, 3, tzinfo=UTC)


def test_a_period_in_which_the_data_begin_is_not_pooled() -> None:
    found = stickiness(days(p="4 5 10", q="11"), Stickiness(), as_of=datetime(2026, 3, 16, tzinfo=UTC))
    cells = found.cells.filter(pl.col("units") == 1, pl.col("period_start").is_not_null())
    assert cells.select("period_start", "n", "complete").rows() == [
        (date(2026, 3, 2), 1, False),
        (date(2026, 3, 9), 2, True),
        (date(2026, 3, 16), 0, False),
    ]
    assert found.pooled().row(0, named=True)["n"] == 2


def test_ratios_need_full_windows() -> None:
    found = stickiness(days(p="1 8", q="9"), Stickiness(), as_of=datetime(2026, 3, 10, 12, tzinfo=UTC))
    rows = found.days.select("day", "dau", "wau", "dau_wau", "dau_mau", "complete").rows()
    assert rows[5:] == [
        (date(2026, 3, 6), 0, 1, None, None, True),
        (date(2026, 3, 7), 0, 1, 0.0, None, True),
        (date(2026, 3, 8), 1, 1, 1.0, None, True),
        (date(2026, 3, 9), 1, 2, 0.5, None, True),
        (date(2026, 3, 10), 0, 2, None, None, False),
    ]


def test_the_open_pause_is_no_pause() -> None:
    frame = days(p="1 3 5", q="1 2", r="1", s="12")
    row = usage_interval(frame, UsageInterval(), as_of=datetime(2026, 3, 13, tzinfo=UTC)).summary
    assert row.select("n", "median", "interval", "once", "once_open", "overdue").row(0) == (
        2,
        1.5,
        2.0,
        2,
        1,
        2,
    )


def test_entities_stand_for_persons() -> None:
    frame = days(p="1 2", q="3").with_columns(account=pl.lit("a"))
    rows = lifecycle(
        frame, Lifecycle(period="day", entity="account"), as_of=datetime(2026, 3, 4, tzinfo=UTC)
    ).periods
    assert rows["returning"].to_list() == [0, 1, 1, 0]


def test_events_without_person_or_time_are_left_out_and_counted() -> None:
    frame = pl.concat(
        [days(p="1"), pl.DataFrame({"person": [None, "q"], "event": "use", "ts": [None, None]})],
        how="vertical_relaxed",
    )
    for ask, definition in (
        (lifecycle, Lifecycle()),
        (stickiness, Stickiness()),
        (usage_interval, UsageInterval()),
    ):
        found = ask(frame, definition, as_of=AS_OF)  # type: ignore[operator]
        assert (found.left_out.without_person, found.left_out.without_time) == (1, 1)


@pytest.mark.parametrize(
    "times",
    [[], [datetime(1931, 5, 1, tzinfo=UTC), datetime(2231, 5, 1, tzinfo=UTC)]],
    ids=["none", "far apart"],
)
def test_hostile_times(times: list[datetime]) -> None:
    frame = table({"p": [("use", ts) for ts in times]})
    late = datetime(2240, 1, 1, tzinfo=UTC)
    cycle = lifecycle(frame, Lifecycle(period="month"), as_of=late)
    sticky = stickiness(frame, Stickiness(period="range", unit="month"), as_of=late)
    pauses = usage_interval(frame, UsageInterval(), as_of=late)
    for tables, rows in (
        (LIFECYCLE, cycle.periods),
        (STICKINESS, sticky.cells),
        (ACTIVE_PERSONS, sticky.days),
        (USAGE_INTERVALS, pauses.summary),
        (USAGE_INTERVAL_PAUSES, pauses.pauses),
    ):
        tables.conform(rows.with_columns(quality=pl.lit("passed")))
    assert cycle.periods["new"].sum() == min(len(times), 1)
    assert sticky.cells["persons"].sum() == min(len(times), 1)
    assert pauses.pauses.height == len(times) // 2


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"as_of": datetime(2026, 3, 1)}, "as_of: .* has no time zone"),  # noqa: DTZ001
        ({"timezone": "Mars"}, "timezone: 'Mars'"),
        ({"week_start": "someday"}, "week_start: 'someday'"),
        ({"first": AS_OF}, "first: .* is not a day"),
        ({"first": date(2026, 3, 2), "last": date(2026, 3, 1)}, "last: 2026-03-01 lies before first"),
        ({"last": date.max}, "last: 9999-12-31 has days"),
        ({"preset": "posthg"}, "preset: 'posthg'"),
    ],
)
def test_a_wrong_argument_is_named(wrong: dict[str, Any], message: str) -> None:
    for ask, definition in ((lifecycle, Lifecycle()), (stickiness, Stickiness())):
        with pytest.raises(ValueError, match=message):
            ask(days(p="1"), definition, **({"as_of": AS_OF} | wrong))  # type: ignore[operator]


def test_a_million_events_of_one_person_and_ten_thousand_names() -> None:
    moments = pl.datetime_range(SPRING, SPRING + timedelta(seconds=999_999), "1s", eager=True)
    frame = (
        pl.DataFrame({"person": 7, "ts": moments})
        .with_row_index("row")
        .with_columns(event=pl.format("e{}", pl.col("row") % 10_000))
    )
    found = lifecycle(frame, Lifecycle(period="day"), as_of=AS_OF).periods
    assert found["returning"].sum() == 11


def test_intervals_of_quantiles_and_ratios() -> None:
    values = list(range(1, 101))
    assert quantile_interval(values, 0.5) == median_interval(values)
    low, high = quantile_interval(values, 0.8)
    assert 70 <= low < 80 < high <= 90
    low, high = count_ratio([30, 5], [30, 0])
    assert low[0] < 1 < high[0]
    assert low[0] == pytest.approx(1 / high[0])
    assert str(high[1]) == "nan"
