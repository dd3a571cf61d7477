"""Fixtures that all tests may use."""

from pathlib import Path

import pytest

from opsanalytics.lake.paths import Home


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """An empty home folder."""
    return Home(tmp_path / "data")
