"""Records of landed files: bytes cut at the line feed and nowhere else.

Text libraries also end lines at U+2028, U+0085 and others, which tears records apart.
"""

import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import polars as pl
from isal import igzip

from opsanalytics.sources.archives import event_members
from opsanalytics.sources.landing import GzipStream
from opsanalytics.sources.lines import RawLines
from opsanalytics.sources.record_files import TABLES, RecordFile

READ_BYTES = 4 * 1024 * 1024
USUAL_RATIO = 8
"""How much larger exports are than their gzip."""


class Readable(Protocol):
    """What is needed of an open file, compressed or not."""

    def read(self, size: int, /) -> bytes: ...


@dataclass(frozen=True)
class Piece:
    """Consecutive whole lines of one member."""

    member: str
    """File inside the delivery, or inside its archive."""
    first: int
    """Number of the first line within the member, from 1; blank lines are no records but count."""
    content: bytes


Batch = tuple[Piece, ...]
"""Consecutive pieces of a delivery."""


@dataclass(frozen=True)
class Records:
    """The records of a batch, and where each of them was found."""

    raw: RawLines
    member: pl.Series
    number: pl.Series


def read_batches(path: Path, batch_bytes: int) -> Iterator[Batch]:
    """Lines of a landed `.jsonl`, `.jsonl.gz` or `.zip` file in batches of bounded size.

    Rows of a table (`.csv`, `.csv.gz`, `.parquet`) become lines of JSON.
    A batch is larger than `batch_bytes` by at most one block or one line.
    """
    batch: list[Piece] = []
    size = 0
    for piece in read_pieces(path):
        batch.append(piece)
        size += len(piece.content)
        if size >= batch_bytes:
            yield tuple(batch)
            batch, size = [], 0
    if batch:
        yield tuple(batch)


def read_pieces(path: Path) -> Iterator[Piece]:
    if path.name.endswith(TABLES):
        first = 1
        for block in RecordFile.landed(path).json_blocks():
            yield Piece(path.name, first, block)
            first += block.count(b"\n") + 1
        return
    if path.suffix == ".zip":
        with zipfile.ZipFile(path) as archive:
            for member in event_members(archive):
                with archive.open(member) as packed, igzip.open(packed) as decoded:
                    yield from member_pieces(member.filename, decoded)
        return
    with path.open("rb") as content:
        yield from member_pieces(path.name, Gunzipped(content) if path.suffix == ".gz" else content)


class Gunzipped:
    """Decompressed content in large steps: each waits once for the interpreter's lock, not every 8 KB."""

    def __init__(self, content: Readable) -> None:
        self._content = content
        self._stream = GzipStream()

    def read(self, size: int, /) -> bytes:
        """What the next bytes on disk hold, about `size` bytes; empty at the end.

        Raises:
            IncompleteBodyError: the bytes are no whole gzip stream any more.
        """
        while chunk := self._content.read(max(1, size // USUAL_RATIO)):
            if decoded := self._stream.feed(chunk):
                return decoded
        self._stream.finish()
        return b""


def member_pieces(member: str, content: Readable) -> Iterator[Piece]:
    first = 1
    for lines in whole_lines(content):
        yield Piece(member, first, lines)
        first += lines.count(b"\n") + 1


def whole_lines(content: Readable) -> Iterator[bytes]:
    """Blocks of lines without the last line feed; memory is bounded by the longest line."""
    begun: list[bytes] = []
    while block := content.read(READ_BYTES):
        end = block.rfind(b"\n")
        if end < 0:
            begun.append(block)
            continue
        yield b"".join([*begun, block[:end]])
        begun = [block[end + 1 :]]
    if any(begun):
        yield b"".join(begun)


def records(batch: Batch) -> Records:
    """The lines of a batch that are not blank."""
    lines = RawLines.cut(b"\n".join(piece.content for piece in batch))
    counts = [piece.content.count(b"\n") + 1 for piece in batch]
    number = np.concatenate(
        [np.arange(piece.first, piece.first + count) for piece, count in zip(batch, counts, strict=True)]
    )
    member = pl.Series([piece.member for piece in batch], dtype=pl.String).gather(
        np.repeat(np.arange(len(batch)), counts)
    )
    blank = lines.blank()
    if len(blank):
        kept = np.delete(np.arange(len(lines)), blank)
        lines, number, member = lines.only(kept), number[kept], member.gather(kept)
    return Records(lines, member, pl.Series(number))
