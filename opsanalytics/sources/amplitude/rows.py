"""Amplitude's export lines as canonical rows.

`properties` is the text of the line's `event_properties`, exactly as it came, with one more member
`$amplitude` that holds every other field of the line (values and types unchanged).
"""

import json
import re
from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import Any

import polars as pl

from opsanalytics.sources.base import ROWS, Line, ParsedLines
from opsanalytics.sources.values import (
    UnreadableError,
    digest,
    first_text,
    id_of,
    in_range,
    lower,
    member_text,
    read_object,
    text_of,
)

IDENTITY_VERBS = frozenset({"$identify", "$groupidentify"})
URL_PROPERTIES = ("[Amplitude] Page URL", "[Amplitude] Page Location", "[Amplitude] Screen Name")
REST = "$amplitude"
BROWSERS = frozenset({"web"})
# ASCII, since a lone surrogate can only be written as an escape
write = json.JSONEncoder(separators=(",", ":")).encode
USUAL_TIME = len("2026-01-26 04:23:35.379000")

# Usually `2026-01-26 04:23:35.379000`; some rows have colons in the date.
TIME = re.compile(r"(\d{4})[-:](\d\d)[-:](\d\d)[ T](\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?(?:Z|\+00:00)?")


def parse_lines(source: str, lines: Sequence[Line]) -> ParsedLines:
    """Read export lines of one project."""
    rows: list[tuple[Any, ...]] = []
    rejected: list[tuple[int, str, str, date | None]] = []
    for line in lines:
        try:
            rows.append(read_line(source, line))
        except UnreadableError as error:
            rejected.append((line.position, error.reason, str(error), None))
    return ParsedLines(pl.DataFrame(rows, schema=ROWS, orient="row"), rejected)


def read_line(source: str, line: Line) -> tuple[Any, ...]:
    """One line as the values of `ROWS`. Raises `UnreadableError`."""
    record = read_object(line.text)
    event = text_of(record.get("event_type")) if isinstance(record.get("event_type"), str) else None
    if event is None:
        raise UnreadableError("no_event", f"`event_type` is {record.get('event_type')!r}, not a name")
    ts = utc_moment(record.get("event_time"))
    if ts is None:
        raise UnreadableError("no_time", f"`event_time` is {record.get('event_time')!r}, not a UTC time")
    uploaded = utc_moment(record.get("server_upload_time"))
    uuid = text_of(record.get("uuid"))
    device_id = id_of(record.get("device_id"))
    insert_id = text_of(record.get("$insert_id"))
    platform = lower(text_of(record.get("platform")))
    inner, properties = properties_of(record, line.text)
    return (
        line.position,
        digest(source, "uuid", uuid) if uuid is not None else digest(source, "content", line.text),
        event,
        ts,
        utc_moment(record.get("server_received_time")),
        id_of(record.get("amplitude_id")),
        id_of(record.get("user_id")),
        device_id,
        session_of(record.get("session_id")),
        platform,
        operating_system(record, platform),
        text_of(record.get("os_name")) if platform in BROWSERS else None,
        text_of(record.get("version_name")),
        text_of(record.get("country")),
        first_text(inner, URL_PROPERTIES),
        properties,
        (uploaded or ts).date(),
        digest(device_id, insert_id) if device_id is not None and insert_id is not None else None,
        # of resent events the one that arrived first stays
        -round((uploaded or ts).timestamp() * 1_000_000),
    )


def properties_of(record: dict[str, Any], text: str) -> tuple[dict[str, Any], str]:
    """The event properties, parsed and as text; the text also holds the rest of the record."""
    inner: Any = record.get("event_properties")
    rest = {name: value for name, value in record.items() if name != "event_properties"}
    if isinstance(inner, dict):
        own = member_text(text, "event_properties").strip()[1:-1].strip()
    else:
        inner, own = {}, ""
        rest = record
    others = f'"{REST}":{write(rest)}'
    return inner, "{" + (f"{own},{others}" if own else others) + "}"


def utc_moment(value: Any) -> datetime | None:
    """The vendor's times: UTC with a space and no zone. None if it is no such time."""
    if not isinstance(value, str):
        return None
    if len(value) == USUAL_TIME and value[4] == value[7] == "-" and value[10] == " " and value[19] == ".":
        try:
            usual = datetime.fromisoformat(value)
        except ValueError:
            return by_parts(value)
        if usual.tzinfo is None:
            return in_range(usual.replace(tzinfo=UTC))
    return by_parts(value)


def by_parts(value: str) -> datetime | None:
    """As `utc_moment`, of any of the vendor's times."""
    match = TIME.fullmatch(value.strip())
    if match is None:
        return None
    year, month, day, hour, minute, second = map(int, match.groups()[:6])
    microsecond = int((match[7] or "0").ljust(6, "0")[:6])
    try:
        moment = datetime(year, month, day, hour, minute, second, microsecond, UTC)
    except ValueError:
        return None
    return in_range(moment)


def session_of(value: Any) -> str | None:
    """-1 means that the event belongs to no session."""
    text = text_of(value)
    return None if text in (None, "-1") else text


def operating_system(record: dict[str, Any], platform: str | None) -> str | None:
    """On the web `os_name` is the browser and the device family the system."""
    return text_of(record.get("device_family" if platform in BROWSERS else "os_name"))
