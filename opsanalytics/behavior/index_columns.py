"""Properties of the events of the index, one small file a property and day, made when first asked for.

A file holds the text of the property for every event of the day, as the events are scanned, as codes into
the day's own list of values; the value of code 0 is null. So any filter on the property is evaluated once a
value, not once an event. Files are named by what they were made from: they outlive segments that are sorted
anew because identities changed, and are never out of date.
"""

import hashlib
import json
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from opsanalytics.behavior.filters import filter_passes, property_text
from opsanalytics.behavior.index_files import (
    Fingerprint,
    dictionary,
    fingerprint,
    mapped,
    numbers,
    write_batch,
)
from opsanalytics.behavior.spec import Filter
from opsanalytics.lake.events import read_day
from opsanalytics.lake.files import replacing
from opsanalytics.lake.paths import Home
from opsanalytics.lake.schemas import EVENTS

VALUE = "value"
MOST_BYTES = 4 << 30
"""Of all columns together; beyond it those that were not used for longest are removed."""


class EventsChangedError(RuntimeError):
    """The events of a day are no longer those that the index was opened with."""


@dataclass(frozen=True, eq=False)
class DayColumn:
    """A property of one day's events, as they are scanned."""

    codes: npt.NDArray[np.uint32]
    values: pl.Series
    """Text by code; null first."""


@dataclass(frozen=True, eq=False)
class PropertyColumn:
    """A property of the events of some days."""

    days: tuple[DayColumn, ...]

    def passing(self, condition: Filter) -> list[npt.NDArray[np.bool_]]:
        """By day and code, whether the value passes a filter on this property."""
        asked = condition.model_copy(update={"property": VALUE, "of": "event"})
        every = pl.concat([day.values for day in self.days]) if self.days else pl.Series([], dtype=pl.String)
        passes = every.alias(VALUE).to_frame().select(filter_passes(asked, [VALUE]).fill_null(False))
        return np.split(passes.to_series().to_numpy(), np.cumsum([len(day.values) for day in self.days])[:-1])

    @cached_property
    def values(self) -> pl.Series:
        """All values that occur, sorted; null first."""
        every = [day.values for day in self.days] or [pl.Series([None], dtype=pl.String)]
        return pl.concat(every).unique().sort(nulls_last=False).alias(VALUE)

    @cached_property
    def places(self) -> list[npt.NDArray[np.uint32]]:
        """By day and code, the place in `values`; 0 is null."""
        known = self.values.to_frame().with_row_index("place")
        found = []
        for day in self.days:
            local = day.values.alias(VALUE).to_frame()
            joined = local.join(known, on=VALUE, how="left", nulls_equal=True, maintain_order="left")
            found.append(joined["place"].to_numpy().astype(np.uint32))
        return found


def property_column(
    home: Home, name: str, days: Sequence[date], files: Sequence[Fingerprint]
) -> PropertyColumn:
    """A property of the events of `days`, whose event files are `files`; made where it is not there.

    Raises:
        PropertyError: events cannot have the property.
        EventsChangedError: the event files are other files by now.
    """
    text = property_text(name, EVENTS.names)
    folder = home.index / "columns" / hashlib.sha256(name.encode()).hexdigest()[:16]
    paths = [_path(folder, day, made_of) for day, made_of in zip(days, files, strict=True)]
    with ThreadPoolExecutor(pl.thread_pool_size()) as pool:
        columns = tuple(
            pool.map(lambda day, made_of, path: _opened(home, text, day, made_of, path), days, files, paths)
        )
    return PropertyColumn(columns)


def remove_stale_columns(home: Home, current: dict[date, Fingerprint]) -> None:
    """Remove columns of days whose events changed or are gone, and those that are too many.

    Whoever has one mapped keeps it.
    """
    folder = home.index / "columns"
    if not folder.is_dir():
        return
    names = {_path(folder, day, files).name for day, files in current.items()}
    kept: list[tuple[float, int, Path]] = []
    for path in folder.glob("*/*.arrow"):
        if path.name not in names:
            path.unlink(missing_ok=True)
        else:
            stat = path.stat()
            kept.append((stat.st_mtime, stat.st_size, path))
    total = sum(size for _, size, _ in kept)
    for _, size, path in sorted(kept):
        if total <= MOST_BYTES:
            break
        path.unlink(missing_ok=True)
        total -= size


def _path(folder: Path, day: date, files: Fingerprint) -> Path:
    return (
        folder / f"day={day.isoformat()}.{hashlib.sha256(json.dumps(files).encode()).hexdigest()[:24]}.arrow"
    )


def _opened(home: Home, text: pl.Expr, day: date, files: Fingerprint, path: Path) -> DayColumn:
    try:
        batch = mapped(path)
        os.utime(path)  # when it was last used
    except FileNotFoundError:
        batch = _made(home, text, day, files, path)
    column = batch.column(VALUE)
    return DayColumn(numbers(column.indices), pl.Series(column.dictionary).cast(pl.String))


def _made(home: Home, text: pl.Expr, day: date, files: Fingerprint, path: Path) -> pa.RecordBatch:
    folder = home.events / f"day={day.isoformat()}"
    found = read_day(folder).select(text.alias(VALUE)).collect()[VALUE]
    if fingerprint(sorted(folder.glob("*.parquet"))) != files:
        raise EventsChangedError(f"the events of {day} changed while they were read; ask again")
    values, codes = dictionary(found)
    column = pa.DictionaryArray.from_arrays(pa.array(codes), pa.array([None, *values], pa.large_string()))
    batch = pa.record_batch({VALUE: column})
    # Not under the lock of the index: whoever else makes it makes the same.
    with replacing(path) as temporary:
        write_batch(temporary, batch)
    return batch
