import zipfile
from datetime import date, datetime, time
from pathlib import Path
from typing import Any

import pytest
from openpyxl import Workbook

from opsanalytics.sources.errors import InboxError
from opsanalytics.sources.feedback_files.table import read_table
from opsanalytics.sources.feedback_files.workbook import cell_text


def workbook(path: Path, **sheets: list[list[Any]]) -> Path:
    book = Workbook()
    book.remove(book.worksheets[0])
    for name, rows in sheets.items():
        sheet = book.create_sheet(name)
        for row in rows:
            sheet.append(row)
    book.save(path)
    return path


def rows(path: Path, sheet: str | None = None) -> list[list[str]]:
    table = read_table(path, sheet=sheet)
    return [table.header, *(table.fields(record) for record in table.records)]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, ""), (True, "true"), (1.0, "1"), (4.5, "4.5"), (0.1, "0.1"), (-3, "-3"), ("007", "007"),
        (123456789012345, "123456789012345"), (2**63 - 1, "9223372036854775807"),
        (1.23456789012346e18, "1.234567890123460E+18"), (1e20, "1.000000000000000E+20"),
        (datetime(2026, 3, 1, 10, 0, 1), "2026-03-01T10:00:01"), (date(2026, 3, 1), "2026-03-01"),  # noqa: DTZ001
        (time(10, 0), "10:00:00"),
    ],
)  # fmt: skip
def test_cells_are_the_text_a_careful_export_gives(value: Any, text: str) -> None:
    assert cell_text(value) == text


def test_a_workbook_is_read_like_a_file_of_text(tmp_path: Path) -> None:
    moment = datetime(2026, 3, 1, 10, 0, 1)  # noqa: DTZ001
    path = workbook(tmp_path / "a.bin", Answers=[["id", "when", "text"], [1, moment, "a\nb"], [], [2, None]])
    assert rows(path) == [["id", "when", "text"], ["1", "2026-03-01T10:00:01", "a\nb"], ["2", "", ""]]
    assert [record.line for record in read_table(path).records] == [2, 4]


def test_the_first_sheet_that_is_not_empty_is_read(tmp_path: Path) -> None:
    path = workbook(tmp_path / "a.xlsx", Empty=[], Answers=[["a"], [1]], More=[["b"], [2]])
    assert rows(path) == [["a"], ["1"]]
    assert rows(path, "More") == [["b"], ["2"]]


def test_a_sheet_that_is_not_there_is_told_with_the_nearest(tmp_path: Path) -> None:
    path = workbook(tmp_path / "a.xlsx", Answers=[["a"], [1]])
    with pytest.raises(InboxError, match=r"no sheet 'Answer' \(nearest: 'Answers'\)"):
        read_table(path, sheet="Answer")


def test_a_formula_without_a_value_is_kept_as_written(tmp_path: Path) -> None:
    path = workbook(tmp_path / "a.xlsx", Answers=[["a", "b", "c"], [1, "=A2+1", "x"], [2, None, "=A3"]])
    assert rows(path)[1:] == [["1", "=A2+1", "x"], ["2", "", "=A3"]]


def test_a_damaged_workbook_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.xlsx"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("[Content_Types].xml", "<nothing/>")
    with pytest.raises(InboxError, match="cannot be read"):
        read_table(path)


def test_an_empty_workbook_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InboxError, match="empty"):
        read_table(workbook(tmp_path / "a.xlsx", Empty=[]))
