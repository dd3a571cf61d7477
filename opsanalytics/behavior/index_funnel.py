"""Funnels from the behavior index: the same numbers as from the events, without reading these."""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date, datetime

import numpy as np
import numpy.typing as npt
import polars as pl

from opsanalytics.behavior.attempts import Bucket, best_attempts, made_at
from opsanalytics.behavior.folding import check_preset, is_plain
from opsanalytics.behavior.funnel import FunnelResult
from opsanalytics.behavior.funnel_rows import check_range, entry_rows
from opsanalytics.behavior.index import BehaviorIndex, Segment, Slice, chosen_rows, nobodys
from opsanalytics.behavior.index_coding import Coding, coding_of
from opsanalytics.behavior.index_projection import projected_funnel
from opsanalytics.behavior.index_subjects import passing_persons
from opsanalytics.behavior.periods import LONG_AGO, microseconds, time_range, zone
from opsanalytics.behavior.rows import Int32, Int64, LeftOut, check_as_of, window_microseconds
from opsanalytics.behavior.semantics import OPSANALYTICS, Semantics, preset_named
from opsanalytics.behavior.spec import Funnel
from opsanalytics.lake.tables import UTC_TIME

Int8 = npt.NDArray[np.int8]
Codes = list[npt.NDArray[np.uint16]]


AT_ONCE = 1 << 16
"""Persons whose attempts are followed at once: what is done once a range costs more than the cache gains."""


@dataclass(frozen=True, eq=False)
class Asked:
    """A checked question."""

    definition: Funnel
    semantics: Semantics
    as_of: datetime
    first: date | None
    last: date | None
    timezone: str
    until: int
    """Last time of an event that counts: `as_of`, or where the index ends before."""

    @property
    def now(self) -> int:
        return microseconds(self.as_of)

    @property
    def window(self) -> int:
        return window_microseconds(self.definition.window)

    @property
    def entries(self) -> tuple[int, int]:
        """First and last time of an entry."""
        since, to = time_range(self.first, self.last, self.timezone)
        return since, min(to, self.until)

    @property
    def events(self) -> tuple[int, int]:
        """First and last time of an event that is looked at."""
        if (self.semantics.date_range or self.definition.date_range) == "all_steps":
            return self.entries
        return LONG_AGO, self.until

    @property
    def keeps_all(self) -> bool:
        """Whether events that serve no step matter."""
        return self.definition.order == "strict" or "strict_order" in self.semantics.modes

    def parts(self) -> list[tuple[bool, int, int]]:
        """Whether mature, and first and last entry, of the attempts that are kept apart."""
        since, to = self.entries
        if not self.semantics.maturity:
            return [(True, since, to)]
        ripe = min(to, self.now - self.window)
        return [(True, since, ripe), (False, max(since, ripe + 1), to)]


