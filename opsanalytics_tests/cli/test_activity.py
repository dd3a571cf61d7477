"""`opsanalytics lifecycle`, `stickiness`, `usage-interval` and `trends` on a small lake."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from opsanalytics.cli.main import cli
from opsanalytics.lake.paths import Home
from opsanalytics_tests.samples import MONDAY, event, person, write_events, write_persons

AS_OF = ("--as-of", "2024-02-01")
DEFINITIONS = {
    "lifecycle": '{"period": "day"}',
    "stickiness": '{"unit": "hour", "period": "day"}',
    "usage-interval": '{"unit": "hour"}',
    "trends": '{"series": ["sign_up", "purchase"], "formulas": ["B / A"], "period": "day"}',
}
FIRST_LINES = {
    "lifecycle": "2024-01-01: new 2, returning 0, resurrected 0, dormant 0",
    "stickiness": "2 or more: 1 of 2, 50.0%",
    "usage-interval": "median pause 1 hours, 1 persons",
    "trends": "2024-01-01: 0.5",
}


@pytest.fixture
def home(tmp_path: Path) -> Path:
    home = Home(tmp_path / "data")
    write_persons(home, [person("user", one, one) for one in ("p1", "p2")])
    journeys = {"p1": ("sign_up", "purchase"), "p2": ("sign_up",)}
    rows = [
        event(
            f"{user}-{name}",
            user_id=user,
            event=name,
            platform="web" if user == "p1" else "ios",
            ts=datetime(2024, 1, 1, hour, tzinfo=UTC),
        )
        for user, names in journeys.items()
        for hour, name in enumerate(names)
    ]
    write_events(home, rows, MONDAY)
    for name, text in DEFINITIONS.items():
        (tmp_path / f"{name}.json").write_text(text)
    return tmp_path


def call(home: Path, name: str, *rest: str) -> Result:
    days = ("--from", "2024-01-01", "--to", "2024-01-03")
    file = str(home / f"{name}.json")
    return CliRunner().invoke(cli, [name, file, "--home", str(home / "data"), *AS_OF, *days, *rest])


@pytest.mark.parametrize("name", DEFINITIONS)
def test_a_report_from_a_file(home: Path, name: str) -> None:
    done = call(home, name)
    assert done.exit_code == 0, done.output
    assert FIRST_LINES[name] in done.output


@pytest.mark.parametrize("name", DEFINITIONS)
def test_json_csv_and_html(home: Path, name: str) -> None:
    plain = json.loads(call(home, name, "--json").output)
    assert {"definition", "definition_id", "as_of", "left_out"} <= plain.keys()
    assert call(home, name, "--csv").output.startswith("definition,")
    page = call(home, name, "--html").output
    assert page.startswith("<!doctype html>")
    assert "Plotly.newPlot" in page
    assert '<script src="http' not in page


def test_trends_by_value(home: Path) -> None:
    output = call(home, "trends", "--breakdown", "platform").output
    assert "B / A, web" in output
    assert "B / A, ios" in output


def test_a_name_is_looked_up_in_the_configuration(home: Path) -> None:
    config = home / "opsanalytics.toml"
    config.write_text(
        '[project]\nname = "p"\nstart = 2024-01-01\n\n[[lifecycles]]\nname = "daily"\nperiod = "day"\n'
    )
    asked = ["lifecycle", "daily", "--config", str(config), *AS_OF, "--to", "2024-01-03"]
    known = CliRunner().invoke(cli, asked)
    assert FIRST_LINES["lifecycle"] in known.output
    unknown = CliRunner().invoke(cli, ["trends", "daily", "--config", str(config), *AS_OF])
    assert "'daily' is not one of the trends (none), nor a file" in unknown.output


def test_a_wrong_definition_is_told_in_one_line(home: Path) -> None:
    (home / "trends.json").write_text('{"series": ["A"], "formulas": ["A / C"]}')
    done = call(home, "trends")
    assert done.exit_code == 1
    assert "names C; the series are A" in done.output
    assert "Traceback" not in done.output
