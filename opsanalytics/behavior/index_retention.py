"""Retention from the behavior index: sets of persons by period, marked once over the mapped segments.

Nothing is read of the events, nothing is sorted: a day's rows set bits in a table of persons by period, and
the cells are counted from these tables, 64 persons at a time.
"""

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Literal

import numpy as np
import numpy.typing as npt
import polars as pl

from opsanalytics.behavior.conditions import ANY_EVENT
from opsanalytics.behavior.index import BehaviorIndex, NotIndexedError, Segment, nobodys
from opsanalytics.behavior.index_build import MOST_CODES
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
from opsanalytics.behavior.spec import Retention, Step

WORD = 64
DAY = 86_400_000_000
TABLES = 3
BUDGET = 48 << 20
"""Bytes of a thread's tables; persons beyond are taken in turn."""


def retention_indexable(definition: Retention) -> bool:
    """Whether names, persons and times are all the definition needs."""
    matches = [one for step in (definition.start, *definition.returning) for one in step.matches]
    return (
        not any(one.where for one in matches)
        and definition.entity is None
        and definition.value is None
        and definition.among is None
    )


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
        NotIndexedError: the definition has filters, an entity, a value or a cohort of persons.
        ValueError: as `retention`.
    """
    definition, calendar, as_of = asked(
        definition,
        as_of=as_of,
        timezone=timezone,
        week_start=week_start,
        max_cohorts=max_cohorts,
        preset=preset,
    )
    if not retention_indexable(definition):
        raise NotIndexedError(
            f"retention {definition.name!r} has filters, an entity, a value or a cohort of persons, which "
            "the index does not hold; evaluate it on the events of the lake"
        )
    masks = _masks(index, definition)
    until = microseconds(as_of)
    numbers, periods = periods_of_days(index.days, calendar.number)
    slots = np.concatenate([np.empty(0, np.int64), *(day.slots for day in periods)])
    # Where a zone repeats the end of a day after the next one has begun, periods do not follow each other.
    in_order = bool((np.diff(slots) >= 0).all())
    if definition.clock == "calendar" and definition.minimum == 1 and in_order:
        folded = _fold(index, definition, masks, numbers, periods, until)
        left_out = LeftOut(
            without_person=nobodys(
                index.segments, [one.event for one in index.segments], masks != 0, since=LONG_AGO, until=until
            )
        )
    else:
        rows = index.person_rows(masks, masks != 0, since=LONG_AGO, until=until)
        folded, left_out = fold_rows(rows, definition, calendar), rows.left_out
    return result_of(folded, definition, calendar, as_of=as_of, max_cohorts=max_cohorts, left_out=left_out)


def _masks(index: BehaviorIndex, definition: Retention) -> Int32:
    """Bits of `retention.groups_of` by code."""
    groups = [
        {name for one in group for name in (one.events if isinstance(one, Step) else (one.event,))}
        for group in groups_of(definition)
    ]
    masks = [
        sum(1 << bit for bit, names in enumerate(groups) if name in names or ANY_EVENT in names)
        if definition.sources is None or source in definition.sources
        else 0
        for source, name in index.codes
    ]
    return np.array(masks, np.int32)


def _fold(
    index: BehaviorIndex,
    definition: Retention,
    masks: Int32,
    numbers: Int32,
    periods: list[DayPeriods],
    until: int,
) -> Folded:
    """`retention.fold_rows`, for calendar periods and single returns."""
    kind_of = np.zeros(MOST_CODES, np.uint8)
    kind_of[: len(masks)] = masks & 3
    days = [
        (segment, day)
        for segment, day in zip(index.segments, periods, strict=True)
        if segment.known and day.edges[0] <= until
    ]
    words = -(-index.person_count // WORD)
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
    days: list[tuple[Segment, DayPeriods]],
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
    for segment, day in days:
        begin = int(np.searchsorted(segment.person[: segment.known], np.uint32(first)))
        end = int(np.searchsorted(segment.person[: segment.known], np.uint32(last)))
        timed = len(day.edges) > 1 or until < day.edges[0] + DAY
        mark_rows(
            segment.person,
            segment.ts,
            segment.event,
            begin,
            end,
            first,
            kind_of,
            day.edges,
            day.slots,
            until,
            timed,
            started,
            returned,
            after,
        )
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
