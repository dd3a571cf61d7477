"""Frames as the rules look at them: canonical columns, the partition, and derived columns, by Polars.

Only the columns that the rules name are read.
"""

import hashlib
import statistics
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq

from opsanalytics.lake.manifests import MANIFEST, read_manifest
from opsanalytics.lake.paths import Home
from opsanalytics.lake.tables import UTC_TIME
from opsanalytics.quality.rules import PARTITION
from opsanalytics.quality.sql import calculator, json_pointer, sql_text

BATCH_ROWS = 500_000
"""Rows of one validation. Small days share one, a larger day is split by its key."""

PROPERTY = "properties."
"""`properties.plan` is the property `plan` of an event, as text."""

PROPERTIES_KIND = "properties_kind"

USUAL_EVENTS = 10
"""Median of the same weekday in the four weeks before, from which an empty day is a surprise.

A Poisson count with mean 10 is zero once in 22,000 days.
"""

DERIVED_COLUMNS: Mapping[str, tuple[str, ...]] = {
    "events": (
        "ts_day",
        "event_length",
        "any_id",
        "seconds_after_ingestion",
        "seconds_before_receipt",
        PROPERTIES_KIND,
    ),
    "feedback": ("ts_day", "seconds_after_ingestion", "content_length"),
}
"""Derived columns that a table's rules may name."""

_DERIVED: Mapping[str, pl.Expr] = {
    "ts_day": pl.col("ts").dt.date().cast(pl.String),
    # Great Expectations compares 64-bit integers as arrays, other integers one by one.
    "event_length": pl.col("event").str.strip_chars().str.len_chars().fill_null(0).cast(pl.Int64),
    "any_id": pl.coalesce("user_id", "device_id", "distinct_id"),
    "seconds_after_ingestion": (pl.col("ts") - pl.col("ingested_at")).dt.total_seconds(),
    "seconds_before_receipt": (pl.col("ts") - pl.col("received_at")).dt.total_seconds(),
    "content_length": pl.col("text").str.strip_chars().str.len_chars().fill_null(0).cast(pl.Int64)
    + pl.col("rating").is_not_null(),
}


@dataclass(frozen=True)
class Partition:
    """One partition of a table as it lies in the lake."""

    name: str
    files: tuple[Path, ...]
    rows: int

    @property
    def content_hash(self) -> str:
        """SHA-256 over its files and their names."""
        digest = hashlib.sha256()
        for path in self.files:
            with path.open("rb") as opened:
                digest.update(f"{path.name}:{hashlib.file_digest(opened, 'sha256').hexdigest()}\n".encode())
        return digest.hexdigest()


def event_partitions(home: Home, days: Iterable[date]) -> list[Partition]:
    """The given UTC days, ascending; a day without events has no files."""
    return [
        _partition(day.isoformat(), sorted((home.events / f"day={day.isoformat()}").glob("*.parquet")))
        for day in sorted(set(days))
    ]


def feedback_partitions(home: Home, sources: Iterable[str]) -> list[Partition]:
    """The given sources, by name; a source without messages has no file."""
    files = ((source, home.feedback_file(source)) for source in sorted(set(sources)))
    return [_partition(source, [path] if path.exists() else []) for source, path in files]


def usual_events(home: Home, empty: Iterable[Partition]) -> dict[str, float]:
    """For each given day: median events of the same weekday in the four weeks before."""
    before = {
        partition.name: [date.fromisoformat(partition.name) - timedelta(weeks=n) for n in range(1, 5)]
        for partition in empty
    }
    needed = event_partitions(home, (day for days in before.values() for day in days))
    rows = {partition.name: partition.rows for partition in needed}
    return {name: statistics.median(rows[day.isoformat()] for day in days) for name, days in before.items()}


def volumes(partitions: Sequence[Partition], usual: Mapping[str, float]) -> pl.DataFrame:
    """One row a partition: `rows`, `usual_events`, and `missing_events` where a usual volume is missing."""
    return pl.DataFrame(
        {
            PARTITION: [partition.name for partition in partitions],
            "rows": [partition.rows for partition in partitions],
            "usual_events": [usual.get(partition.name) for partition in partitions],
        },
        schema={PARTITION: pl.String, "rows": pl.Int64, "usual_events": pl.Float64},
    ).with_columns(
        missing_events=pl.when((pl.col("rows") == 0) & (pl.col("usual_events") >= USUAL_EVENTS))
        .then(pl.col("usual_events"))
        .otherwise(0.0)
    )


