"""From event files to segments of the behavior index."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
import numpy.typing as npt
import polars as pl

from opsanalytics.behavior.index_files import dictionary
from opsanalytics.behavior.index_persons import Numbering
from opsanalytics.lake.events import DECIDING, by_rule, scan_raw_events
from opsanalytics.lake.paths import Home

DAY = 86_400_000_000
"""Microseconds."""
TIME_BITS = 37
"""Enough for the microseconds of a day."""
NOBODY = (1 << 32) - 1
MOST_CODES = 1 << 16
KINDS = DECIDING["devices"]


class IndexFullError(RuntimeError):
    """There are more event names, or persons, than the index has numbers for."""


class MisplacedEventsError(RuntimeError):
    """An event file holds events of another UTC day than its folder says."""


@dataclass(frozen=True, eq=False)
class DayRows:
    """The events of one UTC day, sorted by person, time, code and row; those of nobody come last."""

    day: date
    person: npt.NDArray[np.uint32]
    ts: npt.NDArray[np.int64]
    event: npt.NDArray[np.uint16]
    row: npt.NDArray[np.uint32]
    """Place among the day's events as they are scanned."""

    @property
    def known(self) -> int:
        """Rows before those of nobody."""
        return int(np.searchsorted(self.person, np.uint32(NOBODY)))


@dataclass(frozen=True, eq=False)
class _Read:
    """Some days as they are scanned."""

    person: npt.NDArray[np.uint32]
    ts: npt.NDArray[np.int64]
    event: npt.NDArray[np.uint16]


class Reader:
    """Reads days; gives codes to event names in the order in which they first appear."""

    def __init__(self, home: Home, codes: Sequence[Sequence[str]], numbering: Numbering) -> None:
        self._home = home
        self.codes: dict[tuple[str, str], int] = {
            (source, event): code for code, (source, event) in enumerate(codes)
        }
        if numbering.persons.height >= NOBODY:
            raise IndexFullError(f"{numbering.persons.height} persons: the index has numbers for {NOBODY}")
        self._persons = numbering.persons.height
        self._rules = numbering.rules
        self._ids: Mapping[tuple[object, ...], pl.DataFrame] = numbering.ids.partition_by(
            "source", "id_kind", as_dict=True, include_key=False
        )

    def read(self, days: Sequence[date]) -> Iterator[tuple[date, _Read]]:
        """Each of `days`, neighbours among the days of the lake, in order, as they are scanned.

        Raises:
            IndexFullError: more than MOST_CODES pairs of source and event name.
            MisplacedEventsError: a day's folder holds events of another day.
        """
        kinds = {
            kind: pl.when(pl.col(f"{kind}_id").is_not_null()).then(pl.lit(number, pl.UInt8))
            for number, kind in enumerate(KINDS)
        }
        ids = {kind: pl.col(f"{kind}_id") for kind in KINDS}
        frame = (
            scan_raw_events(self._home, first=days[0], last=days[-1])
            .select(
                "source",
                "event",
                pl.col("ts").to_physical(),
                by_rule(self._rules, kinds).alias("kind"),
                by_rule(self._rules, ids).alias("id"),
            )
            .collect()
            .rechunk()
        )
        ts = frame["ts"].to_numpy()
        numbers = ts // DAY
        if len(numbers) and (np.diff(numbers) < 0).any():
            raise MisplacedEventsError(self._misplaced(days))
        codes, persons = self._coded(frame), self._numbered(frame)
        edges = [(day - date(1970, 1, 1)).days for day in days]
        begins, ends = np.searchsorted(numbers, edges), np.searchsorted(numbers, edges, side="right")
        if int((ends - begins).sum()) != len(ts):
            raise MisplacedEventsError(self._misplaced(days))
        for day, begin, end in zip(days, begins.tolist(), ends.tolist(), strict=True):
            yield day, _Read(persons[begin:end], ts[begin:end], codes[begin:end])

    def sorted(self, day: date, read: _Read) -> DayRows:
        """The rows of one day in the order of a segment."""
        from opsanalytics.behavior.kernels_index import order_ties

        count = self._persons
        if (count + 1).bit_length() + TIME_BITS <= 64:
            start = (day - date(1970, 1, 1)).days * DAY
            place = np.minimum(read.person, np.uint32(count)).astype(np.uint64)
            key = (place << np.uint64(TIME_BITS)) | (read.ts - start).astype(np.uint64)
            order = np.argsort(key)
            order_ties(key, order, read.event)
        else:
            order = np.lexsort((read.event, read.ts, read.person))
        return DayRows(
            day, read.person[order], read.ts[order], read.event[order], order.astype(np.uint32)
        )

    def _coded(self, frame: pl.DataFrame) -> npt.NDArray[np.uint16]:
        sources, source = dictionary(frame["source"])
        events, event = dictionary(frame["event"])
        pairs = (source - 1).astype(np.int64) * len(events) + event - 1
        code_of = np.zeros(len(sources) * len(events), np.uint16)
        seen = np.flatnonzero(np.bincount(pairs, minlength=len(code_of)))
        names = sorted((sources[pair // len(events)], events[pair % len(events)], pair) for pair in seen.tolist())
        for name_of_source, name, pair in names:
            code = self.codes.setdefault((name_of_source, name), len(self.codes))
            if code >= MOST_CODES:
                raise IndexFullError(
                    f"{len(self.codes)} pairs of source and event name: the index has numbers for "
                    f"{MOST_CODES}. An id in a name belongs into a property"
                )
            code_of[pair] = code
        return code_of[pairs]

    def _numbered(self, frame: pl.DataFrame) -> npt.NDArray[np.uint32]:
        numbers = np.full(frame.height, NOBODY, np.uint32)
        sources = frame["source"].unique().to_list() if frame.height else []
        single = len(sources) == 1
        for source in sources:
            for number in frame["kind"].drop_nulls().unique().to_list():
                known = self._ids.get((source, KINDS[number]))
                if known is None:
                    continue
                rows = frame.select("source", "kind", "id").with_row_index("place").lazy()
                if not single:
                    rows = rows.filter(pl.col("source") == source)
                rows = rows.filter(pl.col("kind") == number).select("place", "id")
                found = rows.join(known.lazy(), on="id", how="inner").select("place", "number").collect()
                numbers[found["place"].to_numpy()] = found["number"].to_numpy()
        return numbers

    def _misplaced(self, days: Sequence[date]) -> str:
        return (
            f"{self._home.events}: a folder from day={days[0]} to day={days[-1]} holds events of another UTC "
            "day. Clean the source again (`opsanalytics run`), which writes each event under its own day"
        )
