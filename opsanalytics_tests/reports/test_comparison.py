from datetime import timedelta

import polars as pl
import pytest

from opsanalytics.behavior.statistics import newcombe_difference
from opsanalytics.behavior.tables import FUNNEL_TREND
from opsanalytics.reports.comparison import WeekChange, week_change
from opsanalytics_tests.reports.samples import AS_OF, WEEK, share, table

Week = tuple[int, int, int, bool]
"""Weeks before WEEK, entered, converted, complete."""


def trend(*weeks: Week) -> pl.DataFrame:
    rows = [
        {
            "funnel": "f",
            "period_start": WEEK - timedelta(days=7 * ago),
            "entered": entered,
            "converted": converted,
            "immature_entered": 0,
            "complete": complete,
        }
        | share("rate", converted, entered)
        for ago, entered, converted, complete in weeks
    ]
    return table(FUNNEL_TREND, rows, definition_id="d", as_of=AS_OF, quality="passed")


@pytest.mark.parametrize(
    ("before", "now", "verdict"), [(100, 160, "up"), (160, 100, "down"), (100, 104, "none"), (0, 0, "none")]
)
def test_a_change_is_told_only_beyond_its_interval(before: int, now: int, verdict: str) -> None:
    change = week_change(trend((1, 1000, before, True), (0, 1000, now, True)), WEEK)
    assert isinstance(change, WeekChange)
    low, high = newcombe_difference(now, 1000, before, 1000)
    assert (change.low, change.high) == (pytest.approx(float(low)), pytest.approx(float(high)))
    assert change.difference == pytest.approx((now - before) / 1000)
    assert change.verdict == verdict


def test_an_incomplete_week_is_not_compared() -> None:
    change = week_change(trend((2, 900, 90, True), (1, 1000, 100, True), (0, 1000, 5, False)), WEEK)
    assert isinstance(change, WeekChange)
    assert (change.week, change.entered_before) == (WEEK - timedelta(days=7), 900)


def test_weeks_after_the_report_do_not_count() -> None:
    change = week_change(trend((1, 900, 90, True), (0, 1000, 100, True), (-1, 1000, 500, True)), WEEK)
    assert isinstance(change, WeekChange)
    assert change.week == WEEK


@pytest.mark.parametrize(
    ("weeks", "words"),
    [
        ((), "No week is complete"),
        (((0, 10, 1, False),), "No week is complete"),
        (((0, 10, 1, True),), "no complete week before"),
        (((2, 10, 1, True), (0, 10, 1, True)), "no complete week before"),
        (((1, 10, 1, False), (0, 10, 1, True)), "no complete week before"),
        (((1, 0, 0, True), (0, 10, 1, True)), "no complete week before"),
    ],
)
def test_what_cannot_be_compared_says_why(weeks: tuple[Week, ...], words: str) -> None:
    assert words in str(week_change(trend(*weeks), WEEK))
