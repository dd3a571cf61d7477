"""Calendar arithmetic in time zones."""

from datetime import UTC, date, datetime

import polars as pl
import pytest

from opsanalytics.behavior.periods import (
    day_start,
    microseconds,
    period_first_day,
    period_of,
    weekday_number,
    zone,
)
from opsanalytics.behavior.spec import Period


@pytest.mark.parametrize(
    ("timezone", "day", "starts"),
    [
        pytest.param("UTC", date(1969, 7, 20), datetime(1969, 7, 20, tzinfo=UTC), id="before 1970"),
        pytest.param("Europe/Berlin", date(2026, 3, 29), datetime(2026, 3, 28, 23, tzinfo=UTC), id="spring"),
        pytest.param(
            "Europe/Berlin", date(2026, 3, 30), datetime(2026, 3, 29, 22, tzinfo=UTC), id="after it"
        ),
        pytest.param(
            "Africa/Cairo", date(2024, 4, 26), datetime(2024, 4, 25, 22, tzinfo=UTC), id="no midnight"
        ),
        pytest.param(
            "America/Havana", date(2023, 11, 5), datetime(2023, 11, 5, 4, tzinfo=UTC), id="two midnights"
        ),
        pytest.param(
            "Pacific/Apia", date(2011, 12, 31), datetime(2011, 12, 30, 10, tzinfo=UTC), id="after a lost day"
        ),
    ],
)
def test_first_instant_of_a_day(timezone: str, day: date, starts: datetime) -> None:
    assert day_start(day, timezone) == microseconds(starts)


@pytest.mark.parametrize(
    ("period", "instant", "first_day"),
    [
        ("day", datetime(2026, 3, 4, 12, tzinfo=UTC), date(2026, 3, 4)),
        ("week", datetime(2026, 3, 8, 23, tzinfo=UTC), date(2026, 3, 2)),
        ("month", datetime(2026, 12, 31, 23, tzinfo=UTC), date(2026, 12, 1)),
        ("day", datetime(1969, 12, 31, 23, tzinfo=UTC), date(1969, 12, 31)),
        ("week", datetime(1969, 12, 28, tzinfo=UTC), date(1969, 12, 22)),
        ("month", datetime(1969, 1, 15, tzinfo=UTC), date(1969, 1, 1)),
        ("week", datetime(2261, 5, 1, tzinfo=UTC), date(2261, 4, 29)),
    ],
)
def test_first_day_of_the_period_of_an_instant(period: Period, instant: datetime, first_day: date) -> None:
    number = period_of(instant, period, timezone="UTC")
    assert pl.select(period_first_day(pl.lit(number), period)).item() == first_day


def test_numbers_are_consecutive_across_a_year() -> None:
    december, january = (
        period_of(datetime(year, month, 15, tzinfo=UTC), "month", timezone="UTC")
        for year, month in ((2025, 12), (2026, 1))
    )
    assert january == december + 1


def test_an_unknown_zone_is_named() -> None:
    with pytest.raises(ValueError, match="timezone: 'Mars/Olympus'"):
        zone("Mars/Olympus")


def test_an_unknown_weekday_is_named() -> None:
    with pytest.raises(ValueError, match="week_start: 'Montag'"):
        weekday_number("Montag")  # type: ignore[arg-type]
