"""From event files to segments of the behavior index."""

from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from opsanalytics.behavior.index_ids import Ids
from opsanalytics.behavior.index_persons import Numbering
from opsanalytics.behavior.index_reading import EventFiles
from opsanalytics.lake.events import DECIDING
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
class Read:
    """Some days as they are scanned."""

    days: tuple[date, ...]
    ends: tuple[int, ...]
    """Rows up to the end of each day."""
    person: npt.NDArray[np.uint32]
    ts: npt.NDArray[np.int64]
    pairs: list[tuple[str, str]]
    """Different sources and event names, in order."""
    pair: npt.NDArray[np.uint32]
    """Place of each row among them."""


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
        known = numbering.ids.partition_by("source", "id_kind", as_dict=True, include_key=False)
        self._ids = {
            key: Ids(of.get_column("id"), of.get_column("number").to_numpy(), NOBODY)
            for key, of in known.items()
        }

    def read(self, days: Sequence[date]) -> Read:
        """Some days, in order. Called by several threads at once.

        Raises:
            MisplacedEventsError: a day's folder holds events of another day.
        """
        paths = [day_files(self._home, day) for day in days]
        with closing(EventFiles([path for of_day in paths for path in of_day])) as files:
            ends = np.cumsum([0, *files.rows])[np.cumsum([len(of_day) for of_day in paths])].tolist()
            ts = files.times()
            sources, source = files.coded("source")
            pairs, pair = _paired(sources, source, *files.coded("event"))
            person = self._numbered(files, sources, source)
        for day, begin, end in zip(days, [0, *ends], ends, strict=False):
            start = (day - EPOCH).days * DAY
            part = ts[begin:end]
            if len(part) and not (start <= part.min() and part.max() < start + DAY):
                raise MisplacedEventsError(self._misplaced(day))
        return Read(tuple(days), tuple(ends), person, ts, pairs, pair)

    def code_of(self, pairs: Iterable[tuple[str, str]]) -> npt.NDArray[np.uint16]:
        """The code of each pair of source and event name; new ones get the next.

        Raises:
            IndexFullError: more than MOST_CODES pairs of source and event name.
        """
        found = [self.codes.setdefault(pair, len(self.codes)) for pair in pairs]
        if len(self.codes) > MOST_CODES:
            raise IndexFullError(
                f"{len(self.codes)} pairs of source and event name: the index has numbers for "
                f"{MOST_CODES}. An id in a name belongs into a property"
            )
        return np.array(found, np.uint16)

    def sorted(self, read: Read, place: int, code_of: npt.NDArray[np.uint16]) -> DayRows:
        """The rows of one of the days of `read` in the order of a segment; `code_of` is of its pairs. Called
        by several threads at once."""
        begin, end = (0, *read.ends)[place : place + 2]
        person, ts = read.person[begin:end], read.ts[begin:end]
        event = code_of[read.pair[begin:end]]
        count = self._persons
        if (count + 1).bit_length() + TIME_BITS > 64:
            order = np.lexsort((event, ts, person))
            return DayRows(read.days[place], person[order], ts[order], event[order], order.astype(np.uint32))
        start = (read.days[place] - EPOCH).days * DAY
        key = np.minimum(person, np.uint32(count)).astype(np.uint64)
        key <<= np.uint64(TIME_BITS)
        key |= (ts - start).view(np.uint64)
        order = np.argsort(key)
        ordered = key[order]
        _sort_ties(ordered, order, event)
        who = (ordered >> np.uint64(TIME_BITS)).astype(np.uint32)
        who[np.searchsorted(who, np.uint32(count)) :] = NOBODY
        ordered &= np.uint64((1 << TIME_BITS) - 1)
        when = ordered.view(np.int64)
        when += start
        return DayRows(read.days[place], who, when, event[order], order.astype(np.uint32))

    def _numbered(
        self, files: EventFiles, sources: Sequence[str], source: npt.NDArray[np.uint32]
    ) -> npt.NDArray[np.uint32]:
        """The number of the person of each event: by the first of the ids that decide which it has."""
        numbers = np.full(len(source), NOBODY, np.uint32)
        open_ = np.ones(len(source), np.bool_)
        rules = [DECIDING[self._rules.get(name, "devices")] for name in sources]
        read: dict[str, pl.Series] = {}
        for turn in range(max(map(len, rules), default=0)):
            for place, (name, rule) in enumerate(zip(sources, rules, strict=True)):
                own = open_ if len(sources) == 1 else open_ & (source == place)
                if turn >= len(rule) or not own.any():
                    continue
                kind = rule[turn]
                if kind not in read:
                    read[kind] = files.ids(kind)
                asked = read[kind]
                if asked.null_count():
                    own = own & asked.is_not_null().to_numpy()
                open_ = open_ & ~own
                known = self._ids.get((name, kind))
                if known is None:
                    continue
                if own.all():
                    numbers = known.numbers(asked)
                else:
                    numbers[own] = known.numbers(asked.filter(pl.Series(own)))
        return numbers

    def _misplaced(self, day: date) -> str:
        return (
            f"{self._home.events}: the folder day={day} holds events of another UTC day. Clean the source "
            "again (`opsanalytics run`), which writes each event under its own day"
        )


def day_files(home: Home, day: date) -> list[Path]:
    """The event files of a day as they are scanned."""
    return sorted((home.events / f"day={day.isoformat()}").glob("*.parquet"))


def _paired(
    sources: list[str],
    source: npt.NDArray[np.uint32],
    events: list[str],
    event: npt.NDArray[np.uint32],
) -> tuple[list[tuple[str, str]], npt.NDArray[np.uint32]]:
    """The different pairs, in order, and the place of each row among them."""
    both = event if len(sources) == 1 else source * np.uint32(len(events)) + event
    present = np.flatnonzero(np.bincount(both)).tolist()
    named = sorted((sources[pair // len(events)], events[pair % len(events)], pair) for pair in present)
    place = np.zeros(len(sources) * len(events), np.uint32)
    place[[pair for _, _, pair in named]] = np.arange(len(named), dtype=np.uint32)
    return [(source_name, name) for source_name, name, _ in named], place[both]


def _sort_ties(
    ordered: npt.NDArray[np.uint64], order: npt.NDArray[np.intp], event: npt.NDArray[np.uint16]
) -> None:
    """Put rows of equal keys in order of event, then of place."""
    same = ordered[1:] == ordered[:-1]
    if same.any():
        tied = np.append(same, False) | np.append(False, same)
        among = order[tied]
        order[tied] = among[np.lexsort((among, event[among], ordered[tied]))]
