"""Conversion over time from the behavior index."""

from datetime import date, datetime

import polars as pl

from opsanalytics.behavior.attempts import best_attempts
from opsanalytics.behavior.calendars import Calendar
from opsanalytics.behavior.folding import check_preset
from opsanalytics.behavior.funnel_rows import check_range, entry_rows
from opsanalytics.behavior.funnel_trend import COUNTS, by_bucket, trend_table
from opsanalytics.behavior.index import BehaviorIndex, NotIndexedError, Slice, chosen_rows
from opsanalytics.behavior.index_coding import coding_of
from opsanalytics.behavior.index_funnel import Asked, class_codes, foldable
from opsanalytics.behavior.periods import Weekday
from opsanalytics.behavior.rows import check_as_of
from opsanalytics.behavior.semantics import OPSANALYTICS, Semantics, preset_named
from opsanalytics.behavior.spec import Funnel, RetentionPeriod


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
    preset: str | Semantics = OPSANALYTICS,
) -> pl.DataFrame:
    """As `funnel_trend.funnel_trend` on the lake's events.

    Raises:
        NotIndexedError: the definition asks for more than filters; see `index_funnel.foldable`.
        EventsChangedError: the lake changed while it was read; open the index again.
        ValueError, PropertyError, PresetError: as `funnel_trend`.
    """
    check_range(first, last)
    semantics = preset_named(preset)
    check_preset(definition, semantics)
    asked = Asked(definition, semantics, check_as_of(as_of), first, last, timezone)
    calendar = Calendar(period, timezone, week_start)
    if not foldable(definition):
        raise NotIndexedError(f"funnel {definition.name!r}: its trend is not told from the index")
    coding = coding_of(definition, index.codes)
    since, until = asked.events
    segments = index.between(since, until)
    codes = class_codes(index, coding, segments, until=asked.now)
    wanted = coding.of_sources if asked.keeps_all else coding.masks != 0

    def part(low: int, high: int, slices: list[Slice]) -> pl.DataFrame:
        rows = chosen_rows(low, high, slices, codes, coding.masks, wanted, since=since, until=until)
        units = best_attempts(
            rows,
            definition,
            entry_rows(rows, definition, first=first, last=last, timezone=timezone),
            as_of=asked.as_of,
            bucket=lambda ts: ts.to_frame().select(calendar.number(pl.col("ts"))).to_series(),
            semantics=semantics,
        )
        return by_bucket(units, definition)

    counts = pl.concat([COUNTS.to_frame(), *index.by_range(segments, part)]).group_by("bucket").sum()
    return trend_table(counts, definition, calendar, as_of=asked.as_of, semantics=semantics)
