"""Properties of the events of the index, one small file a property and day, made when first asked for.

A file holds the text of the property for every event of the day, as the events are scanned, as codes into
the day's own list of values; the value of code 0 is null. So any filter on the property is evaluated once a
value, not once an event. Files are named by what they were made from: they outlive segments that are sorted
anew because identities changed, and are never out of date.
"""

import errno
import hashlib
import json
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from opsanalytics.behavior.filters import filter_passes, property_text
from opsanalytics.behavior.index_build import day_files
from opsanalytics.behavior.index_files import (
    SYNCS,
    Fingerprint,
    dictionary,
    fingerprint,
    mapped,
    numbers,
    write_batch,
)
from opsanalytics.behavior.spec import Filter
from opsanalytics.lake.events import scan_files
from opsanalytics.lake.files import replacing
from opsanalytics.lake.paths import Home
from opsanalytics.lake.schemas import EVENTS

VALUE = "value"
MOST_BYTES = 4 << 30
"""Of all columns together; beyond it those that were not used for longest are removed."""
READ_BYTES = 32 << 20
"""Event files of so many bytes are read at once: a scan for each of thousands of small days takes longer."""
READ_FILES = 256
"""And no more files: each may be open meanwhile."""


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
    asked = [
        _Asked(
            day,
            made_of,
            _folder(home, day, made_of) / f"{hashlib.sha256(name.encode()).hexdigest()[:16]}.arrow",
        )
        for day, made_of in zip(days, files, strict=True)
    ]
    found = {one.day: batch for one in asked if (batch := _kept(one.path)) is not None}
    batches = _batches([one for one in asked if one.day not in found])
    with ThreadPoolExecutor(pl.thread_pool_size()) as readers, ThreadPoolExecutor(SYNCS) as writers:

        def made(batch: Sequence[_Asked]) -> list[pa.RecordBatch]:
            return list(writers.map(_written, batch, _read(home, text, batch)))

        for batch, written in zip(batches, readers.map(made, batches), strict=True):
            found.update(zip([one.day for one in batch], written, strict=True))
    return PropertyColumn(tuple(_column(found[day]) for day in days))


def remove_stale_columns(home: Home, current: dict[date, Fingerprint]) -> None:
    """Remove columns of days whose events changed or are gone, and those that are too many.

    Whoever has one mapped keeps it.
    """
    names = {_folder(home, day, files).name for day, files in current.items()}
    kept: list[tuple[float, int, Path]] = []
    for folder in (home.index / "columns").glob("*"):
        if folder.name not in names:
            _remove(folder)
            continue
        for path in folder.glob("*.arrow"):
            stat = path.stat()
            kept.append((stat.st_mtime, stat.st_size, path))
    total = sum(size for _, size, _ in kept)
    for _, size, path in sorted(kept):
        if total <= MOST_BYTES:
            break
        path.unlink(missing_ok=True)
        total -= size


@dataclass(frozen=True)
class _Asked:
    """The column of a day, and where it is kept."""

    day: date
    files: Fingerprint
    path: Path


def _folder(home: Home, day: date, files: Fingerprint) -> Path:
    """Of the columns of a day; one a day, because folders of thousands of files are slow."""
    made_of = hashlib.sha256(json.dumps(files).encode()).hexdigest()[:24]
    return home.index / "columns" / f"day={day.isoformat()}.{made_of}"


def _remove(folder: Path) -> None:
    try:
        for path in folder.iterdir():
            path.unlink(missing_ok=True)
        folder.rmdir()
    except FileNotFoundError:
        return  # another process was faster
    except OSError as error:
        if error.errno != errno.ENOTEMPTY:
            raise
        # Another process writes into it: it goes with the next refresh.


def _kept(path: Path) -> pa.RecordBatch | None:
    try:
        batch = mapped(path)
        os.utime(path)  # when it was last used
    except FileNotFoundError:
        return None
    return batch


def _batches(asked: Sequence[_Asked]) -> list[list[_Asked]]:
    """Days that are read at once."""
    sizes = np.cumsum([sum(file[1] for file in one.files) for one in asked]) // READ_BYTES
    files = np.cumsum([len(one.files) for one in asked]) // READ_FILES
    changes = np.flatnonzero((np.diff(sizes) != 0) | (np.diff(files) != 0)) + 1
    bounds = [0, *changes.tolist(), len(asked)] if asked else []
    return [list(asked[begin:end]) for begin, end in pairwise(bounds)]


def _read(home: Home, text: pl.Expr, batch: Sequence[_Asked]) -> list[pl.Series]:
    """The property by day."""
    from pyarrow.parquet import read_metadata

    paths = [day_files(home, one.day) for one in batch]
    try:
        rows = [sum(read_metadata(path).num_rows for path in of_day) for of_day in paths]
        found = scan_files([path for of_day in paths for path in of_day]).select(text.alias(VALUE)).collect()
    except FileNotFoundError as error:
        raise EventsChangedError(f"{error.filename} went away while it was read; ask again") from error
    for one, of_day in zip(batch, paths, strict=True):
        if fingerprint(of_day) != one.files:
            raise EventsChangedError(f"the events of {one.day} changed while they were read; ask again")
    ends = np.cumsum(rows).tolist()
    return [found[VALUE].slice(end - count, count) for end, count in zip(ends, rows, strict=True)]


def _written(one: _Asked, texts: pl.Series) -> pa.RecordBatch:
    values, codes = dictionary(texts)
    column = pa.DictionaryArray.from_arrays(pa.array(codes), pa.array([None, *values], pa.large_string()))
    batch = pa.record_batch({VALUE: column})
    # Not under the lock of the index: whoever else makes it makes the same.
    try:
        with replacing(one.path) as temporary:
            write_batch(temporary, batch)
    except FileNotFoundError as error:
        raise EventsChangedError(
            f"the events of {one.day} changed while they were kept; ask again"
        ) from error
    return batch


def _column(batch: pa.RecordBatch) -> DayColumn:
    column = batch.column(VALUE)
    return DayColumn(numbers(column.indices), pl.Series(column.dictionary).cast(pl.String))
