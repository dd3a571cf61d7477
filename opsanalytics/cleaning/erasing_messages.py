"""Feedback files without the messages of forgotten persons: CSV, JSON, pages of an API, workbooks.

What is written is read again: it must give every other message, and none of theirs.
"""

import csv
import gzip
import io
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from opsanalytics.cleaning.erasing_pages import beside, without_records
from opsanalytics.cleaning.erasing_records import Eraser, Found
from opsanalytics.cleaning.erasing_workbooks import (
    record_rows,
    without_sheet_rows,
    workbook_without_mentions,
)
from opsanalytics.sources.base import FeedbackRow, FeedbackSourceSettings, RejectedRow
from opsanalytics.sources.errors import InboxError
from opsanalytics.sources.feedback_files.settings import FeedbackFileSettings
from opsanalytics.sources.feedback_files.text import (
    BYTE_ORDER_MARKS,
    decode_text,
    encode_as,
    guess_delimiter,
)
from opsanalytics.sources.feedback_files.workbook import is_workbook
from opsanalytics.sources.paging import ApiFeedbackSourceSettings

GZIP = b"\x1f\x8b"
HEADER_ROWS = (1, 2, 3)
read_raw_list = msgspec.json.Decoder(list[msgspec.Raw]).decode
read_raw_object = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
write = msgspec.json.Encoder().encode


class NotTakenOutError(InboxError):
    """Messages of a forgotten person cannot be taken out of a file; cleaning leaves them out."""


def without_messages(settings: FeedbackSourceSettings, eraser: Eraser, path: Path, found: Found) -> bytes:
    """What is left of a feedback file; the same bytes if it names nobody who is forgotten.

    Raises:
        NotTakenOutError: nothing can be taken out of this kind of file.
        InboxError: the file cannot be read.
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
        for attempt in attempts(settings, path, content, set(audits), names):
            if attempt != content and reads_as(settings, path, attempt) == expected:
                left = attempt
                break
        else:
            raise NotTakenOutError(
                f"{path}: {len(audits)} message(s) of the person cannot be taken out of this kind of file. "
                "Remove them by hand where it was exported, and put the new file in place of this one."
            )
        found.records.update(audits.values())
    if is_workbook(path):
        return workbook_without_mentions(eraser, left, found)
    return without_mentions(eraser, left, found)


def without_mentions(eraser: Eraser, content: bytes, found: Found) -> bytes:
    plain = unpacked(content)
    if plain.lstrip()[:1] in (b"[", b"{"):
        own = Found()
        kept = eraser.without_mentions(plain, own)
        found.add(own)
        return packed(content, kept) if own else content
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
        copy = beside(path, Path(folder))
        copy.write_bytes(content)
        try:
            return signature(*settings.read(copy))
        except InboxError:
            return None


def attempts(
    settings: FeedbackSourceSettings, path: Path, content: bytes, records: set[int], names: set[str]
) -> Iterator[bytes]:
    """Ways to take records out by their number, the likeliest first."""
    if is_workbook(path):
        sheet = settings.sheet if isinstance(settings, FeedbackFileSettings) else None
        for headers in HEADER_ROWS:
            rows = record_rows(path, sheet, headers)
            yield without_sheet_rows(
                path, sheet, {row for number, row in enumerate(rows, start=1) if number in records}
            )
        return
    plain = unpacked(content)
    if plain.lstrip()[:1] in (b"[", b"{"):
        api = settings if isinstance(settings, ApiFeedbackSourceSettings) else None
        for keys in (api.record_keys,) if api else ((), *lists_in(plain)):
            for left in without_records(plain, keys, records, names):
                yield packed(content, left)
        return
    text, encoding = decode_text(plain)
    spans = list(row_spans(text))
    for headers in HEADER_ROWS:
        rest = "".join(
            span for number, span in numbered(spans, headers) if number is None or number not in records
        )
        yield packed(content, encoded(plain, rest, encoding))


def lists_in(content: bytes) -> tuple[tuple[str], ...]:
    """Members of a JSON object that are lists, where no source says which holds the records."""
    try:
        members = read_raw_object(content)
    except (msgspec.DecodeError, UnicodeError):
        return ()
    return tuple((name,) for name, value in members.items() if bytes(value)[:1] == b"[")


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
