"""Lengths of time written as in `7d`."""

import re
from datetime import timedelta
from typing import Annotated, Any

from pydantic import BeforeValidator, PlainSerializer

SECOND = 1_000_000
UNITS = {
    "us": 1,
    "ms": 1_000,
    "s": SECOND,
    "m": 60 * SECOND,
    "h": 3_600 * SECOND,
    "d": 86_400 * SECOND,
    "w": 604_800 * SECOND,
}
"""In microseconds."""
WORDS = {
    "microsecond": 1,
    "millisecond": 1_000,
    "second": SECOND,
    "minute": 60 * SECOND,
    "hour": 3_600 * SECOND,
    "day": 86_400 * SECOND,
    "week": 604_800 * SECOND,
    "month": 30 * 86_400 * SECOND,
    "year": 365 * 86_400 * SECOND,
}
SHORT = {"sec": SECOND, "min": 60 * SECOND, "hr": 3_600 * SECOND}
LENGTHS = UNITS | {f"{word}{s}": size for word, size in (WORDS | SHORT).items() for s in ("", "s")}
PART = re.compile(r"(\d+)\s*([a-z]+)")
FORM = re.compile(rf"{PART.pattern}(\s*{PART.pattern})*")
LONGEST = timedelta(days=36_525)
"""A hundred years: longer than any data, short enough for arithmetic in 64-bit microseconds."""


def parse_duration(value: Any) -> timedelta:
    """Read `30m`, `24h`, `7d`, `2w`, `14 days`, `1 month`, `500ms`, `1h 30m` (or a timedelta).

    A day is 24 hours, a month 30 days and a year 365, whatever the calendar says.

    Raises:
        ValueError: anything else, zero or negative, more than a hundred years.
    """
    if isinstance(value, timedelta):
        length = value
    else:
        text = value.strip().lower() if isinstance(value, str) else ""
        parts = PART.findall(text) if FORM.fullmatch(text) else []
        if not parts or any(unit not in LENGTHS for _, unit in parts):
            raise ValueError(
                f"{value!r} is not a length of time; write a number and us, ms, s, m, h, d or w: '7d'"
            )
        most = 2 * LONGEST // timedelta(microseconds=1)
        length = timedelta(microseconds=min(most, sum(int(number) * LENGTHS[unit] for number, unit in parts)))
    if length <= timedelta(0):
        raise ValueError(f"{value!r} must be longer than zero")
    if length > LONGEST:
        raise ValueError(f"{value!r} is longer than a hundred years ({LONGEST.days}d)")
    return length


def format_duration(length: timedelta) -> str:
    """The shortest spelling in one unit that `parse_duration` reads back."""
    count = length // timedelta(microseconds=1)
    unit = next(unit for unit in reversed(UNITS) if count % UNITS[unit] == 0)
    return f"{count // UNITS[unit]}{unit}"


Duration = Annotated[
    timedelta, BeforeValidator(parse_duration), PlainSerializer(format_duration, return_type=str)
]
