"""Reading values out of vendors' JSON, strictly and without losing anything."""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

import msgspec

SURROGATE = re.compile("[\ud800-\udfff]")
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
FIRST_MOMENT = datetime(1971, 1, 1, tzinfo=UTC)
LAST_MOMENT = datetime(2200, 1, 1, tzinfo=UTC)

NO_ID = frozenset(
    {"", "null", "none", "nil", "undefined", "nan", "empty", "anonymous", "unknown", "[object object]",
     "00000000-0000-0000-0000-000000000000"}
)  # fmt: skip
"""Ids that clients send when they have none, lower case. Grouping by one would make strangers one person."""


class UnreadableError(ValueError):
    """A value cannot be read; `reason` is a stable code."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


def refuse_constant(name: str) -> Any:
    """JSON has no NaN and no Infinity, although Python writes them."""
    raise ValueError(f"{name} is not JSON")


DECODER = json.JSONDecoder(parse_constant=refuse_constant)
read_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


def read_object(text: str) -> dict[str, Any]:
    """Parse a JSON object strictly. Integers keep every digit.

    Raises:
        UnreadableError: `not_json` or `not_an_object`.
    """
    try:
        value = DECODER.decode(text)
    except (ValueError, RecursionError) as error:
        raise UnreadableError("not_json", f"the line is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise UnreadableError("not_an_object", f"the line is JSON but no object: {type(value).__name__}")
    return value


def member_text(text: str, name: str) -> str:
    """The text of a member of the JSON object `text`, exactly as written; of several the last.

    `text` must have been read by `read_object`, and the member must exist.
    """
    try:
        return bytes(read_members(text)[name]).decode()
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return member_text_by_steps(text, name)  # it refuses lone surrogates


def member_text_by_steps(text: str, name: str) -> str:
    """As `member_text`, slower, and of all that Python reads."""
    return members_by_steps(text)[name]


def member_texts(text: str) -> dict[str, str]:
    """The members of the JSON object `text`, each exactly as written; of several with one name the last.

    Raises:
        UnreadableError: `not_json` or `not_an_object`.
    """
    try:
        return {name: bytes(raw).decode() for name, raw in read_members(text).items()}
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        read_object(text)
        return members_by_steps(text)


def members_by_steps(text: str) -> dict[str, str]:
    """As `member_texts`, slower, and of all that Python reads."""
    found: dict[str, str] = {}
    position = after_space(text, text.index("{") + 1)
    while text[position] != "}":
        key, position = DECODER.raw_decode(text, position)
        start = after_space(text, after_space(text, position) + 1)
        _, position = DECODER.raw_decode(text, start)
        found[key] = text[start:position]
        position = after_space(text, position)
        if text[position] == ",":
            position = after_space(text, position + 1)
    return found


def value_of(text: str) -> Any:
    """The value of a member of a JSON object, from its text.

    Raises:
        UnreadableError: `not_json`.
    """
    if text == "null":
        return None
    if text.startswith('"') and "\\" not in text:
        return text[1:-1]
    try:
        return DECODER.decode(text)
    except (ValueError, RecursionError) as error:
        raise UnreadableError("not_json", f"a member of the record is not JSON: {error}") from error


def object_of(texts: Mapping[str, str]) -> str:
    """A JSON object of members whose values are JSON already."""
    return "{" + ",".join(f"{name_text(name)}:{text}" for name, text in texts.items()) + "}"


@lru_cache(maxsize=10_000)
def name_text(name: str) -> str:
    """A name as JSON text. A lone surrogate can only be written as an escape."""
    return json.dumps(name, ensure_ascii=SURROGATE.search(name) is not None)


def after_space(text: str, position: int) -> int:
    while text[position] in " \t\n\r":
        position += 1
    return position


def text_of(value: Any) -> str | None:
    """A scalar as text; null and empty text are None; objects and lists as JSON.

    A lone surrogate (valid as a JSON escape, no Unicode text) becomes U+FFFD.
    """
    if value is None or value == "":
        return None
    if isinstance(value, str):
        return SURROGATE.sub("\ufffd", value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return repr(value)
    return SURROGATE.sub("\ufffd", json.dumps(value, ensure_ascii=False, sort_keys=True))


def id_of(value: Any) -> str | None:
    """An id as text; None for what clients send when they have none."""
    text = text_of(value)
    if text is None or text.strip().lower() in NO_ID:
        return None
    return text


def first_text(record: dict[str, Any], names: Iterable[str]) -> str | None:
    """The first of `names` that has a value."""
    for name in names:
        text = text_of(record.get(name))
        if text is not None:
            return text
    return None


def lower(text: str | None) -> str | None:
    return text.lower() if text is not None else None


def epoch_moment(value: Any) -> datetime | None:
    """Seconds or milliseconds since 1970 (told apart by size), or an ISO 8601 text, as aware UTC.

    None if it is neither, or outside 1971 to 2199.
    """
    if isinstance(value, str):
        try:
            number: Any = int(value)
        except ValueError:
            return iso_moment(value)
    else:
        number = value
    if isinstance(number, bool) or not isinstance(number, int | float):
        return None
    # 1e11 is 1973 in milliseconds and the year 5138 in seconds
    milliseconds = abs(number) >= 1e11
    try:
        if isinstance(number, int):
            moment = EPOCH + (timedelta(milliseconds=number) if milliseconds else timedelta(seconds=number))
        else:
            moment = EPOCH + timedelta(microseconds=round(number * (1_000 if milliseconds else 1_000_000)))
    except (OverflowError, ValueError):
        return None
    return in_range(moment)


def iso_moment(text: str) -> datetime | None:
    """An ISO 8601 text, UTC where it names no zone; None if it is none or out of range."""
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        return None
    return in_range(moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC))


def in_range(moment: datetime) -> datetime | None:
    return moment if FIRST_MOMENT <= moment < LAST_MOMENT else None


def digest(*parts: str) -> str:
    """32 hexadecimal digits of a hash of `parts`; no two different lists of parts collide by joining."""
    joined = "".join(f"{len(part)}:{part}" for part in parts)
    return hashlib.sha256(joined.encode("utf-8", "surrogatepass")).hexdigest()[:32]