def indexed_funnel(
    index: BehaviorIndex,
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
        NotIndexedError: see `index_coding.coding_of`.
        EventsChangedError: the lake changed while it was read; open the index again.
        ValueError, PropertyError, PresetError: as `funnel`.
    """
    asked = question_of(index, definition, as_of, first, last, timezone, preset)
    if not foldable(definition):
        return projected_funnel(
            index, definition, as_of=as_of, first=first, last=last, timezone=timezone, preset=preset
        )
    coding = coding_of(definition, index.codes)
    since, until = asked.events
    segments = index.between(since, until)
    codes = class_codes(index, coding, segments, until=asked.until)
    step_of = coding.step_of()
    if step_of is not None and is_plain(definition, asked.semantics) and definition.reentry:
        frames = _streamed(index, asked, step_of, segments, codes)
    else:
        frames = followed_attempts(index, asked, coding, segments, codes)
    wanted = coding.of_sources if asked.keeps_all else coding.masks != 0
    return FunnelResult(
        definition=definition,
        as_of=asked.as_of,
        attempts=pl.concat(frames) if frames else no_attempts(definition),
        left_out=LeftOut(without_person=nobodys(segments, codes, wanted, since=since, until=until)),
        semantics=asked.semantics,
        names=index.named,
    )


def indexed_counts(
    index: BehaviorIndex,
    definition: Funnel,
    *,
    as_of: datetime,
    first: date | None = None,
    last: date | None = None,
    timezone: str = "UTC",
    preset: str | Semantics = OPSANALYTICS,
) -> pl.DataFrame:
    """`step`, `persons`, `immature_persons` (Int64) of `indexed_funnel`, without its persons and times.

    For plain ordered funnels whose events serve one step each, and `windowFunnel` without modes on such,
    one row of state a person is enough.

    Raises: as `indexed_funnel`.
    """
    asked = question_of(index, definition, as_of, first, last, timezone, preset)
    coding = coding_of(definition, index.codes) if foldable(definition) else None
    step_of = None if coding is None else coding.step_of()
    if coding is None or step_of is None or not definition.reentry or not _one_state_a_step(asked):
        steps = indexed_funnel(
            index, definition, as_of=as_of, first=first, last=last, timezone=timezone, preset=preset
        ).to_polars()
        return steps.select("step", "persons", "immature_persons")
    segments = index.between(*asked.events)
    codes = class_codes(index, coding, segments, until=asked.until)
    counts = _counted(index, asked, step_of, segments, codes)
    return pl.DataFrame(
        {
            "step": pl.Series(range(1, len(definition.steps) + 1), dtype=pl.Int32),
            "persons": counts[0],
            "immature_persons": counts[1] if len(counts) > 1 else np.zeros_like(counts[0]),
        }
    )


def foldable(definition: Funnel) -> bool:
    """Whether the folds work on the index as it lies; if not, they work on events that are made of it."""
    return (
        not definition.hold
        and definition.counting != "sessions"
        and definition.entity is None
        and definition.value is None
        and definition.among is None
        and all(step.occurrence == "any" for step in definition.steps)
    )


def class_codes(index: BehaviorIndex, coding: Coding, segments: Sequence[Segment], *, until: int) -> Codes:
    """The class of every row of some segments."""
    from opsanalytics.behavior.kernels_index import add_filter, add_person_filter, begin_classes

    if not coding.filters:
        return [one.event for one in segments]
    names = dict.fromkeys(each.property for each in coding.filters if each.of == "event")
    columns = {name: index.property_of(name, segments) for name in names}
    persons = [
        passing_persons(index, each, until) if each.of == "person" else None for each in coding.filters
    ]
    passing = [columns[each.property].passing(each) if each.of == "event" else [] for each in coding.filters]

    def classes(place: int) -> npt.NDArray[np.uint16]:
        segment = segments[place]
        out = np.empty(len(segment.event), np.uint16)
        begin_classes(segment.event, coding.first_class, out)
        for number, each in enumerate(coding.filters):
            weight, of_person = coding.weights[number], persons[number]
            if of_person is not None:
                add_person_filter(segment.person, of_person, segment.event, weight, out)
            else:
                code = columns[each.property].days[place].codes
                add_filter(code, segment.row, passing[number][place], segment.event, weight, out)
        return out

    with ThreadPoolExecutor(pl.thread_pool_size()) as pool:
        return list(pool.map(classes, range(len(segments))))


def no_attempts(definition: Funnel) -> pl.DataFrame:
    """The columns of attempts, by number of person, without any."""
    times = ["first_entry_ts", "entry_ts", *(f"ts_{k}" for k in range(1, len(definition.steps) + 1))]
    unit = {"unit": pl.String} if definition.counting != "persons" else {}
    return pl.DataFrame(
        schema={
            "person": pl.UInt32,
            **unit,
            "mature": pl.Boolean,
            "step_reached": pl.Int32,
            **dict.fromkeys(times, UTC_TIME),
        }
    )


def question_of(
    index: BehaviorIndex,
    definition: Funnel,
    as_of: datetime,
    first: date | None,
    last: date | None,
    timezone: str,
    preset: str | Semantics,
) -> Asked:
    """The arguments of `indexed_funnel`, checked. Raises: ValueError and PresetError as `funnel`."""
    as_of = check_as_of(as_of)
    check_range(first, last)
    zone(timezone)
    semantics = preset_named(preset)
    check_preset(definition, semantics)
    until = min(microseconds(as_of), index.until)
    return Asked(definition, semantics, as_of, first, last, timezone, until)


def _streamed(
    index: BehaviorIndex, asked: Asked, step_of: Int8, segments: Sequence[Segment], codes: Codes
) -> list[pl.DataFrame]:
    """Best attempts of the plain fold, straight from the segments."""
    steps = len(asked.definition.steps)
    parts = [part for part in asked.parts() if part[1] <= part[2]]

    def part(low: int, high: int, slices: list[Slice]) -> list[_Best]:
        rows = StepRows(asked, slices, codes, step_of, low)
        return [rows.best(low, high, begin, end) for _, begin, end in parts]

    found = index.by_range(segments, part, person_bytes=8 * (3 * steps + 40)) if parts else []
    frames = [
        _frame([one[number] for one in found], mature) for number, (mature, _, _) in enumerate(parts) if found
    ]
    return [pl.concat(frames).sort("person", maintain_order=True)] if len(frames) > 1 else frames


def followed_attempts(
    index: BehaviorIndex,
    asked: Asked,
    coding: Coding,
    segments: Sequence[Segment],
    codes: Codes,
    bucket: Bucket | None = None,
) -> list[pl.DataFrame]:
    """Best attempts of the folds that need all rows of a person at once, also of each bucket."""
    since, until = asked.events
    wanted = coding.of_sources if asked.keeps_all else coding.masks != 0

    def part(low: int, high: int, slices: list[Slice]) -> pl.DataFrame:
        rows = chosen_rows(low, high, slices, codes, coding.masks, wanted, since=since, until=until)
        entries = entry_rows(
            rows, asked.definition, first=asked.first, last=asked.last, timezone=asked.timezone
        )
        return best_attempts(
            rows, asked.definition, entries, as_of=asked.as_of, bucket=bucket, semantics=asked.semantics
        )

    return index.by_range(segments, part, most=AT_ONCE)


class StepRows:
    """The rows of a range of persons that serve a step, segment by segment, so in order of time for each."""

    def __init__(self, asked: Asked, slices: Sequence[Slice], codes: Codes, step_of: Int8, low: int) -> None:
        from opsanalytics.behavior.kernels_index import choose_steps

        self._asked = asked
        since, until = asked.events
        begin, end = asked.entries
        # No attempt spans more than its window.
        since, until = max(since, begin), min(until, end + asked.window)
        kept = [one for one in slices if one.segment.first <= until and since <= one.segment.last]
        room = sum(one.end - one.begin for one in kept) + 1
        self._who, self._when = np.empty(room, np.int32), np.empty(room, np.int64)
        self._step = np.empty(room, np.int8)
        self._size = 0
        self._ends: list[tuple[Segment, int]] = []
        for one in kept:
            segment = one.segment
            columns = (segment.person, segment.ts, codes[one.place], one.begin, one.end)
            rows = (self._size, self._who, self._when, self._step)
            self._size = choose_steps(*columns, low, step_of, until, *rows)
            self._ends.append((segment, self._size))

    def furthest(self, persons: int, begin: int, end: int) -> tuple[Int32, Int64, Int64]:
        """Furthest step, first entry, and entry of the attempt that counts; attempts start from `begin` to
        `end`."""
        from opsanalytics.behavior.kernels import NEVER
        from opsanalytics.behavior.kernels_index import fold_steps

        steps = len(self._asked.definition.steps)
        state = np.full((persons, steps + 1), NEVER, np.int64)
        best = np.zeros(persons, np.int32)
        first, entry = np.full(persons, NEVER, np.int64), np.full(persons, NEVER, np.int64)
        rows = self._rows(begin, end)
        fold_steps(*rows, self._asked.window, steps, begin, end, state, best, first, entry)
        return best, first, entry

    def best(self, low: int, high: int, begin: int, end: int) -> "_Best":
        """The attempts that count, with their times."""
        from opsanalytics.behavior.kernels import NEVER
        from opsanalytics.behavior.kernels_index import follow_steps

        reached, first, entry = self.furthest(high - low, begin, end)
        made = np.full((len(self._asked.definition.steps), high - low), NEVER, np.int64)
        depth = np.zeros(high - low, np.int32)
        follow_steps(*self._rows(begin, end), reached, entry, depth, made)
        chosen = np.flatnonzero(reached)
        return _Best((chosen + low).astype(np.uint32), reached[chosen], first[chosen], made[:, chosen])

    def _rows(self, begin: int, end: int) -> tuple[Int32, Int64, Int8, int]:
        """The rows that attempts from `begin` to `end` can have, and how many."""
        # Days follow each other, so that those before and after stand together.
        before = bisect_left(self._ends, begin, key=lambda end: end[0].last)
        within = bisect_right(self._ends, end + self._asked.window, key=lambda end: end[0].first)
        low, high = (self._ends[count - 1][1] if count else 0 for count in (before, max(within, before)))
        return self._who[low:high], self._when[low:high], self._step[low:high], high - low


@dataclass(frozen=True, eq=False)
class _Best:
    """Attempts that count, one a person, in order of number."""

    numbers: npt.NDArray[np.uint32]
    reached: Int32
    first: Int64
    """First entry of the person."""
    made: Int64
    """Times by step and person; NEVER where a step was not made."""


def _counted(
    index: BehaviorIndex, asked: Asked, step_of: Int8, segments: Sequence[Segment], codes: Codes
) -> list[Int64]:
    """Persons by step, one array for each of `asked.parts()`."""
    steps = len(asked.definition.steps)

    def part(low: int, high: int, slices: list[Slice]) -> Int64:
        rows = StepRows(asked, slices, codes, step_of, low)
        counts = []
        for _, begin, end in asked.parts():
            exactly = np.bincount(rows.furthest(high - low, begin, end)[0], minlength=steps + 1)
            counts.append(np.cumsum(exactly[::-1])[::-1][1:])
        return np.array(counts, np.int64)

    found = index.by_range(segments, part, person_bytes=8 * (3 * steps + 40))
    return list(np.sum(found, axis=0)) if found else [np.zeros(steps, np.int64)] * len(asked.parts())


def _frame(found: Sequence[_Best], mature: bool) -> pl.DataFrame:
    numbers, reached = (
        np.concatenate([getattr(one, name) for one in found]) for name in ("numbers", "reached")
    )
    first, made = (
        np.concatenate([one.first for one in found]),
        np.concatenate([one.made for one in found], axis=1),
    )
    by_step = {f"ts_{k}": made_at(times, reached, k) for k, times in enumerate(made, 1)}
    return pl.DataFrame(
        {
            "person": pl.Series(numbers),
            "mature": pl.repeat(mature, len(numbers), dtype=pl.Boolean, eager=True),
            "step_reached": pl.Series(reached, dtype=pl.Int32),
            "first_entry_ts": pl.Series(first, dtype=pl.Int64).cast(UTC_TIME),
            "entry_ts": by_step["ts_1"],
            **by_step,
        }
    )


def _one_state_a_step(asked: Asked) -> bool:
    if asked.semantics.scan == "window_funnel":
        return not asked.semantics.modes and is_plain(asked.definition, OPSANALYTICS)
    return is_plain(asked.definition, asked.semantics)
