"""Days with too many events to be held in memory: decided on their keys, then sorted by way of the disk.

What is written is byte for byte what `assemble` and one write would give.
"""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from datetime import date
from pathlib import Path
from typing import IO, Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from polars.io.plugins import register_io_source

from opsanalytics.cleaning.assembly import (
    IS_EVENT,
    KEYS,
    Part,
    days_in_reach,
    decide,
    decide_single,
    parts_with_rows,
    scan_rows,
    to_duplicates,
    to_events,
)
from opsanalytics.cleaning.beside import Behind, ahead
from opsanalytics.cleaning.day_files import (
    ROW_GROUP,
    ZSTD_LEVEL,
    WrittenDay,
    replace_by,
    replace_file,
    write_duplicates,
)
from opsanalytics.cleaning.parsing import PARSED
from opsanalytics.lake.paths import Home
from opsanalytics.lake.schemas import DUPLICATES, EVENTS
from opsanalytics.sources.base import EventSourceSettings

BUCKET_ROWS = ROW_GROUP // 2
MOST_BUCKETS = 200
"""So many temporary files are open at once."""
READ_ROWS = 32 * 1024
NO_BUCKET = -1
STORED_KEYS = [name for name in KEYS if name in PARSED.names()]
EMPTY = pl.Series(dtype=pl.UInt64)
SHARE_ROWS = 500_000
"""So many keys are decided at once."""
PASS_SHARES = 8
"""So many shares of them are looked through at once for shared second keys."""

# An id as numbers that sort alike: its first 32 bytes, which is all of it.
ID_NAMES = tuple(f"id_{start}" for start in range(0, 32, 8))
ID_PARTS = tuple(
    pl.col("event_id")
    .str.pad_end(32, "\0")
    .cast(pl.Binary)
    .bin.slice(start, 8)
    .bin.reinterpret(dtype=pl.UInt64, endianness="big")
    .alias(f"id_{start}")
    for start in range(0, 32, 8)
)


