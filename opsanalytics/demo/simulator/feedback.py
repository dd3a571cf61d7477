"""Dropping feedback into an inbox as the CSV dumps of a survey tool."""

from pathlib import Path
from typing import Literal

import polars as pl

from opsanalytics.lake.files import replacing


def drop_feedback(
    frame: pl.DataFrame,
    inbox: Path,
    *,
    name: str = "feedback",
    split: Literal["month", "whole"] = "month",
    time_column: str = "created_at",
) -> list[Path]:
    """Write `frame` into the folder `inbox` as UTF-8 CSV with a header, each file whole or not at all.

    `month` makes one file a month of `time_column` (Datetime, or ISO 8601 text), named
    `<name>-YYYY-MM.csv`; `whole` makes `<name>.csv`. Datetimes are written as ISO 8601.
    Returns the files in order. Raises ValueError if `time_column` is missing or not a time.
    """
    if time_column not in frame.columns:
        raise ValueError(f"feedback lacks column {time_column}; it has {frame.columns}")
    if split == "whole":
        return [_write(frame, inbox / f"{name}.csv")]
    stamp = frame[time_column]
    month = stamp.dt.strftime("%Y-%m") if stamp.dtype.is_temporal() else stamp.cast(pl.String).str.slice(0, 7)
    odd = frame.filter(~month.str.contains(r"^\d{4}-\d{2}$").fill_null(value=False))
    if odd.height:
        raise ValueError(f"{time_column} holds {odd[time_column][0]!r}; months need ISO 8601 times")
    return [
        _write(frame.filter(month == value), inbox / f"{name}-{value}.csv")
        for value in month.unique().sort().to_list()
    ]


def _write(frame: pl.DataFrame, path: Path) -> Path:
    with replacing(path) as temporary:
        frame.write_csv(temporary, datetime_format="%Y-%m-%dT%H:%M:%S%.f%:z")
    return path
