"""Rolling clocks, unbounded returns, brackets, minimum, cohorts and hours: cases and a plain reference."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from opsanalytics.behavior.retention import RetentionResult, retention
from opsanalytics.behavior.spec import Retention
from opsanalytics_tests.behavior.examples import LATER, table

Event = tuple[str, datetime]
MONDAY = datetime(2026, 3, 2, tzinfo=UTC)
DAY = timedelta(days=1)
HOUR = timedelta(hours=1)


def daily(**more: Any) -> Retention:
    return Retention(**({"name": "d", "start": "S", "returning": "R", "period": "day", "periods": 3} | more))


def row(
    events: list[Event], definition: Retention, as_of: datetime = LATER, **more: Any
) -> list[tuple[int, int]]:
    """(period, returned) of the only cohort."""
    cells = retention(table({"p": events}), definition, as_of=as_of, **more).cells
    return cells.filter(pl.col("cohort").is_not_null()).select("period", "returned").rows()


def returns(events: list[Event], definition: Retention, **more: Any) -> list[int]:
    return [came for _, came in row(events, definition, **more)]


def test_rolling_days_begin_with_the_start_event() -> None:
    evening = MONDAY + 20 * HOUR
    events = [("S", evening), ("R", evening + 5 * HOUR), ("R", evening + 24 * HOUR)]
    # On the calendar both returns are on the next day; rolling, the first is in the first 24 hours.
    assert returns(events, daily()) == [0, 1, 0, 0]
    assert returns(events, daily(clock="rolling")) == [1, 1, 0, 0]


def test_a_rolling_month_has_thirty_days() -> None:
    monthly = daily(clock="rolling", period="month", periods=1)
    for days, expected in ((29, [1, 0]), (30, [0, 1]), (59, [0, 1]), (60, [0, 0])):
        assert returns([("S", MONDAY), ("R", MONDAY + days * DAY)], monthly) == expected


def test_a_rolling_cell_is_complete_when_the_last_of_the_cohort_has_lived_through_it() -> None:
    people = {"early": [("S", MONDAY + HOUR)], "late": [("S", MONDAY + 20 * HOUR)]}
    # The last microsecond of the late one's day 1 is still open a microsecond earlier.
    end = MONDAY + 20 * HOUR + 2 * DAY - timedelta(microseconds=1)
    for as_of, complete in ((end - timedelta(microseconds=1), False), (end, True)):
        cells = retention(table(people), daily(clock="rolling"), as_of=as_of).cells  # type: ignore[arg-type]
        shown = cells.filter(pl.col("cohort").is_not_null(), pl.col("period") == 1)
        assert shown["complete"].to_list() == [complete]


def test_unbounded_returns_count_in_all_periods_before() -> None:
    events = [("S", MONDAY), ("R", MONDAY + 2 * DAY)]
    assert returns(events, daily()) == [0, 0, 1, 0]
    assert returns(events, daily(returns="on_or_after")) == [1, 1, 1, 0]


def test_unbounded_cells_are_complete_with_the_last_period() -> None:
    unbounded = daily(returns="on_or_after")
    for as_of, complete in ((MONDAY + 4 * DAY - HOUR, False), (MONDAY + 4 * DAY, True)):
        cells = retention(table({"p": [("S", MONDAY)]}), unbounded, as_of=as_of).cells
        assert cells.filter(pl.col("cohort").is_not_null())["complete"].to_list() == [complete] * 4


def test_brackets_group_periods() -> None:
    bracketed = daily(brackets=(1, 2, 4))
    events = [("S", MONDAY), ("R", MONDAY + 3 * DAY), ("R", MONDAY + 8 * DAY)]
    assert row(events, bracketed) == [(0, 0), (1, 0), (2, 1), (4, 0)]


def test_minimum_occurrences_count_within_a_column_but_not_in_the_first() -> None:
    twice = daily(minimum=2)
    at = [MONDAY + HOUR, MONDAY + DAY, MONDAY + DAY + HOUR, MONDAY + 2 * DAY]
    assert returns([("S", MONDAY), *(("R", ts) for ts in at)], twice) == [1, 1, 0, 0]
    assert returns([("S", MONDAY), *(("R", ts) for ts in at)], daily(minimum=3, brackets=(2, 1))) == [1, 1, 0]


def test_minimum_occurrences_may_have_to_come_in_one_period() -> None:
    twice = daily(minimum=2, brackets=(2, 2), minimum_in="period")
    apart = [("S", MONDAY), ("R", MONDAY + DAY), ("R", MONDAY + 2 * DAY)]
    together = [*apart, ("R", MONDAY + 3 * DAY), ("R", MONDAY + 3 * DAY + HOUR)]
    assert returns(apart, daily(minimum=2, brackets=(2, 2))) == [0, 1, 0]
    assert returns(apart, twice) == [0, 0, 0]
    assert returns(together, twice) == [0, 0, 1]
    assert returns(apart, daily(minimum=2, brackets=(2, 2)), preset="posthog") == [1, 0, 0]


def planned(rows: Sequence[tuple[str, str, datetime, str]]) -> pl.DataFrame:
    schema = {"person": pl.String, "event": pl.String, "ts": pl.Datetime("us", "UTC"), "plan": pl.String}
    return pl.DataFrame(list(rows), schema=schema, orient="row")


def test_first_ever_needs_the_first_event_of_that_name_to_pass() -> None:
    start = {"event": "S", "where": {"plan": "pro"}}
    frame = planned(
        [
            ("p", "S", MONDAY, "free"),
            ("p", "S", MONDAY + DAY, "pro"),
            ("q", "S", MONDAY + DAY, "pro"),
            ("q", "S", MONDAY + 2 * DAY, "free"),
        ]
    )
    sizes = {}
    for cohort in ("first_time", "first_ever", "recurring"):
        cells = retention(frame, daily(start=start, cohort=cohort), as_of=LATER).cells
        zero = cells.filter(pl.col("cohort").is_not_null(), pl.col("period") == 0)
        sizes[cohort] = zero.select("cohort", "n").rows()
    tuesday = (MONDAY + DAY).date()
    assert sizes == {"first_time": [(tuesday, 2)], "first_ever": [(tuesday, 1)], "recurring": [(tuesday, 2)]}


def test_first_time_is_the_same_definition_as_first() -> None:
    assert daily(cohort="first_time").definition_id == daily().definition_id


def test_posthog_counts_everybody_in_column_zero() -> None:
    found = retention(table({"p": [("S", MONDAY)]}), daily(), as_of=LATER, preset="posthog")
    assert found.cells.filter(pl.col("cohort").is_not_null())["returned"].to_list() == [1, 0, 0, 0]
    assert found.definition.definition_id == daily(zero="started").definition_id
    with pytest.raises(ValueError, match="preset: 'x'"):
        retention(table({}), daily(), as_of=LATER, preset="x")  # type: ignore[arg-type]


def hours(result: RetentionResult) -> list[tuple[datetime, int, int, int]]:
    assert result.by_hour is not None
    return result.by_hour.select("cohort", "period", "n", "returned").sort("cohort", "period").rows()


def test_hours_are_cohorts_and_show_added_up_by_day() -> None:
    events = {
        "p": [("S", MONDAY + 5 * HOUR), ("R", MONDAY + 6 * HOUR)],
        "q": [("S", MONDAY + 6 * HOUR + HOUR / 2), ("R", MONDAY + 9 * HOUR)],
    }
    hourly = daily(period="hour", periods=2)
    found = retention(table(events), hourly, as_of=LATER)
    five, six = MONDAY + 5 * HOUR, MONDAY + 6 * HOUR
    assert hours(found) == [
        (five, 0, 1, 0),
        (five, 1, 1, 1),
        (five, 2, 1, 0),
        *((six, k, 1, 0) for k in range(3)),
    ]
    shown = found.cells.filter(pl.col("cohort").is_not_null())
    assert shown.select("cohort", "period", "n", "returned").rows() == [
        (MONDAY.date(), 0, 2, 0),
        (MONDAY.date(), 1, 2, 1),
        (MONDAY.date(), 2, 2, 0),
    ]


def test_hours_begin_on_the_clock_of_the_zone() -> None:
    # India is five and a half hours ahead.
    hourly = daily(period="hour", periods=1)
    events = table(
        {"p": [("S", MONDAY + 20 * timedelta(minutes=1)), ("R", MONDAY + 40 * timedelta(minutes=1))]}
    )
    start = MONDAY - HOUR / 2
    assert hours(retention(events, hourly, as_of=LATER, timezone="Asia/Kolkata")) == [
        (start, 0, 1, 0),
        (start, 1, 1, 1),
    ]
    assert hours(retention(events, hourly, as_of=LATER)) == [(MONDAY, 0, 1, 1), (MONDAY, 1, 1, 0)]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"clock": "rolling", "cohort": "recurring"}, "cohort cannot be 'recurring'"),
        ({"brackets": (0,)}, "greater than or equal to 1"),
        ({"brackets": (600, 600)}, "1200 periods in all"),
        ({"minimum": 0}, "greater than or equal to 1"),
        ({"cohort": "second"}, "'first', 'first_ever' or 'recurring'"),
    ],
)
def test_wrong_definitions(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        daily(**change)


# Few hours over a few days of one month, so that most things happen.
PERSON = st.lists(
    st.tuples(st.sampled_from("SSRRs"), st.integers(0, 30).map(lambda n: MONDAY + n * 5 * HOUR)), max_size=8
)
DEFINITIONS = st.builds(
    Retention,
    name=st.just("r"),
    start=st.just({"event": "S", "where": {"plan": "pro"}}),
    returning=st.just("R"),
    period=st.sampled_from(["hour", "day", "week", "month"]),
    periods=st.integers(1, 4),
    cohort=st.sampled_from(["first", "first_ever", "recurring"]),
    returns=st.sampled_from(["on", "on_or_after"]),
    brackets=st.sampled_from([(), (1, 2), (2, 3, 1)]),
    minimum=st.integers(1, 2),
    minimum_in=st.sampled_from(["column", "period"]),
    zero=st.sampled_from(["returned", "started"]),
)


def plainly(
    people: dict[str, list[Event]], definition: Retention, as_of: datetime
) -> dict[tuple[date, int], tuple[int, int, bool]]:
    """(cohort, column) -> (n, returned, complete). `S` starts, `s` fails the filter; UTC."""
    lengths = {"hour": HOUR, "day": DAY, "week": 7 * DAY, "month": 30 * DAY}

    def number(ts: datetime) -> int:
        if definition.period == "month":
            return ts.year * 12 + ts.month
        return (ts - MONDAY) // lengths[definition.period]

    rolling = definition.clock == "rolling"
    members: dict[int, list[tuple[datetime, list[datetime]]]] = {}
    day_of: dict[int, date] = {}
    for events in people.values():
        known = sorted((event for event in events if event[1] <= as_of), key=lambda event: event[1])
        starts = [ts for name, ts in known if name == "S"]
        if definition.cohort == "first_ever":
            named = [ts for name, ts in known if name in "Ss"]
            starts = starts if starts and starts[0] == named[0] else []
        by_period: dict[int, datetime] = {}
        for ts in starts[: None if definition.cohort == "recurring" else 1]:
            by_period.setdefault(number(ts), ts)
        for own, started in by_period.items():
            members.setdefault(own, []).append((started, [ts for name, ts in known if name == "R"]))
            day_of[own] = started.date()
    instant = as_of + timedelta(microseconds=1)
    length = lengths[definition.period]
    firsts = definition.columns
    ends = [*firsts[1:], definition.last_period + 1]
    cells = {}
    for own, persons in members.items():
        for column, (first, end) in enumerate(zip(firsts, ends, strict=True)):
            if own + first > number(as_of):
                continue
            came = 0
            for started, seen in persons:
                after = [ts for ts in seen if ts > started]
                k = [(ts - started) // length if rolling else number(ts) - own for ts in after]
                hit = []
                for c, (low, high) in enumerate(zip(firsts, ends, strict=True)):
                    mine = [one for one in k if low <= one < high]
                    together = len(mine)
                    if definition.minimum_in == "period":
                        together = max((mine.count(one) for one in mine), default=0)
                    hit.append(together >= (definition.minimum if c else 1))
                later = hit[column:] if definition.returns == "on_or_after" else hit[column : column + 1]
                came += any(later) or (column == 0 and definition.zero == "started")
            over = ends[-1] if definition.returns == "on_or_after" else end
            complete = own + over <= number(instant)
            if rolling:
                last = max(started for started, _ in persons)
                complete = own < number(instant) and last + over * length <= instant
            cells[own, first] = (len(persons), came, complete)
    if definition.period != "hour":
        return {(_first_day(own, definition.period), k): cell for (own, k), cell in cells.items()}
    summed: dict[tuple[date, int], tuple[int, int, bool]] = {}
    for (own, k), (n, came, complete) in cells.items():
        old = summed.get((day_of[own], k), (0, 0, True))
        summed[day_of[own], k] = (old[0] + n, old[1] + came, old[2] and complete)
    return summed


def _first_day(number: int, period: str) -> date:
    if period == "month":
        return date((number - 1) // 12, (number - 1) % 12 + 1, 1)
    return (MONDAY + number * (DAY if period == "day" else 7 * DAY)).date()


@settings(max_examples=300, deadline=None)
@given(
    people=st.dictionaries(st.sampled_from("pqr"), PERSON, max_size=3),
    definition=DEFINITIONS,
    rolling=st.booleans(),
    as_of=st.integers(0, 200).map(lambda n: MONDAY + n * 5 * HOUR - timedelta(microseconds=1)),
)
def test_equals_the_plain_reference(
    people: dict[str, list[Event]], definition: Retention, rolling: bool, as_of: datetime
) -> None:
    if rolling and definition.cohort != "recurring":
        definition = definition.model_copy(update={"clock": "rolling"})
    rows = [
        (person, name.upper(), ts, "pro" if name == "S" else "free")
        for person, events in people.items()
        for name, ts in events
    ]
    cells = retention(planned(rows), definition, as_of=as_of).cells
    shown = cells.filter(pl.col("cohort").is_not_null())
    found = {
        (cohort, k): (n, came, complete)
        for cohort, k, n, came, complete in shown.select(
            "cohort", "period", "n", "returned", "complete"
        ).rows()
    }
    assert found == plainly(people, definition, as_of)
