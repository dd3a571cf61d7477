"""Open windows: kept apart, never a drop-off, never lost, never flattering."""

<<<<<<< HEAD
from datetime import date, datetime, timedelta
=======
from datetime import date, datetime, timedelta, timezone
>>>>>>> behavior

import polars as pl
import pytest

from opsanalytics.behavior.funnel import funnel
from opsanalytics.behavior.funnel_trend import funnel_trend
from opsanalytics.behavior.spec import Funnel
from opsanalytics_tests.behavior.examples import START, at, table, written

DEFINITION = Funnel(name="f", steps=["A", "B"], window="60s")


def figures(vector: str, as_of: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """(entered, converted) of mature and of open attempts of one person."""
    rows = funnel(table({"p": written(vector)}), DEFINITION, as_of=at(as_of)).to_polars()
    mature = rows["entered"][0], rows["persons"][1]
    still_open = rows["immature_entered"][0], rows["immature_persons"][1]
    return mature, still_open


@pytest.mark.parametrize(
    ("vector", "as_of", "mature", "still_open"),
    [
        pytest.param("A0", 60, (1, 0), (0, 0), id="mature when the window ends at as_of"),
        pytest.param("A0", 59, (0, 0), (1, 0), id="open a second earlier, not a drop-off"),
        pytest.param("A0 B5", 59, (0, 0), (1, 1), id="a conversion in an open window shows as open"),
        pytest.param("A0 B60", 60, (1, 1), (0, 0), id="a conversion at as_of counts"),
        pytest.param("A0 B60", 59, (0, 0), (1, 0), id="a conversion after as_of is not known"),
        pytest.param("A0 A70", 100, (1, 0), (1, 0), id="an old failure and an open attempt: in both"),
        pytest.param("A0 A70 B75", 100, (1, 0), (1, 1), id="a success in the open attempt is not lost"),
        pytest.param("A0 B5 A70", 100, (1, 1), (1, 0), id="an old success and an open attempt"),
        pytest.param("A0 A50 B55", 80, (1, 1), (1, 1), id="one conversion within both attempts' windows"),
        pytest.param("A200", 100, (0, 0), (0, 0), id="an entry after as_of is not known"),
    ],
)
def test_maturity(vector: str, as_of: int, mature: tuple[int, ...], still_open: tuple[int, ...]) -> None:
    assert figures(vector, as_of) == (mature, still_open)


<<<<<<< HEAD
=======
def test_as_of_in_any_zone_is_the_same_instant() -> None:
    for offset in (timedelta(hours=-11), timedelta(hours=5, minutes=45)):
        as_of = at(60).astimezone(timezone(offset))
        result = funnel(table({"p": written("A0 B60")}), DEFINITION, as_of=as_of)
        assert result.conversion == 1.0
        assert result.to_polars()["as_of"][0] == at(60)


>>>>>>> behavior
def test_early_converters_of_an_open_week_do_not_count_as_mature() -> None:
    # Ten enter in the same hour and five convert at once: before the window ends the rate is unknown.
    people = {str(i): written("A0 B1" if i < 5 else "A0") for i in range(10)}
    result = funnel(table(people), DEFINITION, as_of=at(30))
    assert result.conversion is None
    assert result.to_polars().select("immature_entered", "immature_persons").rows() == [(10, 10), (10, 5)]


def test_so_far_counts_a_person_once() -> None:
    result = funnel(table({"p": written("A0 A70 B75")}), DEFINITION, as_of=at(100))
    assert result.so_far()["persons"].to_list() == [1, 1]


WEEK = timedelta(days=7)
MONDAY = datetime.fromisoformat("2026-03-02T00:00:00+00:00")
WEEKLY = Funnel(name="weekly", steps=["A", "B"], window="7d")


def trend(people: dict[str, list[tuple[str, datetime]]], as_of: datetime) -> list[tuple[object, ...]]:
    frame = funnel_trend(table(people), WEEKLY, as_of=as_of)
    return frame.select("period_start", "entered", "converted", "immature_entered", "complete").rows()


def test_a_week_is_cut_at_the_entry_time_not_by_outcome() -> None:
    people = {
        "early, converted": [("A", MONDAY), ("B", MONDAY + timedelta(hours=1))],
        "early, not": [("A", MONDAY)],
        "late, converted": [("A", MONDAY + timedelta(days=3)), ("B", MONDAY + timedelta(days=3, hours=1))],
        "late, not": [("A", MONDAY + timedelta(days=3))],
    }
    as_of = MONDAY + WEEK + timedelta(days=1)
    assert trend(people, as_of) == [(date(2026, 3, 2), 2, 1, 2, False)]
    assert trend(people, as_of + WEEK) == [(date(2026, 3, 2), 4, 2, 0, True)]


def test_a_week_that_is_not_over_is_not_complete() -> None:
    # The entrant is mature, but others may still enter in the rest of the week.
    short = Funnel(name="short", steps=["A", "B"], window="1h")
    frame = funnel_trend(table({"p": [("A", MONDAY)]}), short, as_of=MONDAY + timedelta(days=1))
    assert frame.select("entered", "immature_entered", "complete").rows() == [(1, 0, False)]


def test_a_person_counts_once_a_week_with_the_attempts_of_that_week() -> None:
    people = {
        "p": [
            ("A", MONDAY),
            ("A", MONDAY + timedelta(days=1)),
            ("A", MONDAY + WEEK),
            ("B", MONDAY + WEEK + timedelta(days=2)),
        ]
    }
    # The conversion lies within seven days of the entry on Tuesday but not of the one on Monday.
    people["q"] = [("A", MONDAY), ("B", MONDAY + WEEK + timedelta(days=2))]
    assert trend(people, MONDAY + 5 * WEEK) == [
        (date(2026, 3, 2), 2, 0, 0, True),
        (date(2026, 3, 9), 1, 1, 0, True),
    ]


def test_weeks_without_entries_are_shown() -> None:
    people = {"p": [("A", MONDAY), ("A", MONDAY + 2 * WEEK)]}
    assert [row[1] for row in trend(people, MONDAY + 5 * WEEK)] == [1, 0, 1]


def test_weeks_are_those_of_the_zone_and_week_start() -> None:
    # Sunday 23:30 UTC is Monday in Berlin; with weeks from Sunday both are the week of the Sunday.
    people = {"p": [("A", MONDAY - timedelta(minutes=30))]}
<<<<<<< HEAD
    for timezone, week_start, expected in (
=======
    for zone, week_start, expected in (
>>>>>>> behavior
        ("UTC", "monday", date(2026, 2, 23)),
        ("Europe/Berlin", "monday", date(2026, 3, 2)),
        ("Europe/Berlin", "sunday", date(2026, 3, 1)),
    ):
        frame = funnel_trend(
            table(people),
            WEEKLY,
            as_of=MONDAY + 5 * WEEK,
<<<<<<< HEAD
            timezone=timezone,
=======
            timezone=zone,
>>>>>>> behavior
            week_start=week_start,  # type: ignore[arg-type]
        )
        assert frame["period_start"].to_list() == [expected]


def test_trend_without_entries_is_empty_and_conforms() -> None:
    frame = funnel_trend(table({}), WEEKLY, as_of=START)
    assert frame.height == 0
    assert frame.schema["entered"] == pl.Int64
