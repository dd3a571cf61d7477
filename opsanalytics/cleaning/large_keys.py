"""Which rows of a large day are events: decided on their keys, equal ones together, by way of the disk."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
import polars as pl
from numpy.typing import NDArray

from opsanalytics.cleaning.assembly import (
    IS_EVENT,
    KEYS,
    Part,
    days_in_reach,
    parts_with_rows,
    to_duplicates,
    undecided,
    with_first_of_key,
    with_first_of_second_key,
)
from opsanalytics.cleaning.beside import Behind
from opsanalytics.cleaning.day_rows import read_rows, rows_in_reach
from opsanalytics.cleaning.parsing import PARSED
from opsanalytics.cleaning.spread import Numbers, Pieces, Spread, pieces
from opsanalytics.lake.paths import Home
from opsanalytics.sources.base import EventSourceSettings

SHARE_ROWS = 256 * 1024
"""So many keys are decided at once."""
SAMPLES = 256
"""So many rows a bucket are looked at to find where buckets begin."""
STORED_KEYS = [name for name in KEYS if name in PARSED.names()]

TIME_BYTES, ID_BYTES = 8, 32
# Numbers that sort as times and ids do: of an id its first 32 bytes, which is all of a usual one.
TIME = (pl.col("ts").to_physical() + 2**62).cast(pl.UInt64).alias("time")
ID = tuple(
    pl.col("event_id")
    .str.pad_end(ID_BYTES, "\0")
    .cast(pl.Binary)
    .bin.slice(start, 8)
    .bin.reinterpret(dtype=pl.UInt64, endianness="big")
    .alias(f"id_{start}")
    for start in range(0, ID_BYTES, 8)
)


@dataclass(frozen=True, eq=False)
class Bounds:
    """Where buckets of sorted rows begin."""

    by: tuple[pl.Expr, ...]
    firsts: NDArray[np.bytes_]

    @classmethod
    def between(cls, by: tuple[pl.Expr, ...], sample: NDArray[np.bytes_], buckets: int) -> "Bounds":
        """Bounds of so many buckets of about equal size, if the sample (`as_bytes`) is like the rows."""
        ordered = np.sort(sample)
        step = max(1, -(-len(ordered) // buckets))
        return cls(by, np.unique(ordered[step::step]))

    def bucket_of(self, rows: pl.DataFrame) -> Numbers:
        """The bucket of each row; buckets ascend as what they are sorted by does."""
        return np.searchsorted(self.firsts, as_bytes(rows, self.by), side="right")


def as_bytes(rows: pl.DataFrame, by: Sequence[pl.Expr]) -> NDArray[np.bytes_]:
    """Of each row bytes that sort as the numbers `by` do."""
    numbers = rows.select(by).to_numpy().astype(">u8", order="C")
    return np.frombuffer(numbers.tobytes(), dtype=f"S{8 * len(by)}")


@dataclass(frozen=True, eq=False)
class Decision:
    """What is known of the rows within reach of a day, numbered as `read_rows` gives them."""

    kept: NDArray[np.bool_]
    """Which are the day's events."""
    bounds: Bounds
    """Where buckets of events begin."""


def decide_large(
    settings: EventSourceSettings,
    home: Home,
    parts: Sequence[Part],
    day: date,
    bucket_rows: int,
    most_buckets: int,
    duplicates: Spread,
) -> Decision:
    """As `decide`, of rows on disk; the day's duplicates are put into buckets that ascend as they sort.

    Rows with one id are decided together, then those with one second key. Needs one byte of memory a row.
    """
    kept = np.zeros(rows_in_reach(settings, parts, day), dtype=np.bool_)
    shares = -(-len(kept) // SHARE_ROWS)
    own = sum(part.summary.rows.get(day, 0) for part in parts)
    buckets = max(1, min(most_buckets, -(-own // bucket_rows)))
    folder = home.cleaned(settings.name)
    with Spread(folder) as by_id, Spread(folder) as by_second_key:
        sample = spread_keys(by_id, settings, home, parts, day, shares, max(1, own // (buckets * SAMPLES)))
        ids = np.frombuffer(sample.tobytes(), np.uint8).reshape(-1, TIME_BYTES + ID_BYTES)[:, TIME_BYTES:]
        by_place = Bounds.between(ID, np.frombuffer(ids.tobytes(), f"S{ID_BYTES}"), buckets)

        def settle(rows: pl.DataFrame) -> None:
            decided = rows.filter(pl.col("day") == day)
            kept[decided.filter(IS_EVENT)["at"].to_numpy()] = True
            left_out = to_duplicates(settings, decided)
            duplicates.add(pieces(left_out, by_place.bucket_of(left_out)))

        for keys in with_delivery(by_id.read(), settings, home, parts, day):
            decided = with_first_of_key(undecided(settings, keys, parts))
            if settings.deduplication.second_key_days:
                has_another = pl.col("kept_id").is_null() & pl.col("second_key").is_not_null()
                others = decided.filter(has_another).drop("kept_id")
                by_second_key.add(pieces(others, share_of(others["second_key"], shares)))
                decided = decided.filter(~has_another)
            settle(decided)
        for others in by_second_key.read():
            open_keys = others.with_columns(pl.lit(None, dtype=pl.String).alias("kept_id"))
            settle(with_first_of_second_key(open_keys, settings.deduplication.second_key_days))
    return Decision(kept, Bounds.between((TIME, *ID), sample, buckets))


def spread_keys(
    by_id: Spread,
    settings: EventSourceSettings,
    home: Home,
    parts: Sequence[Part],
    day: date,
    shares: int,
    step: int,
) -> NDArray[np.bytes_]:
    """Put the keys of all rows within reach into buckets by id.

    Returns time and id of every `step`-th row of the day (`as_bytes`).
    """
    number_of = {
        part.manifest.delivery: number
        for number, (part, _) in enumerate(
            parts_with_rows(settings, home, parts, days_in_reach(settings, [day]))
        )
    }
    sample: list[NDArray[np.bytes_]] = []
    with Behind[Pieces](by_id.add) as added:
        for reading in read_rows(settings, home, parts, day, STORED_KEYS):
            rows = reading.rows.with_row_index("at", offset=reading.first)
            some = rows.filter((pl.col("day") == day) & (pl.col("at") % step == 0))
            # The rows themselves would keep all that was read with them.
            sample.append(as_bytes(some, (TIME, *ID)))
            number = pl.lit(number_of[reading.part.manifest.delivery], dtype=pl.UInt32)
            added.add(pieces(rows.with_columns(number.alias("part")), share_of(rows["event_id"], shares)))
    return np.concatenate(sample)


def with_delivery(
    shares: Iterator[pl.DataFrame],
    settings: EventSourceSettings,
    home: Home,
    parts: Sequence[Part],
    day: date,
) -> Iterator[pl.DataFrame]:
    """Keys with the columns of their delivery, which repeat in every row."""
    ordered = [part for part, _ in parts_with_rows(settings, home, parts, days_in_reach(settings, [day]))]
    table = pl.DataFrame(
        [
            (number, part.manifest.delivery, part.summary.ingest_run, part.rank)
            for number, part in enumerate(ordered)
        ],
        schema={"part": pl.UInt32, "delivery": pl.String, "ingest_run": pl.String, "rank": pl.Int64},
        orient="row",
    )
    for keys in shares:
        yield keys.join(table, on="part", how="left", maintain_order="left").drop("part")


def share_of(keys: pl.Series, shares: int) -> Numbers:
    return (keys.hash() % shares).to_numpy()
