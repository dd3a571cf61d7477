"""`opsanalytics sessions`, `paths` and `cohort` on a small lake."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from opsanalytics.cli.main import cli
from opsanalytics.lake.paths import Home
from opsanalytics_tests.samples import MONDAY, event, person, write_events, write_persons

CONFIG = """
[project]
name = "Shop"
start = 2024-01-01
home = "data"

[[funnels]]
name = "buy"
steps = ["sign_up", "purchase"]
window = "1d"

[sessions]

[[paths]]
name = "lost"
funnel = "buy"
min_persons = 1

[[cohorts]]
name = "buyers"
where = { did = "purchase" }
"""
AS_OF = ("--as-of", "2024-02-01")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    home = Home(tmp_path / "data")
    write_persons(home, [person("user", one, one) for one in ("p1", "p2")])
    rows = [
        event(f"{user}-{name}", user_id=user, event=name, ts=datetime(2024, 1, 1, hour, tzinfo=UTC))
        for user, names in {"p1": ("sign_up", "purchase"), "p2": ("sign_up",)}.items()
        for hour, name in enumerate(names)
    ]
    write_events(home, rows, MONDAY)
    (tmp_path / "opsanalytics.toml").write_text(CONFIG)
    (tmp_path / "of_buyers.toml").write_text('start = "sign_up"\namong = "buyers"\nmin_persons = 1\n')
    return tmp_path


def call(folder: Path, *arguments: str) -> Result:
    return CliRunner().invoke(cli, [*arguments, "--config", str(folder / "opsanalytics.toml"), *AS_OF])


@pytest.mark.parametrize(
    ("command", "name", "said"),
    [
        ("sessions", "sessions", "3 of 2 persons"),
        ("paths", "lost", "sign_up > (end): 1 of 1"),
        ("cohort", "buyers", "1 of 2 persons, 50.0%"),
    ],
)
def test_each_in_every_form(folder: Path, command: str, name: str, said: str) -> None:
    plain = call(folder, command, name)
    assert plain.exit_code == 0, plain.output
    assert said in plain.output
    assert json.loads(call(folder, command, name, "--json").output)["definition"]["name"] == name
    assert call(folder, command, name, "--csv").output.splitlines()[1].startswith(f"{name},")
    page = call(folder, command, name, "--html").output
    assert page.startswith("<!doctype html>")
    assert "Plotly.newPlot" in page


def test_a_file_may_name_a_cohort_of_the_configuration(folder: Path) -> None:
    done = call(folder, "paths", str(folder / "of_buyers.toml"))
    assert "1 paths of 1 persons" in done.output


def test_members_are_listed(folder: Path) -> None:
    done = call(folder, "cohort", "buyers", "--persons", "--json")
    assert [row["person"] for row in json.loads(done.output)] == ["p1"]


def test_a_funnel_by_cohort(folder: Path) -> None:
    done = call(folder, "funnel", "buy", "--breakdown", "buyers")
    assert "in buyers: 1 of 1" in done.output


def test_an_unknown_name_lists_those_there_are(folder: Path) -> None:
    done = call(folder, "cohort", "sellers")
    assert done.exit_code == 1
    assert "'sellers' is not one of the cohorts (buyers)" in done.output
