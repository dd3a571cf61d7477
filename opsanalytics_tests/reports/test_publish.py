import dataclasses
import json
from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest

from opsanalytics.lake.paths import Home
from opsanalytics.reports.data import ReportData, ReportError
from opsanalytics.reports.index import render_index, report_entry, report_index
from opsanalytics.reports.publish import write_report
from opsanalytics.reports.tables import REPORT_INDEX
from opsanalytics_tests.reports import samples


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


def later(data: ReportData, weeks: int) -> ReportData:
    move = timedelta(days=7 * weeks)
    return dataclasses.replace(data, first_day=data.first_day + move, last_day=data.last_day + move)


def test_a_report_is_a_page_an_entry_and_an_index(home: Home) -> None:
    path = write_report(home, samples.sample())
    assert path == home.reports / "weekly" / "2026-10-12" / "index.html"
    assert path.read_text().startswith("<!doctype html>")
    entry = json.loads((path.parent / "report.json").read_bytes())
    assert (entry["week"], entry["findings"], entry["top_lost_per_week"]) == ("2026-10-12", 2, 23.4)
    assert 'href="weekly/2026-10-12/index.html"' in (home.reports / "index.html").read_text()


def test_writing_the_same_report_again_changes_nothing(home: Home) -> None:
    write_report(home, samples.sample())
    before = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in home.reports.rglob("*.*")}
    write_report(home, samples.sample())
    assert {
        path: (path.read_bytes(), path.stat().st_mtime_ns) for path in home.reports.rglob("*.*")
    } == before


def test_the_index_lists_weeks_newest_first(home: Home) -> None:
    for weeks in (1, 0, 2):
        write_report(home, later(samples.sample(), weeks))
    html = (home.reports / "index.html").read_text()
    places = [html.index(f'href="weekly/2026-10-{day}/index.html"') for day in (26, 19, 12)]
    assert places == sorted(places)


def test_the_index_reads_back_what_was_written(home: Home) -> None:
    write_report(home, samples.sample())
    write_report(home, later(samples.withheld(), 1))
    index = report_index(home)
    assert index.schema == REPORT_INDEX.schema
    expected = pl.concat([report_entry(samples.sample()), report_entry(later(samples.withheld(), 1))])
    assert index.equals(expected)


def test_withheld_numbers_are_not_in_the_entry() -> None:
    entry = report_entry(samples.withheld()).row(0, named=True)
    assert (entry["quality"], entry["findings"], entry["rate"]) == ("failed", None, None)
    assert entry["withheld"] == ["funnels", "retention", "behaviour", "friction"]


def test_the_headline_rate_is_of_the_first_configured_funnel_and_its_latest_complete_week() -> None:
    entry = report_entry(samples.sample()).row(0, named=True)
    trend = samples.sample().funnel_trend.filter(pl.col("funnel") == "sign_up_to_purchase")
    latest = trend.filter(pl.col("complete")).row(-1, named=True)
    assert entry["funnel"] == "Sign-up to purchase"
    assert (entry["funnel_week"], entry["entered"]) == (latest["period_start"], latest["entered"])
    assert (entry["rate"], entry["rate_low"]) == (latest["rate"], latest["rate_low"])


def test_any_change_of_input_changes_the_fingerprint() -> None:
    data = samples.sample()
    changed = dataclasses.replace(
        data, backlog=data.backlog.with_columns(confidence=pl.col("confidence") + 1e-9)
    )
    assert len({data.fingerprint, changed.fingerprint, later(data, 1).fingerprint}) == 3


def test_a_broken_entry_names_its_file(home: Home) -> None:
    path = write_report(home, samples.sample()).parent / "report.json"
    path.write_text('{"week": ')
    with pytest.raises(ReportError, match=r"2026-10-12/report\.json: cannot be read"):
        report_index(home)


def test_no_reports_yet_is_an_empty_index(home: Home) -> None:
    index = report_index(home)
    assert index.is_empty()
    assert "No report has been written yet" in render_index(index)


def test_hostile_titles_are_text_in_the_index(home: Home) -> None:
    write_report(home, samples.hostile())
    html = (home.reports / "index.html").read_text()
    assert "<img" not in html
    assert "<script" not in html
