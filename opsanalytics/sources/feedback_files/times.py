"""Times as forms, spreadsheets and stores write them."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

from opsanalytics.sources.values import UnreadableError, epoch_moment, in_range

CLOCK = r"""
    (?:(?:T|,?\s+(?:at\s+|um\s+|à\s+)?)(?P<hour>\d{1,2})[:.h](?P<minute>\d{2})
       (?:[:.](?P<second>\d{2})(?:[.,](?P<fraction>\d{1,6})\d*)?)?
       (?:\s*(?P<half>[AaPp])\.?\s?[Mm]\.?)?)?
    \s*\(?(?P<zone>[A-Za-z]{1,5}(?=$|[\s)+-]|\d))?\s*(?P<offset>[+-]\d{1,2}(?::?\d{2})?)?\)?
"""
NUMERIC = re.compile(
    r"(?P<a>\d{1,4})(?P<sign>[./-])\s?(?P<b>\d{1,2})(?P=sign)\s?(?P<c>\d{1,4})" + CLOCK, re.VERBOSE
)
NAMED = re.compile(
    r"""(?:[A-Za-z]{3,9},?\s+)??
    (?:(?P<month>[A-Za-z]{3,9})\.?\s+(?P<day>\d{1,2})(?:st|nd|rd|th)?|
       (?P<day_before>\d{1,2})(?:st|nd|rd|th)?[.\s-]\s*(?P<month_after>[A-Za-z]{3,9})\.?)
    ,?[\s-]+(?P<year>\d{4})"""
    + CLOCK,
    re.VERBOSE,
)
NUMBER = re.compile(r"\d+(?:[.,]\d+)?")
MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
SERIAL_DAYS = (20_000.0, 80_000.0)
"""Excel counts days from 1899-12-30; as seconds since 1970 these numbers are the first of January 1970."""
SERIAL_ZERO = datetime(1899, 12, 30)  # noqa: DTZ001  local; the zone is set later
OFFSETS = {
    "Z": 0, "UTC": 0, "GMT": 0, "WEZ": 0, "WET": 0, "WESZ": 1, "WEST": 1, "MEZ": 1, "CET": 1, "MESZ": 2,
    "CEST": 2, "OEZ": 2, "EET": 2, "OESZ": 3, "EEST": 3,
    "EST": -5, "EDT": -4, "MDT": -6, "PST": -8, "PDT": -7,
}  # fmt: skip
"""Hours from UTC of abbreviations that mean one thing; others count where the configured zone uses them."""


@dataclass(frozen=True)
class TimeRules:
    """How to read a time that does not say everything itself."""

    zone: ZoneInfo
    """Of times without an offset. Of a time that the clocks show twice the first is taken."""
    form: str | None = None
    """As for strptime; None: recognise it."""
    day_first: bool | None = None
    """Whether 03/04 is the third of April; None: such a time cannot be read."""


def read_time(text: str, rules: TimeRules) -> datetime:
    """`text` as aware UTC.

    Understood: ISO 8601; epochs in seconds or milliseconds; numbers of days as Excel stores them; dates
    in figures or with English month names, clock times with AM/PM, zones as offset or abbreviation.

    Raises:
        UnreadableError: `bad_time`, or `ambiguous_time` where day and month cannot be told apart.
    """
    text = " ".join(text.split())
    moment = formatted(text, rules.form) if rules.form is not None else recognised(text, rules)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=rules.zone)
    try:
        checked = in_range(moment.astimezone(UTC))
    except OverflowError:
        checked = None
    if checked is None:
        raise UnreadableError("bad_time", f"{text!r} is before 1971 or after 2199")
    return checked


def formatted(text: str, form: str) -> datetime:
    try:
        return datetime.strptime(text, form)  # noqa: DTZ007  the zone is set by the caller
    except ValueError as error:
        raise UnreadableError("bad_time", f"{error} (timestamp_format)") from error


def recognised(text: str, rules: TimeRules) -> datetime:
    if NUMBER.fullmatch(text):
        return from_number(text)
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        pass  # one of the other spellings
    try:
        if found := NUMERIC.fullmatch(text):
            return on_clock(date_of(text, found, rules), found, rules)
        if found := NAMED.fullmatch(text):
            month = MONTHS.index((found["month"] or found["month_after"]).lower()[:3]) + 1
            day = int(found["day"] or found["day_before"])
            return on_clock((int(found["year"]), month, day), found, rules)
    except ValueError as error:
        if isinstance(error, UnreadableError):
            raise
        raise UnreadableError("bad_time", f"{text!r} is no time: {error}") from error
    raise UnreadableError(
        "bad_time",
        f"{text!r} is no time in a known spelling; set timestamp_format, for example '%d.%m.%Y %H:%M'",
    )


def from_number(text: str) -> datetime:
    number = float(text.replace(",", "."))
    if SERIAL_DAYS[0] <= number < SERIAL_DAYS[1]:
        return SERIAL_ZERO + timedelta(seconds=round(number * 86_400))
    if len(text) == 8 and text.isdigit():
        try:
            return datetime.strptime(text, "%Y%m%d")  # noqa: DTZ007  the zone is set by the caller
        except ValueError:
            pass  # then it is an epoch
    epoch = epoch_moment(text if text.isdigit() else number)
    if epoch is None:
        raise UnreadableError(
            "bad_time", f"{text!r} is no epoch in seconds or milliseconds, and no Excel date"
        )
    return epoch


def date_of(text: str, found: re.Match[str], rules: TimeRules) -> tuple[int, int, int]:
    """Year, month and day of a date in figures."""
    a, b, c = (int(found[part]) for part in "abc")
    if len(found["a"]) == 4:
        return a, b, c
    if len(found["c"]) == 3:
        raise UnreadableError("bad_time", f"{text!r} has a year of three figures")
    year = c if len(found["c"]) == 4 else 2000 + c
    day_first = rules.day_first
    if day_first is None:
        if found["sign"] == "." or a > 12 or a == b:
            day_first = True
        elif b > 12:
            day_first = False
        else:
            raise UnreadableError(
                "ambiguous_time",
                f"{text!r}: day or month first? Set day_first = true or false for this source.",
            )
    day, month = (a, b) if day_first else (b, a)
    if not 1 <= month <= 12:
        raise UnreadableError("bad_time", f"{text!r} has no month {month}: check day_first of this source")
    return year, month, day


def on_clock(day: tuple[int, int, int], found: re.Match[str], rules: TimeRules) -> datetime:
    hour = int(found["hour"] or 0)
    if found["half"]:
        if not 1 <= hour <= 12:
            raise ValueError(f"hour {hour} with AM or PM")
        hour = hour % 12 + (12 if found["half"].lower() == "p" else 0)
    fraction = int((found["fraction"] or "").ljust(6, "0"))
    minute, second = int(found["minute"] or 0), int(found["second"] or 0)
    # ISO 8601 calls the end of a day 24:00
    over = timedelta(days=1) if (hour, minute, second, fraction) == (24, 0, 0, 0) else timedelta()
    moment = datetime(*day, 0 if over else hour, minute, second, fraction) + over  # noqa: DTZ001
    name, offset = (found["zone"] or "").upper(), found["offset"]
    if not name and not offset:
        return moment
    if name and not offset:
        for fold in (0, 1):
            local = moment.replace(tzinfo=rules.zone, fold=fold)
            if (local.tzname() or "").upper() == name:
                return local
    if name not in OFFSETS and name:
        raise ValueError(f"the time zone {name!r} is not known; set timezone of this source to the IANA name")
    return moment.replace(tzinfo=timezone(timedelta(hours=OFFSETS.get(name, 0)) + offset_of(offset)))


def offset_of(text: str | None) -> timedelta:
    """`+1`, `-05:30` or `+0200` as a difference to UTC."""
    if not text:
        return timedelta()
    figures = text[1:].replace(":", "")
    hours, minutes = (figures, "0") if len(figures) <= 2 else (figures[:-2], figures[-2:])
    difference = timedelta(hours=int(hours), minutes=int(minutes))
    return -difference if text[0] == "-" else difference
