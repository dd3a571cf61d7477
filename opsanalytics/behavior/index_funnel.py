"""Funnels from the behavior index: the same numbers as from the events, without reading these."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date, datetime

import numpy as np
import numpy.typing as npt
import polars as pl

from opsanalytics.behavior.attempts import best_attempts, made_at
from opsanalytics.behavior.folding import check_preset, is_plain
from opsanalytics.behavior.funnel import FunnelResult
from opsanalytics.behavior.funnel_rows import check_range, entry_rows
from opsanalytics.behavior.index import BehaviorIndex, Segment, Slice, chosen_rows, nobodys
from opsanalytics.behavior.index_coding import Coding, coding_of
from opsanalytics.behavior.index_projection import projected_funnel
from opsanalytics.behavior.index_subjects import passing_persons
from opsanalytics.behavior.periods import LONG_AGO, microseconds, time_range, zone
from opsanalytics.behavior.rows import Int64, LeftOut, check_as_of, window_microseconds
from opsanalytics.behavior.semantics import OPSANALYTICS, Semantics, preset_named
from opsanalytics.behavior.spec import Funnel
from opsanalytics.lake.tables import UTC_TIME

Int8 = npt.NDArray[np.int8]
Codes = list[npt.NDArray[np.uint16]]


@dataclass(frozen=True, eq=False)
class Asked:
    """A checked question."""

    definition: Funnel
    semantics: Semantics
    as_of: datetime
    first: date | None
    last: date | None
    timezone: str

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
        return since, min(to, self.now)

    @property
    def events(self) -> tuple[int, int]:
        """First and last time of an event that is looked at."""
        if (self.semantics.date_range or self.definition.date_range) == "all_steps":
            return self.entries
        return LONG_AGO, self.now

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
    asked = _asked(definition, as_of, first, last, timezone, preset)
    if not foldable(definition):
        return projected_funnel(index, definition, as_of=as_of, first=first, last=last, timezone=timezone, preset=preset)
    coding = coding_of(definition, index.codes)
    since, until = asked.events
    segments = index.between(since, until)
    codes = class_codes(index, coding, segments, until=asked.now)
    step_of = coding.step_of()
    if step_of is not None and is_plain(definition, asked.semantics) and definition.reentry:
        frames = _streamed(index, asked, step_of, segments, codes)
    else:
        frames = _followed(index, asked, coding, segments, codes)
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
    asked = _asked(definition, as_of, first, last, timezone, preset)
    coding = coding_of(definition, index.codes) if foldable(definition) else None
    step_of = None if coding is None else coding.step_of()
    if coding is None or step_of is None or not definition.reentry or not _one_state_a_step(asked):
        steps = indexed_funnel(
            index, definition, as_of=as_of, first=first, last=last, timezone=timezone, preset=preset
        ).to_polars()
        return steps.select("step", "persons", "immature_persons")
    segments = index.between(*asked.events)
    codes = class_codes(index, coding, segments, until=asked.now)
    persons = {True: np.zeros(len(definition.steps), np.int64), False: np.zeros(len(definition.steps), np.int64)}
    for mature, begin, end in asked.parts():
        if begin <= end:
            persons[mature] = _counted(index, asked, step_of, segments, codes, begin, end)
    return pl.DataFrame(
        {
            "step": pl.Series(range(1, len(definition.steps) + 1), dtype=pl.Int32),
            "persons": persons[True],
            "immature_persons": persons[False],
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


def class_codes(
    index: BehaviorIndex, coding: Coding, segments: Sequence[Segment], *, until: int
) -> Codes:
    """The class of every row of some segments."""
    from opsanalytics.behavior.kernels_index import add_filter, add_person_filter, begin_classes

    if not coding.filters:
        return [one.event for one in segments]
    names = dict.fromkeys(each.property for each in coding.filters if each.of == "event")
    columns = {name: index.property_of(name, segments) for name in names}
    persons = [passing_persons(index, each, until) if each.of == "person" else None for each in coding.filters]
    passing = [
        columns[each.property].passing(each) if each.of == "event" else [] for each in coding.filters
    ]

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


def _asked(
    definition: Funnel,
    as_of: datetime,
    first: date | None,
    last: date | None,
    timezone: str,
    preset: str | Semantics,
) -> Asked:
    as_of = check_as_of(as_of)
    check_range(first, last)
    zone(timezone)
    semantics = preset_named(preset)
    check_preset(definition, semantics)
    return Asked(definition, semantics, as_of, first, last, timezone)


def _streamed(
    index: BehaviorIndex, asked: Asked, step_of: Int8, segments: Sequence[Segment], codes: Codes
) -> list[pl.DataFrame]:
    """Best attempts of the plain fold, straight from the segments."""
    from opsanalytics.behavior.kernels import NEVER
    from opsanalytics.behavior.kernels_index import fold_times

    steps, until = len(asked.definition.steps), asked.events[1]
    cells = steps * (steps + 1) // 2
    parts = [part for part in asked.parts() if part[1] <= part[2]]

    def part(low: int, high: int, slices: list[Slice]) -> pl.DataFrame:
        frames = []
        for mature, begin, end in parts:
            size = high - low
            times = np.full((size, cells), NEVER, np.int64)
            best, entered = np.zeros(size, np.int32), np.full(size, NEVER, np.int64)
            made = np.full((size, steps), NEVER, np.int64)
            at, step = _room(slices)
            for one in slices:
                segment = one.segment
                # No attempt spans more than its window.
                if segment.last < begin or segment.first > end + asked.window:
                    continue
                columns = (segment.person, segment.ts, codes[one.place], one.begin, one.end)
                limits = (asked.window, steps, begin, end, until)
                fold_times(*columns, low, step_of, *limits, times, best, entered, made, at, step)
            chosen = np.flatnonzero(best)
            frames.append(_frame(chosen + low, mature, best[chosen], entered[chosen], made[chosen]))
        return pl.concat(frames).sort("person", maintain_order=True) if len(frames) > 1 else frames[0]

    return index.by_range(segments, part, person_bytes=8 * (cells + steps + 2)) if parts else []


def _followed(
    index: BehaviorIndex, asked: Asked, coding: Coding, segments: Sequence[Segment], codes: Codes
) -> list[pl.DataFrame]:
    """Best attempts of the folds that need all rows of a person at once."""
    since, until = asked.events
    wanted = coding.of_sources if asked.keeps_all else coding.masks != 0

    def part(low: int, high: int, slices: list[Slice]) -> pl.DataFrame:
        rows = chosen_rows(low, high, slices, codes, coding.masks, wanted, since=since, until=until)
        entries = entry_rows(
            rows, asked.definition, first=asked.first, last=asked.last, timezone=asked.timezone
        )
        return best_attempts(
            rows, asked.definition, entries, as_of=asked.as_of, semantics=asked.semantics
        )

    return index.by_range(segments, part)


def _counted(
    index: BehaviorIndex,
    asked: Asked,
    step_of: Int8,
    segments: Sequence[Segment],
    codes: Codes,
    begin: int,
    end: int,
) -> Int64:
    """Persons by step, of attempts that start from `begin` to `end`."""
    from opsanalytics.behavior.kernels import NEVER
    from opsanalytics.behavior.kernels_index import fold_counts

    steps, until = len(asked.definition.steps), asked.events[1]

    def part(low: int, high: int, slices: list[Slice]) -> Int64:
        state = np.full((high - low, steps + 1), NEVER, np.int64)
        best = np.zeros(high - low, np.int8)
        at, step = _room(slices)
        for one in slices:
            segment = one.segment
            if segment.last < begin or segment.first > end + asked.window:
                continue
            columns = (segment.person, segment.ts, codes[one.place], one.begin, one.end)
            fold_counts(*columns, low, step_of, asked.window, steps, begin, end, until, state, best, at, step)
        exactly = np.bincount(best, minlength=steps + 1)
        return np.cumsum(exactly[::-1])[::-1][1:].astype(np.int64)

    found = index.by_range(segments, part, person_bytes=8 * (steps + 1))
    return np.sum(found, axis=0) if found else np.zeros(steps, np.int64)


def _room(slices: Sequence[Slice]) -> tuple[npt.NDArray[np.int64], Int8]:
    """Room for the rows of any of the slices."""
    most = max((one.end - one.begin for one in slices), default=0)
    return np.empty(most + 1, np.int64), np.empty(most + 1, np.int8)


def _frame(
    numbers: Int64, mature: bool, reached: npt.NDArray[np.int32], entered: Int64, made: Int64
) -> pl.DataFrame:
    by_step = {f"ts_{k}": made_at(made[:, k - 1], reached, k) for k in range(1, made.shape[1] + 1)}
    return pl.DataFrame(
        {
            "person": pl.Series(numbers.astype(np.uint32)),
            "mature": pl.repeat(mature, len(numbers), dtype=pl.Boolean, eager=True),
            "step_reached": pl.Series(reached, dtype=pl.Int32),
            "first_entry_ts": pl.Series(entered, dtype=pl.Int64).cast(UTC_TIME),
            "entry_ts": by_step["ts_1"],
            **by_step,
        }
    )


def _one_state_a_step(asked: Asked) -> bool:
    if asked.semantics.scan == "window_funnel":
        return not asked.semantics.modes and is_plain(asked.definition, OPSANALYTICS)
    return is_plain(asked.definition, asked.semantics)
