"""Days with too many events to be held in memory: decided on their keys, then sorted by way of the disk.

What is written is byte for byte what `assemble` and one write would give.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from pathlib import Path

import polars as pl
from polars.io.plugins import register_io_source

from opsanalytics.cleaning.assembly import Part, to_events
from opsanalytics.cleaning.beside import Behind
from opsanalytics.cleaning.day_files import ROW_GROUP, ZSTD_LEVEL, WrittenDay, replace_by, replace_file
from opsanalytics.cleaning.day_rows import read_rows
from opsanalytics.cleaning.large_keys import Decision, decide_large
from opsanalytics.cleaning.parsing import PARSED
from opsanalytics.cleaning.spread import Pieces, Spread, pieces
from opsanalytics.lake.paths import Home
from opsanalytics.lake.schemas import DUPLICATES, EVENTS
from opsanalytics.lake.tables import Table
from opsanalytics.sources.base import EventSourceSettings

BUCKET_ROWS = ROW_GROUP // 2
MOST_BUCKETS = 200
"""So many temporary files are open at once."""
EVENT_COLUMNS = [name for name in PARSED.names() if name in (*EVENTS.names, "source_event")]


def write_large_day(
    settings: EventSourceSettings,
    home: Home,
    parts: Sequence[Part],
    day: date,
    event_names: Mapping[str, str],
) -> WrittenDay:
    """Write the files of one UTC day.

    Needs the size of the day on disk for a while. Memory does not grow with the day, but by a byte a
    record and, beyond `MOST_BUCKETS * BUCKET_ROWS` events, with the size of a bucket.
    """
    folder = home.cleaned(settings.name)
    with Spread(folder) as duplicates:
        decision = decide_large(settings, home, parts, day, BUCKET_ROWS, MOST_BUCKETS, duplicates)
        left_out = (DUPLICATES.conform(bucket) for bucket in duplicates.read())
        path = home.duplicates_file(settings.name, day)
        duplicated, _ = write_stream(folder, path, DUPLICATES, left_out)
    with Spread(folder) as events:
        fill(events, settings, home, parts, day, decision)
        ordered = (to_events(settings, bucket, event_names) for bucket in events.read())
        written, changed = write_stream(folder, home.events_file(settings.name, day), EVENTS, ordered)
    return WrittenDay(day, written, duplicated, changed)


def fill(
    events: Spread,
    settings: EventSourceSettings,
    home: Home,
    parts: Sequence[Part],
    day: date,
    decision: Decision,
) -> None:
    """Read the day's deliveries once more, whole rows now, and put every event into its bucket."""
    with Behind[Pieces](events.add) as added:
        for reading in read_rows(settings, home, parts, day, EVENT_COLUMNS):
            kept = decision.kept[reading.first : reading.first + reading.rows.height]
            rows = reading.rows if kept.all() else reading.rows.filter(pl.Series(kept))
            if rows.height:
                run = pl.lit(reading.part.summary.ingest_run).alias("ingest_run")
                added.add(pieces(rows.select(*EVENT_COLUMNS, run), decision.bounds.bucket_of(rows)))


def write_stream(folder: Path, path: Path, table: Table, frames: Iterator[pl.DataFrame]) -> tuple[int, bool]:
    """Make `path` hold frames one after the other, as `replace_file` would.

    Returns how many rows there are, and whether the file changed.
    """
    written = folder / f".{path.parent.name}.{table.name}.tmp"  # a killed process leaves it to the next run
    rows = 0

    def source(*_: object) -> Iterator[pl.DataFrame]:
        # All columns of all rows are wanted, so there is nothing that could be left out.
        nonlocal rows
        for frame in frames:
            rows += frame.height
            yield frame

    try:
        register_io_source(source, schema=table.schema).sink_parquet(
            written,
            compression="zstd",
            compression_level=ZSTD_LEVEL,
            statistics=True,
            row_group_size=ROW_GROUP,
            maintain_order=True,
        )
        return rows, replace_by(path, written) if rows else replace_file(path, None)
    finally:
        written.unlink(missing_ok=True)
