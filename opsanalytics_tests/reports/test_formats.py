import math
from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opsanalytics.reports import formats


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "–"),
        (0.4, "0.4 s"),
        (3, "3 s"),
        (42.4, "42 s"),
        (59.7, "1 min"),
        (320, "5 min 20 s"),
        (3_599.8, "1 h"),
        (7_500, "2 h 5 min"),
        (86_399, "1 d"),
        (273_600, "3 d 4 h"),
        (10_000_000, "115 d 18 h"),
    ],
)
def test_duration_reads_as_its_two_largest_units(seconds: float | None, text: str) -> None:
    assert formats.duration(seconds) == text


@given(st.floats(min_value=0, max_value=1e9))
def test_duration_is_right_to_its_smaller_unit(seconds: float) -> None:
    size = {"s": 1, "min": 60, "h": 3_600, "d": 86_400}
    words = formats.duration(seconds).replace(",", "").split()
    parts = list(zip(words[::2], words[1::2], strict=True))
    assert all(float(amount) < {"s": 60, "min": 60, "h": 24, "d": math.inf}[unit] for amount, unit in parts)
    told = sum(float(amount) * size[unit] for amount, unit in parts)
    smaller = {"s": 1.0, "min": 1.0, "h": 60.0, "d": 3_600.0}[parts[0][1]]
    assert abs(told - seconds) <= smaller / 2 + 1e-6


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.123, "12.3\u202f%"),
        (0.0, "0.0\u202f%"),
        (0.0001, "< 0.1\u202f%"),
        (0.9999, "> 99.9\u202f%"),
        (1.0, "100.0\u202f%"),
        (None, "–"),
        (math.nan, "–"),
    ],
)
def test_percent_never_rounds_something_to_nothing(value: float | None, text: str) -> None:
    assert formats.percent(value) == text


@pytest.mark.parametrize(
    ("low", "high", "text"),
    [
        (-0.039, 0.005, "−3.9 to +0.5 points"),
        (-0.05, 0.0003, "−5.0 to +0.0 points"),
        (-0.05, -0.0003, "−5.0 to −0.0 points"),
        (None, 0.1, "–"),
    ],
)
def test_the_interval_of_a_difference_keeps_its_signs(low: float | None, high: float, text: str) -> None:
    assert formats.points_interval(low, high) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1234.4, "1,234"),
        (23.4, "23"),
        (2.34, "2.3"),
        (0.416, "0.42"),
        (-2.3, "−2.3"),
        (0.0081, "0.0081"),
        (-0.001, "−0.0010"),
        (0.00001, "< 0.0001"),
        (0, "0"),
    ],
)
def test_an_estimate_has_about_two_digits(value: float, text: str) -> None:
    assert formats.number(value) == text


def test_counts_have_thousands() -> None:
    assert formats.count(1_234_567) == "1,234,567"


@pytest.mark.parametrize(
    ("first", "last", "text"),
    [
        (date(2026, 10, 12), date(2026, 10, 18), "12 to 18 Oct 2026"),
        (date(2026, 9, 28), date(2026, 10, 4), "28 Sep to 4 Oct 2026"),
        (date(2026, 12, 28), date(2027, 1, 3), "28 Dec 2026 to 3 Jan 2027"),
    ],
)
def test_a_week_says_month_and_year_once(first: date, last: date, text: str) -> None:
    assert formats.days(first, last) == text


def test_times_are_shown_in_the_reporting_zone() -> None:
    before_the_clock_changes = datetime(2026, 10, 24, 22, 30, tzinfo=UTC)
    assert formats.moment(before_the_clock_changes, "Europe/Berlin") == "25 Oct 2026, 00:30"
    assert formats.local_day(before_the_clock_changes, "America/New_York") == "24 Oct 2026"


@pytest.mark.parametrize(
    ("per_week", "period", "shown"),
    [
        (None, "week", None),
        (0.0, "week", 0.0),
        (0.1, "week", 0.1),
        (0.01, "year", 0.5218),
        (23.0, "week", 23.0),
    ],
)
def test_what_is_rare_is_told_by_the_year(per_week: float | None, period: str, shown: float | None) -> None:
    assert formats.period(per_week) == period
    assert formats.per_period(per_week, per_week) == (
        None if shown is None else pytest.approx(shown, abs=1e-4)
    )


def test_an_interval_is_told_by_the_period_of_its_estimate() -> None:
    assert formats.per_period(7.0, 0.01) == pytest.approx(365.25)
    assert formats.per_period(0.01, 7.0) == 0.01
