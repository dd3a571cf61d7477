"""Reading times as files write them: since 1970 in any unit, ISO 8601, or by a pattern."""

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any
from zoneinfo import ZoneInfo

from opsanalytics.sources.values import EPOCH, in_range

TIME_FORMATS = ("auto", "iso", "s", "ms", "us", "ns")
UNITS = {"s": Decimal(1_000_000), "ms": Decimal(1_000), "us": Decimal(1), "ns": Decimal("0.001")}
"""Microseconds in a unit."""
LARGEST = (("s", 10**11), ("ms", 10**14), ("us", 10**17), ("ns", 10**20))
"""Below this a number is of that unit: it would be 1973 in the next finer and the year 5138 in this one."""
NUMBER = re.compile(r"[+-]?\d{1,20}(?:\.\d{1,20})?")
FRACTION = re.compile(r"([.,]\d{6})\d+")
SPACED_ZONE = re.compile(r" (?:UTC|GMT|Z)$")


def moment_of(value: Any, time_format: str, zone: ZoneInfo) -> datetime | None:
    """A time as aware UTC; without an offset it is of `zone`.

    None if it is not written so, or lies outside 1971 to 2199. Of an hour that a change to winter time
    repeats, the first pass is meant.
    """
    if value is None or isinstance(value, bool):
        return None
    if time_format in UNITS:
        return since_epoch(value, time_format)
    if time_format == "auto":
        number = decimal_of(value)
        if number is not None:
            unit = next((unit for unit, limit in LARGEST if abs(number) < limit), "ns")
            return since_epoch(number, unit)
    if not isinstance(value, str):
        return None
    text = value.strip()
    try:
        if time_format in TIME_FORMATS:
            moment = datetime.fromisoformat(FRACTION.sub(r"\1", SPACED_ZONE.sub("Z", text)))
        else:
            moment = datetime.strptime(text, time_format)  # noqa: DTZ007 - the zone follows
        aware = moment.replace(tzinfo=zone) if moment.tzinfo is None else moment
        return in_range(aware.astimezone(UTC))
    except (ValueError, OverflowError):
        return None


def since_epoch(value: Any, unit: str) -> datetime | None:
    number = decimal_of(value)
    if number is None:
        return None
    try:
        return in_range(EPOCH + timedelta(microseconds=int(number * UNITS[unit])))
    except OverflowError:
        return None


def decimal_of(value: Any) -> Decimal | None:
    """A number, or a text that is one, with all its digits."""
    if isinstance(value, Decimal):
        return value
    text = repr(value) if isinstance(value, int | float) else value
    if not isinstance(text, str):
        return None
    text = text.strip()
    if not NUMBER.fullmatch(text) and not isinstance(value, float):
        return None
    try:
        number = Decimal(text)
    except InvalidOperation:
        return None
    return number if number.is_finite() else None
