"""What the commands about persons and records say, on a terminal of 80 columns, and their exit codes."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from opsanalytics.cli.main import cli
from opsanalytics_tests.analysis.conftest import ANN, SHARED, World, configured

TOML = """
[project]
name = "Test"
home = "data"
start = 2026-03-01

[[sources]]
kind = "mixpanel"
name = "web"
project_id = "1"
base_url = "http://x"

[[sources]]
kind = "amplitude"
name = "app"
base_url = "http://x"

[[sources]]
kind = "feedback_csv"
name = "survey"
rating_scale = [0, 10]
[sources.columns]
id = "id"
created_at = "created_at"
title = "title"
text = "text"
rating = "rating"
email = "email"
user_id = "user"
language = "lang"
"""
Command = Callable[..., Result]


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    """The command line on a small world."""
    (tmp_path / "opsanalytics.toml").write_text(TOML)
    world = World(configured(tmp_path))
    world.land_web()
    world.land_app()
    world.deliver()
    world.refresh()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.delenv("OPSANALYTICS_CONFIG", raising=False)
    return lambda *arguments, **more: CliRunner().invoke(cli, list(map(str, arguments)), **more)


def narrow(result: Result) -> bool:
    return all(len(line) <= 80 or "/" in line for line in result.output.splitlines())


def test_a_person_is_explained(command: Command) -> None:
    result = command("person", SHARED)
    assert result.exit_code == 0
    assert narrow(result)
    assert f"Person {ANN}" in result.output
    assert "first_user_on_device" in result.output
    assert "kept apart" in result.output


def test_a_person_as_json(command: Command) -> None:
    found = json.loads(command("person", ANN, "--json").output)
    assert (found["person"], found["events"]) == (ANN, 6)
    assert found["shared_devices"][0]["device"] == SHARED


def test_nobody_is_told_with_what_looks_alike(command: Command) -> None:
    result = command("person", "ann-50012346")
    assert result.exit_code == 1
    assert ANN in result.output


def test_quarantine_is_listed_shown_and_exported(command: Command, tmp_path: Path) -> None:
    listed = command("quarantine", "list")
    assert (listed.exit_code, narrow(listed)) == (0, True)
    assert "bad_rating" in listed.output
    rows = [
        json.loads(line)
        for line in command("quarantine", "list", "--json", "--source", "web").output.splitlines()
    ]
    assert sum(row["records"] for row in rows) == 2
    shown = command("quarantine", "show", "--source", "survey")
    assert "[email]" in shown.output
    assert "eve@" not in shown.output
    assert "2 of 2 records" in shown.output
    of_day = command("quarantine", "show", "--source", "survey", "--day", "2026-03-01")
    assert "None. Of 2 records the day is not known: leave --day out." in of_day.output
    exported = command("quarantine", "export", tmp_path / "out.jsonl", "--source", "survey")
    assert exported.exit_code == 0
    assert len((tmp_path / "out.jsonl").read_text().splitlines()) == 2


def test_replay_ends_with_1_while_some_are_still_set_aside(command: Command) -> None:
    assert command("quarantine", "replay").exit_code == 1
    assert command("quarantine", "replay", "--reason", "none such").exit_code == 0
    assert command("quarantine", "list", "--source", "nowhere").exit_code == 1


def test_forgetting_asks_first(command: Command) -> None:
    refused = command("forget", ANN, input="n\n")
    assert refused.exit_code == 1
    assert command("person", ANN).exit_code == 0


def test_a_dry_run_only_tells(command: Command) -> None:
    told = command("forget", ANN, "--dry-run")
    assert (told.exit_code, narrow(told)) == (0, True)
    assert "6 events, 2 messages" in told.output
    assert command("person", ANN).exit_code == 0


def test_forgetting_and_asking_again(command: Command) -> None:
    done = command("forget", ANN, "--yes")
    assert done.exit_code == 0, done.output
    assert "Audit entry" in done.output
    assert command("person", ANN).exit_code == 1
    again = command("forget", ANN, "--yes")
    assert again.exit_code == 0
    assert "was forgotten at" in again.output
    assert command("forget", "nobody-like-this", "--yes").exit_code == 1
