"""From event files to segments of the behavior index."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
import numpy.typing as npt
import polars as pl

from opsanalytics.behavior.index_files import dictionary
from opsanalytics.behavior.index_persons import Numbering
from opsanalytics.lake.events import DECIDING, scan_raw_events
from opsanalytics.lake.paths import Home

DAY = 86_400_000_000
"""Microseconds."""
TIME_BITS = 37
"""Enough for the microseconds of a day."""
NOBODY = (1 << 32) - 1
MOST_CODES = 1 << 16
EPOCH = date(1970, 1, 1)


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
        frame = scan_raw_events(self._home, first=days[0], last=days[-1])
        rows = frame.select("source", "event", pl.col("ts").to_physical()).collect()
        ts = rows["ts"].to_numpy()
        source = _Sources(rows["source"])
        codes, persons = self._coded(source, rows["event"]), self._numbered(frame, source)
        # Folders are scanned in order of their days, so that times of one day stand together.
        ends = [_first_from(ts, (day - EPOCH).days * DAY + DAY) for day in days]
        for day, begin, end in zip(days, [0, *ends], ends, strict=False):
            start = (day - EPOCH).days * DAY
            part = ts[begin:end]
            if len(part) and not (start <= part.min() and part.max() < start + DAY):
                raise MisplacedEventsError(self._misplaced(days))
            yield day, _Read(persons[begin:end], part, codes[begin:end])
        if ends[-1] != len(ts):
            raise MisplacedEventsError(self._misplaced(days))

    def sorted(self, day: date, read: _Read) -> DayRows:
        """The rows of one day in the order of a segment."""
        count = self._persons
        if (count + 1).bit_length() + TIME_BITS <= 64:
            start = (day - EPOCH).days * DAY
            place = np.minimum(read.person, np.uint32(count)).astype(np.uint64)
            key = (place << np.uint64(TIME_BITS)) | (read.ts - start).astype(np.uint64)
            order = _with_ties(key, np.argsort(key), read.event)
        else:
            order = np.lexsort((read.event, read.ts, read.person))
        return DayRows(day, read.person[order], read.ts[order], read.event[order], order.astype(np.uint32))

    def _coded(self, source: "_Sources", names: pl.Series) -> npt.NDArray[np.uint16]:
        events, event = dictionary(names)
        pairs = event - np.uint32(1)
        if source.places is not None:
            pairs = source.places.astype(np.int64) * len(events) + pairs
        code_of = np.zeros(len(source.names) * len(events), np.uint16)
        seen = np.flatnonzero(np.bincount(pairs, minlength=len(code_of)))
        named = [
            (source.names[pair // len(events)], events[pair % len(events)], pair) for pair in seen.tolist()
        ]
        for name_of_source, name, pair in sorted(named):
            code = self.codes.setdefault((name_of_source, name), len(self.codes))
            if code >= MOST_CODES:
                raise IndexFullError(
                    f"{len(self.codes)} pairs of source and event name: the index has numbers for "
                    f"{MOST_CODES}. An id in a name belongs into a property"
                )
            code_of[pair] = code
        found: npt.NDArray[np.uint16] = code_of[pairs]
        return found

    def _numbered(self, frame: pl.LazyFrame, source: "_Sources") -> npt.NDArray[np.uint32]:
        """The number of the person of each event: by the first of the ids that decide which it has."""
        count = source.count
        numbers = np.full(count, NOBODY, np.uint32)
        open_ = np.ones(count, np.bool_)
        rules = [DECIDING[self._rules.get(name, "devices")] for name in source.names]
        for turn in range(max(map(len, rules), default=0)):
            kinds = {rule[turn] for rule in rules if turn < len(rule)}
            if not open_.any():
                break
            ids = frame.select(f"{kind}_id" for kind in sorted(kinds)).collect()
            for place, (name, rule) in enumerate(zip(source.names, rules, strict=True)):
                if turn >= len(rule):
                    continue
                asked = ids[f"{rule[turn]}_id"]
                own = open_ & source.is_place(place)
                if asked.null_count():
                    own &= asked.is_not_null().to_numpy()
                open_ &= ~own
                known = self._ids.get((name, rule[turn]))
                if known is not None and own.any():
                    _fill(numbers, asked, own, known)
        return numbers

    def _misplaced(self, days: Sequence[date]) -> str:
        return (
            f"{self._home.events}: a folder from day={days[0]} to day={days[-1]} holds events of another UTC "
            "day. Clean the source again (`opsanalytics run`), which writes each event under its own day"
        )


def _with_ties(
    key: npt.NDArray[np.uint64], order: npt.NDArray[np.intp], event: npt.NDArray[np.uint16]
) -> npt.NDArray[np.intp]:
    """`order` sorts by key; those of equal keys by event, then by place."""
    ordered = key[order]
    same = ordered[1:] == ordered[:-1]
    if same.any():
        tied = np.append(same, False) | np.append(False, same)
        among = order[tied]
        order[tied] = among[np.lexsort((among, event[among], key[among]))]
    return order


class _Sources:
    """The source of every event of some days."""

    def __init__(self, texts: pl.Series) -> None:
        self.count = len(texts)
        self.names: list[str] = texts[:1].to_list()
        self.places: npt.NDArray[np.uint32] | None = None
        """Place in `names` of each; None if there is one source only."""
        if self.names and not (texts == self.names[0]).all():
            self.names, places = dictionary(texts)
            self.places = places - np.uint32(1)

    def is_place(self, place: int) -> npt.NDArray[np.bool_]:
        if self.places is None:
            return np.ones(self.count, np.bool_)
        found: npt.NDArray[np.bool_] = np.equal(self.places, np.uint32(place))
        return found


def _fill(
    numbers: npt.NDArray[np.uint32], ids: pl.Series, rows: npt.NDArray[np.bool_], known: pl.DataFrame
) -> None:
    """Put the numbers of the ids of some rows where these are."""
    asked = ids.alias("id").to_frame().with_row_index("place").lazy()
    if not rows.all():
        asked = asked.filter(pl.Series(rows))
    found = asked.join(known.lazy(), on="id", how="inner").select("place", "number").collect()
    numbers[found["place"].to_numpy()] = found["number"].to_numpy()


def _first_from(ts: npt.NDArray[np.int64], moment: int) -> int:
    """Where times from `moment` on begin, all earlier ones standing before them."""
    low, high = 0, len(ts)
    while low < high:
        middle = (low + high) // 2
        if ts[middle] < moment:
            low = middle + 1
        else:
            high = middle
    return low
