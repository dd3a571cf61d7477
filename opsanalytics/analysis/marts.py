"""The steps of the pipeline that write marts: what each depends on, and how it is computed.

A step is computed by definition where it has definitions: a funnel whose sources had no changed day keeps
its rows.
"""

from collections.abc import Callable, Sequence

import polars as pl

from opsanalytics.analysis import activity, behavior, diagnosis, journeys
from opsanalytics.analysis.backlog import log_fact, log_for, occurrences, plans_for
from opsanalytics.analysis.improvement import feedback_themes, improvement
from opsanalytics.analysis.monitoring import monitoring
from opsanalytics.analysis.refresh import WHOLE, Refreshed, refresh
from opsanalytics.analysis.releases import apply_releases
from opsanalytics.analysis.scope import Scope, frame_digest
from opsanalytics.analysis.verification import (
    freeze_missing,
    heard,
    known_titles,
    plan_facts,
    verified,
)
from opsanalytics.behavior.journey_spec import Paths, Sessions
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
from opsanalytics.behavior.tables_diagnosis import DROP_OFF_DIAGNOSIS, DROP_OFF_NEXT, DROP_OFF_STEPS
from opsanalytics.behavior.tables_journeys import COHORT_PERSONS, COHORTS, PATHS, SESSIONS
from opsanalytics.feedback.encoders import put_in_force
from opsanalytics.feedback.sentences import missing_packages
from opsanalytics.feedback.tables import FEEDBACK_ASSIGNMENTS, FEEDBACK_THEMES, THEME_HISTORY
from opsanalytics.improvement.backlog import make_backlog
from opsanalytics.improvement.decision_log import remember
from opsanalytics.improvement.tables import (
    BACKLOG,
    BACKLOG_HISTORY,
    FRICTION,
    PAIN_POINT_GROUPS,
    PAIN_POINT_OVERLAPS,
    PAIN_POINT_PERSONS,
    PAIN_POINTS,
)
from opsanalytics.improvement.verification.ledger import calibration_of, calibration_row
from opsanalytics.improvement.verification.tables import (
    CALIBRATION,
    PREDICTION_LEDGER,
    VERIFICATION_DAYS,
    VERIFICATIONS,
)
from opsanalytics.lake.marts import mart_path, read_mart
from opsanalytics.lake.records import hashes
from opsanalytics.lake.tables import Table
from opsanalytics.quality.tables import EVENT_DRIFT, EVENT_FRESHNESS, VOLUME_ANOMALIES

FUNNEL_TABLES = (FUNNEL_STEPS, FUNNEL_TREND, FUNNEL_TIMES, FUNNEL_COMPARISON, FUNNEL_BREAKDOWN)
DIAGNOSIS_TABLES = (DROP_OFF_STEPS, DROP_OFF_DIAGNOSIS, DROP_OFF_NEXT)
COHORT_TABLES = (COHORTS, COHORT_PERSONS)
THEME_TABLES = (FEEDBACK_THEMES, FEEDBACK_ASSIGNMENTS, THEME_HISTORY)
IMPROVEMENT_TABLES = (FRICTION, PAIN_POINTS, PAIN_POINT_PERSONS, PAIN_POINT_GROUPS, PAIN_POINT_OVERLAPS)
VERIFICATION_TABLES = (VERIFICATIONS, VERIFICATION_DAYS, PREDICTION_LEDGER, CALIBRATION)
BACKLOG_TABLES = (BACKLOG, BACKLOG_HISTORY)

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
            FUNNEL_BREAKDOWN.name: behavior.funnel_breakdowns(some, results),
        }

    by_cohort = any(segment.cohort is not None for segment in scope.settings.segments)
    parts = {
        name: scope.facts(
            FUNNEL_TABLES,
            definition=funnel,
            sources=None if by_cohort else sources_read(funnel),
            without=_NOT_BEHAVIOR,
        )
        for name, funnel in funnels.items()
    }
    return refresh(scope, "funnels", FUNNEL_TABLES, parts, compute, by="funnel")


def sources_read(definition: Funnel | Retention | Sessions | Paths) -> Sequence[str] | None:
    """The sources whose events decide a result; None: all, as a cohort or funnel inside may read others."""
    inside = definition.among is not None or (isinstance(definition, Paths) and definition.funnel is not None)
    return None if inside else definition.sources


def session_marts(scope: Scope) -> Refreshed:
    """SESSIONS, definition by definition."""
    wanted = {each.name: each for each in scope.settings.sessions}

    def compute(names: Sequence[str]) -> dict[str, pl.DataFrame]:
        some = scope.only(sessions=[wanted[name] for name in names])
        return {SESSIONS.name: journeys.session_rows(some)}

    parts = {
        name: scope.facts(
            [SESSIONS], definition=each, sources=sources_read(each), without=(*_NOT_BEHAVIOR, "segments")
        )
        for name, each in wanted.items()
    }
    return refresh(scope, "sessions", [SESSIONS], parts, compute, by="sessions")


