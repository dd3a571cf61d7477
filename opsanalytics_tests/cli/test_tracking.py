"""`opsanalytics tracking-plan` on a small lake."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from opsanalytics.cli.main import cli
from opsanalytics.lake.paths import Home
from opsanalytics_tests.samples import MONDAY, event, write_events


@pytest.fixture
def config(tmp_path: Path) -> Path:
    write(tmp_path, "purchase")
    path = tmp_path / "opsanalytics.toml"
    path.write_text('[project]\nname = "p"\nstart = 2024-01-01\n')
    return path


def write(folder: Path, name: str) -> None:
    """A hundred events of a day, half of them called `name`."""
    rows = [
        event(
            f"e{number}",
            user_id=f"u{number % 9}",
            event=name if number % 2 else "sign_up",
            ts=datetime(2024, 1, 1, tzinfo=UTC) + timedelta(minutes=number),
            properties='{"plan": "pro", "seats": 3}',
        )
        for number in range(100)
    ]
    write_events(Home(folder / "data"), rows, MONDAY)


def call(config: Path, *arguments: str) -> Result:
    return CliRunner().invoke(cli, ["tracking-plan", *arguments, "--config", str(config)])


def test_what_is_inferred_is_followed_until_something_else_arrives(config: Path) -> None:
    plan = config.with_name("plan.toml")
    written = call(config, "infer", "--output", str(plan))
    assert written.exit_code == 0, written.output
    assert plan.read_text() == call(config, "infer").output
    config.write_text(config.read_text() + '\n[quality]\ntracking_plan = "plan.toml"\n')
    followed = call(config, "check")
    assert (followed.exit_code, followed.output) == (
        0,
        "0 breaches of the tracking plan (2 events declared).\n",
    )
    write(config.parent, "refund")
    broken = call(config, "check")
    assert broken.exit_code == 1
    assert "refund: undeclared event" in broken.output


def test_a_plan_is_never_written_over(config: Path) -> None:
    plan = config.with_name("plan.toml")
    plan.write_text("mine")
    refused = call(config, "infer", "--output", str(plan))
    assert refused.exit_code == 1
    assert "exists already" in refused.output
    assert plan.read_text() == "mine"


def test_without_a_plan_check_says_how_to_get_one(config: Path) -> None:
    done = call(config, "check")
    assert done.exit_code == 1
    assert "tracking-plan infer" in done.output
