"""`opsanalytics funnel`, `retention` and `reconcile` on a small lake."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from opsanalytics.cli.main import cli
from opsanalytics.lake.paths import Home
from opsanalytics_tests.samples import MONDAY, event, person, write_events, write_persons

FUNNEL = 'steps = ["sign_up", "purchase"]\nwindow = "1d"\n'
AS_OF = ("--as-of", "2024-02-01")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    home = Home(tmp_path / "data")
    write_persons(home, [person("user", one, one) for one in ("p1", "p2")])
    rows = [
        event(
            f"{user}-{name}",
            user_id=user,
            event=name,
            platform="web" if user == "p1" else "ios",
            ts=datetime(2024, 1, 1, hour, tzinfo=UTC),
        )
        for user, names in {"p1": ("sign_up", "purchase"), "p2": ("sign_up",)}.items()
        for hour, name in enumerate(names)
    ]
    write_events(home, rows, MONDAY)
    (tmp_path / "buy.toml").write_text(FUNNEL)
    (tmp_path / "kept.json").write_text('{"start": "sign_up", "returning": "purchase", "period": "day"}')
    return tmp_path


def call(home: Path, *arguments: str) -> Result:
    name, file, *rest = arguments
    return CliRunner().invoke(cli, [name, str(home / file), "--home", str(home / "data"), *AS_OF, *rest])


def test_a_funnel_from_a_file(home: Path) -> None:
    done = call(home, "funnel", "buy.toml")
    assert done.exit_code == 0, done.output
    assert "2. purchase: 1 of 2, 50.0%" in done.output


def test_json_csv_and_html(home: Path) -> None:
    plain = json.loads(call(home, "funnel", "buy.toml", "--json", "--breakdown", "platform").output)
    assert [row["persons"] for row in plain["steps"]] == [2, 1]
    assert {row["value"] for row in plain["breakdown"]} == {"web", "ios"}
    assert (
        call(home, "funnel", "buy.toml", "--csv").output.splitlines()[2].startswith("funnel,2,purchase,2,1,")
    )
    page = call(home, "funnel", "buy.toml", "--html").output
    assert page.startswith("<!doctype html>")
    assert "Plotly.newPlot" in page
    assert '<script src="http' not in page


def test_persons_and_presets(home: Path) -> None:
    dropped = call(home, "funnel", "buy.toml", "--persons", "1", "--dropped", "--json", "--preset", "posthog")
    assert [row["person"] for row in json.loads(dropped.output)] == ["p2"]


def test_comparison_with_the_days_before(home: Path) -> None:
    done = call(
        home, "funnel", "buy.toml", "--from", "2024-01-01", "--to", "2024-01-07", "--compare", "previous"
    )
    assert "against 2023-12-25 to 2023-12-31" in done.output
    assert call(home, "funnel", "buy.toml", "--compare", "previous").exit_code == 1


def test_retention_and_reconcile(home: Path) -> None:
    assert "day 0: 1 of 2" in call(home, "retention", "kept.json").output
    cells = json.loads(call(home, "retention", "kept.json", "--json", "--breakdown", "platform").output)
    assert {row["value"] for row in cells["breakdown"]} == {"web", "ios"}
    assert "Plotly" in call(home, "retention", "kept.json", "--html").output
    side = call(home, "reconcile", "buy.toml")
    assert "opsanalytics: 2 > 1" in side.output
    assert "clickhouse: 2 > 1" in side.output
    assert json.loads(call(home, "reconcile", "buy.toml", "--json", "--preset", "posthog").output)["counts"]
    assert call(home, "reconcile", "buy.toml", "--csv").output.startswith("preset,step")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("funnel", "none.toml"), "none.toml: cannot be read"),
        (("funnel", "buy.toml", "--preset", "posthg"), "preset: 'posthg'"),
        (("funnel", "buy.toml", "--persons", "9"), "step: 9 is not one of the 2 steps"),
        (("funnel", "kept.json"), "kept.json: steps: is required but missing"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(home: Path, arguments: tuple[str, ...], message: str) -> None:
    done = call(home, *arguments)
    assert done.exit_code == 1
    assert message in done.output
    assert "Traceback" not in done.output


def test_overlapping_sources_count_once_as_in_the_report(home: Path) -> None:
    lake = Home(home / "data")
    copies = [
        event(
            f"copy-{name}",
            source="mobile",
            user_id="p2",
            event=name,
            ts=datetime(2024, 1, 1, hour, tzinfo=UTC),
        )
        for hour, name in enumerate(("sign_up", "purchase"), start=5)
    ]
    write_events(lake, copies, MONDAY, source="mobile")
    write_persons(
        lake, [person("user", one, one, source=name) for one in ("p1", "p2") for name in ("web", "mobile")]
    )
    config = home / "opsanalytics.toml"
    project = '[project]\nname = "p"\nstart = 2024-01-01\n'
    funnel = f'\n[[funnels]]\nname = "buy"\n{FUNNEL}'
    web, mobile = (
        f'\n[[sources]]\nkind = "mixpanel"\nname = "{name}"\nproject_id = "{name}"\n'
        for name in ("web", "mobile")
    )
    overlap = '\n[[overlaps]]\nprefer = ["web", "mobile"]\n'
    for extra, bought in (("", 2), (overlap, 1)):
        config.write_text(project + web + mobile + extra + funnel)
        done = CliRunner().invoke(cli, ["funnel", "buy", "--config", str(config), *AS_OF])
        assert f"2. purchase: {bought} of 2" in done.output, done.output


def test_a_name_needs_a_configuration_that_has_it(home: Path) -> None:
    done = CliRunner().invoke(cli, ["funnel", "buy", "--home", str(home / "data")])
    assert "--home needs a .json or .toml file" in done.output
    config = home / "opsanalytics.toml"
    config.write_text(f'[project]\nname = "p"\nstart = 2024-01-01\n\n[[funnels]]\nname = "buy"\n{FUNNEL}')
    known = CliRunner().invoke(cli, ["funnel", "buy", "--config", str(config), *AS_OF])
    assert "2. purchase: 1 of 2" in known.output
    unknown = CliRunner().invoke(cli, ["retention", "buy", "--config", str(config), *AS_OF])
    assert "'buy' is not one of the retentions (none), nor a file" in unknown.output
    landed = CliRunner().invoke(cli, ["funnel", "buy", "--config", str(config)])
    assert "nothing to analyse" in landed.output
