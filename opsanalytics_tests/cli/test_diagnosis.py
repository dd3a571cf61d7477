"""`opsanalytics diagnose` on a lake with a planted cause."""

import json
from datetime import date
from pathlib import Path

import polars as pl
import pytest
from click.testing import CliRunner, Result

from opsanalytics.cli.main import cli
from opsanalytics.lake.paths import Home
from opsanalytics_tests.behavior.drop_off_world import drop_off_world
from opsanalytics_tests.samples import event, person, write_events, write_persons

CONFIG = """
[project]
name = "Shop"
start = 2026-01-01
home = "data"

[[funnels]]
name = "buy"
title = "Checkout"
steps = ["open_checkout", "pay"]
window = "1d"

[[diagnoses]]
name = "quick"
funnel = "buy"
landmark = "5m"

[[segments]]
name = "platform"
property = "platform"

[friction]
error_events = ["card_declined"]
error_place = ["code"]
"""
AS_OF = ("--as-of", "2026-03-07")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("diagnosis")
    home = Home(place / "data")
    rows = drop_off_world(3, 1_000).sort("person", "ts", "event").to_dicts()
    write_persons(home, [person("user", one, one) for one in sorted({row["person"] for row in rows})])
    made = [
        event(
            f"e{number:06}",
            user_id=row["person"],
            event=row["event"],
            ts=row["ts"],
            platform=row["platform"],
            properties=row["properties"],
        )
        for number, row in enumerate(rows)
    ]
    by_day: dict[date, list[dict[str, object]]] = {}
    for one in made:
        by_day.setdefault(one["ts"].date(), []).append(one)
    for day, some in by_day.items():
        write_events(home, some, day)
    (place / "opsanalytics.toml").write_text(CONFIG)
    (place / "funnel.toml").write_text('steps = ["open_checkout", "pay"]\nwindow = "1d"\n')
    return place


def call(folder: Path, *arguments: str) -> Result:
    return CliRunner().invoke(cli, [*arguments, "--config", str(folder / "opsanalytics.toml"), *AS_OF])


def test_in_every_form(folder: Path) -> None:
    plain = call(folder, "diagnose", "buy")
    assert plain.exit_code == 0, plain.output
    assert "drops_more: signal Error card_declined" in plain.output
    assert "segment platform android" in plain.output
    told = json.loads(call(folder, "diagnose", "buy", "--step", "1", "--json").output)
    assert told["step"] == 1
    assert {one["verdict"] for one in told["findings"]} <= {"drops_more", "stays_more"}
    table = pl.read_csv(call(folder, "diagnose", "buy", "--csv").output.encode())
    assert table.filter(pl.col("kind") == "signal")["verdict"].to_list() == ["drops_more"]
    page = call(folder, "diagnose", "buy", "--html").output
    assert page.startswith("<!doctype html>")
    assert "Plotly.newPlot" in page
    assert "What they did instead" in page


def test_a_diagnosis_of_the_configuration_and_a_file(folder: Path) -> None:
    quick = json.loads(call(folder, "diagnose", "quick", "--json").output)
    assert quick["landmark_seconds"] == 300
    longer = call(
        folder, "diagnose", str(folder / "funnel.toml"), "--landmark", "20m", "--by", "color", "--json"
    )
    told = json.loads(longer.output)
    assert told["landmark_seconds"] == 1_200
    assert {one["name"] for one in told["compared"] if one["kind"] == "segment"} == {"platform", "color"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nothing"], "'nothing' is not one of the funnels (buy), nor a file"),
        (["buy", "--step", "2"], "nobody drops out after step 2; 'buy' has 2 steps"),
        (["buy", "--landmark", "soon"], "'soon' is not a length of time"),
        (["buy", "--landmark", "3d"], "beyond the window"),
    ],
)
def test_what_cannot_be_asked_is_said(folder: Path, arguments: list[str], message: str) -> None:
    done = call(folder, "diagnose", *arguments)
    assert done.exit_code == 1
    assert message in done.output
