"""Which days are assembled together, so that memory stays bounded whatever their size."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date

import pyarrow.parquet as pq

from opsanalytics.cleaning.assembly import Part, days_in_reach, parts_with_rows
from opsanalytics.lake.paths import Home
from opsanalytics.sources.base import EventSourceSettings

BATCH_BYTES = 320 * 1024 * 1024
"""So much is assembled at once (or a single day); changes no result."""
BATCH_DAYS = 250
ROW_BYTES = 400
"""What a row takes in memory beside its texts."""


@dataclass(frozen=True)
class Batch:
    """Days that are read together."""

    days: tuple[date, ...]
    large: bool
    """A single day that does not fit into memory."""


def batches(
    settings: EventSourceSettings, home: Home, parts: Sequence[Part], days: Sequence[date]
) -> Iterator[Batch]:
    """Ascending days in batches of bounded size."""
    size_of = day_bytes(settings, home, parts, days)
    batch: list[date] = []
    near: set[date] = set()
    for day in days:
        grown = near | days_in_reach(settings, [day])
        if batch and (len(batch) >= BATCH_DAYS or total(size_of, grown) > BATCH_BYTES):
            yield Batch(tuple(batch), total(size_of, near) > BATCH_BYTES)
            batch, grown = [], days_in_reach(settings, [day])
        batch.append(day)
        near = grown
    if batch:
        yield Batch(tuple(batch), total(size_of, near) > BATCH_BYTES)


def total(size_of: Counter[date], days: set[date]) -> float:
    return sum(size_of[day] for day in days)


def day_bytes(
    settings: EventSourceSettings, home: Home, parts: Sequence[Part], days: Sequence[date]
) -> Counter[date]:
    """How much memory the parsed rows of the UTC days and of those in reach take, about."""
    needed = days_in_reach(settings, days)
    size_of: Counter[date] = Counter()
    for part, path in parts_with_rows(settings, home, parts, needed):
        file = pq.read_metadata(path)
        texts = sum(file.row_group(group).total_byte_size for group in range(file.num_row_groups))
        row_bytes = ROW_BYTES + texts // file.num_rows
        for day in needed & part.summary.rows.keys():
            size_of[day] += part.summary.rows[day] * row_bytes
    return size_of
