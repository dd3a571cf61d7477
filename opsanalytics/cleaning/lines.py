"""Records of landed files: bytes cut at the line feed and nowhere else, decoded strictly.

Text libraries also end lines at U+2028, U+0085 and others, which tears records apart.
"""

import gzip
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from opsanalytics.sources.base import Line
from opsanalytics.sources.landing import event_members

READ_BYTES = 8 * 1024 * 1024


class Readable(Protocol):
    """What is needed of an open file, compressed or not."""

    def read(self, size: int, /) -> bytes: ...


@dataclass(frozen=True)
class Batch:
    """Some consecutive records of one member of a delivery."""

    member: str
    lines: list[Line]
    undecodable: list[tuple[int, bytes, str]]
    """(record, bytes, what is wrong) of those that are not UTF-8."""
    raw: dict[int, bytes]
    """Bytes of every record of the batch, by its number."""


def read_batches(path: Path, batch_lines: int) -> Iterator[Batch]:
    """Records of a landed `.jsonl`, `.jsonl.gz` or `.zip` file, in batches of bounded size.

    Blank lines are no records, but count for the numbering.
    """
    if path.suffix == ".zip":
        with zipfile.ZipFile(path) as archive:
            for name in sorted(event_members(archive)):
                with archive.open(name) as member, gzip.open(member) as decoded:
                    yield from member_batches(name, decoded, batch_lines)
        return
    with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as decoded:
        yield from member_batches(path.name, decoded, batch_lines)


def member_batches(member: str, content: Readable, batch_lines: int) -> Iterator[Batch]:
    batch: dict[int, bytes] = {}
    for record, line in enumerate(split_lines(content), start=1):
        if line.strip():
            batch[record] = line
        if len(batch) >= batch_lines:
            yield decode(member, batch)
            batch = {}
    if batch:
        yield decode(member, batch)


def split_lines(content: Readable) -> Iterator[bytes]:
    """Lines without their line feed; memory is bounded by the longest line."""
    tail = b""
    while block := content.read(READ_BYTES):
        lines = block.split(b"\n")
        lines[0] = tail + lines[0]
        tail = lines.pop()
        yield from lines
    if tail:
        yield tail


def decode(member: str, batch: dict[int, bytes]) -> Batch:
    lines = []
    undecodable = []
    for record, raw in batch.items():
        try:
            lines.append(Line(record, raw.decode("utf-8")))
        except UnicodeDecodeError as error:
            undecodable.append((record, raw, f"byte {error.start + 1} of the line is not UTF-8"))
    return Batch(member, lines, undecodable, batch)
