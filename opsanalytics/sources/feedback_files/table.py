"""A feedback file as header and records, whether it is CSV or a workbook."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from html import unescape
from itertools import islice
from pathlib import Path
from typing import Protocol

from opsanalytics.sources.errors import InboxError
from opsanalytics.sources.feedback_files.nearest import nearest
from opsanalytics.sources.feedback_files.text import UNDECODED, as_line, read_text
from opsanalytics.sources.feedback_files.workbook import is_workbook, read_workbook
from opsanalytics.sources.values import UnreadableError

MARKUP = re.compile(r"<[^<>]{1,200}>")
UNKNOWN_CHARACTER = "\ufffd"


@dataclass(frozen=True)
class Record:
    """One row below the header."""

    line: int
    """Line of the file it begins at, or row of the sheet, from 1."""
    fields: list[str]


class Rows(Protocol):
    """Rows with the line or number each begins at; not blank."""

    def __len__(self) -> int: ...
    def __iter__(self) -> Iterator[tuple[int, list[str]]]: ...


@dataclass(frozen=True)
class Records:
    """What stands below the header."""

    rows: Rows
    """With the header, which comes first."""

    def __len__(self) -> int:
        return len(self.rows) - 1

    def __iter__(self) -> Iterator[Record]:
        return (Record(line, row) for line, row in islice(self.rows, 1, None))


@dataclass(frozen=True)
class Table:
    """Header and records of one file."""

    header: list[str]
    records: Records
    """As read, each with as many fields as it has; blank rows are left out."""
    encoding: str
    delimiter: str
    workbook: bool = False

    @cached_property
    def names(self) -> list[str]:
        """A name for each column; one that repeats, or is empty, gets its position: no field is lost."""
        return unique_names(self.header)

    def find(self, name: str) -> int | None:
        """Position of the column called so; of several the first. Case and spacing may differ."""
        wanted = name.strip()
        for names in (self.names, self.header):
            if wanted in names:
                return names.index(wanted)
        loose = [simplified(each) for each in self.header]
        return loose.index(simplified(name)) if simplified(name) in loose else None

    def positions(self, names: Iterable[str]) -> frozenset[int]:
        """Positions of those of `names` that are there."""
        found = (self.find(name) for name in names)
        return frozenset(position for position in found if position is not None)

    def fields(self, record: Record) -> list[str]:
        """The fields of a record, one for each column.

        Raises:
            UnreadableError: it has others, or bytes that the file's encoding does not know.
        """
        fields = record.fields
        width = len(self.header)
        where = f"{'row' if self.workbook else 'line'} {record.line}"
        for field in fields:
            if found := UNDECODED.search(field):
                code = ord(found[0])
                byte = f"byte 0x{code - 0xDC00:02x}" if 0xDC80 <= code <= 0xDCFF else "half a character"
                raise UnreadableError(
                    "undecodable",
                    f"{where}: {byte} is not {self.encoding}. If the file has another encoding, name it in "
                    "`encoding`.",
                )
        if len(fields) > width and not any(field.strip() for field in fields[width:]):
            fields = fields[:width]
        if self.workbook:
            fields = fields + [""] * (width - len(fields))
        if len(fields) != width:
            raise UnreadableError(
                "wrong_width", f"{where}: the row has {len(fields)} fields, the header {width}"
            )
        return [field.replace("\0", UNKNOWN_CHARACTER) for field in fields]

    def raw(self, record: Record) -> bytes:
        return as_line(record.fields, self.delimiter, self.encoding)


def read_table(
    path: Path, *, encoding: str | None = None, delimiter: str | None = None, sheet: str | None = None
) -> Table:
    """Read a CSV file or a workbook.

    Args:
        encoding: of a CSV file; found out if None.
        delimiter: of a CSV file; found out if None.
        sheet: of a workbook; the first that is not empty if None.

    Raises:
        InboxError: it is empty, neither of the two, or damaged.
    """
    workbook = is_workbook(path)
    rows: Rows
    if workbook:
        rows, used, parted = read_workbook(path, sheet), "utf-8", ","
    else:
        rows, used, parted = read_text(path, encoding=encoding, delimiter=delimiter)
    if not rows:
        raise InboxError(f"{path}: the file is empty; it must start with a row of column names.")
    _, names = next(iter(rows))
    if any(UNDECODED.search(name) for name in names):
        raise InboxError(
            f"{path}: the column names are neither UTF-8, UTF-16 nor Windows-1252"
            + (f", nor {encoding}" if encoding else "")
            + ". Name the encoding of the file in `encoding`, or save it as UTF-8 and drop it again."
        )
    return Table([readable(name) for name in names], Records(rows), used, parted, workbook)


def unique_names(header: Iterable[str]) -> list[str]:
    names: list[str] = []
    for position, name in enumerate(header, start=1):
        names.append(f"{name}#{position}" if name in names or not name else name)
    return names


def readable(name: str) -> str:
    """A column name on one line, with a sign for what is no character."""
    name = UNDECODED.sub(UNKNOWN_CHARACTER, name).replace("\0", UNKNOWN_CHARACTER)
    return " ".join(name.replace("\ufeff", "").split())


def simplified(name: str) -> str:
    """A column name without markup, case and spacing."""
    return " ".join(unescape(MARKUP.sub(" ", name)).casefold().split())


def missing_columns(source: str, path: Path, table: Table, wanted: Iterable[tuple[str, str]]) -> InboxError:
    """The error that says which columns (setting, name) a file lacks, and what it has instead."""
    told = ", ".join(f"{name!r} ({setting}){nearest(name, table.header)}" for setting, name in wanted)
    hint = ""
    if len(table.header) == 1:
        hint = " If lines stand above the row of column names, remove them" + (
            "; if it is on another sheet, name that in `sheet`."
            if table.workbook
            else "; if the fields are divided by another character, name that in `delimiter`."
        )
    return InboxError(
        f"{path}: source {source}: no column {told}. The file has {table.header}. Correct the names under "
        f"{source} in the configuration, or rename the file's columns.{hint}"
    )
