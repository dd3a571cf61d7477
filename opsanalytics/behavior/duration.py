"""Lengths of time written as in `7d`."""

import re
from datetime import timedelta
from typing import Annotated, Any

from pydantic import BeforeValidator, PlainSerializer

UNITS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}
WORDS = {"second": 1, "minute": 60, "hour": 3_600, "day": 86_400, "week": 604_800, "month": 30 * 86_400}
FORM = re.compile(rf"(\d+)\s*(?:([{''.join(UNITS)}])|({'|'.join(WORDS)})s?)")
LONGEST = timedelta(days=36_525)
"""A hundred years: longer than any data, short enough for arithmetic in 64-bit microseconds."""


def parse_duration(value: Any) -> timedelta:
    """Read `30m`, `24h`, `7d`, `2w`, `14 days`, `1 month` (or a timedelta).

    A day is 24 hours and a month 30 days, whatever the calendar says.

    Raises:
        ValueError: anything else, zero or negative, parts of a second, more than a hundred years.
    """
    if isinstance(value, timedelta):
        length = value
    else:
        match = FORM.fullmatch(value.strip()) if isinstance(value, str) else None
        if match is None:
            raise ValueError(f"{value!r} is not a length of time; write a number and s, m, h, d or w: '7d'")
        seconds = int(match[1]) * (UNITS | WORDS)[match[2] or match[3]]
        length = timedelta(seconds=min(seconds, 2 * int(LONGEST.total_seconds())))
    if length <= timedelta(0):
        raise ValueError(f"{value!r} must be longer than zero")
    if length > LONGEST:
        raise ValueError(f"{value!r} is longer than a hundred years ({LONGEST.days}d)")
    if length % timedelta(seconds=1):
        raise ValueError(f"{value!r} is not a whole number of seconds")
    return length


def format_duration(length: timedelta) -> str:
    """The shortest spelling that `parse_duration` reads back."""
    seconds = int(length.total_seconds())
    for unit in ("w", "d", "h", "m"):
        if seconds % UNITS[unit] == 0:
            return f"{seconds // UNITS[unit]}{unit}"
    return f"{seconds}s"


Duration = Annotated[
    timedelta, BeforeValidator(parse_duration), PlainSerializer(format_duration, return_type=str)
]
