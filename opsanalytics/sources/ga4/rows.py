"""Records of GA4's `events_*` tables as canonical rows.

`properties` holds the event's parameters by their names, user properties as `user_properties.<name>`,
and in the member `$ga4` every other field of the record as it came (null fields are left out). It is
the same whether the record came as JSON (integers as texts, null fields missing) or as Parquet.
"""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import polars as pl

from opsanalytics.sources.base import ROWS, Line, ParsedLines
from opsanalytics.sources.values import (
    EPOCH,
    UnreadableError,
    digest,
    first_text,
    id_of,
    in_range,
    lower,
    member_texts,
    object_of,
    text_of,
    value_of,
)

REST = "$ga4"
USER_PROPERTY = "user_properties."
PAGE_PARAMETERS = ("page_location", "firebase_screen", "firebase_screen_class")
KEY_FIELDS = (
    "stream_id", "user_pseudo_id", "event_bundle_sequence_id", "batch_event_index", "batch_page_id",
    "batch_ordering_id",
)  # fmt: skip
"""What tells two events of one name and time apart, besides their parameters: GA4 gives no id."""
ANONYMOUS, SIGNED_IN = 0, 1
"""Of an event that comes both with and without its user the one that names the user stays."""
FRACTIONS = ("float_value", "double_value")
NUMBERS = ("int_value", *FRACTIONS)
EXACT = 2**53
WHOLE = re.compile(r"-?(?:0|[1-9][0-9]{0,30})")
BYTE_ORDER_MARK = "\ufeff"


class Parameter(msgspec.Struct, gc=False):
    """One element of `event_params` or `user_properties`, its value as it is written."""

    key: str
    value: dict[str, msgspec.Raw] | None = None


read_parameters = msgspec.json.Decoder(list[Parameter]).decode


@dataclass(frozen=True)
class Parameters:
    """The parameters of an event."""

    texts: dict[str, str]
    """Name -> value as JSON."""
    key: tuple[str, ...]
    """The same for equal parameters in any order and spelling."""
    whole: bool
    """Whether `texts` holds all that was there; not if a name occurs twice or has several values."""

    def value(self, name: str) -> Any:
        """The value as Python reads it; None if there is none."""
        return value_of(self.texts[name]) if name in self.texts else None


def parse_lines(source: str, zone: ZoneInfo, lines: Sequence[Line]) -> ParsedLines:
    """Read records of one property whose reporting zone is `zone`."""
    rows: list[tuple[Any, ...]] = []
    rejected: list[tuple[int, str, str, date | None]] = []
    for line in lines:
        try:
            rows.append(read_line(source, zone, line))
        except UnreadableError as error:
            rejected.append((line.position, error.reason, str(error), None))
    return ParsedLines(pl.DataFrame(rows, schema=ROWS, orient="row"), rejected)


def read_line(source: str, zone: ZoneInfo, line: Line) -> tuple[Any, ...]:
    """One record as the values of `ROWS`. Raises `UnreadableError`."""
    members = member_texts(line.text.removeprefix(BYTE_ORDER_MARK))
    name = field(members, "event_name")
    event = text_of(name) if isinstance(name, str) else None
    if event is None:
        raise UnreadableError("no_event", f"`event_name` is {name!r}, not a name")
    micros = field(members, "event_timestamp")
    ts = moment_of(micros)
    if ts is None:
        raise UnreadableError(
            "no_time", f"`event_timestamp` is {micros!r}, not microseconds since 1970 in 1971 to 2199"
        )
    parameters = parameters_of(members, "event_params")
    pseudo_id = text_of(field(members, "user_pseudo_id"))
    user_id, device_id = id_of(field(members, "user_id")), id_of(pseudo_id)
    session = text_of(parameters.value("ga_session_id"))
    device = inner(members, "device")
    key = (text_of(field(members, name)) or "" for name in KEY_FIELDS)
    return (
        line.position,
        digest(source, event, ts.isoformat(), *key, *parameters.key),
        event,
        ts,
        None,
        user_id or device_id,
        user_id,
        device_id,
        # a session's number is unique only on its device
        f"{device_id}.{session}" if device_id is not None and session is not None else None,
        lower(text_of(field(members, "platform"))),
        text_of(device.get("operating_system")),
        browser_of(device),
        text_of(inner(members, "app_info").get("version")),
        text_of(inner(members, "geo").get("country")),
        first_text({name: parameters.value(name) for name in PAGE_PARAMETERS}, PAGE_PARAMETERS),
        properties_of(members, parameters),
        day_of(field(members, "event_date")) or ts.astimezone(zone).date(),
        None,
        SIGNED_IN if user_id is not None else ANONYMOUS,
    )


