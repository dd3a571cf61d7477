"""Files of records: JSON lines, CSV and Parquet, told apart by their bytes and read as JSON lines.

Everything is read in blocks of bounded size. A CSV row becomes an object of texts, a Parquet row an
object with its types; a row that cannot become one stays a line of its own that a parser refuses.
"""

import csv
import gzip
import hashlib
import io
import itertools
import json
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import polars as pl
import polars.selectors as cs

from opsanalytics.sources.errors import SourceError
from opsanalytics.sources.feedback_files.text import BYTE_ORDER_MARKS, LONGEST_FIELD, guess_delimiter
from opsanalytics.sources.landing import READ_BYTES, LineCounter

Format = Literal["jsonl", "csv", "parquet"]
SUFFIXES = (".jsonl", ".jsonl.gz", ".csv", ".csv.gz", ".parquet")
"""How landed files end, which says how they are read."""
TABLES = (".csv", ".csv.gz", ".parquet")

GZIP_MAGIC = b"\x1f\x8b"
PARQUET_MAGIC = b"PAR1"
UTF8_MARK = b"\xef\xbb\xbf"
NAMED: tuple[tuple[str, Format], ...] = (
    (".parquet", "parquet"),
    (".pq", "parquet"),
    (".csv", "csv"),
    (".tsv", "csv"),
)
WITHOUT_MARK = {"utf-8": "utf-8-sig", "utf-16-le": "utf-16", "utf-16-be": "utf-16"}
"""Encoding -> the decoder that takes its byte order mark away."""
HEADER_BYTES = 64 * 1024
BLOCK_ROWS = 4_000
"""So many rows of a table become JSON lines at once; bounds memory, changes no result."""


class RecordFileError(SourceError):
    """A file cannot be read as what it is meant to be. The message does not name the file."""


class UnfinishedFileError(RecordFileError):
    """A file ends before its end: it was cut, or is still being written."""


@dataclass(frozen=True)
class Counted:
    """What a whole file holds."""

    records: int
    content_sha256: str
    """Of the decompressed content (Parquet: of the file)."""


