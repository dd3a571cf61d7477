"""Dagster loads everything, and every asset says what a data engineer wants to know."""

import os
import subprocess
import sys
from importlib.resources import files
from pathlib import Path

import dagster as dg
import pytest

from opsanalytics.assets.build import build_definitions
from opsanalytics.config import load_settings
from opsanalytics_tests.conftest import ROOT


@pytest.fixture(scope="module")
def definitions(tmp_path_factory: pytest.TempPathFactory) -> dg.Definitions:
    path = tmp_path_factory.mktemp("config") / "opsanalytics.toml"
    path.write_bytes(files("opsanalytics.config").joinpath("starter.toml").read_bytes())
    return build_definitions(load_settings(path))


def specs(definitions: dg.Definitions) -> list[dg.AssetSpec]:
    return list(definitions.resolve_all_asset_specs())


def test_the_root_configuration_is_the_starter_file() -> None:
    starter = files("opsanalytics.config").joinpath("starter.toml").read_bytes()
    assert (ROOT / "opsanalytics.toml").read_bytes() == starter


def test_every_asset_has_a_group_an_owner_a_kind_a_description_and_its_code(
    definitions: dg.Definitions,
) -> None:
    for spec in specs(definitions):
        assert spec.group_name not in (None, "default"), spec.key
        assert spec.owners, spec.key
        assert spec.kinds, spec.key
        assert len(spec.description or "") > 40, spec.key
        assert "dagster/code_references" in spec.metadata, spec.key


def test_a_range_of_days_is_one_run(definitions: dg.Definitions) -> None:
    for spec in specs(definitions):
        if spec.partitions_def is not None:
            assets = definitions.get_assets_def(spec.key)
            assert assets.backfill_policy == dg.BackfillPolicy.single_run(), spec.key


def test_jobs_schedules_and_sensors_run_by_default(definitions: dg.Definitions) -> None:
    assert {job.name for job in definitions.jobs or []} == {
        "daily",
        "intraday",
        "feedback_inbox",
        "report_weekly",
    }
    for schedule in definitions.schedules or []:
        assert schedule.default_status == dg.DefaultScheduleStatus.RUNNING  # type: ignore[union-attr]
    for sensor in definitions.sensors or []:
        assert sensor.default_status == dg.DefaultSensorStatus.RUNNING


def test_landing_is_retried_and_fresh_events_are_expected(definitions: dg.Definitions) -> None:
    by_key = {spec.key: spec for spec in specs(definitions)}
    assert by_key[dg.AssetKey("events")].freshness_policy is not None
    assert by_key[dg.AssetKey("weekly_report")].freshness_policy is not None
    landing = definitions.get_assets_def(dg.AssetKey(["landing", "web"]))
    assert landing.op.retry_policy is not None


def test_checks_block_where_downstream_would_be_wrong(definitions: dg.Definitions) -> None:
    blocking = {
        (spec.asset_key.to_user_string(), spec.name)
        for assets in definitions.resolve_asset_graph().assets_defs
        for spec in assets.check_specs
        if spec.blocking
    }
    assert {
        ("ingestion_ledger", "reconciles"),
        ("events", "event_id_unique"),
        ("feedback", "feedback_id_unique"),
    } <= blocking


def test_loading_reads_no_data_and_imports_nothing_heavy(tmp_path: Path) -> None:
    (tmp_path / "opsanalytics.toml").write_bytes(
        files("opsanalytics.config").joinpath("starter.toml").read_bytes()
    )
    code = (
        "import sys, opsanalytics.definitions\n"
        "heavy = {'great_expectations', 'sklearn', 'statsmodels', 'numba', 'scipy.stats'}\n"
        "print(sorted(heavy & set(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "[]"
    assert done.stderr == ""
    assert sorted(path.name for path in tmp_path.iterdir()) == ["opsanalytics.toml"]


@pytest.mark.slow
def test_dg_check_defs_passes() -> None:
    command = Path(sys.executable).with_name("dg")
    done = subprocess.run(
        [command, "check", "defs"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "DAGSTER_DISABLE_TELEMETRY": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
