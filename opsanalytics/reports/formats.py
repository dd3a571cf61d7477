"""Numbers, lengths of time and dates as people read them; the same on every machine and locale."""

import math
from datetime import date, datetime
from zoneinfo import ZoneInfo

NONE = "–"
"""Stands for a number that does not exist."""

THIN = "\u202f"
"""Narrow no-break space, between a number and its unit."""

MINUS = "\u2212"

RARE = 0.1
WEEKS_OF_YEAR = 365.25 / 7

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_SPLIT_BELOW = ((60.0, 1, "s"), (3_600.0, 60, "min"), (86_400.0, 3_600, "h"), (math.inf, 86_400, "d"))


def _signed(text: str) -> str:
    return text.replace("-", MINUS)


def _missing(value: float | None) -> bool:
    return value is None or math.isnan(value)


def count(value: int | None) -> str:
    """`1234` as `1,234`."""
    return NONE if value is None else _signed(f"{value:,}")


def number(value: float | None) -> str:
    """An estimate with about two significant digits: `1,234`, `23`, `2.3`, `0.42`, `0.0081`."""
    if value is None or math.isnan(value):
        return NONE
    size = abs(value)
    if size == 0:
        return "0"
    if size < 0.0001:
        return "< 0.0001" if value > 0 else f"> {MINUS}0.0001"
    digits = (
        0 if size >= 9.95 else 1 if size >= 0.995 else 2 if size >= 0.0995 else 3 if size >= 0.00995 else 4
    )
    return _signed(f"{value:,.{digits}f}")


def period(per_week: float | None) -> str:
    """`year` for what is so rare that a number a week says nothing (under 0.1), else `week`."""
    return "year" if per_week is not None and 0 < abs(per_week) < RARE else "week"


def per_period(per_week: float | None, like: float | None) -> float | None:
    """A number per week as one per `period(like)`, so that an estimate and its interval share a period."""
    return per_week * WEEKS_OF_YEAR if per_week is not None and period(like) == "year" else per_week


def decimal(value: float | None) -> str:
    """Two decimals, for confidences and the like: `0.91`."""
    return NONE if value is None or math.isnan(value) else _signed(f"{value:.2f}")


def percent(value: float | None) -> str:
    """A share from 0 to 1 as `12.3 %`; what rounds to 0 or 100 without being it says so."""
    if value is None or math.isnan(value):
        return NONE
    if 0 < value < 0.0005:
        return f"< 0.1{THIN}%"
    if 0.9995 <= value < 1:
        return f"> 99.9{THIN}%"
    return _signed(f"{value * 100:.1f}{THIN}%")


def percent_interval(low: float | None, high: float | None) -> str:
    """`0.11, 0.137` as `11.0 to 13.7 %`."""
    if low is None or high is None or math.isnan(low) or math.isnan(high):
        return NONE
    return _signed(f"{low * 100:.1f} to {high * 100:.1f}{THIN}%")


def points(value: float | None) -> str:
    """A difference of two shares as `+1.2 points`: percentage points."""
    if value is None or math.isnan(value):
        return NONE
    return f"{_points(value)} points"


def points_interval(low: float | None, high: float | None) -> str:
    """`-0.039, 0.005` as `−3.9 to +0.5 points`."""
    if low is None or high is None or math.isnan(low) or math.isnan(high):
        return NONE
    return f"{_points(low)} to {_points(high)} points"


def _points(value: float) -> str:
    # The sign of what rounds to zero stays: an interval to +0.0 covers zero, one to −0.0 does not.
    return _signed("0.0" if value == 0 else f"{value * 100:+.1f}")


def number_interval(low: float | None, high: float | None) -> str:
    """`11.2, 36` as `11 to 36`."""
    return NONE if _missing(low) or _missing(high) else f"{number(low)} to {number(high)}"


def q_value(value: float | None) -> str:
    """A p or q value: three decimals, `< 0.001` below."""
    if value is None or math.isnan(value):
        return NONE
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def duration(seconds: float | None) -> str:
    """A length of time in its two largest units: `42 s`, `5 min 20 s`, `2 h 5 min`, `3 d 4 h`."""
    if seconds is None or math.isnan(seconds):
        return NONE
    if seconds < 9.95:
        return f"{seconds:.1f}".removesuffix(".0") + " s"
    small, smaller = 1, ""
    for below, size, unit in _SPLIT_BELOW:
        # Rounded to the smaller unit first, so that 59 min 40 s never reads "60 min".
        rounded = round(seconds / small) * small
        if rounded < below:
            break
        small, smaller = size, unit
    whole, rest = divmod(rounded, size)
    tail = f" {rest // small} {smaller}" if rest >= small and smaller else ""
    return f"{whole:,} {unit}{tail}"


def sentence(text: str) -> str:
    """A remark as a sentence: capital in front, full stop behind."""
    text = text.strip()
    if not text:
        return text
    return text[0].upper() + text[1:] + ("" if text[-1] in ".!?…" else ".")


def day(value: date | None) -> str:
    """`12 Oct 2026`."""
    return NONE if value is None else f"{value.day} {_MONTHS[value.month - 1]} {value.year}"


def short_day(value: date) -> str:
    """`12 Oct 26`, for axes."""
    return f"{value.day} {_MONTHS[value.month - 1]} {value.year % 100:02d}"


def month(value: date) -> str:
    """`Oct 2026`."""
    return f"{_MONTHS[value.month - 1]} {value.year}"


def days(first: date, last: date) -> str:
    """`12 to 18 Oct 2026`, saying month and year once where they are the same."""
    if (first.year, first.month) == (last.year, last.month):
        return f"{first.day} to {day(last)}"
    if first.year == last.year:
        return f"{first.day} {_MONTHS[first.month - 1]} to {day(last)}"
    return f"{day(first)} to {day(last)}"


def moment(value: datetime | None, zone: str) -> str:
    """A UTC time in `zone`: `18 Oct 2026, 23:59`."""
    if value is None:
        return NONE
    local = value.astimezone(ZoneInfo(zone))
    return f"{day(local.date())}, {local:%H:%M}"


def local_day(value: datetime | None, zone: str) -> str:
    """The day of a UTC time in `zone`: `18 Oct 2026`."""
    return NONE if value is None else day(value.astimezone(ZoneInfo(zone)).date())