def path_marts(scope: Scope) -> Refreshed:
    """PATHS, definition by definition."""
    wanted = {each.name: each for each in scope.settings.paths}

    def compute(names: Sequence[str]) -> dict[str, pl.DataFrame]:
        return {PATHS.name: journeys.path_rows(scope.only(paths=[wanted[name] for name in names]))}

    parts = {
        name: scope.facts(
            [PATHS], definition=each, sources=sources_read(each), without=(*_NOT_BEHAVIOR, "segments")
        )
        for name, each in wanted.items()
    }
    return refresh(scope, "paths", [PATHS], parts, compute, by="paths")


def cohort_marts(scope: Scope) -> Refreshed:
    """COHORTS and COHORT_PERSONS, cohort by cohort. One may be made of others, so all sources count."""
    wanted = {each.name: each for each in scope.settings.cohorts}

    def compute(names: Sequence[str]) -> dict[str, pl.DataFrame]:
        sizes, members = journeys.cohort_rows(scope.only(cohorts=[wanted[name] for name in names]))
        return {COHORTS.name: sizes, COHORT_PERSONS.name: members}

    parts = {
        name: scope.facts(COHORT_TABLES, definition=each, without=(*_NOT_BEHAVIOR, "segments"))
        for name, each in wanted.items()
    }
    return refresh(scope, "cohorts", COHORT_TABLES, parts, compute, by="cohort")


def diagnosis_marts(scope: Scope) -> Refreshed:
    """DIAGNOSIS_TABLES, diagnosis by diagnosis. Friction and cohorts may be those of any source."""
    wanted = {each.name: each for each in scope.settings.diagnosed}

    def compute(names: Sequence[str]) -> dict[str, pl.DataFrame]:
        return diagnosis.diagnosis_rows(scope, [wanted[name] for name in names])

    without = ("feedback", "pain_points", "backlog")
    parts = {
        name: scope.facts(DIAGNOSIS_TABLES, definition=each, without=without) for name, each in wanted.items()
    }
    return refresh(scope, "diagnoses", DIAGNOSIS_TABLES, parts, compute, by="diagnosis")


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
        name: scope.facts(
            [RETENTION_CELLS], definition=each, sources=sources_read(each), without=_NOT_BEHAVIOR
        )
        for name, each in retentions.items()
    }

    def compute(names: Sequence[str]) -> dict[str, pl.DataFrame]:
        some = scope.only(retentions=[retentions[name] for name in names])
        return {RETENTION_CELLS.name: behavior.retention_cells(some)}

    return refresh(scope, "retention", [RETENTION_CELLS], parts, compute, by="retention")


def lifecycle_marts(scope: Scope) -> Refreshed:
    """LIFECYCLE, definition by definition."""
    return _activity_marts(scope, "lifecycles", activity.LIFECYCLE_TABLES, activity.lifecycles)


def stickiness_marts(scope: Scope) -> Refreshed:
    """STICKINESS and ACTIVE_PERSONS, definition by definition."""
    return _activity_marts(scope, "stickiness", activity.STICKINESS_TABLES, activity.stickiness)


def usage_interval_marts(scope: Scope) -> Refreshed:
    """USAGE_INTERVALS and USAGE_INTERVAL_PAUSES, definition by definition."""
    return _activity_marts(scope, "usage_intervals", activity.USAGE_INTERVAL_TABLES, activity.usage_intervals)


def trends_marts(scope: Scope) -> Refreshed:
    """TRENDS, definition by definition."""
    return _activity_marts(scope, "trends", activity.TRENDS_TABLES, activity.trends)


def _activity_marts(
    scope: Scope,
    section: str,
    tables: Sequence[Table],
    evaluate: Callable[[Scope], dict[str, pl.DataFrame]],
) -> Refreshed:
    """The marts of the definitions of one section, which is the name of the step too."""
    definitions = {each.name: each for each in getattr(scope.settings, section)}
    without = (*_NOT_BEHAVIOR, "segments")
    parts = {
        name: scope.facts(tables, definition=each, sources=each.sources, without=without)
        for name, each in definitions.items()
    }

    def compute(names: Sequence[str]) -> dict[str, pl.DataFrame]:
        return evaluate(scope.only(**{section: [definitions[name] for name in names]}))

    return refresh(scope, section, tables, parts, compute, by="definition")


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

    encoder = scope.settings.feedback.encoder
    if encoder == "tfidf" or not missing_packages():
        # what cannot be used is not in force
        known = not read_mart(scope.home, FEEDBACK_THEMES).is_empty()
        put_in_force(scope.home, encoder, at=scope.as_of, themes_known=known)

    def compute(_: object) -> dict[str, pl.DataFrame]:
        found = feedback_themes(scope)
        frames = (found.themes, found.assignments, found.history)
        return {table.name: frame for table, frame in zip(THEME_TABLES, frames, strict=True)}

    facts = scope.facts(THEME_TABLES, sources=(), without=("friction", "pain_points", "backlog"))
    facts |= scope.feedback_facts()
    return refresh(scope, "themes", THEME_TABLES, {WHOLE: facts}, compute)


