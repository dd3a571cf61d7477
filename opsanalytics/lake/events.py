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
    a device to that of its distinct id. Rows are not sorted.
    """
    events = scan_raw_events(home, first=first, last=last)
    if sources is not None:
        events = events.filter(pl.col("source").is_in(list(sources)))
    persons = read_persons(home).lazy()

    def mapping(kind: str, column: str) -> pl.LazyFrame:
        return persons.filter(pl.col("id_kind") == kind).select(
            "source", pl.col("id").alias(column), pl.col("person").alias(f"_{kind}")
        )

    joined = events
    for kind, column in (("user", "user_id"), ("device", "device_id"), ("distinct", "distinct_id")):
        joined = joined.join(mapping(kind, column), on=["source", column], how="left")
    person = pl.coalesce("_user", "_device", "_distinct").alias("person")
    return joined.with_columns(person).select("person", *EVENTS.names)
