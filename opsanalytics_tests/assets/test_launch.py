"""Dagster's storage survives being made by several processes at once."""

import multiprocessing
from pathlib import Path

import dagster as dg

from opsanalytics.assets.launch import prepare_dagster_home
from opsanalytics.lake.paths import Home


def prepare(root: str) -> None:
    prepare_dagster_home(Home(Path(root)))


def test_many_at_once_make_one_usable_storage(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    with context.Pool(4) as pool:
        pool.map(prepare, [str(tmp_path)] * 8)
    with dg.DagsterInstance.from_config(str(tmp_path / "dagster")) as instance:
        assert instance.get_runs_count() == 0


def test_an_edited_file_is_kept(tmp_path: Path) -> None:
    home = Home(tmp_path)
    settings = prepare_dagster_home(home) / "dagster.yaml"
    settings.write_text("telemetry: {enabled: false}\n# mine\n")
    prepare_dagster_home(home)
    assert "# mine" in settings.read_text()
