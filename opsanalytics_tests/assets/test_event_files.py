"""Events from files through Dagster: landed, checked, and told on the terminal."""

from datetime import timedelta
from pathlib import Path

import dagster as dg
import pytest

from opsanalytics.assets.build import build_definitions
from opsanalytics.assets.ingestion import FILES_USABLE, event_landing
from opsanalytics.config import load_settings
from opsanalytics_tests.conftest import run_command
from opsanalytics_tests.sources.file_support import FIRST, ga4_record, jsonl, put, zipped

CONFIG = """
[project]
name = "Site"
start = 2026-03-01
end = 2026-03-05

[[sources]]
kind = "ga4"
name = "site"
path = "ga4"

[[sources]]
kind = "event_files"
name = "backend"
path = "log"
columns = { event = "name", ts = "at", user_id = "user" }

[[funnels]]
name = "buying"
window = "1d"
steps = ["page_view", "purchase"]
"""


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """Five days of both sources, and one file that cannot be used."""
    (tmp_path / "opsanalytics.toml").write_text(CONFIG, encoding="utf-8")
    for number in range(5):
        day = FIRST + timedelta(days=number)
        records = [ga4_record(n, day=day, name="page_view" if n < 4 else "purchase") for n in range(6)]
        put(tmp_path / "ga4" / f"events_{day:%Y%m%d}-000000000000.json.gz", zipped(records))
        put(tmp_path / "log" / f"{day}.jsonl", jsonl([{"name": "paid", "at": f"{day} 10:00", "user": "ada"}]))
    put(tmp_path / "log" / "bad.jsonl.gz", b"not gzip")
    return tmp_path


def test_an_unusable_file_fails_a_check_and_nothing_else(workspace: Path) -> None:
    settings = load_settings(workspace / "opsanalytics.toml")
    _, backend = settings.event_sources
    ran = dg.materialize([event_landing(settings, backend)], partition_key="2026-03-01")
    assert ran.success
    (check,) = ran.get_asset_check_evaluations()
    assert (check.check_name, check.passed) == (FILES_USABLE, False)
    assert "bad.jsonl.gz" in str(check.metadata["files that cannot be used"].value)


def test_each_source_of_files_has_that_check(workspace: Path) -> None:
    definitions = build_definitions(load_settings(workspace / "opsanalytics.toml"))
    graph = definitions.resolve_asset_graph()
    found = {key.asset_key.path[-1] for key in graph.asset_check_keys if key.name == FILES_USABLE}
    assert found == {"site", "backend"}


def test_the_command_names_what_is_wrong_with_a_file(workspace: Path) -> None:
    ran = run_command("check", cwd=workspace)
    assert ran.code == 1
    assert "source site: 5 file(s)" in ran.out
    assert "bad.jsonl.gz: is named .gz but is no gzip" in ran.out


@pytest.mark.slow
def test_files_become_a_report(workspace: Path) -> None:
    ran = run_command("run", cwd=workspace)
    assert ran.code == 0, ran.out + ran.err
    assert "bad.jsonl.gz: is named .gz but is no gzip" in ran.out
    (workspace / "log" / "bad.jsonl.gz").unlink()
    assert run_command("check", cwd=workspace).code == 0
    report = (workspace / "data" / "reports" / "index.html").read_text(encoding="utf-8")
    assert "Site" in report
    import duckdb

    with duckdb.connect(str(workspace / "data" / "opsanalytics.duckdb"), read_only=True) as published:
        counted = published.sql("select source, count(*) from events group by all order by all").fetchall()
        books = published.sql(
            "select sum(landed), sum(canonical + duplicates + quarantined) from ingestion_ledger"
        ).fetchall()
    assert counted == [("backend", 5), ("site", 30)]
    assert books == [(35, 35)]
