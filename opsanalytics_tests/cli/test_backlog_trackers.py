"""`opsanalytics backlog sync` against a tracker on this machine."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from opsanalytics.analysis.trackers import tracker_issues
from opsanalytics.cli.main import cli
from opsanalytics.config import load_settings
from opsanalytics.improvement.tables import PAIN_POINTS
from opsanalytics.improvement.trackers.settings import GitHubSettings
from opsanalytics.lake.marts import write_mart
from opsanalytics.lake.paths import Home
from opsanalytics_tests.improvement.items import ITEMS, pain_point, points
from opsanalytics_tests.simulators.trackers import FakeGitHub, served

A, B = ITEMS[:2]
Call = Callable[..., Result]
CONFIG = """
[project]
name = "Tiny"
start = 2026-01-05

[[trackers]]
kind = "github"
name = "issues"
repository = "acme/shop"
base_url = "{url}"
backoff_seconds = 0
"""


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeGitHub]:
    monkeypatch.setattr(GitHubSettings, "limits", ())
    monkeypatch.setenv("GITHUB_TOKEN", "secret")
    with served(FakeGitHub()) as fake:
        assert isinstance(fake, FakeGitHub)
        yield fake


@pytest.fixture
def call(fake: FakeGitHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Call:
    monkeypatch.setenv("COLUMNS", "80")
    config = tmp_path / "opsanalytics.toml"
    config.write_text(CONFIG.format(url=fake.url))
    home = Home(tmp_path / "data")
    write_mart(home, PAIN_POINTS, points(pain_point(A, 10.0, quotes=["It broke @ann"]), pain_point(B, 9.0)))

    def called(*arguments: str, code: int = 0) -> Result:
        done = CliRunner().invoke(cli, ["backlog", *arguments, "--config", str(config)])
        assert done.exit_code == code, done.output
        return done

    return called


def test_only_accepted_items_get_an_issue_and_only_when_told_to_send(call: Call, fake: FakeGitHub) -> None:
    assert "no item is accepted" in call("sync").output
    call("accept", A)
    dry = call("sync").output
    assert f"{A} would be made" in dry
    assert "Nothing was sent." in dry
    assert fake.requests == []
    assert f"{A} made #1" in call("sync", "--send").output
    assert f"{A} up to date #1" in call("sync", "issues", "--send").output
    assert [issue["title"] for issue in fake.issues] == [f"Error at {A}"]
    assert "#1 open https://github.example/acme/shop/issues/1" in " ".join(call("show", A).output.split())


def test_closing_the_issue_ships_the_item(call: Call, fake: FakeGitHub, tmp_path: Path) -> None:
    call("accept", A)
    call("sync", "--send")
    fake.close(1, "2026-02-20T10:00:00Z")
    assert f"{A} read back #1: #1 went from open to done: ship" in call("sync", "--send").output
    rows = [json.loads(line) for line in call("list", "--all", "--json").output.splitlines()]
    row = next(row for row in rows if row["item_id"] == A)
    assert (row["stage"], row["shipped_on"]) == ("shipped", "2026-02-20")
    history = [json.loads(line) for line in call("history", A, "--json").output.splitlines()]
    assert [(line["action"], line["by"]) for line in history if line["action"] == "ship"] == [
        ("ship", "issues")
    ]
    # Its issue is kept up to date although it is no longer accepted.
    assert "verifying" in fake.issues[0]["body"]
    mart = tracker_issues(load_settings(tmp_path / "opsanalytics.toml"))
    assert mart.row(0, named=True)["status"] == "done"


def test_a_merged_item_says_so_in_its_issue(call: Call, fake: FakeGitHub) -> None:
    call("accept", A, B)
    call("sync", "--send")
    call("merge", A, B)
    call("sync", "--send")
    bodies = {issue["title"]: issue["body"] for issue in fake.issues}
    assert f"It was merged into {A}" in bodies[f"Error at {B}"].replace("\\", "")


def test_what_goes_wrong_ends_in_an_exit_code_and_a_message(
    call: Call, fake: FakeGitHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    call("accept", A)
    fake.faults.append(("POST", 422))
    said = call("sync", "--send", code=1).output
    assert "Check the labels" in said
    assert "there is no tracker 'other'; configured: issues" in call("sync", "other", code=1).output
    monkeypatch.delenv("GITHUB_TOKEN")
    assert "GITHUB_TOKEN" in call("sync", "--send", code=1).output
    rows = [json.loads(line) for line in call("sync", "--json").output.splitlines()]
    assert rows == [
        {
            "tracker": "issues",
            "item_id": A,
            "what": "create",
            "name": None,
            "url": None,
            "detail": f"Error at {A}",
        }
    ]