def write_large_day(
    settings: EventSourceSettings,
    home: Home,
    parts: Sequence[Part],
    day: date,
    event_names: Mapping[str, str],
) -> WrittenDay:
    """Write the files of one UTC day.

    Needs about 50 bytes of memory an event (500 for one that came under several ids), and the size of
    the day on disk for a while.
    """
    places, duplicates = decide_by_share(settings, home, parts, day)
    duplicated = write_duplicates(home, settings.name, day, duplicates)
    if not len(places):
        return WrittenDay(day, 0, duplicated, replace_file(home.events_file(settings.name, day), None))
    size = max(BUCKET_ROWS, -(-len(places) // MOST_BUCKETS))
    bucket_of = np.full(rows_in_reach(settings, parts, day), NO_BUCKET, dtype=np.int16)
    bucket_of[places] = np.arange(len(places)) // size
    path = home.events_file(settings.name, day)
    folder = home.cleaned(settings.name)
    written = folder / f".{day}.tmp"  # what a killed process leaves goes with the next run's leftovers
    try:
        with Buckets(folder, -(-len(places) // size)) as buckets:
            fill(buckets, settings, home, parts, day, bucket_of)
            events = (to_events(settings, bucket, event_names) for bucket in buckets.read())
            write_stream(written, events)
        changed = replace_by(path, written)
    finally:
        written.unlink(missing_ok=True)
    return WrittenDay(day, len(places), duplicated, changed)


def decide_by_share(
    settings: EventSourceSettings, home: Home, parts: Sequence[Part], day: date
) -> tuple[NDArray[np.uint32], pl.DataFrame]:
    """Which rows of the deliveries (in the order of `scan_rows`) are events, as they are to be sorted.

    And the duplicates. Rows that share no key with others are decided as they are read. The others are
    read again, equal ids in one share, so that one share after the other can be decided; ids that share a
    second key are together in one more.
    """
    rows = scan_rows(settings, home, parts, days_in_reach(settings, [day]))
    # Names of deliveries and members repeat in every row; sorted categories sort as their texts do.
    categories = {
        name: pl.Enum(rows.select(pl.col(name).unique().sort()).collect()[name])
        for name in ("delivery", "ingest_run", "member")
    }
    coded = [pl.col(name).cast(categories[name]) if name in categories else pl.col(name) for name in KEYS]
    identity = pl.col("event_id").hash()
    together = EMPTY
    if settings.deduplication.second_key_days:
        together = ids_with_shared_keys(rows, -(-rows_in_reach(settings, parts, day) // SHARE_ROWS))
    shared = with_shared_id(settings, home, parts, day, together)
    chosen: list[pl.DataFrame] = []
    duplicates: list[pl.DataFrame] = []

    def take(decided: pl.DataFrame) -> None:
        duplicates.append(to_duplicates(settings, decided))
        chosen.append(decided.filter(IS_EVENT).select("at", "ts", *ID_PARTS))

    for first, part in read_rows(settings, home, parts, day, STORED_KEYS):
        alone = part.select(coded).with_row_index("at", offset=first)
        single = ~pl.Series(shared[first : first + part.height])
        take(decide_single(settings, alone.filter(single), parts, [day]))
    shares = -(-int(shared.sum()) // SHARE_ROWS)
    keys = rows.select(coded).with_row_index("at").filter(pl.Series(shared))
    own_shares = [identity % shares == share for share in range(shares)]
    if len(together) and shares > 1:
        apart = identity.is_in(together.implode())
        own_shares = [*(share & ~apart for share in own_shares), apart]
    for share in own_shares:
        take(decide(settings, keys.filter(share).collect(), parts, [day]))
    # The numbers alone are brought into order: what they are sorted by is several times as large.
    places = pl.concat(chosen).select(pl.col("at").sort_by("ts", *ID_NAMES))["at"].to_numpy()
    return places, DUPLICATES.conform(pl.concat(duplicates))


def with_shared_id(
    settings: EventSourceSettings, home: Home, parts: Sequence[Part], day: date, together: pl.Series
) -> NDArray[np.bool_]:
    """Of each row within reach whether another one has its id too, or its id is one of `together`."""
    hashes = pl.concat(
        [rows["event_id"].hash() for _, rows in read_rows(settings, home, parts, day, ["ts", "event_id"])]
    )
    ascending = np.sort(hashes.to_numpy())
    repeated = pl.Series(ascending[1:][ascending[1:] == ascending[:-1]], dtype=pl.UInt64)
    return hashes.is_in(pl.concat([repeated, together]).unique().implode()).to_numpy()


def read_rows(
    settings: EventSourceSettings, home: Home, parts: Sequence[Part], day: date, columns: Sequence[str]
) -> Iterator[tuple[int, pl.DataFrame]]:
    """What `scan_rows` gives of the rows within reach of the day, some at a time: columns that are stored,
    and the delivery's. And how many came before."""
    days = days_in_reach(settings, [day])
    own = pl.col("ts").dt.date()
    begin = 0
    for part, path in parts_with_rows(settings, home, parts, days):
        with pq.ParquetFile(path) as file:
            for batch in ahead(file.iter_batches(READ_ROWS, columns=list(columns)), 1):
                rows = pl.DataFrame(batch).filter(own.is_in(sorted(days)))
                yield (
                    begin,
                    rows.with_columns(
                        own.alias("day"),
                        pl.lit(part.manifest.delivery).alias("delivery"),
                        pl.lit(part.summary.ingest_run).alias("ingest_run"),
                        pl.lit(part.rank, dtype=pl.Int64).alias("rank"),
                    ),
                )
                begin += rows.height


def ids_with_shared_keys(keys: pl.LazyFrame, shares: int) -> pl.Series:
    """Hashes of the event ids of which one row, at least, has a second key of another id too."""
    passes = -(-shares // PASS_SHARES)
    found: list[pl.Series] = []
    for number in range(passes):
        pairs = (
            keys.filter(pl.col("second_key").is_not_null())
            .select(pl.col("second_key").hash().alias("key"), pl.col("event_id").hash().alias("id"))
            .filter(pl.col("key") % passes == number)
            .unique()
            .collect()
        )
        found.append(pairs.filter(pl.len().over("key") > 1)["id"])
    return pl.concat(found).unique()


def rows_in_reach(settings: EventSourceSettings, parts: Sequence[Part], day: date) -> int:
    days = days_in_reach(settings, [day])
    return sum(part.summary.rows.get(near, 0) for part in parts for near in days)


class Buckets:
    """Rows spread over temporary files without a name, which vanish with the process."""

    def __init__(self, folder: Path, count: int) -> None:
        self._stack = ExitStack()
        self._files: list[IO[bytes]] = [
            self._stack.enter_context(tempfile.TemporaryFile(dir=folder))  # noqa: SIM115 - the stack does
            for _ in range(count)
        ]
        self._writers: dict[int, Any] = {}

    def __enter__(self) -> "Buckets":
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def add(self, rows: Sequence[tuple[int, pa.Table]]) -> None:
        """Rows by bucket."""
        for bucket, table in rows:
            self._add(bucket, table)

    def _add(self, bucket: int, table: pa.Table) -> None:
        if bucket not in self._writers:
            options = pa.ipc.IpcWriteOptions(compression="lz4")
            self._writers[bucket] = pa.ipc.new_stream(self._files[bucket], table.schema, options=options)
        self._writers[bucket].write_table(table)

    def read(self) -> Iterator[pl.DataFrame]:
        """The buckets in order; rows of a bucket in the order they were added."""
        for writer in self._writers.values():
            writer.close()
        for file in self._files:
            file.seek(0)
            frame = pl.from_arrow(pa.ipc.open_stream(file).read_all())
            if isinstance(frame, pl.DataFrame):
                yield frame


def fill(
    buckets: Buckets,
    settings: EventSourceSettings,
    home: Home,
    parts: Sequence[Part],
    day: date,
    bucket_of: NDArray[np.int16],
) -> None:
    """Read the day's deliveries once more, whole rows now, and put every row into its bucket."""
    with Behind[Sequence[tuple[int, pa.Table]]](buckets.add) as added:
        for begin, rows in read_rows(settings, home, parts, day, PARSED.names()):
            bucket = bucket_of[begin : begin + rows.height]
            order = np.argsort(bucket, kind="stable")
            order = order[np.searchsorted(bucket[order], 0) :]  # NO_BUCKET comes first
            keys, starts = np.unique(bucket[order], return_index=True)
            table = rows.select(*PARSED.names(), "ingest_run")[order].to_arrow(
                compat_level=pl.CompatLevel.oldest()
            )
            ends = np.append(starts, len(order))[1:]
            added.add(
                [
                    (int(key), table.slice(start, end - start))
                    for key, start, end in zip(keys, starts, ends, strict=True)
                ]
            )


def write_stream(path: Path, batches: Iterator[pl.DataFrame]) -> None:
    """Write frames one after the other as one Parquet file, as `DataFrame.write_parquet` would."""

    def source(*_: object) -> Iterator[pl.DataFrame]:
        # All columns of all rows are wanted, so there is nothing that could be left out.
        yield from batches

    register_io_source(source, schema=EVENTS.schema).sink_parquet(
        path,
        compression="zstd",
        compression_level=ZSTD_LEVEL,
        statistics=True,
        row_group_size=ROW_GROUP,
        maintain_order=True,
    )
