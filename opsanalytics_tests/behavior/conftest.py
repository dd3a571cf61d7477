"""The real data."""

from collections.abc import Callable
from pathlib import Path

import pytest

from opsanalytics_tests.conftest import real as real_path


@pytest.fixture(scope="session")
def real() -> Callable[[str], Path]:
    """Path of the events of a real data set, by folder name."""
    return lambda name: real_path(f"{name}/events.parquet")
