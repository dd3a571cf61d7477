"""Parsed rows of a day and those within reach of it, some at a time."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow.parquet as pq

from opsanalytics.cleaning.assembly import Part, days_in_reach, parts_with_rows
from opsanalytics.cleaning.beside import ahead
from opsanalytics.lake.paths import Home
from opsanalytics.sources.base import EventSourceSettings

READ_ROWS = 32 * 1024


@dataclass(frozen=True)
class Reading:
    """Some rows of one delivery."""

    rows: pl.DataFrame
    """Stored columns, and `day`."""
    part: Part
    first: int
    """How many rows within reach came before."""


def read_rows(
    settings: EventSourceSettings, home: Home, parts: Sequence[Part], day: date, columns: Sequence[str]
) -> Iterator[Reading]:
    """The rows within reach of the day in order of delivery and record, as `scan_rows` gives them.

    Args:
        columns: of `PARSED`, `ts` among them.
    """
    days = days_in_reach(settings, [day])
    own = pl.col("ts").dt.date()
    first = 0
    for part, path in parts_with_rows(settings, home, parts, days):
        for batch in ahead(read_batches(path, days, columns), 1):
            rows = (
                pl.DataFrame(batch).with_columns(own.alias("day")).filter(pl.col("day").is_in(sorted(days)))
            )
            yield Reading(rows, part, first)
            first += rows.height


def read_batches(path: Path, days: set[date], columns: Sequence[str]) -> Iterator[Any]:
    """Record batches of a delivery's file; row groups without a row on any of the days are left out."""
    with pq.ParquetFile(path, pre_buffer=False) as file:  # else it holds all of the file
        at = file.schema_arrow.get_field_index("ts")
        groups = [
            group
            for group in range(file.num_row_groups)
            if overlaps(file.metadata.row_group(group).column(at).statistics, min(days), max(days))
        ]
        yield from file.iter_batches(READ_ROWS, row_groups=groups, columns=list(columns))


def overlaps(statistics: Any, first: date, last: date) -> bool:
    """Whether a column of times may hold one of these UTC days."""
    if statistics is None or not statistics.has_min_max:
        return True
    return bool(statistics.min.date() <= last and statistics.max.date() >= first)


def rows_in_reach(settings: EventSourceSettings, parts: Sequence[Part], day: date) -> int:
    """How many rows `read_rows` gives."""
    days = days_in_reach(settings, [day])
    return sum(part.summary.rows.get(near, 0) for part in parts for near in days)
