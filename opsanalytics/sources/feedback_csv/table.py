"""Reading a CSV file as it comes: unknown encoding and delimiter, quoted line breaks, ragged rows."""

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from opsanalytics.sources.errors import InboxError

DELIMITERS = ",;\t"
BYTE_ORDER_MARKS = (
    (b"\xef\xbb\xbf", "utf-8-sig"),
    (b"\xff\xfe", "utf-16"),
    (b"\xfe\xff", "utf-16"),
)
LONGEST_FIELD = 16 * 1024 * 1024


@dataclass(frozen=True)
class CsvTable:
    """Header and rows of one file."""

    encoding: str
    delimiter: str
    header: list[str]
    rows: list[list[str]]
    """Data rows as read, each with as many fields as it has; wholly empty lines are left out."""


def decode_text(content: bytes) -> tuple[str, str]:
    """Text and encoding: by byte order mark, else UTF-8, else Windows-1252 (Western Excel).

    Raises:
        ValueError: none of them fits.
    """
    for mark, encoding in BYTE_ORDER_MARKS:
        if content.startswith(mark):
            return content.decode(encoding), encoding
    try:
        return content.decode("utf-8"), "utf-8"
    except UnicodeDecodeError:
        return content.decode("cp1252"), "cp1252"


def guess_delimiter(text: str) -> str:
    """The one of `,`, `;` and tab that occurs most in the first line, outside quotes."""
    counts = dict.fromkeys(DELIMITERS, 0)
    quoted = False
    for character in text:
        if character == '"':
            quoted = not quoted
        elif not quoted and character in "\r\n":
            break
        elif not quoted and character in counts:
            counts[character] += 1
    return max(DELIMITERS, key=lambda delimiter: counts[delimiter])


def read_table(path: Path) -> CsvTable:
    """Read a CSV file.

    Raises:
        InboxError: it is empty, in no readable encoding, or its quoting is broken.
    """
    content = path.read_bytes()
    try:
        text, encoding = decode_text(content)
    except ValueError as error:
        raise InboxError(
            f"{path}: neither UTF-8, UTF-16 nor Windows-1252 ({error}). Save it as UTF-8 and drop it again."
        ) from error
    if "\0" in text:
        raise InboxError(f"{path}: holds NUL characters, so it is no text file. Export it as CSV in UTF-8.")
    delimiter = guess_delimiter(text)
    try:
        rows = list(parse(text, delimiter))
    except csv.Error as error:
        raise InboxError(f"{path}: the quoting is broken: {error}. Export the file again.") from error
    if not rows:
        raise InboxError(f"{path}: the file is empty; a CSV starts with a row of column names.")
    header = [name.strip() for name in rows[0]]
    return CsvTable(encoding, delimiter, header, rows[1:])


def parse(text: str, delimiter: str) -> Iterator[list[str]]:
    csv.field_size_limit(LONGEST_FIELD)
    # newline="" leaves line breaks inside quotes alone; only the csv module may judge them
    with io.StringIO(text, newline="") as stream:
        reader = csv.reader(stream, delimiter=delimiter, strict=True)
        while True:
            try:
                row = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                raise csv.Error(f"line {reader.line_num}: {error}") from error
            if any(field.strip() for field in row):
                yield row


def as_line(row: list[str], delimiter: str) -> bytes:
    """A row as CSV again, for quarantine."""
    stream = io.StringIO()
    csv.writer(stream, delimiter=delimiter, lineterminator="\n", quoting=csv.QUOTE_ALL).writerow(row)
    return stream.getvalue().encode("utf-8", "surrogatepass")
