"""The whole pipeline as a user runs it: over HTTP, through Dagster, to the published file and the report."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import duckdb
import polars as pl
import pytest

from opsanalytics.lake.schemas import EVENTS
from opsanalytics_tests.assets.conftest import Product, differing
from opsanalytics_tests.conftest import ROOT
from opsanalytics_tests.simulators.faulty import broken_line, cut, server_error, terminated_early

pytestmark = pytest.mark.slow

REBUILT = ("lake", "reports")
"""Folders that depend on landing, configuration and code alone."""


def rows(home: Path, sql: str) -> list[tuple[object, ...]]:
    """Ask the published file as an analyst does."""
    with duckdb.connect(str(home / "opsanalytics.duckdb"), read_only=True) as con:
        return con.execute(sql).fetchall()


def test_everything_arrives_once_and_a_second_run_changes_nothing(product: Product) -> None:
    ran = product.run("run")
    assert ran.code == 0, ran.out + ran.err
    home = product.home.root

    counted = dict(rows(home, "select source, count(*) from events group by source"))
    assert counted == {"web": product.web.height, "mobile": product.mobile.height}
    vendors = product.simulator.vendors.values()
    landed = rows(
        home,
        "select sum(landed), sum(canonical + duplicates + quarantined) from ingestion_ledger "
        "where kind <> 'feedback_csv'",
    )[0]
    assert landed == (sum(vendor.delivered_rows for vendor in vendors),) * 2  # type: ignore[attr-defined]
    names = {name for (name,) in rows(home, "select distinct event from events")}
    assert "sign_up" in names
    assert "Sign Up" not in names

    before, marts = product.files(*REBUILT), product.files("marts")
    assert product.run("run").code == 0
    assert differing(before, product.files(*REBUILT)) == {}
    # The ledger tells when a delivery was fetched last; all else is the same to the byte.
    assert differing(marts, product.files("marts"), but="ledger") == {}
    assert product.simulator.limit_violations == 0


def test_every_table_and_column_of_the_published_file_has_a_comment(demo: Path) -> None:
    home = demo / "data"
    bare = rows(home, "select table_name from duckdb_tables() where comment is null")
    bare += rows(
        home,
        "select table_name, column_name from duckdb_columns() where comment is null and not internal",
    )
    assert bare == []
    tables = {name for (name,) in rows(home, "select table_name from duckdb_tables()")}
    assert {
        "funnel_steps",
        "retention_cells",
        "pain_points",
        "backlog",
        "ingestion_ledger",
        "quality_results",
        "feedback",
        "persons",
    } <= tables
    columns = [
        name for (name,) in rows(home, "select column_name from duckdb_columns() where table_name = 'events'")
    ]
    assert columns[: 1 + len(EVENTS.names)] == ["person", *EVENTS.names]


def test_the_demo_finds_what_was_planted_and_no_decoy(demo: Path) -> None:
    truth = json.loads((demo / "truth.json").read_text())
    found = " ".join(
        f"{title} {place}"
        for title, place in rows(
            demo / "data",
            "select title, place from pain_points where status = 'finding' and lane = 'behaviour'",
        )
    )
    for plant in truth["plants"]:
        signal_ = plant["signal"]
        values = [str(where["value"]) for where in signal_["where"] if where["property"] == "code"]
        wanted = (
            values
            or {
                "verification_late": ["Verification mail"],
                "search_empty": ["/invoices/new"],
                "slow_checkout": ["/checkout"],
                "slow_reports": ["/reports"],
            }[plant["key"]]
        )
        assert all(value in found for value in wanted) == (plant["kind"] != "decoy"), plant["title"]


def test_an_analyst_reads_on_while_the_pipeline_publishes(product: Product) -> None:
    assert product.run("run").code == 0
    reader = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import duckdb, sys\n"
            f"con = duckdb.connect({str(product.home.published)!r}, read_only=True)\n"
            "print(con.execute('select count(*) from funnel_steps').fetchone()[0], flush=True)\n"
            "sys.stdin.readline()\n"
            "print(con.execute('select count(*), sum(persons) from funnel_steps').fetchone(), flush=True)\n",
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert reader.stdout is not None
    first = reader.stdout.readline()
    inode = product.home.published.stat().st_ino
    # Another window: the marts change, so a new file is published under the reader's feet.
    config = product.folder / "opsanalytics.toml"
    config.write_text(config.read_text().replace('window = "7d"', 'window = "3d"'))
    assert product.run("run").code == 0
    assert product.home.published.stat().st_ino != inode
    out, _ = reader.communicate("go\n", timeout=60)
    assert reader.returncode == 0
    assert first.strip() in out
    assert rows(product.home.root, "select count(*) from funnel_steps")[0][0] == int(first)


@pytest.mark.parametrize("stage", ["landing/web", "events", "opsanalytics_duckdb"])
def test_a_run_killed_at_any_stage_is_made_good_by_the_next(product: Product, stage: str) -> None:
    command = [sys.executable, "-m", "opsanalytics.cli", "run"]
    environment = {**os.environ, **product.environment, "PYTHONPATH": str(ROOT)}
    environment.pop("DAGSTER_HOME", None)
    previous = {"landing/web": "landing/survey", "events": "feedback", "opsanalytics_duckdb": "improvement"}[
        stage
    ]
    with subprocess.Popen(
        command, cwd=product.folder, env=environment, stdout=subprocess.PIPE, text=True
    ) as running:
        assert running.stdout is not None
        for line in running.stdout:
            if line.startswith("done") and previous in line:
                break
        time.sleep(0.3)
        running.send_signal(signal.SIGKILL)
    assert product.run("run").code == 0
    disturbed = product.files("lake", "marts")
    for folder in ("lake", "marts", "quality", "index"):
        subprocess.run(["rm", "-rf", str(product.home.root / folder)], check=True)
    assert product.run("run").code == 0
    assert differing(disturbed, product.files("lake", "marts"), but="ledger") == {}


def test_faults_of_the_vendors_are_ridden_out(product: Product) -> None:
    product.faults.on("mixpanel", 1, terminated_early()).on("mixpanel", 2, server_error(503))
    product.faults.on("amplitude", 1, cut(0.5)).on("amplitude", 2, cut(0.5, with_length=False))
    ran = product.run("run")
    assert ran.code == 0, ran.out + ran.err
    assert product.faults.unused == []
    counted = dict(rows(product.home.root, "select source, count(*) from events group by source"))
    assert counted == {"web": product.web.height, "mobile": product.mobile.height}


def test_a_broken_line_is_quarantined_and_counted(product: Product) -> None:
    product.faults.on("mixpanel", 1, broken_line(5))
    assert product.run("run").code == 0
    (quarantined,) = rows(product.home.root, "select sum(quarantined) from ingestion_ledger")[0]
    assert quarantined == 1
    stored = pl.concat(pl.read_parquet(file) for file in product.home.quarantine("web").glob("*.parquet"))
    assert stored["raw"].to_list() == [b'{"event": "half of a li']


def test_a_wrong_password_fails_the_run_with_one_message(product: Product) -> None:
    product.environment["DEMO_MIXPANEL_SECRET"] = "wrong"
    ran = product.run("run")
    assert ran.code == 1
    assert "401" in ran.out
    assert "DEMO_MIXPANEL_SECRET" in ran.out
    assert "wrong" not in ran.out.replace("wrong user", "")
    assert not product.home.published.exists()


def test_a_missing_variable_fails_the_run_with_one_message(product: Product) -> None:
    del product.environment["DEMO_AMPLITUDE_API_KEY"]
    ran = product.run("run")
    assert ran.code == 1
    assert "the environment variable DEMO_AMPLITUDE_API_KEY (api_key_env) is not set" in ran.out


def test_check_asks_the_vendors(product: Product) -> None:
    ran = product.run("check")
    assert ran.code == 0, ran.out + ran.err
    assert "source web: " in ran.out
    product.environment["DEMO_AMPLITUDE_SECRET_KEY"] = "wrong"
    ran = product.run("check")
    assert ran.code == 1
    assert "DEMO_AMPLITUDE_SECRET_KEY" in ran.out


def test_two_runs_at_once_do_not_disturb_each_other(product: Product) -> None:
    environment = {**os.environ, **product.environment, "PYTHONPATH": str(ROOT)}
    environment.pop("DAGSTER_HOME", None)
    commands = [
        [sys.executable, "-m", "opsanalytics.cli", "run", "--to", "2026-09-06"],
        [sys.executable, "-m", "opsanalytics.cli", "run"],
    ]
    running = [
        subprocess.Popen(each, cwd=product.folder, env=environment, stdout=subprocess.PIPE, text=True)
        for each in commands
    ]
    outputs = [each.communicate(timeout=300)[0] for each in running]
    assert [each.returncode for each in running] == [0, 0], outputs
    assert product.run("run").code == 0
    counted = dict(rows(product.home.root, "select source, count(*) from events group by source"))
    assert counted == {"web": product.web.height, "mobile": product.mobile.height}
    assert product.simulator.limit_violations == 0


def test_analysing_before_anything_landed_says_what_to_do(product: Product) -> None:
    environment = {**os.environ, **product.environment, "PYTHONPATH": str(ROOT)}
    environment |= {"OPSANALYTICS_CONFIG": str(product.folder / "opsanalytics.toml")}
    code = (
        "from opsanalytics.assets.launch import run_job\n"
        "from opsanalytics.definitions import defs\n"
        "from opsanalytics.config import find_config, load_settings\n"
        "home = load_settings(find_config()).home\n"
        "said = []\n"
        "run_job(defs, 'feedback_inbox', home, partitions=[], on_update=lambda u: said.append(u.message))\n"
        "print('\\n'.join(said))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=product.folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (
        "nothing to analyse: source(s) mobile, web landed no complete data from 2026-08-24 on" in done.stdout
    )