def improvement_marts(scope: Scope) -> Refreshed:
    """IMPROVEMENT_TABLES: depend on all data."""

    def compute(_: object) -> dict[str, pl.DataFrame]:
        found = improvement(scope, feedback_themes(scope))
        return {
            FRICTION.name: found.friction,
            PAIN_POINTS.name: found.pain_points,
            PAIN_POINT_PERSONS.name: found.pain_point_persons,
            PAIN_POINT_GROUPS.name: found.pain_point_groups,
            PAIN_POINT_OVERLAPS.name: found.pain_point_overlaps,
        }

    facts = scope.facts(IMPROVEMENT_TABLES, without=("backlog",)) | scope.feedback_facts()
    facts |= {f"funnel {funnel.name}": funnel.model_dump_json() for funnel in scope.settings.funnels}
    return refresh(scope, "improvement", IMPROVEMENT_TABLES, {WHOLE: facts}, compute)


def verification_marts(scope: Scope) -> Refreshed:
    """VERIFICATION_TABLES: depend on events, on what people decided and on what was promised of it.

    Before, releases that the data now shows ship their items, and items that were taken on without a plan
    get one; both are kept in the state of the home, so that a run that is repeated finds them.
    """
    home = scope.home
    apply_releases(scope)
    log = log_for(scope)
    pain_points = read_mart(home, PAIN_POINTS)
    freeze_missing(scope, log, pain_points, read_mart(home, PAIN_POINT_PERSONS), at=scope.as_of)
    plans = plans_for(scope)
    titles = known_titles(log, pain_points)

    def compute(_: object) -> dict[str, pl.DataFrame]:
        found = verified(scope, log, plans, titles)
        return {
            VERIFICATIONS.name: found.items,
            VERIFICATION_DAYS.name: found.days,
            PREDICTION_LEDGER.name: found.ledger,
            CALIBRATION.name: calibration_row(found.ledger, scope.as_of),
        }

    told = scope.facts(VERIFICATION_TABLES)
    facts = {name: told[name] for name in ("as of", "program", "tables")}
    if plans.latest:  # without a plan nothing is read
        facts |= told | {f"funnel {each.name}": each.model_dump_json() for each in scope.settings.funnels}
    if heard(plans):
        facts |= scope.feedback_facts()
    facts |= plan_facts(log, plans, titles)
    return refresh(scope, "verification", VERIFICATION_TABLES, {WHOLE: facts}, compute)


def backlog_marts(scope: Scope) -> Refreshed:
    """BACKLOG and BACKLOG_HISTORY: depend on the marts of improvement and verification, and on decisions.

    What the run saw of items that people decided about is kept in the log before the marts are written: a
    run that is killed between sees the same again.
    """
    home, settings = scope.home, scope.settings
    log = log_for(scope)

    def compute(_: object) -> dict[str, pl.DataFrame]:
        pain_points = read_mart(home, PAIN_POINTS)
        met = occurrences(
            pain_points,
            read_mart(home, PAIN_POINT_PERSONS),
            read_mart(home, FEEDBACK_ASSIGNMENTS),
            scope.feedback,
        )
        made = make_backlog(
            pain_points,
            settings.backlog,
            settings.pain_points,
            as_of=scope.as_of,
            log=log,
            occurrences=met,
            verdicts=read_mart(home, VERIFICATIONS),
            calibration=calibration_of(read_mart(home, CALIBRATION)),
        )
        remember(home, made.sightings)
        return {BACKLOG.name: made.items, BACKLOG_HISTORY.name: made.history}

    told = scope.facts(BACKLOG_TABLES)
    read = (PAIN_POINTS, PAIN_POINT_PERSONS, FEEDBACK_ASSIGNMENTS, VERIFICATIONS, CALIBRATION)
    inputs = [path for path in (mart_path(home, table) for table in read) if path.exists()]
    facts = {
        **{name: told[name] for name in ("as of", "program", "tables")},
        "configuration": settings.backlog.model_dump_json() + settings.pain_points.model_dump_json(),
        **hashes(home, inputs),
        **log_fact(log),
    }
    return refresh(scope, "backlog", BACKLOG_TABLES, {WHOLE: facts}, compute)
