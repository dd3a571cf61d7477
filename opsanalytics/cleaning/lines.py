"""Records of landed files: bytes cut at the line feed and nowhere else, decoded strictly.

Text libraries also end lines at U+2028, U+0085 and others, which tears records apart.
"""

import gzip
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

from opsanalytics.sources.base import Line
from opsanalytics.sources.landing import event_members

READ_BYTES = 8 * 1024 * 1024


class Readable(Protocol):
    """What is needed of an open file, compressed or not."""

    def read(self, size: int, /) -> bytes: ...


class Record(NamedTuple):
    """One record as landed."""

    member: str
    """File inside the delivery, or inside its archive."""
    number: int
    """Line within the member, from 1; blank lines are no records but count."""
    raw: bytes


@dataclass(frozen=True)
class Batch:
    """Some consecutive records of a delivery. Positions are indexes into `records`."""

    records: list[Record]
    lines: list[Line]
    undecodable: list[tuple[int, str]]
    """(position, what is wrong) of those that are not UTF-8."""


def read_batches(path: Path, batch_lines: int) -> Iterator[Batch]:
    """Records of a landed `.jsonl`, `.jsonl.gz` or `.zip` file, in batches of bounded size."""
    batch: list[Record] = []
    for record in read_records(path):
        batch.append(record)
        if len(batch) >= batch_lines:
            yield decode(batch)
            batch = []
    if batch:
        yield decode(batch)


def read_records(path: Path) -> Iterator[Record]:
    if path.suffix == ".zip":
        with zipfile.ZipFile(path) as archive:
            for name in sorted(event_members(archive)):
                with archive.open(name) as member, gzip.open(member) as decoded:
                    yield from member_records(name, decoded)
        return
    with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as content:
        yield from member_records(path.name, content)


def member_records(member: str, content: Readable) -> Iterator[Record]:
    for number, line in enumerate(split_lines(content), start=1):
        if line.strip():
            yield Record(member, number, line)


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


def decode(records: list[Record]) -> Batch:
    lines = []
    undecodable = []
    for position, record in enumerate(records):
        try:
            lines.append(Line(position, record.raw.decode("utf-8")))
        except UnicodeDecodeError as error:
            undecodable.append((position, f"byte {error.start + 1} of the line is not UTF-8"))
    return Batch(records, lines, undecodable)
