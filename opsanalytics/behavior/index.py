"""Funnels from the behavior index: mapped day segments, folded by ranges of persons."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from opsanalytics.behavior.attempts import best_attempts
from opsanalytics.behavior.conditions import ANY_EVENT
from opsanalytics.behavior.folding import check_preset, is_plain
from opsanalytics.behavior.funnel import FunnelResult
from opsanalytics.behavior.funnel_rows import check_range, entry_rows
from opsanalytics.behavior.index_store import MOST_CODES, NOBODY, read_index, refresh_index
from opsanalytics.behavior.periods import LONG_AGO, day_start, microseconds, time_range, zone
from opsanalytics.behavior.rows import LeftOut, PersonRows, check_as_of, window_microseconds
from opsanalytics.behavior.semantics import OPSANALYTICS, Semantics, preset_named
from opsanalytics.behavior.spec import Exclusion, Funnel, Step
from opsanalytics.lake.paths import Home


class NotIndexedError(ValueError):
    """The definition asks for more than times, persons and names; evaluate it on events instead."""


@dataclass(frozen=True, eq=False)
class Segment:
    """One UTC day, mapped: columns as arrays over the file, sorted by person and time."""

    person: npt.NDArray[np.uint32]
    ts: npt.NDArray[np.int64]
    event: npt.NDArray[np.uint16]
    known: int
    """Rows before those of nobody."""


@dataclass(frozen=True, eq=False)
class BehaviorIndex:
    """The index as it was when opened; open it again to see what came since."""

    codes: tuple[tuple[str, str], ...]
    """(source, event name) of every code."""
    persons: pl.Series
    days: tuple[date, ...]
    segments: tuple[Segment, ...]

    @property
    def rows(self) -> int:
        return sum(len(segment.ts) for segment in self.segments)

    def covers(self, definition: Funnel) -> bool:
        """See `indexable`."""
        return indexable(definition)

    def funnel(
        self,
        definition: Funnel,
        *,
        as_of: datetime,
        first: date | None = None,
        last: date | None = None,
        timezone: str = "UTC",
        preset: str | Semantics = OPSANALYTICS,
    ) -> FunnelResult:
        """As `funnel.funnel` on the lake's events, by all the same rules.

        Raises:
            NotIndexedError: the definition has filters, held properties or sessions.
            ValueError, PresetError: as `funnel`.
        """
        as_of, semantics = self._checked(definition, as_of, first, last, timezone, preset)
        masks = self._masks(definition)
        since, until = LONG_AGO, microseconds(as_of)
        if (semantics.date_range or definition.date_range) == "all_steps":
            since, until = _range(first, last, timezone, until)
        keep_all = definition.order == "strict" or "strict_order" in semantics.modes
        wanted = self._of_sources(definition) if keep_all else masks != 0
        rows = self.person_rows(masks, wanted, since=since, until=until)
        entries = entry_rows(rows, definition, first=first, last=last, timezone=timezone)
        persons = best_attempts(rows, definition, entries, as_of=as_of, semantics=semantics)
        return FunnelResult(
            definition=definition,
            as_of=as_of,
            persons=persons.sort("person", maintain_order=True),
            left_out=rows.left_out,
            semantics=semantics,
        )

    def funnel_counts(
        self,
        definition: Funnel,
        *,
        as_of: datetime,
        first: date | None = None,
        last: date | None = None,
        timezone: str = "UTC",
        preset: str | Semantics = OPSANALYTICS,
    ) -> pl.DataFrame:
        """`step`, `persons`, `immature_persons` (Int64) of `funnel`, without its persons and times.

        For plain ordered funnels whose steps share no event, and `windowFunnel` without modes on such, the
        segments are folded as they lie, with one row of state a person.

        Raises:
            NotIndexedError, ValueError, PresetError: as `funnel`.
        """
        as_of, semantics = self._checked(definition, as_of, first, last, timezone, preset)
        step_of = self._steps(definition)
        if step_of is None or not _one_state_a_step(definition, semantics):
            steps = self.funnel(
                definition, as_of=as_of, first=first, last=last, timezone=timezone, preset=semantics
            ).to_polars()
            return steps.select("step", "persons", "immature_persons")
        now = microseconds(as_of)
        since, to = _range(first, last, timezone, now)
        until = now
        if (semantics.date_range or definition.date_range) == "all_steps":
            until = to
        ripe = to
        if semantics.maturity:
            ripe = min(to, now - window_microseconds(definition.window))
        mature = self._fold(definition, step_of, enter_from=since, enter_to=ripe, until=until)
        still_open = np.zeros_like(mature)
        if ripe < to:
            enter_from = max(since, ripe + 1)
            still_open = self._fold(definition, step_of, enter_from=enter_from, enter_to=to, until=until)
        return pl.DataFrame(
            {
                "step": pl.Series(range(1, len(definition.steps) + 1), dtype=pl.Int32),
                "persons": mature,
                "immature_persons": still_open,
            }
        )

    def _checked(
        self,
        definition: Funnel,
        as_of: datetime,
        first: date | None,
        last: date | None,
        timezone: str,
        preset: str | Semantics,
    ) -> tuple[datetime, Semantics]:
        as_of = check_as_of(as_of)
        check_range(first, last)
        zone(timezone)
        semantics = preset_named(preset)
        check_preset(definition, semantics)
        if not self.covers(definition):
            raise NotIndexedError(
                f"funnel {definition.name!r} has filters, held properties, first events ever, an entity, a "
                "value or sessions, which the index does not hold; evaluate it on the events of the lake"
            )
        return as_of, semantics

    def _fold(
        self, definition: Funnel, step_of: npt.NDArray[np.int8], *, enter_from: int, enter_to: int, until: int
    ) -> npt.NDArray[np.int64]:
        """Persons by step, of attempts that start in the given time."""
        from opsanalytics.behavior.kernels import NEVER
        from opsanalytics.behavior.kernels_index import fold_segment

        steps = len(definition.steps)
        window = window_microseconds(definition.window)
        segments = self._between(enter_from, min(until, enter_to + window))

        def part(low: int, high: int) -> npt.NDArray[np.int64]:
            state = np.full((high - low, steps + 1), NEVER, np.int64)
            best = np.zeros(high - low, np.int8)
            for segment in segments:
                begin, end = _rows_of(segment, low, high)
                fold_segment(
                    segment.person,
                    segment.ts,
                    segment.event,
                    begin,
                    end,
                    low,
                    step_of,
                    window,
                    steps,
                    enter_from,
                    enter_to,
                    until,
                    state,
                    best,
                )
            exactly = np.bincount(best, minlength=steps + 1)
            return np.cumsum(exactly[::-1])[::-1][1:].astype(np.int64)

        return np.sum(self._by_range(part), axis=0)  # type: ignore[no-any-return]

    def person_rows(
        self, masks: npt.NDArray[np.int32], wanted: npt.NDArray[np.bool_], *, since: int, until: int
    ) -> PersonRows:
        """The wanted rows person by person, at equal times in order of mask."""
        from opsanalytics.behavior.kernels_index import count_rows, sort_ties, take_rows

        segments = self._between(since, until)
        count = np.zeros(len(self.persons), np.int64)

        def counted(low: int, high: int) -> None:
            before = np.zeros(high - low, np.bool_)
            for one in segments:
                begin, end = _rows_of(one, low, high)
                columns = (one.person, one.ts, one.event)
                count_rows(*columns, begin, end, low, wanted, masks, since, until, before, count[low:high])

        self._by_range(counted)
        offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(count)])
        ts, mask = np.empty(offsets[-1], np.int64), np.empty(offsets[-1], np.int32)
        place = offsets[:-1].copy()

        def taken(low: int, high: int) -> None:
            before = np.zeros(high - low, np.bool_)
            for one in segments:
                begin, end = _rows_of(one, low, high)
                take_rows(
                    one.person,
                    one.ts,
                    one.event,
                    begin,
                    end,
                    low,
                    wanted,
                    masks,
                    since,
                    until,
                    before,
                    place[low:high],
                    ts,
                    mask,
                )
            sort_ties(ts, mask, offsets, low, high)

        self._by_range(taken)
        present = np.flatnonzero(count)
        nobody = sum(
            int((wanted[one.event[one.known :]] & _within(one.ts[one.known :], since, until)).sum())
            for one in segments
        )
        return PersonRows(
            persons=self.persons.gather(present),
            keys=pl.DataFrame(),
            offsets=np.append(offsets[:-1][present], offsets[-1]),
            ts=ts,
            mask=mask,
            left_out=LeftOut(without_person=nobody),
        )

    def _by_range(self, part: Callable[[int, int], Any]) -> list[Any]:
        """Call `part` for ranges of persons, in threads."""
        threads = pl.thread_pool_size()
        bounds = np.linspace(0, len(self.persons), threads + 1, dtype=np.int64).tolist()
        with ThreadPoolExecutor(threads) as pool:
            return list(pool.map(part, bounds[:-1], bounds[1:]))

    def _between(self, since: int, until: int) -> Sequence[Segment]:
        """Segments of the days that hold these times."""
        return [
            segment
            for day, segment in zip(self.days, self.segments, strict=True)
            if day_start(day, "UTC") <= until and since < day_start(day, "UTC") + 86_400_000_000
        ]

    def _of_sources(self, definition: Funnel) -> npt.NDArray[np.bool_]:
        wanted = [definition.sources is None or source in definition.sources for source, _ in self.codes]
        return np.array(wanted, np.bool_)

    def _masks(self, definition: Funnel) -> npt.NDArray[np.int32]:
        """Bits of steps, and above these of exclusions, by code."""
        groups: list[Step | Exclusion] = [*definition.steps, *definition.exclusions]
        names = [one.events if isinstance(one, Step) else (one.event,) for one in groups]
        masks = [
            sum(1 << bit for bit, known in enumerate(names) if name in known or ANY_EVENT in known)
            for _, name in self.codes
        ]
        return np.where(self._of_sources(definition), np.array(masks, np.int32), 0).astype(np.int32)

    def _steps(self, definition: Funnel) -> npt.NDArray[np.int8] | None:
        """The step of every code, 0 for none; None where two steps share an event."""
        events = [name for step in definition.steps for name in step.events]
        if len(set(events)) < len(events) or ANY_EVENT in events or definition.exclusions:
            return None
        if not definition.reentry:
            return None
        masks = self._masks(definition)
        step_of = np.zeros(MOST_CODES, np.int8)
        for code, mask in enumerate(masks.tolist()):
            step_of[code] = mask.bit_length()
        return step_of


def indexable(definition: Funnel) -> bool:
    """Whether names, persons and times are all the definition needs."""
    matches = [one for step in definition.steps for one in step.matches]
    return (
        not any(one.where for one in [*matches, *definition.exclusions])
        and not definition.hold
        and definition.counting != "sessions"
        and definition.entity is None
        and definition.value is None
        and definition.among is None
        and all(step.occurrence == "any" for step in definition.steps)
    )


def open_index(home: Home) -> BehaviorIndex:
    """Bring the index up to date with the lake and map it.

    Raises:
        IndexFullError, LockHeldError: see `refresh_index`.
    """
    while True:
        refresh_index(home)
        manifest = read_index(home)
        try:
            days = sorted(manifest["days"])
            return BehaviorIndex(
                codes=tuple((source, event) for source, event in manifest["codes"]),
                persons=pl.read_ipc(home.index / manifest["persons"])["person"],
                days=tuple(map(date.fromisoformat, days)),
                segments=tuple(_mapped(home, manifest["days"][day]["segment"]) for day in days),
            )
        except FileNotFoundError:
            # Another process has replaced what this manifest names; the next one names what there is.
            if read_index(home) == manifest:
                raise


def _mapped(home: Home, name: str) -> Segment:
    with pa.memory_map(str(home.index / name)) as source:
        table = pa.ipc.open_file(source).read_all().combine_chunks()
    arrays = {column: table[column].to_numpy() for column in ("person", "ts", "event")}
    known = int(np.searchsorted(arrays["person"], np.uint32(NOBODY)))
    return Segment(arrays["person"], arrays["ts"], arrays["event"], known)


def _rows_of(segment: Segment, low: int, high: int) -> tuple[int, int]:
    persons = segment.person
    begin = int(np.searchsorted(persons, np.uint32(low)))
    return begin, int(np.searchsorted(persons, np.uint32(high)))


def _one_state_a_step(definition: Funnel, semantics: Semantics) -> bool:
    if semantics.scan == "window_funnel":
        return not semantics.modes and is_plain(definition, OPSANALYTICS)
    return is_plain(definition, semantics)


def _range(first: date | None, last: date | None, timezone: str, now: int) -> tuple[int, int]:
    """`time_range` up to `now`."""
    since, to = time_range(first, last, timezone)
    return since, min(to, now)


def _within(ts: npt.NDArray[np.int64], since: int, until: int) -> npt.NDArray[np.bool_]:
    return (ts >= since) & (ts <= until)
