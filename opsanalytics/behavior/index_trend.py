"""Conversion over time from the behavior index."""

from collections.abc import Sequence
from datetime import date, datetime

import numpy as np
import numpy.typing as npt
import polars as pl

from opsanalytics.behavior.calendars import Calendar
from opsanalytics.behavior.folding import is_plain
from opsanalytics.behavior.funnel_trend import counted_trend, period_bucket, steps_of_trend, trend_table
from opsanalytics.behavior.index import BehaviorIndex, NotIndexedError, Segment, Slice
from opsanalytics.behavior.index_coding import coding_of
from opsanalytics.behavior.index_funnel import class_codes, foldable, followed_attempts, no_attempts
from opsanalytics.behavior.index_periods import periods_of_days
from opsanalytics.behavior.index_question import Asked, asked_of
from opsanalytics.behavior.index_streaming import Codes, Int8, StepRows
from opsanalytics.behavior.periods import FAR_OFF, Weekday
from opsanalytics.behavior.rows import Int64
from opsanalytics.behavior.semantics import OPSANALYTICS, Semantics
from opsanalytics.behavior.spec import Funnel, RetentionPeriod

MOST_SPANS = 1_000
"""Periods that are folded one by one; of more, each person's attempts are followed instead."""


def indexed_trend(
    index: BehaviorIndex,
    definition: Funnel,
    *,
    as_of: datetime,
    first: date | None = None,
    last: date | None = None,
    timezone: str = "UTC",
    week_start: Weekday = "monday",
    period: RetentionPeriod = "week",
    from_step: int = 1,
    to_step: int | None = None,
    preset: str | Semantics = OPSANALYTICS,
) -> pl.DataFrame:
    """As `funnel_trend.funnel_trend` on the lake's events, by all the same rules.

    Raises:
        NotIndexedError: the definition is not `foldable`, or as `indexed_funnel`.
        EventsChangedError, ValueError, PropertyError, PresetError: as `indexed_funnel`.
    """
    asked = asked_of(index, definition, as_of, first, last, timezone, preset)
    steps = steps_of_trend(definition, from_step, to_step)
    if not foldable(definition):
        raise NotIndexedError(f"funnel {definition.name!r}: its trend needs the events of the lake")
    coding = coding_of(definition, index.codes)
    segments = index.between(*asked.events)
    codes = class_codes(index, coding, segments, until=asked.until)
    step_of = coding.step_of()
    spans = None
    if step_of is not None and is_plain(definition, asked.semantics) and definition.reentry:
        spans = _spans(asked, segments, Calendar(period, timezone, week_start))
    if step_of is not None and spans is not None:
        return counted_trend(
            _counted(index, asked, step_of, segments, codes, spans, steps),
            definition,
            as_of=asked.as_of,
            timezone=timezone,
            week_start=week_start,
            period=period,
            semantics=asked.semantics,
        )
    bucket = period_bucket(period, timezone=timezone, week_start=week_start)
    units = [
        no_attempts(definition).with_columns(pl.lit(None, pl.Int32).alias("bucket")),
        *followed_attempts(index, asked, coding, segments, codes, bucket),
    ]
    return trend_table(
        pl.concat(units, how="diagonal"),
        definition,
        as_of=asked.as_of,
        timezone=timezone,
        week_start=week_start,
        period=period,
        steps=steps,
        semantics=asked.semantics,
    )


Spans = Sequence[tuple[int, bool, int, int]]
"""Number of a period, whether mature, and the first and last time of the entries that count together."""


def _spans(asked: Asked, segments: Sequence[Segment], calendar: Calendar) -> Spans | None:
    """The entries of every period that may have any. None if these are too many, or if a zone repeats the
    end of a period after the next one has begun, so that one is not a stretch of time."""
    numbers, days = periods_of_days([one.day for one in segments], calendar)
    begins = np.concatenate([np.empty(0, np.int64), *(day.edges for day in days)])
    slots = np.concatenate([np.empty(0, np.int64), *(day.slots for day in days)])
    if len(numbers) > MOST_SPANS or (np.diff(slots) < 0).any():
        return None
    edges = begins[np.searchsorted(slots, np.arange(len(numbers)))].tolist()
    found = []
    for mature, since, until in asked.parts():
        for place, (begin, end) in enumerate(zip(edges, [*edges, FAR_OFF][1:], strict=True)):
            # Before the first day with events there are no entries, nor after the last.
            low, high = max(begin, since), min(end - 1, until)
            if low <= high:
                found.append((int(numbers[place]), mature, low, high))
    return found


def _counted(
    index: BehaviorIndex,
    asked: Asked,
    step_of: Int8,
    segments: Sequence[Segment],
    codes: Codes,
    spans: Spans,
    steps: tuple[int, int],
) -> pl.DataFrame:
    """What `counted_trend` takes, straight from the segments. A person counts once in every span."""
    count = len(asked.definition.steps)

    def part(low: int, high: int, slices: list[Slice]) -> npt.NDArray[np.int64]:
        rows = StepRows(asked, slices, codes, step_of, low)
        found = np.zeros((len(spans), 2), np.int64)
        for place, (_, _, begin, end) in enumerate(spans):
            reached = rows.furthest(high - low, begin, end)[0]
            found[place] = [np.count_nonzero(reached >= step) for step in steps]
        return found

    parts = index.by_range(segments, part, person_bytes=8 * (3 * count + 40))
    total: Int64 = np.sum(parts, axis=0) if parts else np.zeros((len(spans), 2), np.int64)
    mature = pl.col("mature")
    return (
        pl.DataFrame(
            {
                "bucket": pl.Series([span[0] for span in spans], dtype=pl.Int32),
                "mature": pl.Series([span[1] for span in spans], dtype=pl.Boolean),
                "begun": pl.Series(total[:, 0], dtype=pl.Int64),
                "done": pl.Series(total[:, 1], dtype=pl.Int64),
            }
        )
        .filter(pl.col("begun") > 0)
        .group_by("bucket")
        .agg(
            pl.col("begun").filter(mature).sum().alias("entered"),
            pl.col("done").filter(mature).sum().alias("converted"),
            pl.col("begun").filter(~mature).sum().alias("immature_entered"),
        )
    )
