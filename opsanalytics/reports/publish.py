"""Writing reports: the page of a week, its entry, the index over all weeks."""

from pathlib import Path

from opsanalytics.lake.files import write_text
from opsanalytics.lake.locks import exclusive
from opsanalytics.lake.paths import Home
from opsanalytics.reports.data import ReportData
from opsanalytics.reports.index import ENTRY, PAGE, render_index, report_entry, report_index, write_entry
from opsanalytics.reports.page import render_week


def write_report(home: Home, data: ReportData) -> Path:
    """Write `reports/<name>/<first day>/index.html`, its `report.json`, and `reports/index.html` over all.

    Each file is replaced whole, and left alone where it would not change. Returns the page of the week.

    Raises:
        ReportError: the entry of another week cannot be read.
        LockHeldError: another process is writing reports and does not finish.
    """
    folder = home.reports / data.report / data.first_day.isoformat()
    page, entry = render_week(data), report_entry(data)
    # The index is made of the whole folder: two writers at once could leave out each other's week.
    with exclusive(home, "reports"):
        write_text(folder / PAGE, page)
        write_text(folder / ENTRY, write_entry(entry))
        write_text(home.reports / PAGE, render_index(report_index(home)))
    return folder / PAGE
