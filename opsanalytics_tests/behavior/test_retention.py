"""Retention: small cases for each rule, and equality with the plain reference."""

import json
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from opsanalytics.behavior.periods import WEEKDAYS, Weekday
from opsanalytics.behavior.retention import RetentionResult, retention
from opsanalytics.behavior.spec import Period, Retention
from opsanalytics.behavior.tables import RETENTION_CELLS
from opsanalytics_tests.behavior.examples import LATER, table
from opsanalytics_tests.behavior.reference import Event, retention_cells

MONDAY = datetime(2026, 3, 2, tzinfo=UTC)
<<<<<<< HEAD
=======
FIRST_WEEK = date(2026, 3, 2)
>>>>>>> behavior
DAY = timedelta(days=1)
WEEKLY = Retention(name="w", start="S", returning="R", periods=3)


def cells(result: RetentionResult) -> dict[tuple[date | None, int], tuple[int, int, bool]]:
    columns = result.cells.select("cohort", "period", "n", "returned", "complete")
    return {(cohort, k): (n, came, complete) for cohort, k, n, came, complete in columns.rows()}


def row(
<<<<<<< HEAD
    events: list[Event], definition: Retention = WEEKLY, as_of: datetime = LATER, cohort: date = MONDAY.date()
=======
    events: list[Event], definition: Retention = WEEKLY, as_of: datetime = LATER, cohort: date = FIRST_WEEK
>>>>>>> behavior
) -> list[int]:
    """Returns of one person by period."""
    found = cells(retention(table({"p": events}), definition, as_of=as_of))
    return [came for (first, _), (_, came, _) in found.items() if first == cohort]


def test_a_return_counts_in_its_calendar_week() -> None:
    # Sunday to Monday is the next week, though only an hour later.
    assert row([("S", MONDAY + 6 * DAY), ("R", MONDAY + 7 * DAY)]) == [0, 1, 0, 0]


def test_a_return_counts_once_a_period() -> None:
    assert row([("S", MONDAY), ("R", MONDAY + 8 * DAY), ("R", MONDAY + 9 * DAY)]) == [0, 1, 0, 0]


def test_period_zero_is_not_forced() -> None:
    assert row([("S", MONDAY)]) == [0, 0, 0, 0]


def test_period_zero_counts_returns_after_the_start() -> None:
    assert row([("R", MONDAY), ("S", MONDAY + DAY), ("R", MONDAY + 2 * DAY)]) == [1, 0, 0, 0]


def test_a_return_before_the_start_does_not_count() -> None:
    assert row([("R", MONDAY), ("S", MONDAY + DAY)]) == [0, 0, 0, 0]


def test_a_return_at_the_time_of_the_start_does_not_count() -> None:
    assert row([("S", MONDAY), ("R", MONDAY)]) == [0, 0, 0, 0]


def test_an_event_is_not_its_own_return() -> None:
    same = Retention(name="same", start="S", returning="S", periods=3)
    assert row([("S", MONDAY)], same) == [0, 0, 0, 0]
    assert row([("S", MONDAY), ("S", MONDAY + DAY), ("S", MONDAY + 14 * DAY)], same) == [1, 0, 1, 0]


def test_any_of_several_return_events() -> None:
    either = Retention(name="either", start="S", returning=["R", "Q"], periods=2)
    assert row([("S", MONDAY), ("Q", MONDAY + 7 * DAY), ("R", MONDAY + 14 * DAY)], either) == [0, 1, 1]


def test_first_cohort_is_that_of_the_first_start_ever() -> None:
    result = retention(table({"p": [("S", MONDAY + 7 * DAY), ("S", MONDAY)]}), WEEKLY, as_of=LATER)
    assert {cohort for cohort, _ in cells(result)} == {None, MONDAY.date()}


def test_recurring_cohorts_are_all_periods_with_a_start() -> None:
    again = WEEKLY.model_copy(update={"cohort": "recurring"})
    events: list[Event] = [
        ("S", MONDAY),
        ("R", MONDAY + DAY),
        ("S", MONDAY + 7 * DAY),
        ("R", MONDAY + 8 * DAY),
    ]
    found = cells(retention(table({"p": events}), again, as_of=LATER))
    assert [found[MONDAY.date(), k][1] for k in range(4)] == [1, 1, 0, 0]
    assert [found[date(2026, 3, 9), k][1] for k in range(4)] == [1, 0, 0, 0]
    assert [found[None, k][:2] for k in range(4)] == [(2, 2), (2, 1), (2, 0), (2, 0)]


@pytest.mark.parametrize(
    ("as_of", "complete"),
    [
        (MONDAY + 14 * DAY, [True, True, False]),
        (MONDAY + 14 * DAY - timedelta(microseconds=1), [True, True]),
        (MONDAY + 14 * DAY - timedelta(microseconds=2), [True, False]),
        (MONDAY + 2 * DAY, [False]),
    ],
)
def test_a_cell_is_complete_when_its_week_is_over(as_of: datetime, complete: list[bool]) -> None:
    result = retention(table({"p": [("S", MONDAY)]}), WEEKLY, as_of=as_of)
    shown = result.cells.filter(pl.col("cohort").is_not_null())
    assert shown["complete"].to_list() == complete