@dataclass(frozen=True)
class RecordFile:
    """A file of records on this disk."""

    path: Path
    suffix: str
    """One of `SUFFIXES`."""

    @classmethod
    def landed(cls, path: Path) -> "RecordFile":
        """A file of the landing area, whose name says how it is read."""
        return cls(path, next(suffix for suffix in SUFFIXES if path.name.endswith(suffix)))

    @property
    def is_table(self) -> bool:
        """Whether it holds rows that must be turned into JSON lines."""
        return self.suffix in TABLES

    @contextmanager
    def content(self) -> Iterator[gzip.GzipFile | io.BufferedReader]:
        """The decompressed content. Raises `RecordFileError` for what is wrong with gzip."""
        zipped = self.suffix.endswith(".gz")
        try:
            with gzip.open(self.path, "rb") if zipped else self.path.open("rb") as content:
                yield content
        except EOFError as error:
            raise UnfinishedFileError("the gzip stream ends before its end: the file was cut") from error
        except (gzip.BadGzipFile, zlib.error) as error:
            raise RecordFileError(f"the gzip stream is damaged: {error}") from error

    def json_blocks(self) -> Iterator[bytes]:
        """Rows of a table as blocks of JSON lines, without the last line feed.

        Raises:
            RecordFileError: it cannot be read (any more).
        """
        return self._parquet_blocks() if self.suffix == ".parquet" else self._csv_blocks()

    def columns(self, records: int) -> set[str] | None:
        """Names of the columns, or of the members of the first JSON lines; None if there is no record."""
        if self.suffix == ".parquet":
            first = next(self._parquet_frames(), None)
            return set(first.columns) if first is not None else None
        if self.is_table:
            header = next(self._csv_rows(), None)
            return set(header) if header is not None else None
        names: set[str] = set()
        with self.content() as content:
            for line in itertools.islice((line for line in content if line.strip()), records):
                names |= members(line)
        return names or None

    def count(self, *, cut: bool) -> Counted:
        """Read it to its end and count its records, before any mapping.

        `cut`: a last line that is no JSON may be there; it is a record like others, to be refused later.

        Raises:
            UnfinishedFileError: the end is missing.
            RecordFileError: it is damaged or of another format.
        """
        if self.suffix == ".parquet":
            with self.path.open("rb") as file:
                sha256 = hashlib.file_digest(file, "sha256").hexdigest()
            return Counted(sum(frame.height for frame in self._parquet_frames()), sha256)
        counter = LineCounter()
        with self.content() as content:
            first = block = content.read(READ_BYTES)
            while block:
                counter.feed(block)
                block = content.read(READ_BYTES)
        if self.is_table:
            return Counted(max(0, sum(1 for _ in self._csv_rows()) - 1), counter.sha256)
        if first.removeprefix(UTF8_MARK).lstrip().startswith(b"["):
            raise RecordFileError(
                "holds a JSON array, not one record a line; rewrite it with `jq -c '.[]' FILE > FILE.jsonl`"
            )
        if not cut and counter.ends_inside_a_record:
            raise UnfinishedFileError(
                "the last line is no whole record: it was cut, or is still being written"
            )
        return Counted(counter.records, counter.sha256)

    def _parquet_blocks(self) -> Iterator[bytes]:
        for frame in self._parquet_frames():
            lines = frame.select(pl.struct(pl.all()).struct.json_encode()).to_series()
            yield "\n".join(lines.to_list()).encode()

    def _parquet_frames(self) -> Iterator[pl.DataFrame]:
        """Rows in bounded blocks, bytes as texts."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            with pq.ParquetFile(self.path, pre_buffer=False) as file:  # else it holds all of the file
                textual = with_text(pa, file.schema_arrow)
                for batch in file.iter_batches(BLOCK_ROWS):
                    table = pa.Table.from_batches([batch])
                    frame = pl.from_arrow(table if table.schema == textual else table.cast(textual))
                    if isinstance(frame, pl.DataFrame):
                        yield frame.with_columns(cs.binary().bin.encode("hex"))  # such as UUIDs
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError, OSError) as error:
            raise RecordFileError(f"cannot be read as Parquet: {error}") from error

    def _csv_blocks(self) -> Iterator[bytes]:
        rows = self._csv_rows()
        header = next(rows, [])
        while chunk := list(itertools.islice(rows, BLOCK_ROWS)):
            yield b"\n".join(as_json(header, row) for row in chunk)

    def _csv_rows(self) -> Iterator[list[str]]:
        """Header and rows; wholly empty lines are left out."""
        csv.field_size_limit(LONGEST_FIELD)
        with self.content() as content:
            start = content.read(HEADER_BYTES)
        marked = next((name for mark, name in BYTE_ORDER_MARKS if start.startswith(mark)), None)
        encoding = WITHOUT_MARK[marked] if marked else "utf-8"
        delimiter = guess_delimiter(start.decode(encoding, "replace"))
        with self.content() as content:
            # newline="" leaves line breaks inside quotes alone; only the csv module may judge them
            text = io.TextIOWrapper(content, encoding=encoding, errors="surrogateescape", newline="")
            reader = csv.reader(text, delimiter=delimiter, strict=True)
            try:
                filled = (row for row in reader if any(field.strip() for field in row))
                for header in itertools.islice(filled, 1):
                    yield checked_header(header)
                yield from filled
            except csv.Error as error:
                raise RecordFileError(f"line {reader.line_num}: the quoting is broken: {error}") from error


def suffix_of(path: Path, name: str, wanted: Format | None) -> str:
    """How the file at `path`, delivered as `name`, is to be read: one of `SUFFIXES`.

    `wanted` is the format the configuration says, None: told by name and content.

    Raises:
        RecordFileError: name or configuration say gzip or Parquet, and it is not.
        UnfinishedFileError: it is empty although its format has no empty files.
    """
    with path.open("rb") as file:
        start = file.read(4)
        file.seek(max(0, path.stat().st_size - 4))
        end = file.read(4)
    lower = name.lower()
    zipped = start.startswith(GZIP_MAGIC)
    bare = lower.removesuffix(".gz")
    format_ = wanted or next((format_ for ending, format_ in NAMED if bare.endswith(ending)), None)
    if format_ == "parquet" or (format_ is None and start == PARQUET_MAGIC):
        if zipped:
            raise RecordFileError("Parquet inside gzip is not read; Parquet compresses by itself")
        if start != PARQUET_MAGIC and start:
            raise RecordFileError(f"is no Parquet file: it begins with {start!r}, not with {PARQUET_MAGIC!r}")
        if end != PARQUET_MAGIC or path.stat().st_size < 12:
            raise UnfinishedFileError("the Parquet file has no end: it was cut, or is still being written")
        return ".parquet"
    if lower.endswith(".gz") and not zipped:
        if not start:
            raise UnfinishedFileError(
                "the file is empty, not even gzip: it was cut, or is still being written"
            )
        raise RecordFileError(f"is named .gz but is no gzip: it begins with {start!r}")
    return f".{format_ or 'jsonl'}" + (".gz" if zipped else "")


def with_text(pa: Any, schema: Any) -> Any:
    """The schema with texts where BigQuery and others write plain bytes.

    Raises:
        RecordFileError: a column has a type that cannot become JSON.
    """

    def textual(kind: Any, *, top: bool = False) -> Any:
        if pa.types.is_decimal256(kind) or (pa.types.is_fixed_size_binary(kind) and not top):
            raise RecordFileError(f"has values of type {kind}, which cannot become JSON; write them as text")
        if pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
            return pa.large_string()
        if pa.types.is_struct(kind):
            return pa.struct([field.with_type(textual(field.type)) for field in kind])
        if pa.types.is_map(kind):
            return pa.list_(pa.struct([("key", textual(kind.key_type)), ("value", textual(kind.item_type))]))
        if pa.types.is_list(kind) or pa.types.is_large_list(kind):
            return pa.large_list(kind.value_field.with_type(textual(kind.value_type)))
        return kind

    return pa.schema([field.with_type(textual(field.type, top=True)) for field in schema])


def as_json(header: list[str], row: list[str]) -> bytes:
    """A row as a JSON object; as an array if it has not as many fields as the header.

    Bytes that are no UTF-8 come back as they were, so that the line is refused as such.
    """
    record: Any = dict(zip(header, row, strict=True)) if len(row) == len(header) else row
    return json.dumps(record, ensure_ascii=False).encode("utf-8", "surrogateescape")


def checked_header(row: list[str]) -> list[str]:
    header = [name.strip() for name in row]
    repeated = sorted({name for name in header if header.count(name) > 1 or not name})
    if repeated:
        raise RecordFileError(f"the header names {repeated!r} more than once or not at all")
    return header


def members(line: bytes) -> set[str]:
    """Names of the members of a JSON object; none if it is something else."""
    try:
        record = json.loads(line.removeprefix(UTF8_MARK))
    except (ValueError, RecursionError):
        return set()
    return set(record) if isinstance(record, dict) else set()
