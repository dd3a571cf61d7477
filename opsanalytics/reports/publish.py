"""Writing reports: the page of a week, its entry, the index over all weeks."""

from datetime import date
from pathlib import Path

from opsanalytics.lake.files import write_text
from opsanalytics.lake.locks import exclusive
from opsanalytics.lake.paths import Home
from opsanalytics.reports.data import ReportData
from opsanalytics.reports.index import ENTRY, PAGE, render_index, report_entry, report_index, write_entry
from opsanalytics.reports.page import render_week


def page_files(home: Home, report: str, week: date) -> tuple[Path, Path]:
    """The page of the week that starts on `week`, and its entry for the index."""
    folder = home.reports / report / week.isoformat()
    return folder / PAGE, folder / ENTRY


def write_report(home: Home, data: ReportData) -> Path:
    """Write `reports/<name>/<first day>/index.html`, its `report.json`, and `reports/index.html` over all.

    Each file is replaced whole, and left alone where it would not change. Returns the page of the week.

    Raises:
        ReportError: the entry of another week cannot be read.
        LockHeldError: another process is writing reports and does not finish.
    """
    page_path, entry_path = page_files(home, data.report, data.first_day)
    page, entry = render_week(data), report_entry(data)
    # The index is made of the whole folder: two writers at once could leave out each other's week.
    with exclusive(home, "reports"):
        write_text(page_path, page)
        write_text(entry_path, write_entry(entry))
        _write_index(home)
    return page_path


def write_index(home: Home) -> None:
    """Write `reports/index.html` anew over all pages: some may have been removed by hand.

    Raises:
        ReportError: an entry cannot be read.
        LockHeldError: another process is writing reports and does not finish.
    """
    with exclusive(home, "reports"):
        _write_index(home)


def _write_index(home: Home) -> None:
    write_text(home.reports / PAGE, render_index(report_index(home)))
