"""Marts of behaviour."""

import logging
from collections.abc import Callable, Sequence
from datetime import date, timedelta
from typing import Any, TypeVar

import polars as pl

from opsanalytics.analysis.scope import Scope
from opsanalytics.behavior.activity_spec import Lifecycle, Stickiness, UsageInterval
from opsanalytics.behavior.comparison import compared
from opsanalytics.behavior.describe import definitions_frame
from opsanalytics.behavior.describe_activity import Described, described
from opsanalytics.behavior.describe_journeys import journey_definitions
from opsanalytics.behavior.funnel import FunnelResult, funnel
from opsanalytics.behavior.funnel_breakdown import Broken, breakdown_table, broken_down
from opsanalytics.behavior.funnel_trend import funnel_trend
from opsanalytics.behavior.index import BehaviorIndex, NotIndexedError
from opsanalytics.behavior.index_breakdown import indexed_breakdown
from opsanalytics.behavior.index_columns import EventsChangedError
from opsanalytics.behavior.index_funnel import indexed_funnel
from opsanalytics.behavior.index_retention import indexed_retention
from opsanalytics.behavior.index_trend import indexed_trend
from opsanalytics.behavior.marts import mart_rows, with_provenance
from opsanalytics.behavior.retention import retention
from opsanalytics.behavior.segments import Segment
from opsanalytics.behavior.spec import Funnel, Retention
from opsanalytics.behavior.tables import (
    FUNNEL_BREAKDOWN,
    FUNNEL_COMPARISON,
    FUNNEL_STEPS,
    FUNNEL_TIMES,
    FUNNEL_TREND,
    METRIC_DEFINITIONS,
    RETENTION_CELLS,
)
from opsanalytics.behavior.times import conversion_times
from opsanalytics.behavior.trends_spec import Trends
from opsanalytics.config import Settings
from opsanalytics.config.settings import Segment as SegmentSettings

logger = logging.getLogger(__name__)
Answer = TypeVar("Answer")
Asked = TypeVar("Asked", bound=Funnel | Retention | Lifecycle | Stickiness | UsageInterval | Trends)

COMPARED = timedelta(weeks=4)
"""Length of the periods that are set against each other."""


def funnel_results(scope: Scope) -> list[FunnelResult]:
    """Every configured funnel, as configured."""
    return [_funnel(scope, definition, first=scope.first_entry) for definition in scope.settings.funnels]


def funnel_steps(scope: Scope, results: list[FunnelResult]) -> pl.DataFrame:
    """FUNNEL_STEPS."""
    return mart_rows(FUNNEL_STEPS, [result.to_polars() for result in results], quality=scope.event_quality)


def funnel_trends(scope: Scope) -> pl.DataFrame:
    """FUNNEL_TREND: all weeks."""
    limits = calendar_limits(scope)
    frames = [
        from_index(
            scope,
            definition,
            lambda index, one: indexed_trend(index, one, **limits),
            lambda events, one: funnel_trend(events, one, **limits),
        )
        for definition in scope.settings.funnels
    ]
    return mart_rows(FUNNEL_TREND, frames, quality=scope.event_quality)


def funnel_breakdowns(scope: Scope, results: list[FunnelResult]) -> pl.DataFrame:
    """FUNNEL_BREAKDOWN: every funnel by every configured segment."""
    segments = [segment_of(segment) for segment in scope.settings.segments]
    if not segments:
        return FUNNEL_BREAKDOWN.empty()
    frames = [
        breakdown_table(_broken_down(scope, result, segments), result.definition, as_of=scope.as_of)
        for result in results
    ]
    return mart_rows(FUNNEL_BREAKDOWN, frames, quality=scope.event_quality)


def funnel_times(scope: Scope, results: list[FunnelResult]) -> pl.DataFrame:
    """FUNNEL_TIMES: funnels of two steps or more that somebody has completed."""
    frames = []
    for result in results:
        if len(result.definition.steps) < 2:
            continue
        bins = conversion_times(result).histogram().with_row_index("bin", offset=1)
        shaped = bins.select(
            pl.lit(result.definition.name).alias("funnel"), pl.col("bin").cast(pl.Int32), *bins.columns[1:]
        )
        frames.append(with_provenance(shaped, result.definition, result.as_of))
    return mart_rows(FUNNEL_TIMES, frames, quality=scope.event_quality)


