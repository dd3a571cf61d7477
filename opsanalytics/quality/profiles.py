"""What each event's properties looked like on a day: types, presence, distinct values.

A profile is made of one file of the lake (a source and a UTC day) and kept beside the lake; it is made
anew when that file was replaced. DuckDB streams the file, so memory does not grow with the day.
"""

import glob
import os
import shutil
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import date
from pathlib import Path
from types import MappingProxyType
from typing import TypeAlias

import duckdb
import polars as pl
import pyarrow.parquet as pq

from opsanalytics.lake.files import remove_leftovers, write_parquet
from opsanalytics.lake.locks import exclusive
from opsanalytics.lake.paths import Home
from opsanalytics.quality.sql import calculator, json_pointer, sql_text

VERSION = 1
"""Raise it when a profile says something else about the same events."""

MAX_PROPERTIES = 500
"""Properties of an event on a day that are looked at, the most frequent first. More come from ids used as
names, and are counted together under the property MORE."""
MORE = "\N{HORIZONTAL ELLIPSIS}"

PASS_PROPERTIES = 64
"""Properties extracted in one pass over a file."""

BATCH_ROWS, BATCH_FILES = 200_000, 128
"""Files that are profiled together have at most so many rows, unless one alone has more."""
MEMORY_LIMIT = "700MB"

PROFILE = pl.Schema(
    {
        "source": pl.String,
        "day": pl.Date,
        "event": pl.String,
        "property": pl.String,
        "type": pl.String,
        "n": pl.Int64,
        "distinct": pl.Int64,
    }
)
"""`n` events of the day have `property` with a value of JSON type `type` (string, datetime, integer, number,
boolean, list, object, null; `column` for a column of events), about `distinct` different ones. Rows without
a property and type count the events themselves."""

PROFILE_ORDER = ("source", "day", "event", "property", "type")

VendorProperties: TypeAlias = Mapping[str, Collection[str]]
"""Source -> names of the properties that its vendor adds, as `EventSourceSettings.vendor_properties`."""
NOTHING_ADDED: VendorProperties = MappingProxyType({})

COLUMN = "column"
COLUMNS = ("session_id", "platform", "os", "browser", "app_version", "country", "url")
"""Columns of events that hold what vendors export as properties."""

_TYPES = {
    "VARCHAR": "string",
    "BIGINT": "integer",
    "UBIGINT": "integer",
    "HUGEINT": "integer",
    "DOUBLE": "number",
    "BOOLEAN": "boolean",
    "ARRAY": "list",
    "OBJECT": "object",
    "NULL": "null",
}
DATETIME = r"\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}([.,]\d+)?)?)?\s?(Z|[+-]\d{2}:?(\d{2})?)?"
"""ISO 8601 date with or without time, as a text of the tracking plan's type `datetime` looks."""


def profile_days(home: Home, *, first: date | None = None, last: date | None = None) -> pl.DataFrame:
    """Profiles (PROFILE) of all sources for the UTC days `first` to `last`, inclusive.

    Files that changed since their profile was made are read; profiles of files that are gone are removed.
    Sorted by source, day, event, property and type.

    Raises:
        LockHeldError: another process was busy with the profiles for ten minutes.
    """
    folder = home.profiles / f"v{VERSION}"
    files = {
        folder / path.parent.name / path.name: path
        for path in sorted(home.events.glob("day=*/*.parquet"))
        if _within(path.parent.name, first, last)
    }
    with exclusive(home, "profiles"):
        # The moment of an events file is the moment of its profile: a replaced file has another one.
        changed = {
            path: stored
            for stored, path in files.items()
            if not stored.exists() or stored.stat().st_mtime_ns != path.stat().st_mtime_ns
        }
        for paths in _batches(changed):
            modified = {path: path.stat().st_mtime_ns for path in paths}
            for path, profile in profile_files(paths).items():
                stored = changed[path]
                remove_leftovers(stored.parent)
                write_parquet(stored, profile)
                os.utime(stored, ns=(modified[path], modified[path]))
        _remove_stale(home, folder)
    if not files:
        return pl.DataFrame(schema=PROFILE)
    frames = pl.scan_parquet(list(files), glob=False, hive_partitioning=False).collect()
    return frames.sort(*PROFILE_ORDER, nulls_last=False)


def of_product(profiles: pl.DataFrame, vendor: VendorProperties) -> pl.DataFrame:
    """Those rows of profiles that tell of what the product sends; `vendor` says what its vendors add."""
    pairs = profiles.select("source", "property").unique().drop_nulls()
    added = [pair for pair in pairs.iter_rows() if is_added(vendor.get(pair[0], ()), pair[1])]
    named = pl.DataFrame(added, schema=["source", "property"], orient="row") if added else pairs.clear()
    columns = profiles.filter(pl.col("type") == COLUMN)
    others = profiles.filter((pl.col("type") != COLUMN) | pl.col("type").is_null())
    kept = others.join(named, on=["source", "property"], how="anti", maintain_order="left")
    return pl.concat([kept, columns]).sort(*PROFILE_ORDER, nulls_last=False)


def is_added(names: Collection[str], name: str) -> bool:
    """Whether `name` is among the properties that a vendor adds; `*` at an end stands for any text."""
    return name in names or any(each[-1:] == "*" and name.startswith(each[:-1]) for each in names)


