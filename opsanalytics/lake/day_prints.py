"""What the events of each day are, in a few digits: two days with equal prints give equal numbers.

A print has two halves. `content` is over the rows of the day file, whichever delivery they came in;
`persons` is over who each event belongs to, which an identity learnt later changes without touching the
file. Prints are kept in `home.fingerprints` and taken again only of files that are not the very file they
were (`lake.files.stamp`), the second half also where events changed hands (`lake.id_changes`).
"""

from collections.abc import Iterator, Sequence
from datetime import date, timedelta

import polars as pl

from opsanalytics.lake.events import event_days, scan_events
from opsanalytics.lake.files import remove_leftovers, stamp, write_parquet
from opsanalytics.lake.id_changes import Identity, with_unmoved
from opsanalytics.lake.locks import exclusive
from opsanalytics.lake.paths import Home
from opsanalytics.lake.schemas import EVENTS

VERSION = f"1 polars {pl.__version__}"
"""Polars' hashes are stable within a version of Polars."""
AT_ONCE = 1_000
"""Files read together; bounds what is open at a time, changes no result."""
OPERATIONAL = ("ingest_run",)
"""Columns that say how an event came, not what it says."""

IDS = ("user_id", "device_id", "distinct_id")
_SEED = 17
_HALF = 1 << 32
_STORED = pl.Schema(
    {
        "source": pl.String(),
        "day": pl.Date(),
        "rows": pl.Int64(),
        "content": pl.String(),
        "persons": pl.String(),
        "deliveries": pl.List(pl.String()),
        "unowned": pl.Int64(),
        "stamp": pl.String(),
        "identity": pl.String(),
        "version": pl.String(),
    }
)
PRINTS = pl.Schema(list(_STORED.items())[:6])
"""`source`, `day` (UTC), `rows`, the halves `content` and `persons`, `deliveries` the rows came in."""


def day_prints(home: Home) -> pl.DataFrame:
    """Prints of all days of the lake (schema PRINTS), by source and day.

    Raises:
        LockHeldError: another process has been taking prints for ten minutes.
    """
    with exclusive(home, "fingerprints"):
        path = home.fingerprints / "days.parquet"
        identity = Identity.of(home)
        known = with_unmoved(home, _known(home), identity)
        present = _present(home, identity.name)
        same = ["source", "day", "stamp", "version"]
        content = present.join(
            known.select(*same, "rows", "content", "deliveries"), on=same, how="left", maintain_order="left"
        )
        fresh = content.filter(pl.col("content").is_null())
        content = pl.concat(
            [
                content.filter(pl.col("content").is_not_null()),
                fresh.drop("rows", "content", "deliveries").join(
                    _contents(home, fresh), on=["source", "day"], how="left"
                ),
            ]
        )
        whole = [*same, "identity"]
        both = content.join(known.select(*whole, "persons", "unowned"), on=whole, how="left")
        unknown = both.filter(pl.col("persons").is_null())
        both = pl.concat(
            [
                both.filter(pl.col("persons").is_not_null()),
                unknown.drop("persons", "unowned").join(
                    _persons(home, sorted(set(unknown["day"]))), on=["source", "day"], how="left"
                ),
            ]
        )
        stored = both.with_columns(pl.col("persons").fill_null(""), pl.col("unowned").fill_null(0))
        stored = stored.select(_STORED.names())
        stored = stored.sort("source", "day")
        if not stored.equals(known):
            identity.keep(home)
            remove_leftovers(home.fingerprints)
            write_parquet(path, stored)
    return stored.select(PRINTS.names())


def _known(home: Home) -> pl.DataFrame:
    path = home.fingerprints / "days.parquet"
    found = pl.read_parquet(path, glob=False) if path.exists() else pl.DataFrame(schema=_STORED)
    return found if found.schema == _STORED else pl.DataFrame(schema=_STORED)


def _present(home: Home, identity: str) -> pl.DataFrame:
    """Every event file that is there, with its stamp; taken before the file is read."""
    rows = [
        (path.stem, day, stamp(path), identity, VERSION)
        for day in event_days(home)
        for path in sorted((home.events / f"day={day.isoformat()}").glob("*.parquet"))
    ]
    names = ["source", "day", "stamp", "identity", "version"]
    return pl.DataFrame(rows, schema={name: _STORED[name] for name in names}, orient="row")


def _contents(home: Home, files: pl.DataFrame) -> pl.DataFrame:
    """`source`, `day`, `rows`, `content`, `deliveries` of the given files."""
    told = [name for name in EVENTS.names if name not in OPERATIONAL]
    schema = {name: _STORED[name] for name in ("source", "day", "rows", "content", "deliveries")}
    parts = [pl.DataFrame(schema=schema)]
    pairs = list(files.select("source", "day").iter_rows())
    for start in range(0, len(pairs), AT_ONCE):
        batch = {str(home.events_file(source, day)): (source, day) for source, day in pairs[start:][:AT_ONCE]}
        counted = (
            pl.scan_parquet(list(batch), glob=False, hive_partitioning=False, include_file_paths="file")
            .with_columns(pl.struct(told).hash(_SEED).alias("hash"))
            .group_by("file")
            .agg(
                pl.len().cast(pl.Int64).alias("rows"),
                _digest("content"),
                pl.col("ingest_run").str.extract(r"^(.*)@[0-9a-f]{12}$").unique().sort().alias("deliveries"),
            )
            .collect(engine="streaming")
        )
        named = pl.DataFrame(
            [(file, source, day) for file, (source, day) in batch.items()],
            schema={"file": pl.String, "source": pl.String, "day": pl.Date},
            orient="row",
        )
        parts.append(named.join(counted, on="file", how="inner").select(list(schema)))
    return pl.concat(parts)


def _persons(home: Home, days: Sequence[date]) -> pl.DataFrame:
    """`source`, `day`, `persons`, `unowned` (events with an id that is nobody's) of the given days."""
    schema = {name: _STORED[name] for name in ("source", "day", "persons", "unowned")}
    parts = [pl.DataFrame(schema=schema)]
    for first, last in _spans(days):
        parts.append(
            scan_events(home, first=first, last=last)
            .select(
                "source",
                pl.col("ts").dt.date().alias("day"),
                pl.struct("event_id", "person").hash(_SEED).alias("hash"),
                (pl.col("person").is_null() & pl.coalesce(IDS).is_not_null()).alias("unowned"),
            )
            .group_by("source", "day")
            .agg(_digest("persons"), pl.col("unowned").sum().cast(pl.Int64))
            .collect(engine="streaming")
            .select(list(schema))
        )
    return pl.concat(parts)


def _spans(days: Sequence[date]) -> Iterator[tuple[date, date]]:
    """Ascending days as spans of neighbours, none longer than `AT_ONCE`."""
    first = previous = None
    for day in days:
        if first is None or previous is None:
            first = day
        elif day - previous > timedelta(days=1) or (day - first).days >= AT_ONCE:
            yield first, previous
            first = day
        previous = day
    if first is not None and previous is not None:
        yield first, previous


def _digest(name: str) -> pl.Expr:
    """Of the hashes of a group, whatever their order: their sum, in two halves that cannot overflow."""
    return pl.format("{}-{}", (pl.col("hash") // _HALF).sum(), (pl.col("hash") % _HALF).sum()).alias(name)