def batches(
    home: Home, partitions: Sequence[Partition], columns: Collection[str], key: str
) -> Iterator[pl.DataFrame]:
    """The rows of `partitions` with `partition` and `columns`, in frames of at most about BATCH_ROWS rows.

    Rows of a partition with the same `key` always come in the same frame.
    """
    group: list[Partition] = []
    rows = 0
    for partition in partitions:
        if group and rows + partition.rows > BATCH_ROWS:
            yield _read(home, group, columns)
            group, rows = [], 0
        if partition.rows > BATCH_ROWS:
            parts = -(-partition.rows // BATCH_ROWS)
            frame = _read(home, [partition], {*columns, key})
            part = pl.col(key).hash() % parts
            yield from (frame.filter(part == number) for number in range(parts))
        elif partition.rows:
            group.append(partition)
            rows += partition.rows
    if group:
        yield _read(home, group, columns)


def whole(home: Home, partition: Partition, columns: Collection[str]) -> pl.DataFrame:
    """All rows of one partition with `partition` and `columns`."""
    return _read(home, [partition], columns)


def _partition(name: str, files: Sequence[Path]) -> Partition:
    return Partition(name, tuple(files), sum(pq.read_metadata(path).num_rows for path in files))


def _read(home: Home, partitions: Sequence[Partition], columns: Collection[str]) -> pl.DataFrame:
    names = {str(path): partition.name for partition in partitions for path in partition.files}
    rows = pl.scan_parquet(list(names), glob=False, hive_partitioning=False, include_file_paths="_path")
    needed = rows.with_columns(pl.col("_path").replace_strict(names, return_dtype=pl.String).alias(PARTITION))
    if "seconds_after_ingestion" in columns:
        needed = needed.join(_ingestion_times(home, rows), on=["source", "ingest_run"], how="left")
    wanted = [name for name in sorted(columns) if name != PARTITION]
    from_json = [name for name in wanted if name == PROPERTIES_KIND or name.startswith(PROPERTY)]
    stored = [name for name in wanted if name not in from_json]
    if from_json and "properties" not in stored:
        stored.append("properties")
    frame = needed.select(
        PARTITION, *(_DERIVED[name].alias(name) if name in _DERIVED else pl.col(name) for name in stored)
    ).collect()
    return _with_json(frame, from_json).select(PARTITION, *wanted) if from_json else frame


def _with_json(frame: pl.DataFrame, names: Sequence[str]) -> pl.DataFrame:
    """Columns read out of `properties` by DuckDB, ten times as fast as by Polars."""
    valid = "properties LIKE '{%' AND json_valid(properties)"
    columns = {PROPERTIES_KIND: f"CASE WHEN {valid} THEN 'object' ELSE 'other' END"}
    for name in names:
        if name.startswith(PROPERTY):
            path = sql_text(json_pointer(name.removeprefix(PROPERTY)))
            columns[name] = f"CASE WHEN {valid} THEN json_extract_string(properties, {path}) END"
    with calculator() as con:
        con.register("texts", frame.select("properties").to_arrow())
        read: pl.DataFrame = con.sql(
            "SELECT " + ", ".join(f"{columns[name]} AS c{n}" for n, name in enumerate(names)) + " FROM texts"
        ).pl()
    return pl.concat([frame, read.rename({f"c{n}": name for n, name in enumerate(names)})], how="horizontal")


def _ingestion_times(home: Home, rows: pl.LazyFrame) -> pl.LazyFrame:
    """When each delivery was fetched, from its manifest; null if landing was emptied since."""
    runs = rows.select("source", "ingest_run").unique().collect()
    fetched = []
    for source, ingest_run in runs.iter_rows():
        manifest = home.delivery(source, ingest_run.rpartition("@")[0]) / MANIFEST
        fetched.append(read_manifest(manifest).fetched_at if manifest.exists() else None)
    return runs.with_columns(ingested_at=pl.Series(fetched, dtype=UTC_TIME)).lazy()
