"""Records in JSON files: an array, one object a line, one object, or pages as an API answers."""

import gzip
import json
import re
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from opsanalytics.sources.base import RejectedRow
from opsanalytics.sources.errors import InboxError
from opsanalytics.sources.values import DECODER, SURROGATE

GZIP_MAGIC = b"\x1f\x8b"
UTF_16_MARKS = (b"\xff\xfe", b"\xfe\xff")
NOT_JSON = "not_json"
SURROGATE_ESCAPE = re.compile(rb"\\u[dD][89a-fA-F]")


@dataclass(frozen=True)
class JsonRecord:
    """One record, and the page it came in."""

    number: int
    """In its file, from 1."""
    fields: Mapping[str, Any]
    page: Mapping[str, Any]
    """The object around the list of records; empty for a record that stands alone."""


def load_content(path: Path) -> bytes:
    """Bytes of a file, decompressed if they are gzip.

    Raises:
        InboxError: the gzip stream is damaged.
    """
    content = path.read_bytes()
    if not content.startswith(GZIP_MAGIC):
        return content
    try:
        return gzip.decompress(content)
    except (OSError, EOFError, zlib.error) as error:
        raise InboxError(f"{path}: the gzip stream is damaged: {error}. Deliver the file again.") from error


def json_records(path: Path, keys: Iterable[str]) -> tuple[list[JsonRecord], list[RejectedRow]]:
    """Every record of a file, in order; each is in exactly one of the two lists.

    `keys` are the members of a page that hold its list of records. Integers keep every digit.

    Raises:
        InboxError: the file is compressed and damaged.
    """
    content = load_content(path)
    records: list[JsonRecord] = []
    rejected: list[RejectedRow] = []
    for value, page, raw in values(content, tuple(keys)):
        number = len(records) + len(rejected) + 1
        if isinstance(value, dict):
            records.append(JsonRecord(number, value, page))
        elif isinstance(value, ValueError):
            rejected.append(RejectedRow(number, NOT_JSON, f"the line is not JSON: {value}", raw))
        else:
            detail = f"{type(value).__name__} where an object was expected"
            rejected.append(RejectedRow(number, "not_an_object", detail, as_bytes(value)))
    return records, rejected


def values(content: bytes, keys: tuple[str, ...]) -> Iterator[tuple[Any, Mapping[str, Any], bytes]]:
    """(record or what stands in its place, its page, its bytes); a `ValueError` for a broken line."""
    if content.startswith(UTF_16_MARKS):
        content = content.decode("utf-16", errors="replace").encode("utf-8", "replace")
    content = content.removeprefix(b"\xef\xbb\xbf")
    escapes = SURROGATE_ESCAPE.search(content) is not None
    try:
        whole = parsed(content)
    except (ValueError, RecursionError):
        for line in content.split(b"\n"):
            if not line.strip():
                continue
            try:
                value = parsed(line)
            except (ValueError, RecursionError) as error:
                yield ValueError(str(error)), {}, line
                continue
            for each, page in flattened(without_surrogates(value) if escapes else value, keys):
                yield each, page, line
    else:
        for each, page in flattened(without_surrogates(whole) if escapes else whole, keys):
            yield each, page, b""


def parsed(content: bytes) -> Any:
    """JSON, strictly UTF-8 and without NaN. Raises `ValueError`."""
    return DECODER.decode(content.decode("utf-8").strip())


def without_surrogates(value: Any) -> Any:
    """The same with U+FFFD for lone surrogates, which JSON can escape and no Unicode text can hold."""
    if isinstance(value, str):
        return SURROGATE.sub("\ufffd", value)
    if isinstance(value, list):
        return [without_surrogates(each) for each in value]
    if isinstance(value, dict):
        return {without_surrogates(name): without_surrogates(each) for name, each in value.items()}
    return value


def flattened(value: Any, keys: tuple[str, ...]) -> Iterator[tuple[Any, Mapping[str, Any]]]:
    """The records in a parsed value: of each page its list, of a list its elements, else itself."""
    if isinstance(value, list):
        for each in value:
            yield from flattened(each, keys)
        return
    if isinstance(value, dict):
        for key in keys:
            if isinstance(value.get(key), list):
                for each in value[key]:
                    yield each, value
                return
    yield value, {}


def member_of(record: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """A member that should be an object; an empty one if it is something else."""
    value = record.get(name)
    return value if isinstance(value, dict) else {}


def list_in(record: Mapping[str, Any], name: str) -> list[Any]:
    """A member that should be a list; an empty one if it is something else."""
    value = record.get(name)
    return value if isinstance(value, list) else []


def objects_in(record: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    """The objects of a member that should be a list of them."""
    return [each for each in list_in(record, name) if isinstance(each, dict)]


def as_bytes(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass")
