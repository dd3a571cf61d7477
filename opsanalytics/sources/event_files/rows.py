"""Records of mapped files as canonical rows.

`properties` is the text of the mapped object exactly as it came, with one more member `$rest` that
holds every column that became nothing else; without a mapped object it is those columns themselves.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl

from opsanalytics.sources.base import ROWS, Line, ParsedLines
from opsanalytics.sources.event_files.mapping import Columns, EventTypes, Keys
from opsanalytics.sources.event_files.times import moment_of
from opsanalytics.sources.values import (
    UnreadableError,
    digest,
    id_of,
    lower,
    member_texts,
    object_of,
    read_object,
    text_of,
    value_of,
)

REST = "$rest"
BYTE_ORDER_MARK = "\ufeff"
MISSING = (None, "")


@dataclass(frozen=True)
class Reading:
    """All that decides how the records of a source are read."""

    source: str
    columns: Columns
    types: EventTypes | None
    zone: ZoneInfo
    time_format: str


class Record:
    """One record: its members as written, values on demand, and which members were used whole."""

    def __init__(self, text: str) -> None:
        self.members = member_texts(text)
        self.used: set[str] = set()
        self._values: dict[str, Any] = {}

    def first(self, paths: tuple[Keys, ...]) -> Any:
        """The value of the first path that has one; None if none has."""
        for keys in paths:
            value = self.at(keys)
            if value not in MISSING:
                if len(keys) == 1:
                    self.used.add(keys[0])
                return value
        return None

    def at(self, keys: Keys) -> Any:
        """The value at a path; a text on the way that holds a JSON object is gone into."""
        value = self._member(keys[0])
        for key in keys[1:]:
            value = object_in(value).get(key)
        return value

    def text_at(self, keys: Keys) -> str | None:
        """The object at a path, exactly as written; None if there is none."""
        text = self.members.get(keys[0])
        for position, key in enumerate(keys):
            if text is None:
                return None
            if position:
                text = member_texts(text).get(key)
            if text is not None:
                text = object_text(text)
        return text

    def _member(self, name: str) -> Any:
        if name not in self._values:
            text = self.members.get(name)
            self._values[name] = None if text is None else value_of(text)
        return self._values[name]


def parse_lines(reading: Reading, lines: Sequence[Line]) -> ParsedLines:
    """Read records as the configuration maps them."""
    rows: list[tuple[Any, ...]] = []
    rejected: list[tuple[int, str, str, date | None]] = []
    for line in lines:
        try:
            rows.append(read_line(reading, line))
        except UnreadableError as error:
            rejected.append((line.position, error.reason, str(error), None))
    return ParsedLines(pl.DataFrame(rows, schema=ROWS, orient="row"), rejected)


def read_line(reading: Reading, line: Line) -> tuple[Any, ...]:
    """One record as the values of `ROWS`. Raises `UnreadableError`."""
    text = line.text.removeprefix(BYTE_ORDER_MARK)
    record = Record(whole_row(text))
    columns = reading.columns.keys
    event = event_of(reading, record)
    stated = record.first(columns["ts"])
    ts = moment_of(stated, reading.time_format, reading.zone)
    if ts is None:
        raise UnreadableError(
            "no_time",
            f"{said(reading.columns.ts)} is {stated!r}, which time_format = '{reading.time_format}' does "
            "not read as a time in 1971 to 2199",
        )
    given = {name: text_of(record.first(columns[name])) if name in columns else None for name in SCALARS}
    user_id, device_id = id_of(given["user_id"]), id_of(given["device_id"])
    arrival = record.first(columns.get("received_at", ()))
    received = moment_of(arrival, reading.time_format, reading.zone) or moment_of(
        arrival, "auto", reading.zone
    )
    own = given["event_id"]
    return (
        line.position,
        digest(reading.source, "id", own) if own is not None else digest(reading.source, "content", text),
        event,
        ts,
        received,
        id_of(given["distinct_id"]) or user_id or device_id,
        user_id,
        device_id,
        given["session_id"],
        lower(given["platform"]),
        given["os"],
        given["browser"],
        given["app_version"],
        given["country"],
        given["url"],
        properties_of(record, columns.get("properties")),
        ts.astimezone(reading.zone).date(),
        None,
        # of resent events the one that arrived first stays
        -round(received.timestamp() * 1_000_000) if received is not None else 0,
    )


SCALARS = (
    "event_id", "distinct_id", "user_id", "device_id", "session_id", "platform", "os", "browser",
    "app_version", "country", "url",
)  # fmt: skip


def whole_row(text: str) -> str:
    """The record, unless it is a row of a table that has more or fewer fields than the header."""
    if text.startswith("["):
        raise UnreadableError(
            "ragged_row", "the record is a list, or a row with more or fewer fields than the header"
        )
    return text


def event_of(reading: Reading, record: Record) -> str:
    types = reading.types
    if types is not None:
        named = types.names.get(text_of(record.at(types.keys)) or "")
        if named is not None:
            return named
    value = record.first(reading.columns.keys["event"])
    name = text_of(value) if isinstance(value, str) else None
    if name is None:
        raise UnreadableError("no_event", f"{said(reading.columns.event)} is {value!r}, not a name")
    return name


def said(paths: tuple[str, ...]) -> str:
    return " or ".join(f"`{path}`" for path in paths)


def object_in(value: Any) -> dict[str, Any]:
    """An object, or the one that a text holds; empty if it is neither."""
    if isinstance(value, str) and value.lstrip().startswith("{"):
        try:
            return read_object(value)
        except UnreadableError:
            return {}
    return value if isinstance(value, dict) else {}


def object_text(text: str) -> str | None:
    """The text of an object, of one inside a JSON text too; None if it is neither."""
    if text.startswith('"'):
        inner = value_of(text)
        try:
            read_object(inner)
        except UnreadableError:
            return None
        return str(inner)
    return text if text.startswith("{") else None


def properties_of(record: Record, paths: tuple[Keys, ...] | None) -> str:
    for keys in paths or ():
        text = record.text_at(keys)
        if text is not None:
            if len(keys) == 1:
                record.used.add(keys[0])
            own = text.strip()[1:-1].strip()
            name = REST
            while f'"{name}"' in own:
                name = "$" + name
            rest = f'"{name}":{remaining(record, null=False)}'
            return "{" + (f"{own},{rest}" if own else rest) + "}"
    return remaining(record, null=True)


def remaining(record: Record, *, null: bool) -> str:
    """The members that became nothing else, as they were written."""
    return object_of(
        {
            name: text
            for name, text in record.members.items()
            if name not in record.used and (null or text != "null")
        }
    )
