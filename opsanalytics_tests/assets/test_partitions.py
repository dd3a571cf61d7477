"""Weeks of the reporting zone, for every start of the week."""

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opsanalytics.assets.partitions import first_week


@given(st.dates(), st.integers(0, 6))
def test_the_week_of_a_day_starts_on_the_weekday_and_holds_the_day(day: date, week_start: int) -> None:
    if day < date(1, 1, 8):
        return
    first = first_week(day, week_start)
    assert first.weekday() == week_start
    assert timedelta(0) <= day - first < timedelta(days=7)


@pytest.mark.parametrize(("start", "expected"), [(0, date(2026, 11, 16)), (6, date(2026, 11, 22))])
def test_a_sunday_belongs_to_the_week_before_or_starts_one(start: int, expected: date) -> None:
    assert first_week(date(2026, 11, 22), start) == expected
