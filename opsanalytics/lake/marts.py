"""Reading and writing marts: small result tables, one Parquet file each."""

from pathlib import Path

import polars as pl

from opsanalytics.lake.files import write_parquet
from opsanalytics.lake.paths import Home
from opsanalytics.lake.tables import Table


def mart_path(home: Home, table: Table) -> Path:
    """Where a mart is kept."""
    return home.marts / f"{table.name}.parquet"


def write_mart(home: Home, table: Table, frame: pl.DataFrame) -> pl.DataFrame:
    """Check `frame` against `table`, replace the mart on disk, return the frame as written."""
    shaped = table.conform(frame)
    write_parquet(mart_path(home, table), shaped)
    return shaped


def read_mart(home: Home, table: Table) -> pl.DataFrame:
    """Read a mart; empty with the declared schema if it has not been computed yet."""
    path = mart_path(home, table)
    return pl.read_parquet(path, glob=False) if path.exists() else table.empty()
