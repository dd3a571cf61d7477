import csv
import io
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from opsanalytics.sources.errors import InboxError
from opsanalytics.sources.feedback_files.table import Table, read_table, unique_names
from opsanalytics.sources.feedback_files.text import decode_as, decode_text, encode_as
from opsanalytics.sources.values import UnreadableError


def table(tmp_path: Path, content: bytes, **options: str) -> Table:
    path = tmp_path / "dump.csv"
    path.write_bytes(content)
    return read_table(path, **options)


def fields(found: Table) -> list[list[str] | str]:
    """Fields of each record, or why it has none."""
    told: list[list[str] | str] = []
    for record in found.records:
        try:
            told.append(found.fields(record))
        except UnreadableError as error:
            told.append(f"{error.reason}: {error}")
    return told


@pytest.mark.parametrize(
    ("content", "encoding"),
    [
        ("ä–😀".encode(), "utf-8"), ("\ufeffä".encode(), "utf-8"), ("ä–".encode("cp1252"), "cp1252"),
        ("name,text\nä😀".encode("utf-16-le"), "utf-16-le"),
        ("name,text\nä😀".encode("utf-16-be"), "utf-16-be"),
        ("\ufeffä😀".encode("utf-16-le"), "utf-16-le"), ("\ufeffä😀".encode("utf-16-be"), "utf-16-be"),
        (b"plain", "utf-8"), (b"", "utf-8"), ("żółw i łoś".encode() + b"\xff", "utf-8"),
    ],
)  # fmt: skip
def test_the_encoding_is_found_out(content: bytes, encoding: str) -> None:
    assert decode_text(content)[1] == encoding


def test_a_declared_encoding_is_not_guessed(tmp_path: Path) -> None:
    found = table(tmp_path, "a,b\nžluť,ó\n".encode("iso8859-2"), encoding="iso8859-2")
    assert fields(found) == [["žluť", "ó"]]


def test_bytes_that_fit_nothing_cost_their_row_alone(tmp_path: Path) -> None:
    found = table(tmp_path, "a,b\n1,ż\n2,?\n3,ó\n".encode().replace(b"?", b"\xff"))
    first, second, third = fields(found)
    assert (first, third) == (["1", "ż"], ["3", "ó"])
    assert str(second).startswith("undecodable: line 3: byte 0xff is not utf-8.")
    assert found.raw(list(found.records)[1]) == b'"2","\xff"\n'


def test_half_a_character_of_utf16_costs_its_row_alone(tmp_path: Path) -> None:
    content = "a,b\n1,x\n2,?\n3,y\n".encode("utf-16").replace("?".encode("utf-16-le"), b"\x00\xd8")
    assert [type(each) for each in fields(table(tmp_path, content))] == [list, str, list]
    cut = "a,b\n1,x\n2,yz".encode("utf-16")[:-1]
    assert [type(each) for each in fields(table(tmp_path, cut))] == [list, str]


def test_the_line_of_a_row_counts_the_breaks_in_quotes(tmp_path: Path) -> None:
    found = table(tmp_path, b'a,b\n1,"x\ny\n\nz"\n\n2,w\n')
    assert [record.line for record in found.records] == [2, 7]


def test_excels_separator_line_is_followed(tmp_path: Path) -> None:
    found = table(tmp_path, b"\xef\xbb\xbfsep=;\r\na;b,c\r\n1;2\r\n")
    assert (found.header, fields(found)) == (["a", "b,c"], [["1", "2"]])
    assert next(iter(found.records)).line == 3


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("line_break", ["\n", "\r\n", "\r"])
def test_usual_delimiters_and_line_breaks_are_found_out(
    tmp_path: Path, delimiter: str, line_break: str
) -> None:
    rows = [["a", "b"], ["1", '"x\u2028y\x85z"'], ["2", '"p' + line_break + 'q"']]
    content = line_break.join(delimiter.join(row) for row in rows)
    found = table(tmp_path, content.encode())
    assert fields(found) == [["1", "x\u2028y\x85z"], ["2", f"p{line_break}q"]]
    assert len(found.records) == 2


def test_a_declared_delimiter_is_taken(tmp_path: Path) -> None:
    assert table(tmp_path, b"a|b,c\n1|2\n", delimiter="|").header == ["a", "b,c"]


def test_blank_fields_beyond_the_header_are_nothing(tmp_path: Path) -> None:
    assert fields(table(tmp_path, b"a,b\n1,2,, \n1,2,,3\n1\n")) == [
        ["1", "2"],
        "wrong_width: line 3: the row has 4 fields, the header 2",
        "wrong_width: line 4: the row has 1 fields, the header 2",
    ]


def test_a_single_nul_is_shown_and_its_row_kept(tmp_path: Path) -> None:
    assert fields(table(tmp_path, b"a,b\n1," + b"x" * 200 + b"\0\n")) == [["1", "x" * 200 + "\ufffd"]]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"\xd0\xcf\x11\xe0 old", "old .xls or a password"), (b"%PDF-1.7", "a PDF"), (b"PAR1", "Parquet"),
        (b"\n \n", "empty"), (b"\x00\x01\x02\x03", "NUL"),
    ],
)  # fmt: skip
def test_other_files_are_called_by_their_name(tmp_path: Path, content: bytes, words: str) -> None:
    with pytest.raises(InboxError, match=words):
        table(tmp_path, content)


def test_names_that_repeat_or_are_empty_get_their_position() -> None:
    assert unique_names(["a", "a", "", "a"]) == ["a", "a#2", "#3", "a#4"]


@pytest.mark.parametrize(
    ("wanted", "position"),
    [("Text", 0), ("text#2", 1), (" What do you like? ", 2), ("what DO you  like?", 2), ("x", None)],
)
def test_columns_are_found_by_name(tmp_path: Path, wanted: str, position: int | None) -> None:
    assert table(tmp_path, b"text,text,<b>What do</b> you&nbsp;like?\n").find(wanted) == position


FIELD = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1)


@settings(deadline=None)
@given(st.lists(st.lists(FIELD, min_size=2, max_size=2), min_size=1))
def test_every_row_that_is_written_is_read(rows: list[list[str]]) -> None:
    stream = io.StringIO(newline="")
    writer = csv.writer(stream, quoting=csv.QUOTE_ALL)
    writer.writerows([["a", "b"], *rows])
    with tempfile.TemporaryDirectory() as folder:
        found = table(Path(folder), stream.getvalue().encode())
    assert fields(found) == [row for row in rows if any(field.strip() for field in row)]


@settings(deadline=None)
@given(st.binary(), st.sampled_from(["utf-8", "cp1252", "utf-16-le", "utf-16-be"]))
def test_bytes_survive_whatever_they_are(content: bytes, encoding: str) -> None:
    whole = content if not encoding.startswith("utf-16") else content[: len(content) // 2 * 2]
    assert encode_as(decode_as(whole, encoding), encoding) == whole
