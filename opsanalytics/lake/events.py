"""Reading events from the lake, joined to persons."""

from collections.abc import Sequence
from datetime import date

import polars as pl

from opsanalytics.lake.paths import Home
from opsanalytics.lake.schemas import EVENTS, PERSONS


def event_days(home: Home) -> list[date]:
    """UTC days that have at least one event file, ascending."""
    return sorted(
        date.fromisoformat(folder.name.removeprefix("day="))
        for folder in home.events.glob("day=*")
        if any(folder.glob("*.parquet"))
    )


def scan_raw_events(home: Home, *, first: date | None = None, last: date | None = None) -> pl.LazyFrame:
    """Scan canonical events of the UTC days `first` to `last`, inclusive, without persons."""
    files = [
        path
        for day in event_days(home)
        if (first is None or day >= first) and (last is None or day <= last)
        for path in sorted((home.events / f"day={day.isoformat()}").glob("*.parquet"))
    ]
    if not files:
        return EVENTS.empty().lazy()
    # A home folder may have brackets or stars in its name.
    return pl.scan_parquet(files, glob=False, hive_partitioning=False)


def read_persons(home: Home) -> pl.DataFrame:
    """The identity mapping; empty before it was first built."""
    path = home.identity / "persons.parquet"
    return pl.read_parquet(path, glob=False) if path.exists() else PERSONS.empty()


def scan_events(
    home: Home,
    *,
    first: date | None = None,
    last: date | None = None,
    sources: Sequence[str] | None = None,
) -> pl.LazyFrame:
    """Scan canonical events with a `person` column in front.

    An event belongs to the person of its user id; without one to the person of its device; without
    a device to that of its distinct id. Without any id, or before the mapping was rebuilt with it,
    `person` is null: the event belongs to nobody. Rows are not sorted.
    """
    events = scan_raw_events(home, first=first, last=last)
    if sources is not None:
        events = events.filter(pl.col("source").is_in(list(sources)))
    persons = read_persons(home).lazy().select("source", "id_kind", "id", "person")
    # one join: which id decides does not depend on the mapping
    deciding = events.with_columns(
        pl.when(pl.col("user_id").is_not_null())
        .then(pl.lit("user"))
        .when(pl.col("device_id").is_not_null())
        .then(pl.lit("device"))
        .otherwise(pl.lit("distinct"))
        .alias("id_kind"),
        pl.coalesce("user_id", "device_id", "distinct_id").alias("id"),
    )
    return deciding.join(persons, on=["source", "id_kind", "id"], how="left").select("person", *EVENTS.names)