def funnel_comparisons(scope: Scope) -> pl.DataFrame:
    """FUNNEL_COMPARISON: the latest `COMPARED` of entries that are mature against as many before."""
    zone = scope.settings.project.zone
    frames = []
    for definition in scope.settings.funnels:
        # The last local day whose entries are all mature.
        end = (scope.as_of - definition.window).astimezone(zone).date() - timedelta(days=1)
        later, before = (
            _funnel(scope, definition, first=last - COMPARED + timedelta(days=1), last=last)
            for last in (end, end - COMPARED)
        )
        rows = compared(later, before)
        days = [pl.lit(end - COMPARED + timedelta(days=1)).alias("first"), pl.lit(end).alias("last")]
        shaped = rows.select(pl.lit(definition.name).alias("funnel"), *days, *rows.columns)
        frames.append(with_provenance(shaped, definition, scope.as_of))
    return mart_rows(FUNNEL_COMPARISON, frames, quality=scope.event_quality)


def _funnel(
    scope: Scope, definition: Funnel, *, first: date | None, last: date | None = None
) -> FunnelResult:
    limits: dict[str, Any] = {
        "as_of": scope.as_of,
        "first": first,
        "last": last,
        "timezone": scope.settings.project.timezone,
    }
    return from_index(
        scope,
        definition,
        lambda index, one: indexed_funnel(index, one, **limits),
        lambda events, one: funnel(events, one, **limits),
    )


def _broken_down(scope: Scope, result: FunnelResult, segments: Sequence[Segment]) -> list[Broken]:
    limits: dict[str, Any] = {
        "as_of": scope.as_of,
        "first": scope.first_entry,
        "timezone": scope.settings.project.timezone,
    }
    return from_index(
        scope,
        result.definition,
        lambda index, one: indexed_breakdown(index, one, segments, known=result, **limits),
        lambda events, one: broken_down(events, one, segments, **limits),
    )


def from_index(
    scope: Scope,
    definition: Asked,
    of_index: Callable[[BehaviorIndex, Asked], Answer],
    of_events: Callable[[pl.LazyFrame, Asked], Answer],
) -> Answer:
    """An answer from the index, or from the events where that cannot give it."""
    index = scope.index_for(definition.sources)
    if index is not None:
        try:
            return of_index(index, definition)
        except (NotIndexedError, EventsChangedError) as error:
            logger.info("%s; reading the events", error)
    return of_events(scope.events_for(definition.sources), definition)


def calendar_limits(scope: Scope) -> dict[str, Any]:
    """What the reports by local period are told."""
    project = scope.settings.project
    return {"as_of": scope.as_of, "timezone": project.timezone, "week_start": project.week_start}


def segment_of(segment: SegmentSettings) -> Segment:
    """A configured segment as the engines take it."""
    return Segment(
        property=segment.property or "",
        cohort=segment.cohort,
        name=segment.name,
        limit=segment.limit,
        attribution=segment.attribution,
        step=segment.step,
        of=segment.of,
    )


def retention_cells(scope: Scope) -> pl.DataFrame:
    """RETENTION_CELLS."""
    limits = calendar_limits(scope)
    frames = [
        from_index(
            scope,
            definition,
            lambda index, one: indexed_retention(index, one, **limits),
            lambda events, one: retention(events, one, **limits),
        ).to_polars()
        for definition in scope.settings.retentions
    ]
    return mart_rows(RETENTION_CELLS, frames, quality=scope.event_quality)


def metric_definitions(settings: Settings) -> pl.DataFrame:
    """METRIC_DEFINITIONS."""
    activity: tuple[Described, ...] = (
        *settings.lifecycles,
        *settings.stickiness,
        *settings.usage_intervals,
        *settings.trends,
    )
    return METRIC_DEFINITIONS.conform(
        pl.concat(
            [
                definitions_frame(settings.funnels, settings.retentions, described(activity)),
                journey_definitions(settings.sessions, settings.paths, settings.cohorts, settings.diagnosed),
            ]
        )
    )
