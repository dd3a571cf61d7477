"""Delimited text as it comes: any usual encoding and delimiter, line breaks in quotes, stray bytes."""

import codecs
import csv
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from opsanalytics.sources.errors import InboxError

DELIMITERS = ",;\t|"
BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
LONGEST_FIELD = 16 * 1024 * 1024
LARGEST_TEXT = 256 * 1024 * 1024
"""A file is read whole, and its messages together take some sixteen times its bytes."""
LINE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+")
UNDECODED = re.compile("[\ud800-\udfff]")
"""Stands for what the encoding has no character for."""
SEPARATOR_LINE = re.compile(r"sep=(.)\r?\n")
"""With this line Excel says, and is told, which delimiter a file has."""
SAMPLE = 512
NUL_SHARE = 0.01
WEB_PAGE = re.compile(rb"\s*<(?:!doctype|html|head|body|table)\b", re.IGNORECASE)
JSON_TEXT = re.compile(rb"\s*(?:\[\s*)?\{\s*\"")
NAMES_OF_OTHERS = (
    (b"\xff\xfe\0\0", "text in UTF-32", "Save it in UTF-8"),
    (b"\x1f\x8b", "packed twice", "Unpack it"),
    (b"\xff\xd8\xff", "a picture", "Export the answers as CSV"),
    (b"\xd0\xcf\x11\xe0", "an old .xls or a password-protected workbook", "Save it as .xlsx or CSV"),
    (b"%PDF", "a PDF", "Export the answers as CSV"),
    (b"\x89PNG", "a picture", "Export the answers as CSV"),
    (b"PAR1", "a Parquet file", "Export it as CSV"),
    (b"PK\x03\x04", "an archive", "Unpack it"),
    (b"7z\xbc\xaf", "a 7z archive", "Unpack it"),
    (b"Rar!", "a RAR archive", "Unpack it"),
)


def decode_text(content: bytes, declared: str | None = None) -> tuple[str, str]:
    """Text and encoding. Bytes that do not fit become lone surrogates (`UNDECODED`).

    `declared` decides where it is given. Else: the byte order mark; UTF-16 without one where every other
    byte is zero; UTF-8 if all or most of what is not ASCII is UTF-8; Windows-1252 (Western Excel) otherwise.
    """
    for mark, encoding in BYTE_ORDER_MARKS:
        if content.startswith(mark) and (declared is None or codecs.lookup(declared).name in encoding):
            return decode_as(content[len(mark) :], encoding), encoding
    if declared is not None:
        return decode_as(content, declared), declared
    odd, even = content[1:SAMPLE:2].count(0), content[0:SAMPLE:2].count(0)
    if max(odd, even) > min(len(content), SAMPLE) * 0.25 and min(odd, even) * 4 < max(odd, even):
        encoding = "utf-16-le" if odd > even else "utf-16-be"
        return decode_as(content, encoding), encoding
    text = decode_as(content, "utf-8")
    broken = len(UNDECODED.findall(text))
    if broken and broken > sum(character > "\x7f" for character in text) - broken:
        return decode_as(content, "cp1252"), "cp1252"
    return text, "utf-8"


def decode_as(content: bytes, encoding: str) -> str:
    if not codecs.lookup(encoding).name.startswith("utf-16"):
        return content.decode(encoding, "surrogateescape")
    whole = len(content) // 2 * 2
    rest = content[whole:].decode("ascii", "surrogateescape")
    text = content[:whole].decode(encoding, "surrogatepass")
    return text + (chr(0xDC00 + ord(rest)) if rest and rest < "\x80" else rest)


def encode_as(text: str, encoding: str) -> bytes:
    """What `decode_as` read, to the byte; of UTF-16 but half a character at the end."""
    keep = "surrogatepass" if encoding.startswith("utf-16") else "surrogateescape"
    return text.encode(encoding, keep)


def guess_delimiter(text: str) -> str:
    """The one of `,`, `;`, tab and `|` that occurs most in the first line, outside quotes."""
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


def read_text(path: Path, *, encoding: str | None, delimiter: str | None) -> tuple["TextRows", str, str]:
    """Rows with the line each begins at, the encoding and the delimiter. Blank rows are left out.

    Raises:
        InboxError: it is no text file, or its quoting is broken.
    """
    if (size := path.stat().st_size) > LARGEST_TEXT:
        raise InboxError(
            f"{path}: {size / 1e6:,.0f} MB are more than is read at once ({LARGEST_TEXT / 1e6:,.0f} MB). "
            "Split it into smaller files, each with the row of column names."
        )
    content = path.read_bytes()
    for magic, what, remedy in NAMES_OF_OTHERS:
        if content.startswith(magic):
            raise InboxError(f"{path}: this is {what}, no CSV. {remedy}, and drop it again.")
    begin = content[:SAMPLE].removeprefix(codecs.BOM_UTF8)
    if WEB_PAGE.match(begin):
        raise InboxError(
            f"{path}: this is a web page, perhaps one that asks to sign in, no CSV. Export the answers as "
            "CSV, and drop it again."
        )
    if JSON_TEXT.match(begin):
        raise InboxError(f"{path}: this is JSON, no CSV. Export it as CSV, and drop it again.")
    text, used = decode_text(content, encoding)
    if text.count("\0") > len(text) * NUL_SHARE:
        raise InboxError(f"{path}: holds NUL characters, so it is no text file. Export it as CSV in UTF-8.")
    text = text.removeprefix("\ufeff")
    first_line = 1
    if told := SEPARATOR_LINE.match(text):
        delimiter, text, first_line = delimiter or told[1], text[told.end() :], 2
    delimiter = delimiter or guess_delimiter(text)
    try:
        count = sum(1 for _ in parse(text, delimiter, first_line))
        return TextRows(text, delimiter, first_line, count), used, delimiter
    except csv.Error as error:
        if "field limit" in str(error):
            where = str(error).partition(":")[0]
            raise InboxError(
                f"{path}: {where}: a field is longer than {LONGEST_FIELD / 1e6:.0f} MB. "
                "Perhaps a quote does not end, or `delimiter` is another one. Mend it, and drop it again."
            ) from error
        raise InboxError(
            f"{path}: the quoting is broken: {error}. If the file was still being written, it is read at "
            "the next run; else export it again."
        ) from error


@dataclass(frozen=True)
class TextRows:
    """The rows of a text with the line each begins at, parsed as they are asked for: all at once would be
    several times as large as the text. It was parsed once, so that nothing can be wrong any more."""

    text: str
    delimiter: str
    first_line: int
    count: int

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[tuple[int, list[str]]]:
        return parse(self.text, self.delimiter, self.first_line)


def parse(text: str, delimiter: str, first_line: int = 1) -> Iterator[tuple[int, list[str]]]:
    csv.field_size_limit(LONGEST_FIELD)
    # Line breaks stay as they are; only the csv module may judge those inside quotes.
    reader = csv.reader((line[0] for line in LINE.finditer(text)), delimiter=delimiter, strict=True)
    while True:
        begins = reader.line_num + first_line
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise csv.Error(f"line {begins}: {error}") from error
        if any(field.strip() for field in row):
            yield begins, row


def as_line(row: list[str], delimiter: str, encoding: str = "utf-8") -> bytes:
    """A row as CSV again, for quarantine; what could not be decoded as the bytes it was."""
    stream = io.StringIO()
    csv.writer(stream, delimiter=delimiter, lineterminator="\n", quoting=csv.QUOTE_ALL).writerow(row)
    text = stream.getvalue()
    if UNDECODED.search(text):
        return encode_as(text, encoding)
    return text.encode()
