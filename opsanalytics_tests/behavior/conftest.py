"""The real data."""

import os
from collections.abc import Callable
from pathlib import Path

<<<<<<< HEAD
import polars as pl
=======
>>>>>>> behavior
import pytest


@pytest.fixture(scope="session")
<<<<<<< HEAD
def real() -> Callable[[str], pl.LazyFrame]:
    """Events of a real data set by folder name, with the column `person`."""

    def load(name: str) -> pl.LazyFrame:
=======
def real() -> Callable[[str], Path]:
    """Path of the events of a real data set (SOURCES.md beside the data), by folder name."""

    def find(name: str) -> Path:
>>>>>>> behavior
        beside = Path(__file__).parents[2].parent / "shared" / "data"
        path = Path(os.environ.get("OPSANALYTICS_REAL_DATA", beside)) / name / "events.parquet"
        if not path.exists():
            if os.environ.get("CI") == "true":
                pytest.fail(f"{path} is missing; CI needs the real data")
            pytest.skip(f"{path} is not there; OPSANALYTICS_REAL_DATA names the folder of the real data")
<<<<<<< HEAD
        return pl.scan_parquet(path).rename({"user_id": "person"})

    return load
=======
        return path

    return find
>>>>>>> behavior
