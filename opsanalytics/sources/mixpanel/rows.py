"""Mixpanel's export lines as canonical rows.

Every line is `{"event": NAME, "properties": {...}}`. The text of `properties` is kept exactly as it
came (names, types, all digits); columns are read from it beside.
"""

import re
from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl

from opsanalytics.sources.base import ROWS, Line, ParsedLines
from opsanalytics.sources.values import (
    UnreadableError,
    digest,
    epoch_moment,
    first_text,
    id_of,
    lower,
    member_text,
    read_object,
    text_of,
)

IDENTITY_VERBS = frozenset({"$identify", "$create_alias", "$merge"})
LIBRARY_PLATFORMS = {"swift": "ios", "iphone": "ios", "macosx": "macos"}
DEVICE_PREFIX = "$device:"

# The usual spelling of a line; its `properties` text is cut out without writing it anew.
PLAIN_LINE = re.compile(
    r'\s*\{\s*"event"\s*:\s*"((?:[^"\\]|\\.)*)"\s*,\s*"properties"\s*:\s*(\{.*\})\s*\}\s*', re.DOTALL
)


def parse_lines(source: str, zone: ZoneInfo, lines: Sequence[Line]) -> ParsedLines:
    """Read export lines of one project whose clock is `zone` (UTC for projects since 2023)."""
    rows: list[tuple[Any, ...]] = []
    rejected: list[tuple[int, str, str, date | None]] = []
    for line in lines:
        try:
            rows.append(read_line(source, zone, line))
        except UnreadableError as error:
            rejected.append((line.position, error.reason, str(error), None))
    return ParsedLines(pl.DataFrame(rows, schema=ROWS, orient="row"), rejected)


def read_line(source: str, zone: ZoneInfo, line: Line) -> tuple[Any, ...]:
    """One line as the values of `ROWS`. Raises `UnreadableError`."""
    event, properties, properties_text = split_line(line.text)
    wall = epoch_moment(properties.get("time", properties.get("$time")))
    if wall is None:
        raise UnreadableError(
            "no_time", f"`time` is {properties.get('time')!r}, neither an epoch nor an ISO time since 1971"
        )
    # Mixpanel moves events of overloaded ids to another name and id and keeps the originals here.
    name = text_of(properties.get("mp_original_event_name")) or event
    distinct_id = first_text(
        properties, ("mp_original_distinct_id", "$distinct_id_before_identity", "distinct_id", "$distinct_id")
    )
    insert_id = text_of(properties.get("$insert_id"))
    # A vendor-made id is the only thing that makes two equal rows one; without it the whole row is.
    key = (
        (name, distinct_id or "", wall.isoformat(), insert_id)
        if insert_id is not None
        else ("content", event, properties_text)
    )
    user_id, device_id = ids_of(properties, distinct_id)
    received = properties.get("$mp_api_timestamp_ms", properties.get("mp_processing_time_ms"))
    return (
        line.position,
        digest(source, *key),
        name,
        from_project_clock(wall, zone),
        epoch_moment(received),
        id_of(distinct_id),
        user_id,
        device_id,
        first_text(properties, ("$session_id", "session_id")),
        platform_of(properties),
        text_of(properties.get("$os")),
        text_of(properties.get("$browser")),
        first_text(properties, ("$app_version_string", "$app_version", "app_version", "$app_build_number")),
        text_of(properties.get("mp_country_code")),
        first_text(properties, ("$current_url", "current_url_path", "$screen_name")),
        properties_text,
        wall.date(),
        None,
        processing_time(properties),
    )


def split_line(text: str) -> tuple[str, dict[str, Any], str]:
    """Event name, properties, and the text of the properties exactly as it came."""
    plain = PLAIN_LINE.fullmatch(text)
    if plain is not None:
        try:
            properties = read_object(plain[2])
            name = read_object(f'{{"event":"{plain[1]}"}}')["event"]
        except UnreadableError:
            pass  # other members follow, or it is broken: the line as a whole tells
        else:
            return event_name(name), properties, plain[2]
    record = read_object(text)
    members: Any = record.get("properties")
    if not isinstance(members, dict):
        raise UnreadableError("no_properties", "the line has no object `properties`")
    return event_name(record.get("event")), members, member_text(text, "properties")


def event_name(value: Any) -> str:
    name = text_of(value) if isinstance(value, str) else None
    if name is None:
        raise UnreadableError("no_event", f"`event` is {value!r}, not a name")
    return name


def ids_of(properties: dict[str, Any], distinct_id: str | None) -> tuple[str | None, str | None]:
    """User id and device id. A distinct id `$device:X` is a device, any other is left as it is."""
    device_id = id_of(properties.get("$device_id"))
    if device_id is None and distinct_id is not None and distinct_id.startswith(DEVICE_PREFIX):
        device_id = id_of(distinct_id.removeprefix(DEVICE_PREFIX))
    return id_of(properties.get("$user_id")), device_id


def platform_of(properties: dict[str, Any]) -> str | None:
    """Where the event came from, by its own word or by the library that sent it."""
    stated = lower(first_text(properties, ("platform", "$platform")))
    library = lower(text_of(properties.get("mp_lib")))
    return stated or LIBRARY_PLATFORMS.get(library or "", library)


def processing_time(properties: dict[str, Any]) -> int:
    """Of equal rows the vendor shows the one it processed last."""
    moment = epoch_moment(properties.get("mp_processing_time_ms"))
    return round(moment.timestamp() * 1_000) if moment is not None else 0


def from_project_clock(wall: datetime, zone: ZoneInfo) -> datetime:
    """True UTC of a time that the project stored as its local wall clock.

    The hour that a change to winter time repeats is read as its first pass; one that a change to
    summer time skips moves forward by the gap, as clocks do.
    """
    if zone.key == "UTC":
        return wall
    return wall.replace(tzinfo=zone, fold=0).astimezone(UTC)
