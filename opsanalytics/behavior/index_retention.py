"""Retention from the behavior index: sets of persons by period, marked once over the mapped segments.

Nothing is read of the events, nothing is sorted: a day's rows set bits in a table of persons by period, and
the cells are counted from these tables, 64 persons at a time.
"""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import numpy as np
import numpy.typing as npt
import polars as pl

from opsanalytics.behavior.index import BehaviorIndex, NotIndexedError, Segment, nobodys
from opsanalytics.behavior.index_coding import coding_of_groups
from opsanalytics.behavior.index_funnel import class_codes
from opsanalytics.behavior.index_periods import DayPeriods, periods_of_days
from opsanalytics.behavior.periods import LONG_AGO, Weekday, microseconds
from opsanalytics.behavior.retention import (
    Folded,
    RetentionResult,
    asked,
    fold_rows,
    groups_of,
    result_of,
)
from opsanalytics.behavior.rows import Int32, LeftOut
from opsanalytics.behavior.spec import Retention

WORD = 64
TABLES = 3
BUDGET = 48 << 20
"""Bytes of a thread's tables; persons beyond are taken in turn."""


def indexed_retention(
    index: BehaviorIndex,
    definition: Retention,
    *,
    as_of: datetime,
    timezone: str = "UTC",
    week_start: Weekday = "monday",
    max_cohorts: int | None = None,
    preset: Literal["opsanalytics", "posthog"] = "opsanalytics",
) -> RetentionResult:
    """As `retention.retention` on the lake's events, by all the same rules.

    Raises:
        NotIndexedError: the definition has an entity, a value or a cohort of persons, or too many filters.
        EventsChangedError: the lake changed while it was read; open the index again.
        ValueError, PropertyError: as `retention`.
    """
    definition, calendar, as_of = asked(
        definition,
        as_of=as_of,
        timezone=timezone,
        week_start=week_start,
        max_cohorts=max_cohorts,
        preset=preset,
    )
    if definition.entity or definition.value or definition.among is not None:
        raise NotIndexedError(
            f"retention {definition.name!r} has an entity, a value or a cohort of persons, which the index "
            "does not hold; evaluate it on the events of the lake"
        )
    until = min(microseconds(as_of), index.until)
    segments = index.between(LONG_AGO, until)
    groups, label = groups_of(definition), f"retention {definition.name!r}"
    coding = coding_of_groups(groups, index.codes, sources=definition.sources, label=label)
    codes = class_codes(index, coding, segments, until=until)
    numbers, periods = periods_of_days([one.day for one in segments], calendar)
    slots = np.concatenate([np.empty(0, np.int64), *(day.slots for day in periods)])
    # Where a zone repeats the end of a day after the next one has begun, periods do not follow each other.
    in_order = bool((np.diff(slots) >= 0).all())
    of_name = definition.cohort == "first_ever" and any(one.where for one in definition.start.matches)
    if definition.clock == "calendar" and definition.minimum == 1 and in_order and not of_name:
        days = [_Day(*one) for one in zip(segments, codes, periods, strict=True)]
        folded = _fold(index.person_count, definition, coding.masks, numbers, days, until)
        without = nobodys(segments, codes, coding.masks != 0, since=LONG_AGO, until=until)
        left_out = LeftOut(without_person=without)
    else:
        rows = index.person_rows(
            segments, codes, coding.masks, coding.masks != 0, since=LONG_AGO, until=until
        )
        folded, left_out = fold_rows(rows, definition, calendar), rows.left_out
    return result_of(folded, definition, calendar, as_of=as_of, max_cohorts=max_cohorts, left_out=left_out)


@dataclass(frozen=True, eq=False)
class _Day:
    segment: Segment
    codes: npt.NDArray[np.uint16]
    """Class of every row; see `index_coding`."""
    periods: DayPeriods


def _fold(
    person_count: int,
    definition: Retention,
    masks: Int32,
    numbers: Int32,
    days: list[_Day],
    until: int,
) -> Folded:
    """`retention.fold_rows`, for calendar periods and single returns."""
    kind_of = (masks & 3).astype(np.uint8)
    words = -(-person_count // WORD)
    threads = pl.thread_pool_size()
    most = max(BUDGET // (TABLES * 8 * max(len(numbers), 1)), 1)
    parts = max(-(-words // most), min(threads, words))
    bounds = np.linspace(0, words, parts + 1, dtype=np.int64).tolist()
    columns = definition.columns

    def part(
        low: int, high: int
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
        return _counted(days, definition, kind_of, numbers, low, high, until)

    with ThreadPoolExecutor(threads) as pool:
        found = list(pool.map(part, bounds[:-1], bounds[1:]))
    size = np.zeros(len(numbers), np.int64)
    returned = np.zeros((len(numbers), len(columns)), np.int64)
    any_start = np.zeros(len(numbers), np.bool_)
    for one, came, some in found:
        size += one
        returned += came
        any_start |= some
    return Folded(
        cohorts=numbers[any_start],
        size=size[any_start],
        latest=np.zeros(int(any_start.sum()), np.int64),
        returned=returned[any_start],
        valued=np.zeros_like(returned[any_start]),
        total=np.zeros(returned[any_start].shape),
    )


def _counted(
    days: list[_Day],
    definition: Retention,
    kind_of: npt.NDArray[np.uint8],
    numbers: Int32,
    low: int,
    high: int,
    until: int,
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """Sizes, returns, and which periods have a start event, of the persons of these words."""
    from opsanalytics.behavior.kernels_presence import count_cells, mark_rows

    started, returned, after = (np.zeros((len(numbers), high - low), np.uint64) for _ in range(TABLES))
    first, last = low * WORD, high * WORD
    for day in days:
        segment, edges = day.segment, day.periods.edges
        persons = segment.person[: segment.known]
        begin, end = np.searchsorted(persons, np.array([first, last], np.uint32)).tolist()
        timed = len(edges) > 1 or until < segment.last
        columns_of = (segment.person, segment.ts, day.codes, begin, end, first, kind_of)
        mark_rows(*columns_of, edges, day.periods.slots, until, timed, started, returned, after)
    columns = np.array(definition.columns, np.int64)
    size = np.zeros(len(numbers), np.int64)
    came = np.zeros((len(numbers), len(columns)), np.int64)
    count_cells(
        started,
        returned,
        after,
        numbers.astype(np.int64),
        definition.cohort != "recurring",
        columns,
        np.append(columns[1:], definition.last_period + 1),
        definition.returns == "on_or_after",
        definition.zero == "started",
        np.zeros(high - low, np.uint64),
        size,
        came,
    )
    return size, came, np.any(started, axis=1)