def field(members: dict[str, str], name: str) -> Any:
    """The value of a member; None if it is missing."""
    text = members.get(name)
    return None if text is None else value_of(text)


def inner(members: dict[str, str], name: str) -> dict[str, Any]:
    """A nested record; empty if it is missing or something else."""
    value = field(members, name)
    return value if isinstance(value, dict) else {}


def browser_of(device: dict[str, Any]) -> str | None:
    web = device.get("web_info")
    return first_text({**device, **(web if isinstance(web, dict) else {})}, ("browser",))


def moment_of(value: Any) -> datetime | None:
    """Microseconds since 1970, as a number or (BigQuery's JSON) a text."""
    if isinstance(value, str) and WHOLE.fullmatch(value):
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    try:
        return in_range(EPOCH + timedelta(microseconds=value))
    except OverflowError:
        return None


def day_of(value: Any) -> date | None:
    """`event_date`: YYYYMMDD in the property's zone."""
    try:
        return datetime.strptime(str(value), "%Y%m%d").replace(tzinfo=UTC).date()
    except ValueError:
        return None


def parameters_of(members: dict[str, str], name: str) -> Parameters:
    """The elements of a repeated field of keys and values."""
    text = members.get(name, "null")
    try:
        found = [
            (each.key, {kind: bytes(raw).decode() for kind, raw in (each.value or {}).items()})
            for each in read_parameters(text)
        ]
        whole = True
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        found, whole = parameters_by_steps(value_of(text))
    texts: dict[str, str] = {}
    keys: list[str] = []
    for key, values in found:
        stated = {kind: value for kind, value in values.items() if value != "null"}
        whole = whole and len(stated) < 2 and key not in texts and key != REST
        kind, value = next(iter(stated.items()), ("", "null"))
        plain = plain_number(value) if kind in NUMBERS else value
        texts.setdefault(key, plain)
        keys.append(f"{len(key)}:{key}{kind}:{canonical(kind, plain)}")
    return Parameters(texts, tuple(sorted(keys)), whole)


def parameters_by_steps(value: Any) -> tuple[list[tuple[str, dict[str, str]]], bool]:
    """Elements as other writers nest them (`list`, `element`, `item`), and whether nothing else is there."""
    found = []
    whole = True
    for element in elements(value):
        if isinstance(element, dict) and isinstance(element.get("key"), str):
            values = element.get("value")
            stated = values if isinstance(values, dict) else {}
            whole = whole and (values is None or isinstance(values, dict))
            found.append((element["key"], {kind: json.dumps(each) for kind, each in stated.items()}))
        else:
            whole = False
    return found, whole


def elements(value: Any) -> Iterator[Any]:
    if isinstance(value, dict) and value.keys() <= {"list", "element", "item", "array"}:
        for nested in value.values():
            yield from elements(nested)
    elif isinstance(value, list):
        for each in value:
            if isinstance(each, dict) and each.keys() <= {"element", "item", "array"}:
                yield from elements(list(each.values()))
            else:
                yield each
    elif value is not None:
        yield value


def plain_number(text: str) -> str:
    """A number that BigQuery wrote as a text, with all its digits."""
    bare = text[1:-1]
    return bare if text.startswith('"') and WHOLE.fullmatch(bare) else text


def canonical(kind: str, text: str) -> str:
    """A value in one spelling, whichever format it came in."""
    value = value_of(text)
    if kind in FRACTIONS and isinstance(value, int) and abs(value) < EXACT:
        value = float(value)
    return text_of(value) or ""


def properties_of(members: dict[str, str], parameters: Parameters) -> str:
    user = parameters_of(members, "user_properties")
    own = dict(parameters.texts)
    for name, text in user.texts.items():
        own.setdefault(USER_PROPERTY + name, text)
    left_out = {"event_params"} if parameters.whole else set()
    rest = {name: text for name, text in members.items() if name not in left_out and text != "null"}
    own[REST] = object_of(rest)
    return object_of(own)
