"""Plain ordered funnels straight from the segments of the index, with one row of state a person."""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from opsanalytics.behavior.attempts import made_at
from opsanalytics.behavior.index import BehaviorIndex, Segment, Slice
from opsanalytics.behavior.index_question import Asked
from opsanalytics.behavior.rows import Int32, Int64
from opsanalytics.lake.tables import UTC_TIME

Int8 = npt.NDArray[np.int8]
Codes = list[npt.NDArray[np.uint16]]


def streamed_attempts(
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
        from opsanalytics.behavior.kernels_index import fold_steps
        from opsanalytics.behavior.kernels_rows import NEVER

        steps = len(self._asked.definition.steps)
        state = np.full((persons, steps + 1), NEVER, np.int64)
        best = np.zeros(persons, np.int32)
        first, entry = np.full(persons, NEVER, np.int64), np.full(persons, NEVER, np.int64)
        rows = self._rows(begin, end)
        fold_steps(*rows, self._asked.window, steps, begin, end, state, best, first, entry)
        return best, first, entry

    def reached(self, persons: int, begin: int, end: int) -> Int32:
        """Furthest step alone."""
        from opsanalytics.behavior.kernels_index import fold_reached
        from opsanalytics.behavior.kernels_rows import NEVER

        steps = len(self._asked.definition.steps)
        state = np.full((persons, steps + 1), NEVER, np.int64)
        best = np.empty(persons, np.int32)
        rows = self._rows(begin, end)
        fold_reached(*rows, self._asked.window, steps, begin, end, state, best)
        return best

    def best(self, low: int, high: int, begin: int, end: int) -> "_Best":
        """The attempts that count, with their times."""
        from opsanalytics.behavior.kernels_index import follow_steps
        from opsanalytics.behavior.kernels_rows import NEVER

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


def streamed_counts(
    index: BehaviorIndex, asked: Asked, step_of: Int8, segments: Sequence[Segment], codes: Codes
) -> list[Int64]:
    """Persons by step, one array for each of `asked.parts()`."""
    steps = len(asked.definition.steps)

    def part(low: int, high: int, slices: list[Slice]) -> Int64:
        rows = StepRows(asked, slices, codes, step_of, low)
        counts = []
        for _, begin, end in asked.parts():
            exactly = np.bincount(rows.reached(high - low, begin, end), minlength=steps + 1)
            counts.append(np.cumsum(exactly[::-1])[::-1][1:])
        return np.array(counts, np.int64)

    found = index.by_range(segments, part, person_bytes=8 * (steps + 2))
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
