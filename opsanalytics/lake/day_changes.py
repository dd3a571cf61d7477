"""Which days of the lake changed, when that was noticed, and by how much.

A later fetch replaces the days it covers, so numbers that were reported may change. The log is a record of
runs: it is not rebuilt from the landing area, and it stands apart from what is. It compares what is there
with what was last noted, so that a killed run loses nothing: the next one notes it.
"""

from datetime import datetime

import polars as pl

from opsanalytics.lake.day_prints import VERSION, day_prints
from opsanalytics.lake.files import remove_leftovers, write_parquet
from opsanalytics.lake.locks import exclusive
from opsanalytics.lake.paths import Home
from opsanalytics.lake.tables import UTC_TIME, Column, Table

DAY_CHANGES = Table(
    name="day_changes",
    description="Days of the lake whose events changed, and when a run noticed. Not rebuilt from landing.",
    order=("noticed_at", "source", "day"),
    columns=(
        Column("source", pl.String, "Name of the configured source.", True),
        Column("day", pl.Date, "UTC day whose events changed.", True),
        Column("noticed_at", UTC_TIME, "When the run that noticed it looked, UTC.", True),
        Column(
            "change",
            pl.String,
            "new: the newest day so far; late: an earlier day that had no events; changed: other events than "
            "before; removed: no events any more.",
            True,
        ),
        Column("before", pl.Int64, "Events before.", True),
        Column("after", pl.Int64, "Events now.", True),
        Column("delivery", pl.String, "Deliveries new to the day; null: rules changed, or files went."),
    ),
)
_STATE = pl.Schema({"content": pl.String(), "deliveries": pl.List(pl.String()), "version": pl.String()})
_STORED = pl.Schema({**DAY_CHANGES.schema, **_STATE})
_KEY = ["source", "day"]


def note_day_changes(home: Home, *, noticed_at: datetime) -> pl.DataFrame:
    """Compare the lake with what was last noted, note the differences, and return them (DAY_CHANGES).

    A day whose events came again just as they were, in another delivery, did not change.

    Raises:
        LockHeldError: another process has been at it for ten minutes.
    """
    prints = day_prints(home).select(*_KEY, "rows", "content", "deliveries")
    with exclusive(home, "changes"):
        log = _read(home)
        last = log.group_by(_KEY, maintain_order=True).last()
        if log.height and set(last["version"]) != {VERSION}:
            log = _renewed(log, prints)
            last = log.group_by(_KEY, maintain_order=True).last()
        known = last.select(
            *_KEY,
            pl.col("after").alias("before"),
            pl.col("content").alias("content_before"),
            pl.col("deliveries").alias("deliveries_before"),
        )
        newest = last.filter(pl.col("after") > 0).group_by("source").agg(pl.col("day").max().alias("newest"))
        differ = (
            prints.join(known, on=_KEY, how="full", coalesce=True)
            .with_columns(pl.col("rows").fill_null(0), pl.col("before").fill_null(0))
            .filter(pl.col("content").fill_null("") != pl.col("content_before").fill_null(""))
            .join(newest, on="source", how="left")
        )
        empty = pl.lit([], dtype=pl.List(pl.String))
        new = differ.select(
            *_KEY,
            pl.lit(noticed_at).cast(UTC_TIME).alias("noticed_at"),
            pl.when(pl.col("rows") == 0)
            .then(pl.lit("removed"))
            .when(pl.col("before") > 0)
            .then(pl.lit("changed"))
            .when(pl.col("day") < pl.col("newest"))
            .then(pl.lit("late"))
            .otherwise(pl.lit("new"))
            .alias("change"),
            "before",
            pl.col("rows").alias("after"),
            pl.col("deliveries")
            .fill_null(empty)
            .list.set_difference(pl.col("deliveries_before").fill_null(empty))
            .list.sort()
            .list.join(", ")
            .replace("", None)
            .alias("delivery"),
            pl.col("content").fill_null(""),
            pl.col("deliveries").fill_null(empty),
            pl.lit(VERSION).alias("version"),
        ).sort(_KEY)
        if new.height:
            remove_leftovers(home.changes)
            write_parquet(home.changes / "days.parquet", pl.concat([log, new.select(_STORED.names())]))
    return DAY_CHANGES.conform(new.select(DAY_CHANGES.names))


def read_day_changes(home: Home) -> pl.DataFrame:
    """The whole log (DAY_CHANGES), oldest first; empty before the first run."""
    return DAY_CHANGES.conform(_read(home).select(DAY_CHANGES.names))


def _read(home: Home) -> pl.DataFrame:
    path = home.changes / "days.parquet"
    return pl.read_parquet(path, glob=False) if path.exists() else pl.DataFrame(schema=_STORED)


def _renewed(log: pl.DataFrame, prints: pl.DataFrame) -> pl.DataFrame:
    """The log with prints as this version takes them; where the number of events differs, the old one."""
    now = prints.select(
        *_KEY, pl.col("rows").alias("after"), pl.col("content").alias("now"), pl.lit(VERSION).alias("new")
    )
    return (
        log.join(now, on=[*_KEY, "after"], how="left", maintain_order="left")
        .with_columns(
            pl.coalesce("now", "content").alias("content"), pl.coalesce("new", "version").alias("version")
        )
        .select(_STORED.names())
    )
