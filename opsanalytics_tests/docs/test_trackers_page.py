"""What docs/trackers.md shows is a valid configuration, and it names every setting."""

import re
from pathlib import Path

from opsanalytics.config import load_settings
from opsanalytics.improvement.trackers.settings import GitHubSettings, JiraSettings, LinearSettings
from opsanalytics_tests.conftest import ROOT

PAGE = (ROOT / "docs" / "trackers.md").read_text(encoding="utf-8")


def toml_of_page() -> str:
    found = re.search(r"```toml\n(.*?)```", PAGE, flags=re.S)
    assert found
    return found[1]


def test_the_configuration_is_valid(tmp_path: Path) -> None:
    file = tmp_path / "opsanalytics.toml"
    file.write_text(f'[project]\nname = "Shop"\nstart = 2026-01-05\n{toml_of_page()}')
    assert [tracker.kind for tracker in load_settings(file).trackers] == ["github", "jira", "linear"]


def test_every_setting_is_named() -> None:
    fields = {name for kind in (GitHubSettings, JiraSettings, LinearSettings) for name in kind.model_fields}
    assert {name for name in fields if name not in PAGE} == set()
