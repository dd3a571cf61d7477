"""Feedback files without the messages of forgotten persons: CSV, lines of JSON, lists in a JSON document.

What is written is read again: it must give every other message, and none of theirs.
"""

import csv
import gzip
import io
import json
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from opsanalytics.cleaning.erasing_records import Eraser, Found
from opsanalytics.sources.base import FeedbackRow, FeedbackSourceSettings, RejectedRow
from opsanalytics.sources.errors import InboxError
from opsanalytics.sources.feedback_files.text import (
    BYTE_ORDER_MARKS,
    decode_text,
    encode_as,
    guess_delimiter,
)

GZIP = b"\x1f\x8b"
HEADER_ROWS = (1, 2, 3)
read_raw_list = msgspec.json.Decoder(list[msgspec.Raw]).decode
read_raw_object = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
write = msgspec.json.Encoder().encode


def without_messages(settings: FeedbackSourceSettings, eraser: Eraser, path: Path, found: Found) -> bytes:
    """What is left of a feedback file; the same bytes if it names nobody who is forgotten.

    Raises:
        InboxError: the file cannot be read, or nothing can be taken out of this kind of file.
    """
    rows, rejected = settings.read(path)
    content = path.read_bytes()
    audits = {row.record: audit for row in rows if (audit := eraser.audit_of_message(row)) is not None}
    audits |= {
        reject.record: audit
        for reject in rejected
        if (audit := eraser.named_in(reject.raw.decode("utf-8", "replace"))) is not None
    }
    left = content
    if audits:
        names = {name for row in rows if row.record in audits for name in (row.user_id, row.email) if name}
        expected = signature(
            [row for row in rows if row.record not in audits],
            [reject for reject in rejected if reject.record not in audits],
        )
        for attempt in attempts(unpacked(content), set(audits), names):
            attempt = packed(content, attempt)
            if attempt != content and reads_as(settings, path, attempt) == expected:
                left = attempt
                break
        else:
            raise InboxError(
                f"{path}: {len(audits)} message(s) of the person cannot be taken out of this kind of file. "
                "Remove them by hand where it was exported, and put the new file in place of this one."
            )
        found.records.update(audits.values())
    return without_mentions(eraser, left, found)


def without_mentions(eraser: Eraser, content: bytes, found: Found) -> bytes:
    plain = unpacked(content)
    text, encoding = decode_text(plain)
    own = Found()
    left = eraser.plain_without_mentions(text, own)
    found.add(own)
    return packed(content, encoded(plain, left, encoding)) if own else content


def unpacked(content: bytes) -> bytes:
    return gzip.decompress(content) if content.startswith(GZIP) else content


def packed(original: bytes, content: bytes) -> bytes:
    """As gzip if the original was."""
    return gzip.compress(content, mtime=0) if original.startswith(GZIP) else content


def encoded(original: bytes, text: str, encoding: str) -> bytes:
    """Text in the encoding of the original, with its byte order mark."""
    marks = (mark for mark, of in BYTE_ORDER_MARKS if of == encoding and original.startswith(mark))
    return next(marks, b"") + encode_as(text, encoding)


def signature(rows: list[FeedbackRow], rejected: list[RejectedRow]) -> tuple[Counter[Any], int]:
    """What a file says, whatever the numbers of its records."""
    return Counter((row.id, row.ts, row.title, row.text, row.user_id, row.email) for row in rows), len(
        rejected
    )


def reads_as(settings: FeedbackSourceSettings, path: Path, content: bytes) -> tuple[Counter[Any], int] | None:
    """What a file with this content would say; None if it cannot be read."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / path.name
        copy.write_bytes(content)
        try:
            return signature(*settings.read(copy))
        except InboxError:
            return None


def attempts(content: bytes, records: set[int], names: set[str]) -> Iterator[bytes]:
    """Ways to take records out by their number, the likeliest first."""
    if content.lstrip()[:1] in (b"[", b"{"):
        yield from without_items(content, records, names)
        return
    text, encoding = decode_text(content)
    spans = list(row_spans(text))
    for headers in HEADER_ROWS:
        left = "".join(
            span for number, span in numbered(spans, headers) if number is None or number not in records
        )
        yield encoded(content, left, encoding)


def row_spans(text: str) -> Iterator[tuple[str, bool]]:
    """The text of each CSV row with its end, and whether it holds anything."""
    lines = list(io.StringIO(text, newline=""))
    reader = csv.reader(iter(lines), delimiter=guess_delimiter(text))
    begin = 0
    for row in reader:
        yield "".join(lines[begin : reader.line_num]), any(field.strip() for field in row)
        begin = reader.line_num


def numbered(spans: list[tuple[str, bool]], headers: int) -> Iterator[tuple[int | None, str]]:
    """Rows with the number of their record, from 1; headers and empty rows have none."""
    number = -headers
    for span, filled in spans:
        number += filled
        yield (number if filled and number > 0 else None), span


def without_items(content: bytes, records: set[int], names: set[str]) -> Iterator[bytes]:
    """JSON lines, a JSON list, or an object with a list of messages, without some of them."""
    lines = content.split(b"\n")
    filled = [at for at, line in enumerate(lines) if line.strip()]
    dropped = {at for number, at in enumerate(filled, start=1) if number in records}
    yield b"\n".join(line for at, line in enumerate(lines) if at not in dropped)
    try:
        if content.lstrip()[:1] == b"[":
            yield without_numbers(content, records)
            return
        members = read_raw_object(content)
        lists = [name for name, value in members.items() if bytes(value)[:1] == b"["]
        for chosen in lists:
            changed: dict[str, msgspec.Raw] = dict(members)
            for name in lists:
                raw = bytes(members[name])
                left = without_numbers(raw, records) if name == chosen else without_named(raw, names)
                changed[name] = msgspec.Raw(left)
            yield write(changed)
    except (msgspec.DecodeError, UnicodeError):
        return  # lone surrogates; whoever called says that nothing can be taken out


def without_numbers(raw: bytes, records: set[int]) -> bytes:
    items = read_raw_list(raw)
    return write([item for number, item in enumerate(items, start=1) if number not in records])


def without_named(raw: bytes, names: set[str]) -> bytes:
    """A list beside the messages (of users, say) without the entries of the person."""

    def named(item: bytes) -> bool:
        if item[:1] != b"{":
            return False
        members = read_raw_object(item)
        return any(str(json.loads(bytes(members[key]))) in names for key in ("id", "email") if key in members)

    items = read_raw_list(raw)
    kept = [item for item in items if not named(bytes(item))]
    return write(kept) if len(kept) < len(items) else raw
