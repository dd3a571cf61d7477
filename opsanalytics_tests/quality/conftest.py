from pathlib import Path

import pytest

from opsanalytics.lake.paths import Home


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "data")


@pytest.fixture(scope="session", autouse=True)
def _expectations_imported() -> None:
    """Pay the import of Great Expectations once, outside the tests."""
    import great_expectations  # noqa: F401
