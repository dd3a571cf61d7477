"""From parsed deliveries to the event files of days: which delivery is in force, which rows repeat.

Rows of a vendor day belong to the newest delivery that covers it, where the vendor's exports replace
each other; then equal keys are one event. What is left out is written to the duplicates files.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import polars as pl

from opsanalytics.cleaning.parsing import PARSED, DeliveryFiles, ParsedDelivery
from opsanalytics.lake.manifests import Manifest
from opsanalytics.lake.paths import Home
from opsanalytics.lake.schemas import DUPLICATES, EVENTS
from opsanalytics.sources.base import EventSourceSettings

SAME_KEY = "same_key"
REDELIVERED = "redelivered"
KEYS = (
    "day", "ts", "event_id", "second_key", "vendor_day", "preference",
    "rank", "delivery", "ingest_run", "member", "record",
)  # fmt: skip
"""What decides which rows are events. The rest of a row is read when that is known."""
IS_EVENT = ~pl.col("superseded") & pl.col("kept_id").is_null()


@dataclass(frozen=True)
class Part:
    """One delivery as assembly needs it."""

    manifest: Manifest
    summary: ParsedDelivery
    rank: int
    """Order of fetching, from 0; the highest that covers a day is in force for it."""

    def covers(self, day: date) -> bool:
        first, last = self.manifest.first_day, self.manifest.last_day
        return first is not None and last is not None and first <= day <= last


def ranked(pairs: Sequence[tuple[Manifest, ParsedDelivery]]) -> list[Part]:
    """Deliveries in the order in which they were fetched."""
    ordered = sorted(pairs, key=lambda pair: (pair[0].fetched_at, pair[0].delivery))
    return [Part(manifest, summary, rank) for rank, (manifest, summary) in enumerate(ordered)]


def assemble(
    settings: EventSourceSettings,
    home: Home,
    parts: Sequence[Part],
    days: Sequence[date],
    event_names: Mapping[str, str],
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Events and duplicates (columns of `EVENTS` and `DUPLICATES`) of some UTC days, any order."""
    rows = scan_rows(settings, home, parts, days_in_reach(settings, days)).collect()
    if rows.is_empty():
        return EVENTS.empty(), DUPLICATES.empty()
    keys = decide(settings, rows.select(*KEYS).with_row_index("at"), parts, days)
    kept = np.zeros(rows.height, dtype=np.bool_)
    kept[keys.filter(IS_EVENT)["at"].to_numpy()] = True
    events = rows if kept.all() else rows.filter(pl.Series(kept))
    return to_events(settings, events, event_names), to_duplicates(settings, keys)


def days_in_reach(settings: EventSourceSettings, days: Iterable[date]) -> set[date]:
    """The days, and those that a second key can reach from them."""
    reach = settings.deduplication.second_key_days
    return {day + timedelta(days=offset) for day in days for offset in range(-reach, reach + 1)}


def decide(
    settings: EventSourceSettings, keys: pl.DataFrame, parts: Sequence[Part], days: Sequence[date]
) -> pl.DataFrame:
    """Which rows of the UTC days are events, and what the others repeat.

    In: the columns `KEYS` of all rows within reach of the days. Out: those of the days, any order,
    with `superseded`, and `kept_id`, the event that an equal one is kept as.
    """
    rules = settings.deduplication
    keys = with_first_of_key(undecided(settings, keys, parts))
    if rules.second_key_days:
        keys = with_first_of_second_key(keys, rules.second_key_days)
    return keys.filter(pl.col("day").is_in(list(days)))


def undecided(settings: EventSourceSettings, keys: pl.DataFrame, parts: Sequence[Part]) -> pl.DataFrame:
    """With `superseded`, and `kept_id` null: no row repeats another one yet."""
    keys = keys.with_columns(
        pl.lit(False).alias("superseded"), pl.lit(None, dtype=pl.String).alias("kept_id")
    )
    return with_superseded(keys, parts) if settings.deduplication.newest_delivery_wins else keys


def to_events(
    settings: EventSourceSettings, rows: pl.DataFrame, event_names: Mapping[str, str]
) -> pl.DataFrame:
    """Parsed rows as canonical events, in the order of the table."""
    events = rows.select(
        pl.lit(settings.name).alias("source"),
        pl.col("source_event").replace(dict(event_names)).alias("event"),
        *(name for name in EVENTS.names if name not in ("source", "event")),
    )
    return EVENTS.conform(events)


