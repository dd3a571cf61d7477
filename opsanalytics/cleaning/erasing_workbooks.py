"""Excel workbooks without some of their rows, and without mentions of forgotten persons."""

import io
import re
import zipfile
from pathlib import Path
from typing import Any

from opsanalytics.cleaning.erasing_records import Eraser, Found
from opsanalytics.sources.feedback_files.workbook import cell_text, read_workbook

FIRST_DATE = (1980, 1, 1, 0, 0, 0)
"""The earliest that a zip can hold: equal workbooks are equal bytes, whenever they were written."""
WRITTEN_AT = re.compile(rb"<dcterms:modified[^>]*>[^<]*</dcterms:modified>")


def record_rows(path: Path, sheet: str | None, headers: int) -> list[int]:
    """Row numbers of the records of a sheet, in their order, below so many rows of headings."""
    return [number for number, _ in read_workbook(path, sheet)][headers:]


def without_sheet_rows(path: Path, sheet: str | None, rows: set[int]) -> bytes:
    """The workbook without these rows (numbers from 1) of the sheet that is read.

    Formulas become their stored values, without which they could not be told apart from what is gone.
    """
    book, written = opened(path)
    page = read_sheet(book, sheet)
    for number in sorted(rows, reverse=True):
        page.delete_rows(number)
        written[page.title].delete_rows(number)
    return saved(book, written)


def workbook_without_mentions(eraser: Eraser, content: bytes, found: Found) -> bytes:
    """The workbook with ids of the forgotten blanked in the cells of all sheets; else the same bytes."""
    book, written = opened(io.BytesIO(content))
    own = Found()
    for page in book.worksheets:
        for row in page.iter_rows():
            for cell in row:
                if cell.value is None:
                    continue
                text = cell_text(cell.value)
                left = eraser.plain_without_mentions(text, own)
                if left != text:
                    cell.value = left
    found.add(own)
    return saved(book, written) if own else content


def opened(content: Any) -> tuple[Any, Any]:
    """A workbook with the values of its formulas, and the same with the formulas."""
    # Only here: most sources are CSV, and it takes a while to import.
    from openpyxl import load_workbook

    if isinstance(content, Path):
        content = io.BytesIO(content.read_bytes())
    values = load_workbook(content, data_only=True)
    content.seek(0)
    return values, load_workbook(content, data_only=False)


def read_sheet(book: Any, sheet: str | None) -> Any:
    """The sheet that a source reads, as `read_workbook` chooses it."""
    if sheet is not None:
        return book[sheet]
    visible = [page for page in book.worksheets if page.sheet_state == "visible"]
    filled = (
        page
        for page in visible
        if any(cell is not None and cell_text(cell).strip() for row in page.values for cell in row)
    )
    return next(filled, visible[0])


def saved(book: Any, written: Any) -> bytes:
    """A workbook as bytes; a formula without a stored value stays as written."""
    for page in book.worksheets:
        formulas = written[page.title]
        for row in formulas.iter_rows():
            for cell in row:
                if cell.data_type == "f" and page[cell.coordinate].value is None:
                    page[cell.coordinate].value = cell.value
    content, fixed = io.BytesIO(), io.BytesIO()
    book.save(content)
    with zipfile.ZipFile(content) as archive, zipfile.ZipFile(fixed, "w", zipfile.ZIP_DEFLATED) as target:
        for name in sorted(archive.namelist()):
            part = archive.read(name)
            if name == "docProps/core.xml":
                part = WRITTEN_AT.sub(b"", part)
            target.writestr(zipfile.ZipInfo(name, FIRST_DATE), part, zipfile.ZIP_DEFLATED)
    return fixed.getvalue()