def test_pooled_uses_complete_cells_only() -> None:
    # The second cohort's week 1 runs: its quick returns must not lift the curve, nor its absence lower it.
    people = {
        "a": [("S", MONDAY), ("R", MONDAY + 7 * DAY)],
        "b": [("S", MONDAY)],
        "c": [("S", MONDAY + 7 * DAY), ("R", MONDAY + 14 * DAY)],
    }
    result = retention(table(people), WEEKLY, as_of=MONDAY + 15 * DAY)
    found = cells(result)
    assert found[date(2026, 3, 9), 1] == (1, 1, False)
    assert [found[None, k] for k in range(4)] == [(3, 0, True), (2, 1, True), (0, 0, False), (0, 0, False)]
    assert "week 2: no complete cohort" in repr(result)


def test_last_cohorts_are_shown_and_all_pooled() -> None:
    people = {str(i): [("S", MONDAY + i * 7 * DAY)] for i in range(5)}
    result = retention(table(people), WEEKLY, as_of=LATER, max_cohorts=2)
    assert result.cells["cohort"].unique().drop_nulls().sort().to_list() == [
        date(2026, 3, 23),
        date(2026, 3, 30),
    ]
    assert result.pooled()["n"].to_list() == [5, 5, 5, 5]


@pytest.mark.parametrize(
    ("zone", "monday", "hours"),
    [("Europe/Berlin", date(2026, 3, 23), 167), ("Europe/Berlin", date(2026, 10, 19), 169)],
)
def test_weeks_in_which_the_clocks_change(zone: str, monday: date, hours: int) -> None:
    begins = datetime(monday.year, monday.month, monday.day, tzinfo=ZoneInfo(zone)).astimezone(UTC)
    ends = begins + timedelta(hours=hours)
    inside: list[Event] = [("S", begins), ("R", ends - timedelta(microseconds=1))]
    outside: list[Event] = [("S", begins), ("R", ends)]
    for events, expected in ((inside, [1, 0]), (outside, [0, 1])):
        result = retention(table({"p": events}), WEEKLY, as_of=LATER, timezone=zone)
        assert [cells(result)[monday, k][1] for k in (0, 1)] == expected


def test_twelve_years_of_weekly_cohorts() -> None:
    start = datetime(2011, 10, 10, tzinfo=UTC)
    people = {str(i): [("S", start + i * 7 * DAY), ("R", start + (i + 1) * 7 * DAY)] for i in range(633)}
    result = retention(table(people), WEEKLY, as_of=start + 640 * 7 * DAY)
    assert result.pooled().select("n", "returned").rows() == [(633, 0), (633, 633), (633, 0), (633, 0)]
    assert result.cells["cohort"].n_unique() == 634


EVENTS = st.lists(
    st.tuples(st.sampled_from("SRQ"), st.integers(0, 24 * 75).map(lambda h: MONDAY + timedelta(hours=h))),
    max_size=8,
)


@settings(max_examples=300, deadline=None)
@given(
    people=st.dictionaries(st.sampled_from("pqrs"), EVENTS, max_size=4),
    period=st.sampled_from(["day", "week", "month"]),
    recurring=st.booleans(),
    returning=st.sampled_from([["R"], ["R", "Q"], ["S"], ["S", "R"]]),
    as_of=st.integers(0, 24 * 90).map(lambda h: MONDAY + timedelta(hours=h)),
    timezone=st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Asia/Kathmandu"]),
    week_start=st.sampled_from(WEEKDAYS),
)
def test_equals_the_plain_reference(
    people: dict[str, list[Event]],
    period: Period,
    recurring: bool,
    returning: list[str],
    as_of: datetime,
    timezone: str,
    week_start: Weekday,
) -> None:
    definition = Retention(
        name="r",
        start="S",
        returning=returning,
        period=period,
        periods=4,
        cohort="recurring" if recurring else "first",
    )
    result = retention(table(people), definition, as_of=as_of, timezone=timezone, week_start=week_start)
    found = {key: cell for key, cell in cells(result).items() if key[0] is not None}
    assert found == retention_cells(people, definition, as_of, timezone, WEEKDAYS.index(week_start))
    pooled = [0] * 5
    for (_, k), (n, _, complete) in found.items():
        pooled[k] += n if complete else 0
    assert result.pooled()["n"].to_list() == pooled


def test_the_order_of_rows_changes_nothing() -> None:
    events = table({str(i): [("S", MONDAY), ("R", MONDAY + i * DAY), ("R", MONDAY)] for i in range(20)})
    shuffled = events.sample(fraction=1.0, shuffle=True, seed=3)
    first, second = (retention(one, WEEKLY, as_of=LATER).cells for one in (events, shuffled))
    assert first.equals(second)


def test_nobody_at_all() -> None:
    result = retention(table({}), WEEKLY, as_of=LATER)
    assert result.pooled().select("n", "rate", "complete").rows() == [(0, None, False)] * 4
    assert result.mart_rows(quality="passed").columns == RETENTION_CELLS.names


def test_events_without_person_are_counted_and_left_out() -> None:
    events = table({"p": [("S", MONDAY)]}).vstack(
        table({"x": [("S", MONDAY)]}).with_columns(pl.lit(None, pl.String).alias("person"))
    )
    result = retention(events, WEEKLY, as_of=LATER)
    assert result.left_out.without_person == 1
    assert result.pooled()["n"].to_list() == [1, 1, 1, 1]


def test_to_dict_is_json() -> None:
    result = retention(table({"p": [("S", MONDAY)]}), WEEKLY, as_of=LATER)
    read = json.loads(json.dumps(result.to_dict()))
    assert [cell["cohort"] for cell in read["cells"]][3:5] == [None, "2026-03-02"]


def test_no_cohort_to_show_is_refused() -> None:
    with pytest.raises(ValueError, match="max_cohorts: 0"):
        retention(table({}), WEEKLY, as_of=LATER, max_cohorts=0)
