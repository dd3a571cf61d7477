"""The behavior index, mapped: funnels folded range of persons by range of persons."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import date, datetime
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from opsanalytics.behavior.index_coding import NotIndexedError
from opsanalytics.behavior.index_columns import PropertyColumn, property_column
from opsanalytics.behavior.index_files import Fingerprint, column, mapped
from opsanalytics.behavior.index_store import read_index, refresh_index
from opsanalytics.behavior.periods import FAR_OFF, microseconds
from opsanalytics.behavior.rows import LeftOut, PersonRows
from opsanalytics.lake.paths import Home

__all__ = ["BehaviorIndex", "NotIndexedError", "Segment", "Slice", "chosen_rows", "nobodys", "open_index"]

STATE_BYTES = 2 << 20
"""State of the persons folded at once: about what a core's own cache holds."""
FEWEST, MOST = 1 << 10, 1 << 14
"""Persons folded at once."""
Part = TypeVar("Part")


@dataclass(frozen=True, eq=False)
class Segment:
    """One UTC day, mapped: columns as arrays over the file, sorted by person and time."""

    day: date
    person: npt.NDArray[np.uint32]
    ts: npt.NDArray[np.int64]
    event: npt.NDArray[np.uint16]
    row: npt.NDArray[np.uint32]
    """Place among the day's events as they are scanned."""
    known: int
    """Rows before those of nobody."""
    first: int
    last: int
    """Earliest and latest time; 0 and -1 of a day without events."""
    files: Fingerprint
    """Of the event files it was built from."""


@dataclass(frozen=True, eq=False)
class Slice:
    """The rows of a range of persons in one segment."""

    segment: Segment
    place: int
    """Of the segment, among those asked for."""
    begin: int
    end: int


