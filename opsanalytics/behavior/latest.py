"""What is known of persons last: their properties as columns of the events."""

from collections.abc import Collection
from datetime import datetime

import polars as pl

from opsanalytics.behavior.filters import PERSON, PERSON_PROPERTIES, json_text, property_text
from opsanalytics.lake.tables import UTC_TIME


def with_latest(
    frame: pl.LazyFrame, columns: Collection[str], names: Collection[str], as_of: datetime
) -> tuple[pl.LazyFrame, list[str]]:
    """Events with a column `person.<name>` for each of `names` that has none, and the names of all columns.

    In: events as `rows.checked` gives them. `subjects` says which value is a person's.

    Raises:
        PropertyError: a property that the events cannot have.
    """
    lacking = sorted({name for name in names if PERSON + name not in columns})
    if lacking:
        frame = _joined(frame, columns, lacking, as_of)
    return frame, [*columns, *(PERSON + name for name in lacking)]


def _joined(frame: pl.LazyFrame, columns: Collection[str], names: list[str], as_of: datetime) -> pl.LazyFrame:
    values = {
        PERSON + name: json_text(pl.col(PERSON_PROPERTIES), name)
        if PERSON_PROPERTIES in columns
        else property_text(name, columns)
        for name in names
    }
    known = frame.filter(pl.col("person").is_not_null(), pl.col("ts") <= pl.lit(as_of).cast(UTC_TIME))
    latest = (
        known.select("person", "ts", **values)
        .group_by("person")
        .agg(pl.col(name).sort_by("ts", name).drop_nulls().last() for name in values)
    )
    return frame.join(latest, on="person", how="left", maintain_order="left")