def to_duplicates(settings: EventSourceSettings, keys: pl.DataFrame) -> pl.DataFrame:
    """The rows that `decide` left out, as the duplicates table has them."""
    duplicates = keys.filter(~IS_EVENT).select(
        pl.lit(settings.name).alias("source"),
        pl.coalesce("kept_id", "event_id").alias("event_id"),
        "day",
        "delivery",
        "member",
        "record",
        "ingest_run",
        pl.when("superseded").then(pl.lit(REDELIVERED)).otherwise(pl.lit(SAME_KEY)).alias("reason"),
    )
    return DUPLICATES.conform(duplicates)


def scan_rows(
    settings: EventSourceSettings, home: Home, parts: Sequence[Part], days: set[date]
) -> pl.LazyFrame:
    """All parsed rows of the UTC days, with their delivery, in order of delivery and record."""
    day = pl.col("ts").dt.date()
    frames = [
        pl.scan_parquet(path, glob=False)
        .filter(day.is_between(min(days), max(days)))
        .filter(day.is_in(sorted(days)))
        .with_columns(
            day.alias("day"),
            pl.lit(part.manifest.delivery).alias("delivery"),
            pl.lit(part.summary.ingest_run).alias("ingest_run"),
            pl.lit(part.rank, dtype=pl.Int64).alias("rank"),
        )
        for part, path in parts_with_rows(settings, home, parts, days)
    ]
    return pl.concat(frames) if frames else PARSED.to_frame().lazy()


def parts_with_rows(
    settings: EventSourceSettings, home: Home, parts: Sequence[Part], days: set[date]
) -> Iterator[tuple[Part, Path]]:
    """The deliveries that have rows on the UTC days, in order, and where their rows lie."""
    for part in sorted(parts, key=lambda part: part.manifest.delivery):
        if days & part.summary.rows.keys():
            yield part, DeliveryFiles.of(home, settings.name, part.manifest.delivery).rows


def with_superseded(rows: pl.DataFrame, parts: Sequence[Part]) -> pl.DataFrame:
    """Mark rows of vendor days that a newer delivery covers."""
    in_force = [
        (day, rank)
        for day in rows["vendor_day"].unique().to_list()
        if (rank := max((part.rank for part in parts if part.covers(day)), default=None)) is not None
    ]
    newest = pl.DataFrame(in_force, schema={"vendor_day": pl.Date, "newest": pl.Int64}, orient="row")
    return (
        rows.join(newest, on="vendor_day", how="left", maintain_order="left")
        .with_columns((pl.col("rank") < pl.col("newest")).fill_null(value=False).alias("superseded"))
        .drop("newest")
    )


def with_first_of_key(rows: pl.DataFrame) -> pl.DataFrame:
    """Among rows of a day with one `event_id` keep the preferred, then the first delivered."""
    rows = rows.sort(
        "superseded",
        "preference",
        "delivery",
        "member",
        "record",
        descending=[False, True, False, False, False],
    )
    repeats = ~pl.col("superseded") & ~pl.struct("day", "event_id").is_first_distinct()
    return rows.with_columns(
        pl.when(repeats).then(pl.col("event_id")).otherwise(pl.col("kept_id")).alias("kept_id")
    )


def with_first_of_second_key(rows: pl.DataFrame, reach: int) -> pl.DataFrame:
    """Among kept rows at most `reach` days apart with one `second_key` keep the preferred."""
    kept = rows.filter(
        ~pl.col("superseded") & pl.col("kept_id").is_null() & pl.col("second_key").is_not_null()
    )
    candidates = kept.select("second_key", "day", "preference", pl.col("event_id").alias("winner"))
    near = pl.concat(
        candidates.with_columns(pl.col("day") + pl.duration(days=offset))
        for offset in range(-reach, reach + 1)
    )
    winners = near.sort("preference", "winner", descending=[True, False]).unique(
        ["second_key", "day"], keep="first", maintain_order=True
    )
    return (
        rows.join(winners.drop("preference"), on=["second_key", "day"], how="left", maintain_order="left")
        .with_columns(
            pl.when(pl.col("kept_id").is_null() & (pl.col("winner") != pl.col("event_id")))
            .then("winner")
            .otherwise("kept_id")
            .alias("kept_id")
        )
        .drop("winner")
    )
