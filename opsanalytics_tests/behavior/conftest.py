"""The real data."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def real() -> Callable[[str], Path]:
    """Path of the events of a real data set (SOURCES.md beside the data), by folder name."""

    def find(name: str) -> Path:
        beside = Path(__file__).parents[2].parent / "shared" / "data"
        path = Path(os.environ.get("OPSANALYTICS_REAL_DATA", beside)) / name / "events.parquet"
        if not path.exists():
            if os.environ.get("CI") == "true":
                pytest.fail(f"{path} is missing; CI needs the real data")
            pytest.skip(f"{path} is not there; OPSANALYTICS_REAL_DATA names the folder of the real data")
        return path

    return find
