"""The questions `opsanalytics.lifecycle`, `stickiness`, `usage_interval` and `trends`."""

from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import polars as pl

from opsanalytics.behavior import lifecycle as lifecycles
from opsanalytics.behavior import stickiness as sticking
from opsanalytics.behavior import trends as trending
from opsanalytics.behavior import usage_interval as pausing
from opsanalytics.behavior.activity import History
from opsanalytics.behavior.activity_spec import Lifecycle, Stickiness, UsageInterval
from opsanalytics.behavior.calendars import asked_days
from opsanalytics.behavior.periods import Weekday, day_start, zone
from opsanalytics.behavior.segments import Segment
from opsanalytics.behavior.trends_spec import Trends
from opsanalytics.queries.activity_answers import (
    LifecycleResult,
    StickinessResult,
    TrendsResult,
    UsageIntervalResult,
)
from opsanalytics.queries.ask import Answered, answered, as_segment
from opsanalytics.queries.inputs import EPOCH, EventsOrLake, as_definition, day_of

LifecycleLike: TypeAlias = Lifecycle | Mapping[str, Any] | str | Path
StickinessLike: TypeAlias = Stickiness | Mapping[str, Any] | str | Path
UsageIntervalLike: TypeAlias = UsageInterval | Mapping[str, Any] | str | Path
TrendsLike: TypeAlias = Trends | Mapping[str, Any] | str | Path


def lifecycle(
    events: EventsOrLake,
    definition: LifecycleLike | None = None,
    *,
    preset: lifecycles.LifecyclePreset = "opsanalytics",
    as_of: datetime | None = None,
    first: date | str | None = None,
    last: date | str | None = None,
    timezone: str = "UTC",
    week_start: Weekday = "monday",
    persons: pl.DataFrame | None = None,
) -> LifecycleResult:
    """Evaluate a lifecycle: who is new, returning, resurrected or dormant in each period.

    Args:
        events, as_of, persons: as `funnel`.
        definition: a `Lifecycle`, its fields as a mapping, or a JSON or TOML file; any event by week if not
            given.
        preset: `posthog` and `amplitude` count as those tools; see `behavior.lifecycle`.
        first, last: local days whose periods are shown; all if not given.
        timezone, week_start: calendar of the periods.

    Raises:
        as `funnel`.
    """
    asked = as_definition(definition or {}, Lifecycle)
    report = partial(lifecycles.lifecycle, definition=asked, preset=preset)
    return LifecycleResult(
        _answered(events, persons, as_of, first, last, timezone, week_start, report, preset)
    )


def stickiness(
    events: EventsOrLake,
    definition: StickinessLike | None = None,
    *,
    preset: sticking.StickinessPreset = "opsanalytics",
    as_of: datetime | None = None,
    first: date | str | None = None,
    last: date | str | None = None,
    timezone: str = "UTC",
    week_start: Weekday = "monday",
    persons: pl.DataFrame | None = None,
) -> StickinessResult:
    """Evaluate stickiness: in how many units of a period people are active, and how many on each day.

    In and raises: as `lifecycle`; `definition` is a `Stickiness` (any event by day if not given), and
    `posthog` takes the range of days as one period.
    """
    asked = as_definition(definition or {}, Stickiness)
    report = partial(sticking.stickiness, definition=asked, preset=preset)
    return StickinessResult(
        _answered(events, persons, as_of, first, last, timezone, week_start, report, preset)
    )


def usage_interval(
    events: EventsOrLake,
    definition: UsageIntervalLike | None = None,
    *,
    as_of: datetime | None = None,
    first: date | str | None = None,
    last: date | str | None = None,
    timezone: str = "UTC",
    week_start: Weekday = "monday",
    persons: pl.DataFrame | None = None,
) -> UsageIntervalResult:
    """Evaluate how long people pause between two uses.

    In and raises: as `lifecycle`; `definition` is a `UsageInterval`, `first` and `last` limit the uses.
    """
    asked = as_definition(definition or {}, UsageInterval)
    report = partial(pausing.usage_interval, definition=asked)
    return UsageIntervalResult(_answered(events, persons, as_of, first, last, timezone, week_start, report))


def trends(
    events: EventsOrLake,
    definition: TrendsLike,
    *,
    preset: trending.TrendsPreset = "opsanalytics",
    breakdown: str | Segment | None = None,
    as_of: datetime | None = None,
    first: date | str | None = None,
    last: date | str | None = None,
    timezone: str = "UTC",
    week_start: Weekday = "monday",
    persons: pl.DataFrame | None = None,
) -> TrendsResult:
    """Evaluate series of numbers by period, formulas over them, and their change against earlier periods.

    In and raises: as `lifecycle`; `definition` is a `Trends`, `breakdown` a property or a `Segment`.
    """
    asked = as_definition(definition, Trends)
    report = partial(trending.trends, definition=asked, breakdown=as_segment(breakdown), preset=preset)
    return TrendsResult(_answered(events, persons, as_of, first, last, timezone, week_start, report, preset))


def _answered(
    events: EventsOrLake,
    persons: pl.DataFrame | None,
    as_of: datetime | None,
    first: date | str | None,
    last: date | str | None,
    timezone: str,
    week_start: Weekday,
    report: Callable[..., Answered],
    preset: str = "opsanalytics",
) -> Answered:
    """What `report` gives of the lake's index, or of the events where that cannot tell.

    `posthog` takes the range that is asked for as over, whenever the last event was.
    """
    zone(timezone)
    begin, stop = day_of("first", first), day_of("last", last)
    asked_days(begin, stop)

    def of_days(history: History, end: datetime) -> Answered:
        if as_of is None and stop is not None and preset == "posthog":
            after = EPOCH + timedelta(microseconds=day_start(stop + timedelta(days=1), timezone) - 1)
            end = max(end, after).astimezone(UTC)
        return report(history, as_of=end, first=begin, last=stop, timezone=timezone, week_start=week_start)

    # Persons that come apart from the events are no part of the index.
    return answered(events, persons, as_of, of_days, of_days if persons is None else None)
