"""Calendar days, weeks and months of a reporting time zone, as consecutive numbers.

A period belongs to its zone's calendar: a week in which the clocks change has 167 or 169 hours. Every
period has a number, one more than that of the period before it, so that "k periods later" is a sum.
"""

from datetime import UTC, date, datetime, time, timedelta
from typing import Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import polars as pl

from opsanalytics.behavior.spec import Period, RetentionPeriod

Weekday = Literal["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]
WEEKDAYS: tuple[Weekday, ...] = (
    "monday",
    "tuesday",
    "wednesday",
    "thursday",
    "friday",
    "saturday",
    "sunday",
)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
EPOCH_WEEKDAY = 3
"""1 January 1970 was a Thursday."""
MICROSECOND = timedelta(microseconds=1)
LONG_AGO, FAR_OFF = -(1 << 61), 1 << 61


def zone(name: str) -> ZoneInfo:
    """The time zone of that IANA name.

    Raises:
        ValueError: there is none.
    """
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError, TypeError):
        raise ValueError(f"timezone: {name!r} is not an IANA time zone such as 'Europe/Berlin'") from None


def weekday_number(name: Weekday) -> int:
    """0 for Monday to 6 for Sunday.

    Raises:
        ValueError: not the English name of a day, lower case.
    """
    if name not in WEEKDAYS:
        raise ValueError(f"week_start: {name!r} is not a day; write one of {', '.join(WEEKDAYS)}")
    return WEEKDAYS.index(name)


def microseconds(instant: datetime) -> int:
    """Microseconds since 1970, UTC, of a time that knows its zone."""
    return (instant - EPOCH) // MICROSECOND


def day_start(day: date, timezone: str) -> int:
    """First instant of a local day, in microseconds since 1970, UTC.

    Where the clocks skip midnight, the day starts when they have been moved; where midnight comes
    twice, at the first.
    """
    return microseconds(datetime.combine(day, time(), tzinfo=zone(timezone)))


def time_range(first: date | None, last: date | None, timezone: str) -> tuple[int, int]:
    """Microseconds since 1970 of the first and last instant: local days in full, times as they are."""
    since, to = LONG_AGO, FAR_OFF
    if first is not None:
        since = microseconds(first) if isinstance(first, datetime) else day_start(first, timezone)
    if isinstance(last, datetime):
        to = microseconds(last)
    elif last is not None:
        to = day_start(last + timedelta(days=1), timezone) - 1
    return since, to


def period_number(
    ts: pl.Expr, period: RetentionPeriod, *, timezone: str, week_start: Weekday = "monday"
) -> pl.Expr:
    """Number of the local calendar period that each UTC time stamp of `ts` lies in, Int32."""
    zone(timezone)
    if period == "hour":
        return (ts.dt.epoch("s") + _past_hour(ts, timezone)).floordiv(3_600).cast(pl.Int32)
    day = ts.dt.convert_time_zone(timezone).dt.date()
    if period == "month":
        return (day.dt.year() * 12 + day.dt.month().cast(pl.Int32) - 1).cast(pl.Int32)
    number = day.to_physical().cast(pl.Int32)
    return number if period == "day" else (number + _week_offset(week_start)).floordiv(7)


def period_of(
    instant: datetime, period: RetentionPeriod, *, timezone: str, week_start: Weekday = "monday"
) -> int:
    """Number of the period that one instant lies in; as `period_number`."""
    frame = pl.DataFrame({"ts": [instant]}, schema={"ts": pl.Datetime("us", "UTC")})
    number: int = frame.select(
        period_number(pl.col("ts"), period, timezone=timezone, week_start=week_start)
    ).item()
    return number


def period_first_day(number: pl.Expr, period: Period, *, week_start: Weekday = "monday") -> pl.Expr:
    """First local day of the periods with these numbers, Date."""
    if period == "month":
        return pl.date(number.floordiv(12), number.mod(12) + 1, 1)
    days = number if period == "day" else number * 7 - _week_offset(week_start)
    return days.cast(pl.Int32).cast(pl.Date)


def hour_start(number: pl.Expr, timezone: str) -> pl.Expr:
    """First instant of the hours with these numbers, UTC."""
    begins = (number.cast(pl.Int64) * 3_600_000_000).cast(pl.Datetime("us", "UTC"))
    return begins - pl.duration(seconds=_past_hour(begins, timezone))


def _past_hour(ts: pl.Expr, timezone: str) -> pl.Expr:
    """Seconds by which the zone's hours begin before those of UTC, its offset being no whole hour."""
    return ts.dt.convert_time_zone(timezone).dt.base_utc_offset().dt.total_seconds() % 3_600


def _week_offset(week_start: Weekday) -> int:
    return (EPOCH_WEEKDAY - weekday_number(week_start)) % 7
