"""Marts of lifecycle, stickiness, usage interval and trends."""

from collections.abc import Callable
from typing import Any

import polars as pl

from opsanalytics.analysis.behavior import Answer, Asked, calendar_limits, from_index
from opsanalytics.analysis.scope import Scope
from opsanalytics.behavior import lifecycle as lifecycle_reports
from opsanalytics.behavior import stickiness as stickiness_reports
from opsanalytics.behavior import trends as trends_reports
from opsanalytics.behavior import usage_interval as usage_interval_reports
from opsanalytics.behavior.activity_tables import (
    ACTIVE_PERSONS,
    LIFECYCLE,
    STICKINESS,
    TRENDS,
    USAGE_INTERVAL_PAUSES,
    USAGE_INTERVALS,
)
from opsanalytics.behavior.marts import mart_rows

LIFECYCLE_TABLES = (LIFECYCLE,)
STICKINESS_TABLES = (STICKINESS, ACTIVE_PERSONS)
USAGE_INTERVAL_TABLES = (USAGE_INTERVALS, USAGE_INTERVAL_PAUSES)
TRENDS_TABLES = (TRENDS,)


def lifecycles(scope: Scope) -> dict[str, pl.DataFrame]:
    """LIFECYCLE."""
    frames = [
        _evaluated(scope, each, lifecycle_reports.lifecycle).periods for each in scope.settings.lifecycles
    ]
    return {LIFECYCLE.name: mart_rows(LIFECYCLE, frames, quality=scope.event_quality)}


def stickiness(scope: Scope) -> dict[str, pl.DataFrame]:
    """STICKINESS and ACTIVE_PERSONS."""
    found = [_evaluated(scope, each, stickiness_reports.stickiness) for each in scope.settings.stickiness]
    quality = scope.event_quality
    return {
        STICKINESS.name: mart_rows(STICKINESS, [each.cells for each in found], quality=quality),
        ACTIVE_PERSONS.name: mart_rows(ACTIVE_PERSONS, [each.days for each in found], quality=quality),
    }


def usage_intervals(scope: Scope) -> dict[str, pl.DataFrame]:
    """USAGE_INTERVALS and USAGE_INTERVAL_PAUSES."""
    found = [
        _evaluated(scope, each, usage_interval_reports.usage_interval)
        for each in scope.settings.usage_intervals
    ]
    quality = scope.event_quality
    pauses = [each.pauses for each in found]
    return {
        USAGE_INTERVALS.name: mart_rows(USAGE_INTERVALS, [each.summary for each in found], quality=quality),
        USAGE_INTERVAL_PAUSES.name: mart_rows(USAGE_INTERVAL_PAUSES, pauses, quality=quality),
    }


def trends(scope: Scope) -> dict[str, pl.DataFrame]:
    """TRENDS."""
    frames = [_evaluated(scope, each, trends_reports.trends).rows for each in scope.settings.trends]
    return {TRENDS.name: mart_rows(TRENDS, frames, quality=scope.event_quality)}


def _evaluated(scope: Scope, definition: Asked, report: Callable[..., Answer]) -> Answer:
    """A report of `behavior.activity.History`: of the index, or of the events where that cannot tell."""
    limits: dict[str, Any] = calendar_limits(scope)
    return from_index(
        scope,
        definition,
        lambda index, one: report(index, one, **limits),
        lambda events, one: report(events, one, **limits),
    )
