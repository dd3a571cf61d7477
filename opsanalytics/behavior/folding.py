"""From a funnel's rules to the compiled fold that follows them, in threads by ranges of persons."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta

import numpy as np
import polars as pl

from opsanalytics.behavior.rows import Int32, Int64, PersonRows, window_microseconds
from opsanalytics.behavior.semantics import MODES, Semantics
from opsanalytics.behavior.spec import Funnel

PARALLEL_FROM = 20_000
"""Units below which threads cost more than they save."""
ORDERS = ("ordered", "strict", "any")
"""As numbered in `kernels_attempts`."""


class PresetError(ValueError):
    """A preset's tool cannot express the definition."""


@dataclass(frozen=True, eq=False)
class Units:
    """Attempts evaluated together: those of one person, whose rows are `floors` to `ends`, that start from
    row `first_rows` to the time `last_entry`."""

    floors: Int64
    first_rows: Int64
    ends: Int64
    last_entry: Int64

    def __len__(self) -> int:
        return len(self.floors)

    def part(self, low: int, high: int) -> "Units":
        return Units(
            self.floors[low:high], self.first_rows[low:high], self.ends[low:high], self.last_entry[low:high]
        )


@dataclass(frozen=True, eq=False)
class Folded:
    """Results; one a unit, or one an attempt where attempts are counted."""

    unit: Int64
    reached: Int32
    """Furthest step; below 1 where the unit counts nowhere."""
    step_times: Int64
    """Microseconds by step; NEVER where a step was left out, undefined beyond `reached`."""


def fold_units(rows: PersonRows, definition: Funnel, semantics: Semantics, units: Units) -> Folded:
    """Evaluate every unit of a definition that passes `check_preset`."""
    steps = len(definition.steps)
    if semantics.scan == "window_funnel":
        fold = _window_funnel(rows, definition, semantics)
    elif is_plain(definition, semantics):
        fold = _ordered(rows, definition)
    else:
        fold = _attempts(rows, definition, semantics)
    if not len(units):
        return Folded(np.empty(0, np.int64), np.empty(0, np.int32), np.empty((0, steps), np.int64))
    parts = pl.thread_pool_size() if len(units) >= PARALLEL_FROM else 1
    bounds = np.linspace(0, len(units), parts + 1, dtype=np.int64).tolist()

    def part(low: int, high: int) -> Folded:
        done = fold(units.part(low, high))
        return Folded(done.unit + low, done.reached, done.step_times)

    with ThreadPoolExecutor(parts) as pool:
        results = list(pool.map(part, bounds[:-1], bounds[1:]))
    return Folded(
        np.concatenate([one.unit for one in results]),
        np.concatenate([one.reached for one in results]),
        np.concatenate([one.step_times for one in results]),
    )


def check_preset(definition: Funnel, semantics: Semantics) -> None:
    """Raise PresetError if the preset's tool cannot express the definition."""
    if semantics.scan != "window_funnel":
        return
    lacking = {
        "order = 'any'": definition.order == "any",
        "exclusions": bool(definition.exclusions),
        "optional steps": any(step.optional for step in definition.steps),
        "limits between steps": any(step.within or step.after for step in definition.steps),
        "counting attempts": definition.counting == "attempts",
    }
    if any(lacking.values()):
        missing = ", ".join(name for name, asked in lacking.items() if asked)
        raise PresetError(f"preset {semantics.name!r}: windowFunnel has no {missing}")


def is_plain(definition: Funnel, semantics: Semantics) -> bool:
    """Whether the fold that keeps one attempt a step is enough."""
    return (
        definition.order == "ordered"
        and definition.counting != "attempts"
        and not definition.exclusions
        and not any(step.optional or step.within or step.after for step in definition.steps)
        and semantics.scan == "attempts"
        and semantics.entries == "all"
        and semantics.of_equals == "earliest_completion"
        and semantics.one_event == "one_step"
        and not semantics.grace
    )


def _ordered(rows: PersonRows, definition: Funnel) -> Callable[[Units], Folded]:
    from opsanalytics.behavior.kernels import fold_ordered

    def fold(units: Units) -> Folded:
        done = _empty(len(units), len(definition.steps))
        fold_ordered(
            rows.ts,
            rows.mask,
            units.floors,
            units.first_rows,
            units.ends,
            units.last_entry,
            window_microseconds(definition.window),
            len(definition.steps),
            done.reached,
            done.step_times,
        )
        return done

    return fold


def _attempts(rows: PersonRows, definition: Funnel, semantics: Semantics) -> Callable[[Units], Folded]:
    from opsanalytics.behavior import kernels_attempts as kernels

    count = len(definition.steps)
    steps = definition.steps
    optional = np.array([False, *(step.optional for step in steps)])
    within = np.array([-1, *(_microseconds(step.within, -1) for step in steps)], np.int64)
    after = np.array([0, *(_microseconds(step.after, 0) for step in steps)], np.int64)
    spans = np.array(
        [(one.from_step, one.to_step or count) for one in definition.exclusions], np.int64
    ).reshape(-1, 2)
    choice = kernels.FURTHEST
    if semantics.entries == "first":
        choice = kernels.FIRST_ENTRY
    elif semantics.of_equals == "earliest_entry":
        choice = kernels.EARLIEST_ENTRY
    elif definition.order == "any" and semantics.unordered_entry == "earliest":
        choice = kernels.EARLIEST_OF_COMPLETION
    sequence = definition.counting == "attempts"

    def fold(units: Units) -> Folded:
        most = len(units)
        if sequence:
            most = int((units.ends - units.first_rows).sum())
        done = _empty(most, count)
        written = kernels.fold_attempts(
            rows.ts,
            rows.mask,
            units.floors,
            units.first_rows,
            units.ends,
            units.last_entry,
            window_microseconds(definition.window),
            count,
            ORDERS.index(definition.order),
            choice,
            window_microseconds(semantics.grace),
            semantics.one_event == "one_step",
            semantics.exclusions == "vanish",
            semantics.strict_ties,
            semantics.strict_repeats,
            sequence,
            optional,
            within,
            after,
            spans,
            done.unit,
            done.reached,
            done.step_times,
        )
        return Folded(done.unit[:written], done.reached[:written], done.step_times[:written])

    return fold


def _window_funnel(rows: PersonRows, definition: Funnel, semantics: Semantics) -> Callable[[Units], Folded]:
    from opsanalytics.behavior.kernels_clickhouse import fold_window_funnel

    modes = set(semantics.modes) | ({"strict_order"} if definition.order == "strict" else set())

    def fold(units: Units) -> Folded:
        done = _empty(len(units), len(definition.steps))
        fold_window_funnel(
            rows.ts,
            rows.mask,
            units.floors,
            units.ends,
            window_microseconds(definition.window),
            len(definition.steps),
            sum(1 << MODES.index(mode) for mode in modes),
            done.reached,
            done.step_times,
        )
        return done

    return fold


def _empty(size: int, steps: int) -> Folded:
    return Folded(
        np.arange(size, dtype=np.int64), np.zeros(size, np.int32), np.zeros((size, steps), np.int64)
    )


def _microseconds(length: timedelta | None, none: int) -> int:
    return none if length is None else window_microseconds(length)
