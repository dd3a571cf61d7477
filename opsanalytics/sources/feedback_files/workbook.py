"""Excel workbooks: cells as the text a careful CSV export would have given."""

import zipfile
from datetime import date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Any

from opsanalytics.sources.errors import InboxError
from opsanalytics.sources.feedback_files.nearest import nearest

PARTS = "[Content_Types].xml"
LARGEST_BYTES = 512 * 1024**2
"""Unpacked; about a sheet of a million rows, less than what stops this machine."""
EXACT_INTEGERS = 2**53


def is_workbook(path: Path) -> bool:
    """Whether the bytes are a workbook, whatever the file is called."""
    try:
        with zipfile.ZipFile(path) as archive:
            return PARTS in archive.namelist()
    except (zipfile.BadZipFile, OSError):
        return False


def read_workbook(path: Path, sheet: str | None) -> list[tuple[int, list[str]]]:
    """Rows with their numbers, of the sheet named or else the first that is visible and not empty.

    Blank rows and blank cells at the end of a row are left out. A formula counts as its stored value; one
    without is given as written.

    Raises:
        InboxError: it cannot be opened, or has no such sheet.
    """
    # Only here: most sources are CSV, and it takes a while to import.
    from openpyxl import load_workbook

    try:
        with zipfile.ZipFile(path) as archive:
            size = sum(part.file_size for part in archive.infolist())
            if size > LARGEST_BYTES:
                raise InboxError(f"{path}: {size:,} bytes when unpacked; split it, or export it as CSV.")
            formulas = any(b"<f" in archive.read(name) for name in archive.namelist() if "/sheet" in name)
        with path.open("rb") as file:  # openpyxl judges files by their name, and this may have any
            rows = sheet_rows(path, load_workbook(file, read_only=True, data_only=True), sheet)
            if formulas:
                written = sheet_rows(path, load_workbook(file, read_only=True, data_only=False), sheet)
                rows = with_formulas(rows, written)
    except InboxError:
        raise
    except Exception as error:  # openpyxl raises whatever a damaged part causes
        raise InboxError(
            f"{path}: the workbook cannot be read ({type(error).__name__}: {error}). Save it again as .xlsx "
            "or CSV, and drop it again."
        ) from error
    return [(number, row) for number, row in rows if row]


def sheet_rows(path: Path, book: Any, sheet: str | None) -> list[tuple[int, list[str]]]:
    try:
        if sheet is not None and sheet not in book.sheetnames:
            raise InboxError(
                f"{path}: no sheet {sheet!r}{nearest(sheet, book.sheetnames)}. The workbook has "
                f"{book.sheetnames}; correct `sheet`, or leave it out for the first sheet."
            )
        visible = [each for each in book.worksheets if each.sheet_state == "visible"]
        for page in [book[sheet]] if sheet is not None else visible:
            page.reset_dimensions()  # writers other than Excel often state wrong ones
            rows = [
                (number, texts(row)) for number, row in enumerate(page.iter_rows(values_only=True), start=1)
            ]
            if any(row for _, row in rows):
                return rows
        return []
    finally:
        book.close()


def with_formulas(
    rows: list[tuple[int, list[str]]], written: list[tuple[int, list[str]]]
) -> list[tuple[int, list[str]]]:
    """`rows`, and where a cell is empty what is `written` there."""
    filled = []
    for (number, row), (_, formulas) in zip(rows, written, strict=True):
        padded = row + [""] * (len(formulas) - len(row))
        filled.append(
            (number, [value or formula for value, formula in zip(padded, formulas, strict=False)])
            if formulas
            else (number, row)
        )
    return filled


def texts(row: tuple[Any, ...]) -> list[str]:
    fields = [cell_text(value) for value in row]
    while fields and not fields[-1].strip():
        fields.pop()
    return fields


def cell_text(value: Any) -> str:
    """A cell as text: whole numbers without `.0`, all digits that are known, times as ISO 8601.

    A whole number beyond 2^53 that Excel rounded keeps its exponent, so that nobody takes it for an id.
    """
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        if not value.is_integer():
            return repr(value)
        return str(int(value)) if abs(value) < EXACT_INTEGERS else f"{Decimal(repr(value)):.15E}"
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    return str(value)