def profile_files(paths: Sequence[Path]) -> dict[Path, pl.DataFrame]:
    """Profile (PROFILE) of each of the files of the lake, `day=YYYY-MM-DD/<source>.parquet`."""
    with calculator(MEMORY_LIMIT) as con:
        con.execute("SET preserve_insertion_order = false")
        listed = "[" + ", ".join(sql_text(glob.escape(str(path))) for path in paths) + "]"
        lake = f"read_parquet({listed}, hive_partitioning = false, filename = 'file')"
        counts = ", ".join(
            f"count({name}) AS {name}, approx_count_distinct({name}) AS {name}_distinct" for name in COLUMNS
        )
        totals = con.sql(f"SELECT file, event, count(*) AS n, {counts} FROM {lake} GROUP BY ALL").pl()
        # Anything else than an object is found by the rule properties_are_object.
        valid = (
            f"(SELECT file, event, properties FROM {lake} "
            "WHERE properties LIKE '{%' AND json_valid(properties))"
        )
        names = con.sql(
            "SELECT file, event, property, count(*) AS n "
            f"FROM (SELECT file, event, unnest(json_keys(properties)) AS property FROM {valid}) "
            "GROUP BY ALL ORDER BY file, event, n DESC, property"
        ).pl()
        rank = pl.int_range(pl.len()).over("file", "event")
        kept = names.filter(rank < MAX_PROPERTIES)
        more = names.filter(rank >= MAX_PROPERTIES).group_by("file", "event").agg(pl.col("n").sum())
        parts = [
            totals.select("file", "event", "n"),
            *(_column(totals, name) for name in COLUMNS),
            more.with_columns(property=pl.lit(MORE), type=pl.lit("string")),
            *(_pass(con, valid, events, properties) for events, properties in _passes(kept)),
        ]
    found = pl.concat(parts, how="diagonal_relaxed").with_columns(pl.col("distinct").fill_null(0))
    return {path: _of_file(found.filter(pl.col("file") == str(path)), path) for path in paths}


def _of_file(rows: pl.DataFrame, path: Path) -> pl.DataFrame:
    day = date.fromisoformat(path.parent.name.removeprefix("day="))
    return (
        rows.with_columns(source=pl.lit(path.stem), day=pl.lit(day))
        .select(pl.col(name).cast(dtype) for name, dtype in PROFILE.items())
        .sort("event", "property", "type", nulls_last=False)
    )


def _batches(paths: Iterable[Path]) -> Iterator[list[Path]]:
    """Small files together, so that thousands of thin days do not cost thousands of queries."""
    batch: list[Path] = []
    rows = 0
    for path in paths:
        count = pq.read_metadata(path).num_rows
        if batch and (rows + count > BATCH_ROWS or len(batch) == BATCH_FILES):
            yield batch
            batch, rows = [], 0
        batch.append(path)
        rows += count
    if batch:
        yield batch


def _column(totals: pl.DataFrame, name: str) -> pl.DataFrame:
    return totals.select(
        "file",
        "event",
        property=pl.lit(name),
        type=pl.lit(COLUMN),
        n=pl.col(name).cast(pl.Int64),
        distinct=pl.col(f"{name}_distinct").cast(pl.Int64),
    ).filter(pl.col("n") > 0)


def _passes(names: pl.DataFrame) -> Iterator[tuple[list[str], list[str]]]:
    """Events with few properties among them share one pass over the file."""
    by_event: dict[str, list[str]] = defaultdict(list)
    for event, name in names.select("event", "property").unique(maintain_order=True).iter_rows():
        by_event[event].append(name)
    events: list[str] = []
    together: dict[str, None] = {}
    # Events with the same names lie side by side.
    for event, own in sorted(by_event.items(), key=lambda item: (sorted(item[1]), item[0])):
        union = dict.fromkeys((*together, *own))
        if events and len(union) > PASS_PROPERTIES:
            yield events, list(together)
            events, union = [], dict.fromkeys(own)
        events.append(event)
        together = union
        while len(together) > PASS_PROPERTIES:
            names_now = list(together)
            yield events, names_now[:PASS_PROPERTIES]
            together = dict.fromkeys(names_now[PASS_PROPERTIES:])
    if events and together:
        yield events, list(together)


def _pass(
    con: duckdb.DuckDBPyConnection, valid: str, events: Sequence[str], properties: Sequence[str]
) -> pl.DataFrame:
    paths = "[" + ", ".join(sql_text(json_pointer(name)) for name in properties) + "]"
    wanted = ", ".join(sql_text(event) for event in events)
    rows: pl.DataFrame = con.sql(
        f"""
        SELECT file, event, number, kind,
            kind = 'VARCHAR' AND value LIKE '____-__-__%'
                AND regexp_full_match(value, {sql_text(DATETIME)}) AS dated,
            count(*) AS n, approx_count_distinct(value) AS "distinct"
        FROM (
            SELECT file, event, unnest(range({len(properties)})) AS number,
                unnest(json_type(properties, {paths})) AS kind,
                unnest(json_extract_string(properties, {paths})) AS value
            FROM {valid} WHERE event IN ({wanted})
        ) WHERE kind IS NOT NULL GROUP BY ALL
        """
    ).pl()
    named = pl.DataFrame(
        {"number": range(len(properties)), "property": properties},
        schema_overrides={"number": rows.schema["number"]},
    )
    return rows.join(named, on="number").with_columns(
        type=pl.when(pl.col("dated"))
        .then(pl.lit("datetime"))
        .otherwise(pl.col("kind").replace_strict(_TYPES, return_dtype=pl.String))
    )


def _within(folder: str, first: date | None, last: date | None) -> bool:
    day = date.fromisoformat(folder.removeprefix("day="))
    return (first is None or day >= first) and (last is None or day <= last)


def _remove_stale(home: Home, folder: Path) -> None:
    for path in sorted(folder.glob("day=*/*.parquet")):
        if not (home.events / path.parent.name / path.name).exists():
            path.unlink()
    for other in home.profiles.glob("v*"):
        if other != folder:
            shutil.rmtree(other)
