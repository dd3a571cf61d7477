"""The steps of the pipeline that write marts: what each depends on, and how it is computed.

A step is computed by definition where it has definitions: a funnel whose sources had no changed day keeps
its rows.
"""

from collections.abc import Sequence

import polars as pl

from opsanalytics.analysis import behavior
from opsanalytics.analysis.improvement import feedback_themes, improvement
from opsanalytics.analysis.monitoring import monitoring
from opsanalytics.analysis.refresh import WHOLE, Refreshed, refresh
from opsanalytics.analysis.scope import Scope, frame_digest
from opsanalytics.behavior.tables import (
    FUNNEL_BREAKDOWN,
    FUNNEL_COMPARISON,
    FUNNEL_STEPS,
    FUNNEL_TIMES,
    FUNNEL_TREND,
    METRIC_DEFINITIONS,
    RETENTION_CELLS,
)
from opsanalytics.feedback.tables import FEEDBACK_ASSIGNMENTS, FEEDBACK_THEMES, THEME_HISTORY
from opsanalytics.improvement.tables import BACKLOG, FRICTION, PAIN_POINT_PERSONS, PAIN_POINTS
from opsanalytics.quality.tables import EVENT_DRIFT, EVENT_FRESHNESS, VOLUME_ANOMALIES

FUNNEL_TABLES = (FUNNEL_STEPS, FUNNEL_TREND, FUNNEL_TIMES, FUNNEL_COMPARISON, FUNNEL_BREAKDOWN)
THEME_TABLES = (FEEDBACK_THEMES, FEEDBACK_ASSIGNMENTS, THEME_HISTORY)
IMPROVEMENT_TABLES = (FRICTION, PAIN_POINTS, PAIN_POINT_PERSONS, BACKLOG)

MONITORING_TABLES = (EVENT_DRIFT, VOLUME_ANOMALIES, EVENT_FRESHNESS)

_NOT_BEHAVIOR = ("friction", "feedback", "pain_points", "backlog")
"""Sections of the configuration that change no funnel and no retention."""


def funnel_marts(scope: Scope) -> Refreshed:
    """FUNNEL_TABLES, funnel by funnel."""
    funnels = {funnel.name: funnel for funnel in scope.settings.funnels}

    def compute(names: Sequence[str]) -> dict[str, pl.DataFrame]:
        some = scope.only(funnels=[funnels[name] for name in names])
        results = behavior.funnel_results(some)
        return {
            FUNNEL_STEPS.name: behavior.funnel_steps(some, results),
            FUNNEL_TREND.name: behavior.funnel_trends(some),
            FUNNEL_TIMES.name: behavior.funnel_times(some, results),
            FUNNEL_COMPARISON.name: behavior.funnel_comparisons(some),
            FUNNEL_BREAKDOWN.name: behavior.funnel_breakdowns(some),
        }

    parts = {
        name: scope.facts(FUNNEL_TABLES, definition=funnel, sources=funnel.sources, without=_NOT_BEHAVIOR)
        for name, funnel in funnels.items()
    }
    return refresh(scope, "funnels", FUNNEL_TABLES, parts, compute, by="funnel")


def definition_mart(scope: Scope) -> Refreshed:
    """METRIC_DEFINITIONS: depends on the configuration alone."""
    settings = scope.settings
    definitions = METRIC_DEFINITIONS.conform(behavior.metric_definitions(settings))
    facts = {"definitions": frame_digest(definitions)}
    return refresh(
        scope,
        "definitions",
        [METRIC_DEFINITIONS],
        {WHOLE: facts},
        lambda _: {METRIC_DEFINITIONS.name: definitions},
    )


def retention_marts(scope: Scope) -> Refreshed:
    """RETENTION_CELLS, definition by definition."""
    retentions = {each.name: each for each in scope.settings.retentions}
    parts = {
        name: scope.facts([RETENTION_CELLS], definition=each, sources=each.sources, without=_NOT_BEHAVIOR)
        for name, each in retentions.items()
    }

    def compute(names: Sequence[str]) -> dict[str, pl.DataFrame]:
        some = scope.only(retentions=[retentions[name] for name in names])
        return {RETENTION_CELLS.name: behavior.retention_cells(some)}

    return refresh(scope, "retention", [RETENTION_CELLS], parts, compute, by="retention")


def monitoring_marts(scope: Scope) -> Refreshed:
    """EVENT_DRIFT, VOLUME_ANOMALIES and EVENT_FRESHNESS: depend on events as they were recorded."""

    def compute(_: object) -> dict[str, pl.DataFrame]:
        found = monitoring(scope.settings, scope.as_of)
        frames = (found.drift, found.volumes, found.freshness)
        return {table.name: frame for table, frame in zip(MONITORING_TABLES, frames, strict=True)}

    facts = scope.facts(MONITORING_TABLES, without=(*_NOT_BEHAVIOR, "segments"))
    del facts["quality of events"]  # which these marts decide, and which they do not show
    return refresh(scope, "monitoring", MONITORING_TABLES, {WHOLE: facts}, compute)


def theme_marts(scope: Scope) -> Refreshed:
    """THEME_TABLES: depend on feedback, on who its authors are, and on what people decided about themes."""

    def compute(_: object) -> dict[str, pl.DataFrame]:
        found = feedback_themes(scope)
        frames = (found.themes, found.assignments, found.history)
        return {table.name: frame for table, frame in zip(THEME_TABLES, frames, strict=True)}

    facts = scope.facts(THEME_TABLES, sources=(), without=("friction", "pain_points", "backlog"))
    facts |= scope.feedback_facts()
    return refresh(scope, "themes", THEME_TABLES, {WHOLE: facts}, compute)


def improvement_marts(scope: Scope) -> Refreshed:
    """FRICTION, PAIN_POINTS, PAIN_POINT_PERSONS and BACKLOG: depend on everything."""

    def compute(_: object) -> dict[str, pl.DataFrame]:
        found = improvement(scope, feedback_themes(scope))
        return {
            FRICTION.name: found.friction,
            PAIN_POINTS.name: found.pain_points,
            PAIN_POINT_PERSONS.name: found.pain_point_persons,
            BACKLOG.name: found.backlog,
        }

    facts = scope.facts(IMPROVEMENT_TABLES) | scope.feedback_facts()
    facts |= {f"funnel {funnel.name}": funnel.model_dump_json() for funnel in scope.settings.funnels}
    return refresh(scope, "improvement", IMPROVEMENT_TABLES, {WHOLE: facts}, compute)
