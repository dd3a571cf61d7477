"""Records of the usual types, read by a few calls into C each.

Knows the types that BigQuery writes and computes for them what `rows.read_line` does: the same columns,
and `properties` that read the same. A record that is not surely of these types (broken, not UTF-8, lone
surrogates, numbers beyond 64 bits, other nesting) is left to the careful reader. The tests compare both.
"""

from collections.abc import Callable, Sequence
from datetime import date
from functools import lru_cache
from typing import Any, TypeAlias
from zoneinfo import ZoneInfo

import msgspec
import polars as pl

from opsanalytics.sources.base import ROWS, ParsedLines
from opsanalytics.sources.ga4.rows import (
    ANONYMOUS,
    KEY_FIELDS,
    PAGE_PARAMETERS,
    REST,
    SIGNED_IN,
    USER_PROPERTY,
    WHOLE,
    day_of,
    moment_of,
)
from opsanalytics.sources.lines import RawLines
from opsanalytics.sources.values import digest, id_of, text_of

Careful: TypeAlias = Callable[[RawLines], ParsedLines]
Scalar: TypeAlias = str | int | None

LONGEST = 18
"""So many digits surely fit into 64 bits."""
UNUSUAL = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class UnusualError(Exception):
    """A record that only the careful reader can judge."""


class Value(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    """The value of an event parameter: one of these."""

    string_value: str | None = None
    int_value: int | str | None = None
    float_value: float | None = None
    double_value: float | None = None


class Parameter(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    """One element of `event_params`."""

    key: str
    value: Value


class UserValue(Value):
    """The value of a user property."""

    set_timestamp_micros: Scalar = None


class UserProperty(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    """One element of `user_properties`."""

    key: str
    value: UserValue


class WebInfo(msgspec.Struct, gc=False):
    """What is known of a browser."""

    browser: str | None = None


class Device(msgspec.Struct, gc=False):
    """The fields of `device` that columns are read from."""

    operating_system: str | None = None
    browser: str | None = None
    web_info: WebInfo | None = None


class Geo(msgspec.Struct, gc=False):
    """The fields of `geo` that columns are read from."""

    country: str | None = None


class AppInfo(msgspec.Struct, gc=False):
    """The fields of `app_info` that columns are read from."""

    version: str | None = None


class Usual(msgspec.Struct, gc=False):
    """The fields that columns are read from, of the types that BigQuery writes."""

    event_name: str
    event_timestamp: str | int
    event_date: str | None = None
    event_params: list[Parameter] | None = None
    user_properties: list[UserProperty] | None = None
    user_id: str | None = None
    user_pseudo_id: str | None = None
    stream_id: Scalar = None
    event_bundle_sequence_id: Scalar = None
    batch_event_index: Scalar = None
    batch_page_id: Scalar = None
    batch_ordering_id: Scalar = None
    platform: str | None = None
    device: Device | None = None
    geo: Geo | None = None
    app_info: AppInfo | None = None


read_usual = msgspec.json.Decoder(Usual).decode
read_raw = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
NULL = msgspec.Raw(b"null")
write = msgspec.json.Encoder().encode


def parse_records(source: str, zone: ZoneInfo, records: RawLines, careful: Careful) -> ParsedLines:
    """Read records of one property; positions are indexes into `records`."""
    rows: list[tuple[Any, ...]] = []
    unusual: list[int] = []
    for position, record in enumerate(records):
        try:
            rows.append(read_record(source, zone, position, record))
        except (UnusualError, *UNUSUAL):
            unusual.append(position)
    frame = pl.DataFrame(rows, schema=ROWS, orient="row")
    if not unusual:
        return ParsedLines(frame, [])
    rest = careful(records.only(unusual))
    places = pl.Series(unusual, dtype=pl.Int64)
    moved = rest.rows.with_columns(places.gather(rest.rows["position"]).alias("position"))
    rejected = [(unusual[position], reason, detail, day) for position, reason, detail, day in rest.rejected]
    return ParsedLines(pl.concat([frame, moved]).sort("position"), rejected)


def read_record(source: str, zone: ZoneInfo, position: int, record: bytes) -> tuple[Any, ...]:
    """One record as the values of `ROWS`. Raises `UnusualError` or one of `UNUSUAL`."""
    usual = read_usual(record)
    ts = moment_of(usual.event_timestamp)
    if ts is None or not usual.event_name:
        raise UnusualError
    properties, key = parameters_of(usual.event_params or ())
    device_id, user_id = id_of(usual.user_pseudo_id), id_of(usual.user_id)
    session = text_of(properties.get("ga_session_id"))
    url = next((text for name in PAGE_PARAMETERS if (text := text_of(properties.get(name)))), None)
    for element in usual.user_properties or ():
        properties.setdefault(USER_PROPERTY + element.key, plain(element.value)[1])
    raw = read_raw(record)
    raw.pop("event_params", None)
    properties[REST] = {name: text for name, text in raw.items() if text != NULL}
    device = usual.device or Device()
    web = device.web_info
    return (
        position,
        digest(
            source, usual.event_name, ts.isoformat(),
            *[text_of(getattr(usual, name)) or "" for name in KEY_FIELDS], *key,
        ),
        usual.event_name,
        ts,
        None,
        user_id or device_id,
        user_id,
        device_id,
        f"{device_id}.{session}" if device_id is not None and session is not None else None,
        usual.platform.lower() if usual.platform else None,
        device.operating_system or None,
        (web.browser if web is not None and web.browser is not None else device.browser) or None,
        (usual.app_info.version or None) if usual.app_info is not None else None,
        (usual.geo.country or None) if usual.geo is not None else None,
        url,
        write(properties).decode(),
        day_named(usual.event_date) or ts.astimezone(zone).date(),
        None,
        SIGNED_IN if user_id is not None else ANONYMOUS,
    )  # fmt: skip


def parameters_of(elements: Sequence[Parameter]) -> tuple[dict[str, Any], list[str]]:
    """Values by name, and the sorted parts of the key, as `rows.parameters_of` has them."""
    properties: dict[str, Any] = {}
    keys = []
    for element in elements:
        kind, value = plain(element.value)
        name = element.key
        if name in properties or name == REST:
            raise UnusualError
        properties[name] = value
        text = value if isinstance(value, str) else "" if value is None else repr(value)
        keys.append(f"{len(name)}:{name}{kind}:{text}")
    keys.sort()
    return properties, keys


def plain(value: Value) -> tuple[str, Any]:
    """Which of the values is there, and it; an integer as a number with all its digits."""
    text, whole, single, double = value.string_value, value.int_value, value.float_value, value.double_value
    if text is not None:
        if whole is not None or single is not None or double is not None:
            raise UnusualError
        return "string_value", text
    if whole is not None:
        if single is not None or double is not None:
            raise UnusualError
        if isinstance(whole, str):
            if len(whole) > LONGEST or not WHOLE.fullmatch(whole):
                raise UnusualError
            whole = int(whole)
        return "int_value", whole
    if double is not None:
        if single is not None:
            raise UnusualError
        return "double_value", double
    return ("", None) if single is None else ("float_value", single)


@lru_cache(maxsize=1_000)
def day_named(text: str | None) -> date | None:
    return day_of(text)
