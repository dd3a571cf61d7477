"""Records of landed files: bytes cut at the line feed and nowhere else.

Text libraries also end lines at U+2028, U+0085 and others, which tears records apart.
"""

import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Protocol

import numpy as np
import polars as pl
from isal import igzip
from numpy.typing import NDArray

from opsanalytics.sources.landing import GzipStream, event_members
from opsanalytics.sources.lines import RawLines, line_feeds
from opsanalytics.sources.record_files import TABLES, RecordFile

READ_BYTES = 1024 * 1024
"""So much is decompressed at once: little enough to stay in the processor's cache until it is copied."""
PIECE_BYTES = 8 * 1024 * 1024
"""So large are pieces of files, usually."""
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

    @cached_property
    def line_feeds(self) -> NDArray[np.int64]:
        """Where the line feeds of `content` are."""
        return line_feeds(self.content)

    @property
    def lines(self) -> int:
        """How many lines there are; the last one has no line feed."""
        return len(self.line_feeds) + 1


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
    for piece in read_pieces(path, batch_bytes):
        batch.append(piece)
        size += len(piece.content)
        if size >= batch_bytes:
            yield tuple(batch)
            batch, size = [], 0
    if batch:
        yield tuple(batch)


def read_pieces(path: Path, piece_bytes: int = PIECE_BYTES) -> Iterator[Piece]:
    """The lines of a file in pieces of about `piece_bytes`, as `read_batches` says."""
    if path.name.endswith(TABLES):
        first = 1
        for block in RecordFile.landed(path).json_blocks():
            piece = Piece(path.name, first, block)
            yield piece
            first += piece.lines
        return
    if path.suffix == ".zip":
        with zipfile.ZipFile(path) as archive:
            for name in sorted(event_members(archive)):
                with archive.open(name) as member, igzip.open(member) as decoded:
                    yield from member_pieces(name, decoded, piece_bytes)
        return
    with path.open("rb") as content:
        readable = Gunzipped(content) if path.suffix == ".gz" else content
        yield from member_pieces(path.name, readable, piece_bytes)


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


def member_pieces(member: str, content: Readable, piece_bytes: int) -> Iterator[Piece]:
    first = 1
    for lines in whole_lines(content, piece_bytes):
        piece = Piece(member, first, lines)
        yield piece
        first += piece.lines


def whole_lines(content: Readable, piece_bytes: int) -> Iterator[bytes]:
    """Blocks of lines without the last line feed; memory is bounded by the longest line."""
    begun: list[bytes] = []
    size = 0
    while block := content.read(READ_BYTES):
        begun.append(block)
        size += len(block)
        if size < piece_bytes or (end := block.rfind(b"\n")) < 0:
            continue
        begun[-1], rest = block[:end], block[end + 1 :]
        yield b"".join(begun)
        begun, size = [rest], len(rest)
    if any(begun):
        yield b"".join(begun).removesuffix(b"\n")


def records(batch: Batch) -> Records:
    """The lines of a batch that are not blank."""
    lines = RawLines.cut(b"\n".join(piece.content for piece in batch), joined_line_feeds(batch))
    counts = [piece.lines for piece in batch]
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


def joined_line_feeds(batch: Batch) -> NDArray[np.int64]:
    """Where the line feeds of pieces are that are joined by line feeds."""
    found: list[NDArray[np.int64]] = []
    begin = 0
    for piece in batch:
        end = begin + len(piece.content)
        found += [piece.line_feeds + begin, np.array([end])]
        begin = end + 1
    return np.concatenate(found[:-1])
