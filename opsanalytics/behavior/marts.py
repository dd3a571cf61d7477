"""From results to mart tables: what every number carries, and empty groups as nulls."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any

import polars as pl

from opsanalytics.behavior.spec import Definition
from opsanalytics.behavior.statistics import Floats
from opsanalytics.lake.tables import UTC_TIME, Table


def nullable(values: Sequence[float] | Floats, name: str = "") -> pl.Series:
    """Floats as a column in which NaN (undefined) is null."""
    return pl.Series(name, values, dtype=pl.Float64).fill_nan(None)


def with_provenance(frame: pl.DataFrame, definition: Definition, as_of: datetime) -> pl.DataFrame:
    """Append `definition_id` and `as_of`."""
    return frame.with_columns(
        pl.lit(definition.definition_id).alias("definition_id"), pl.lit(as_of).cast(UTC_TIME).alias("as_of")
    )


def mart_rows(table: Table, frames: Sequence[pl.DataFrame], *, quality: str) -> pl.DataFrame:
    """All rows of one mart: `frames` of several definitions plus the state of the checks upstream.

    Raises:
        SchemaError: a frame is not one of this table.
    """
    if not frames:
        return table.empty()
    return table.conform(pl.concat(frames).with_columns(pl.lit(quality).alias("quality")))


def plain_rows(table: pl.DataFrame) -> list[dict[str, Any]]:
    """Rows ready for JSON: times as ISO text, without the columns in which all rows are equal."""
    shown = table.drop("definition", "definition_id", "as_of", strict=False)
    return [
        {name: value.isoformat() if isinstance(value, date) else value for name, value in row.items()}
        for row in shown.to_dicts()
    ]
