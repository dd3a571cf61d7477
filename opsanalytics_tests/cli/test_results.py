"""What the commands show of a finished run."""

import json
from pathlib import Path

import duckdb
import pytest

from opsanalytics_tests.conftest import Run

pytestmark = pytest.mark.slow


def test_backlog_shows_findings_with_their_interval(opsanalytics: Run, demo: Path) -> None:
    ran = opsanalytics("backlog", cwd=demo)
    assert ran.code == 0, ran.err
    assert "BANK_CONNECT_FAILED" in ran.out
    assert " to " in ran.out
    assert "As of 2026-11-16 00:00 UTC" in ran.out


def test_backlog_as_json_is_one_object_a_line(opsanalytics: Run, demo: Path) -> None:
    ran = opsanalytics("backlog", "--json", "--all", cwd=demo)
    items = [json.loads(line) for line in ran.out.splitlines()]
    with duckdb.connect(str(demo / "data" / "opsanalytics.duckdb"), read_only=True) as con:
        assert [item["item_id"] for item in items] == [
            item for (item,) in con.execute("select item_id from backlog order by lane, rank").fetchall()
        ]


def test_export_is_self_contained(opsanalytics: Run, demo: Path, tmp_path: Path) -> None:
    target = tmp_path / "copy.duckdb"
    ran = opsanalytics("export", target, cwd=demo)
    assert ran.code == 0, ran.err
    with duckdb.connect(str(target)) as con:
        kind = con.execute(
            "select table_type from information_schema.tables where table_name = 'events'"
        ).fetchone()
        assert kind == ("BASE TABLE",)
        (count,) = con.execute("select count(*) from events").fetchall()[0]
    with duckdb.connect(str(demo / "data" / "opsanalytics.duckdb"), read_only=True) as con:
        assert con.execute("select count(*) from events").fetchall() == [(count,)]


def test_docs_of_the_checks_are_pages(opsanalytics: Run, demo: Path) -> None:
    ran = opsanalytics("docs", cwd=demo)
    assert ran.code == 0, ran.err
    page = Path(ran.out.strip().removeprefix("Data Docs: "))
    assert page.exists()
    assert "event_id_unique" in "".join(each.read_text() for each in page.parent.rglob("*.html"))


def test_compare_sources_shows_both_and_their_verdict(opsanalytics: Run, demo: Path) -> None:
    ran = opsanalytics("compare-sources", "--event", "purchase", cwd=demo)
    assert ran.code == 0, ran.err
    assert "web and mobile" in ran.out
    assert "apart" in ran.out


def test_compare_sources_as_json_has_the_days_asked_for(opsanalytics: Run, demo: Path) -> None:
    options = ("--days", "--from", "2026-09-01", "--to", "2026-09-02", "--event", "page_view", "--json")
    ran = opsanalytics("compare-sources", *options, cwd=demo)
    rows = [json.loads(line) for line in ran.out.splitlines()]
    assert [row["day"] for row in rows] == ["2026-09-01", "2026-09-02"]
