"""The step that keeps issues: a dry run unless told to send, and trackers that fail no run."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from opsanalytics.analysis.backlog import decide_about
from opsanalytics.assets.trackers import trackers
from opsanalytics.config import Settings, load_settings
from opsanalytics.improvement.tables import PAIN_POINTS, TRACKER_ISSUES
from opsanalytics.improvement.trackers.settings import GitHubSettings
from opsanalytics.lake.marts import read_mart, write_mart
from opsanalytics_tests.docs.test_trackers_page import toml_of_page
from opsanalytics_tests.improvement.items import ITEMS, NOW, pain_point, points
from opsanalytics_tests.simulators.trackers import FakeGitHub, served

A = ITEMS[0]


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeGitHub]:
    monkeypatch.setattr(GitHubSettings, "limits", ())
    monkeypatch.setenv("GITHUB_TOKEN", "secret")
    with served(FakeGitHub()) as fake:
        assert isinstance(fake, FakeGitHub)
        yield fake


def materialized(folder: Path, fake: FakeGitHub, *, send: bool) -> tuple[Settings, Any]:
    file = folder / "opsanalytics.toml"
    file.write_text(
        f"""
[project]
name = "Tiny"
start = 2026-01-05
[[trackers]]
kind = "github"
name = "issues"
repository = "acme/shop"
base_url = "{fake.url}"
backoff_seconds = 0
send = {str(send).lower()}
"""
    )
    settings = load_settings(file)
    write_mart(settings.home, PAIN_POINTS, points(pain_point(A)))
    decide_about(settings, [A], "accept", at=NOW, by="ann")
    done = dg.materialize(trackers(settings), instance=dg.DagsterInstance.ephemeral())
    assert done.success
    return settings, done.get_asset_check_evaluations()[0]


def test_it_sends_nothing_unless_told_to(tmp_path: Path, fake: FakeGitHub) -> None:
    settings, check = materialized(tmp_path, fake, send=False)
    assert check.passed
    assert fake.requests == []
    assert read_mart(settings.home, TRACKER_ISSUES).is_empty()


def test_it_sends_and_keeps_the_links(tmp_path: Path, fake: FakeGitHub) -> None:
    settings, check = materialized(tmp_path, fake, send=True)
    assert check.passed
    assert read_mart(settings.home, TRACKER_ISSUES)["issue"].to_list() == ["#1"]


def test_a_tracker_that_refuses_warns(tmp_path: Path, fake: FakeGitHub) -> None:
    fake.faults += [("POST", 403)]
    _, check = materialized(tmp_path, fake, send=True)
    assert not check.passed
    assert check.severity == dg.AssetCheckSeverity.WARN
    assert "403" in check.metadata["problems"].value


def test_without_trackers_there_is_no_step(tmp_path: Path) -> None:
    file = tmp_path / "opsanalytics.toml"
    file.write_text('[project]\nname = "Tiny"\nstart = 2026-01-05\n')
    assert trackers(load_settings(file)) == []
    file.write_text(f'[project]\nname = "Tiny"\nstart = 2026-01-05\n{toml_of_page()}')
    assert len(trackers(load_settings(file))) == 1
