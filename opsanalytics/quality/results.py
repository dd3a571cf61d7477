"""The record of check results: latest result by table, partition and check.

One small Parquet file a table and month (tables with other partitions: one file), so that a day's
result is found without reading twelve years of them.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal

import polars as pl

from opsanalytics.lake.files import remove_leftovers, write_parquet
from opsanalytics.lake.locks import exclusive
from opsanalytics.lake.paths import Home
from opsanalytics.quality.rules import Severity
from opsanalytics.quality.tables import QUALITY_RESULTS

State = Literal["passed", "warning", "failed", "not_checked"]

PRODUCER = "producer"
_STORED = pl.Schema({**QUALITY_RESULTS.schema, PRODUCER: pl.String()})
_CONTENT = [name for name in _STORED.names() if name != "checked_at"]
_ORDER = ("table", "check", "partition", PRODUCER)


@dataclass(frozen=True)
class CheckOutcome:
    """Result of one check on one partition; the columns of `quality_results` say what each field means."""

    table: str
    check: str
    partition: str
    passed: bool
    severity: Severity
    description: str
    checked: int
    unexpected: int | None = None
    examples: tuple[str, ...] = ()
    """Up to five, already redacted."""


def record(
    home: Home,
    outcomes: Iterable[CheckOutcome],
    *,
    producer: str,
    checked_at: datetime,
    data_version: str | Mapping[str, str],
    instead_of_all: bool = False,
) -> None:
    """Replace what `producer` recorded before about the tables and partitions that `outcomes` name; with
    `instead_of_all`, all that it recorded about these tables.

    A result that says the same about the same data as before keeps its old `checked_at`, so that checking
    twice changes no file. `data_version` is one for all or a mapping from partition; `producer` names who
    checks ("suite", "reconciliation", ...) and owns just its own results.

    Raises:
        LockHeldError: another process held the record for ten minutes.
    """
    rows = [
        {
            **vars(outcome),
            "examples": list(outcome.examples),
            "data_version": data_version
            if isinstance(data_version, str)
            else data_version[outcome.partition],
            "checked_at": checked_at,
            PRODUCER: producer,
        }
        for outcome in outcomes
    ]
    if not rows:
        return
    new = pl.DataFrame(rows, schema=_STORED).with_columns(
        _shard=pl.col("partition").str.extract(r"^(\d{4}-\d{2})-\d{2}$").fill_null("all")
    )
    with exclusive(home, "quality"):
        for (table, shard), part in new.partition_by("table", "_shard", as_dict=True).items():
            path = home.quality / str(table) / f"{shard}.parquet"
            remove_leftovers(path.parent)
            _replace(path, part.drop("_shard"))
        if instead_of_all:
            for table in new["table"].unique():
                partitions = new.filter(pl.col("table") == table)["partition"].implode()
                _withdraw(home.quality / table, producer, ~pl.col("partition").is_in(partitions))


def latest(home: Home) -> pl.DataFrame:
    """All recorded results as QUALITY_RESULTS; empty before the first check."""
    stored = [_read(path) for path in sorted(home.quality.glob("*/*.parquet"))]
    return QUALITY_RESULTS.conform(pl.concat(stored).drop(PRODUCER)) if stored else QUALITY_RESULTS.empty()


def recorded(home: Home, table: str, *, producer: str, versions: Mapping[str, str]) -> list[CheckOutcome]:
    """What `producer` recorded about the partitions whose data still have the version given for them."""
    shards = {match[1] if (match := _DAY.fullmatch(partition)) else "all" for partition in versions}
    paths = [home.quality / table / f"{shard}.parquet" for shard in sorted(shards)]
    stored = [_read(path) for path in paths if path.exists()]
    if not stored:
        return []
    wanted = pl.DataFrame(
        {"partition": versions.keys(), "data_version": versions.values()},
        schema={"partition": pl.String, "data_version": pl.String},
    )
    rows = (
        pl.concat(stored)
        .filter(pl.col(PRODUCER) == producer)
        .join(wanted, on=["partition", "data_version"], how="semi")
        .drop("data_version", "checked_at", PRODUCER)
        .sort("partition", "check")
    )
    return [CheckOutcome(**row | {"examples": tuple(row["examples"])}) for row in rows.to_dicts()]


def state(home: Home, tables: Iterable[str]) -> State:
    """Whether numbers computed from `tables` can be shown, by all recorded results: see `state_of`."""
    return state_of(latest(home), tables)


def state_of(results: pl.DataFrame, tables: Iterable[str]) -> State:
    """Whether numbers computed from `tables` can be shown, by these results (QUALITY_RESULTS).

    "failed" if a blocking check failed anywhere in them, else "not_checked" if one of them has no result,
    else "warning" if a check that warns failed, else "passed".
    """
    wanted = set(tables)
    results = results.filter(pl.col("table").is_in(wanted))
    failed = set(results.filter(~pl.col("passed"))["severity"])
    if "error" in failed:
        return "failed"
    if wanted - set(results["table"]):
        return "not_checked"
    return "warning" if "warning" in failed else "passed"


_DAY = re.compile(r"(\d{4}-\d{2})-\d{2}")


def _read(path: Path) -> pl.DataFrame:
    return pl.read_parquet(path, glob=False)


def _withdraw(folder: Path, producer: str, which: pl.Expr) -> None:
    for path in sorted(folder.glob("*.parquet")):
        old = _read(path)
        kept = old.filter(~((pl.col(PRODUCER) == producer) & which))
        if kept.is_empty():
            path.unlink()
        elif kept.height < old.height:
            write_parquet(path, kept)


def _replace(path: Path, new: pl.DataFrame) -> None:
    old = _read(path) if path.exists() else pl.DataFrame(schema=_STORED)
    content = pl.struct(_CONTENT).struct.json_encode().alias("_content")
    before = old.select(content, pl.col("checked_at").alias("_before")).unique("_content")
    kept = old.join(new, on=["partition", PRODUCER], how="anti")
    unchanged = (
        new.with_columns(content)
        .join(before, on="_content", how="left")
        .with_columns(checked_at=pl.coalesce("_before", "checked_at"))
        .select(_STORED.names())
    )
    merged = pl.concat([kept, unchanged]).sort(_ORDER)
    if not merged.equals(old):
        write_parquet(path, merged)
