from pathlib import Path

import pytest

from opsanalytics.lake.paths import Home


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "data")