@dataclass(frozen=True, eq=False)
class BehaviorIndex:
    """The index as it was when opened; open it again to see what came since."""

    home: Home
    codes: tuple[tuple[str, str], ...]
    """(source, event name) of every code."""
    segments: tuple[Segment, ...]
    person_file: pa.RecordBatch | None
    until: int = FAR_OFF
    """Events after this time, microseconds, do not count."""

    def before(self, moment: datetime) -> "BehaviorIndex":
        """The index without the events at `moment` and later."""
        return replace(self, until=min(self.until, microseconds(moment) - 1))

    @property
    def days(self) -> tuple[date, ...]:
        return tuple(segment.day for segment in self.segments)

    @property
    def rows(self) -> int:
        return sum(len(segment.ts) for segment in self.segments)

    @property
    def person_count(self) -> int:
        """Persons that have a number, whether or not they have events."""
        return 0 if self.person_file is None else self.person_file.num_rows

    @cached_property
    def persons(self) -> pl.Series:
        """Name of every person, by number."""
        if self.person_file is None:
            return pl.Series("person", [], pl.String)
        return pl.Series("person", self.person_file.column("person")).cast(pl.String)

    @cached_property
    def ranks(self) -> npt.NDArray[np.uint32]:
        """Place of every person in the order of their names, by number."""
        if self.person_file is None:
            return np.empty(0, np.uint32)
        return column(self.person_file, "rank")

    @property
    def last(self) -> int | None:
        """Time of the last event, whoever's, in microseconds; None if there is none."""
        return max((one.last for one in self.segments if len(one.ts)), default=None)

    def named(self, attempts: pl.DataFrame) -> pl.DataFrame:
        """Rows by number of person as rows by name, sorted by name; of one person in the order they came."""
        numbers = attempts["person"].to_numpy()
        order = np.argsort(self.ranks[numbers], kind="stable")
        names = self.persons.gather(numbers[order])
        return attempts[order].with_columns(names.alias("person"))

    def property_of(self, name: str, segments: Sequence[Segment]) -> PropertyColumn:
        """A property of the events of some segments, as they are scanned.

        Raises:
            PropertyError, EventsChangedError: see `property_column`.
        """
        days = tuple(one.day for one in segments)
        found = self._columns.get(name)
        if found is None or found[0] != days:
            found = (days, property_column(self.home, name, days, [one.files for one in segments]))
            self._columns[name] = found
        return found[1]

    @cached_property
    def _columns(self) -> dict[str, tuple[tuple[date, ...], PropertyColumn]]:
        """The last of each property that was asked for, and its days: a report asks for the same again."""
        return {}

    def between(self, since: int, until: int) -> list[Segment]:
        """Segments with events from `since` to `until`, inclusive."""
        return [one for one in self.segments if one.first <= until and since <= one.last]

    def person_rows(
        self,
        segments: Sequence[Segment],
        codes: Sequence[npt.NDArray[np.uint16]],
        masks: npt.NDArray[np.int32],
        wanted: npt.NDArray[np.bool_],
        *,
        since: int,
        until: int,
    ) -> PersonRows:
        """The rows of `chosen_rows`, of everybody."""
        limits = {"since": since, "until": until}
        parts = self.by_range(
            segments,
            lambda low, high, slices: chosen_rows(low, high, slices, codes, masks, wanted, **limits),
        )
        counts = [np.empty(0, np.int64), *(np.diff(part.offsets) for part in parts)]
        return PersonRows(
            persons=pl.concat([pl.Series("person", [], pl.UInt32), *(part.persons for part in parts)]),
            keys=pl.DataFrame(),
            offsets=np.concatenate([np.zeros(1, np.int64), np.cumsum(np.concatenate(counts))]),
            ts=np.concatenate([np.empty(0, np.int64), *(part.ts for part in parts)]),
            mask=np.concatenate([np.empty(0, np.int32), *(part.mask for part in parts)]),
            left_out=LeftOut(without_person=nobodys(segments, codes, wanted, **limits)),
        )

    def by_range(
        self,
        segments: Sequence[Segment],
        part: Callable[[int, int, list[Slice]], Part],
        *,
        person_bytes: int = 64,
        most: int = MOST,
    ) -> list[Part]:
        """Call `part` with ranges of persons and their rows, in threads; results by range, in order.

        `person_bytes` is about how much `part` keeps for a person; a larger `most` takes that many persons.
        """
        size = most if most > MOST else min(max(STATE_BYTES // person_bytes, FEWEST), most)
        count = self.person_count
        bounds = np.append(np.arange(0, count, size), count)
        if len(bounds) < 2:
            return []
        edges = bounds.astype(np.uint32)
        cuts = [np.searchsorted(one.person[: one.known], edges).tolist() for one in segments]
        limits = bounds.tolist()

        def called(number: int) -> Part:
            rows = [
                Slice(one, place, cut[number], cut[number + 1])
                for place, (one, cut) in enumerate(zip(segments, cuts, strict=True))
                if cut[number] < cut[number + 1]
            ]
            return part(limits[number], limits[number + 1], rows)

        with ThreadPoolExecutor(pl.thread_pool_size()) as pool:
            return list(pool.map(called, range(len(limits) - 1)))


def open_index(home: Home) -> BehaviorIndex:
    """Bring the index up to date with the lake and map it.

    Raises:
        IndexFullError, MisplacedEventsError, LockHeldError: see `refresh_index`.
    """
    while True:
        refresh_index(home)
        manifest = read_index(home)
        try:
            return BehaviorIndex(
                home=home,
                codes=tuple((source, event) for source, event in manifest["codes"]),
                segments=tuple(
                    _mapped(home, date.fromisoformat(day), manifest["days"][day])
                    for day in sorted(manifest["days"])
                ),
                person_file=mapped(home.index / manifest["persons"]),
            )
        except FileNotFoundError:
            # Another process has replaced what this manifest names; the next one names what there is.
            if read_index(home) == manifest:
                raise


def chosen_rows(
    low: int,
    high: int,
    slices: Sequence[Slice],
    codes: Sequence[npt.NDArray[np.uint16]],
    masks: npt.NDArray[np.int32],
    wanted: npt.NDArray[np.bool_],
    *,
    since: int,
    until: int,
) -> PersonRows:
    """Rows of the persons `low` to `high` with a wanted code from `since` to `until`, inclusive, person by
    person, at equal times in order of mask; `persons` are numbers. `codes` stand for the events of each
    segment; `masks` and `wanted` are by code."""
    from opsanalytics.behavior.kernels_index import by_person, choose_rows, sort_ties
    from opsanalytics.behavior.kernels_rows import NEVER

    room = sum(one.end - one.begin for one in slices) + 1
    person, found, kinds = np.empty(room, np.int64), np.empty(room, np.int64), np.empty(room, np.int32)
    before, count = np.full(high - low, NEVER), np.zeros(high - low, np.int64)
    size = 0
    for one in slices:
        segment = one.segment
        columns = (segment.person, segment.ts, codes[one.place], one.begin, one.end)
        size = choose_rows(
            *columns, low, wanted, masks, since, until, before, count, size, person, found, kinds
        )
    offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(count)])
    ts, mask = np.empty(size, np.int64), np.empty(size, np.int32)
    by_person(person, found, kinds, size, offsets[:-1].copy(), ts, mask)
    sort_ties(ts, mask, offsets, 0, high - low)
    present = np.flatnonzero(count)
    return PersonRows(
        persons=pl.Series("person", (present + low).astype(np.uint32)),
        keys=pl.DataFrame(),
        offsets=np.append(offsets[:-1][present], offsets[-1]),
        ts=ts,
        mask=mask,
        left_out=LeftOut(),
    )


def nobodys(
    segments: Sequence[Segment],
    codes: Sequence[npt.NDArray[np.uint16]],
    wanted: npt.NDArray[np.bool_],
    *,
    since: int,
    until: int,
) -> int:
    """How many rows of nobody have a wanted code and a time from `since` to `until`, inclusive."""
    total = 0
    for segment, code in zip(segments, codes, strict=True):
        ts = segment.ts[segment.known :]
        total += int((wanted[code[segment.known :]] & (ts >= since) & (ts <= until)).sum())
    return total


def _mapped(home: Home, day: date, entry: dict[str, Any]) -> Segment:
    batch = mapped(home.index / entry["segment"])
    return Segment(
        day=day,
        person=column(batch, "person"),
        ts=column(batch, "ts"),
        event=column(batch, "event"),
        row=column(batch, "row"),
        known=entry["known"],
        first=entry["first"],
        last=entry["last"],
        files=entry["files"],
    )
