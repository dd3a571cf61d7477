"""Marts of sessions, paths and cohorts."""

import polars as pl

from opsanalytics.analysis.scope import Scope
from opsanalytics.behavior.cohorts import cohort
from opsanalytics.behavior.marts import mart_rows
from opsanalytics.behavior.paths import paths
from opsanalytics.behavior.sessions import sessions
from opsanalytics.behavior.tables_journeys import COHORT_PERSONS, COHORTS, PATHS, SESSIONS


def session_rows(scope: Scope) -> pl.DataFrame:
    """SESSIONS: every configured definition."""
    project = scope.settings.project
    frames = [
        sessions(
            scope.events_for(each.sources),
            each,
            as_of=scope.as_of,
            timezone=project.timezone,
            week_start=project.week_start,
        ).to_polars()
        for each in scope.settings.sessions
    ]
    return mart_rows(SESSIONS, frames, quality=scope.event_quality)


def path_rows(scope: Scope) -> pl.DataFrame:
    """PATHS: every configured definition."""
    frames = [
        paths(
            scope.events_for(each.sources),
            each,
            as_of=scope.as_of,
            first=scope.first_entry,
            timezone=scope.settings.project.timezone,
        ).to_polars()
        for each in scope.settings.paths
    ]
    return mart_rows(PATHS, frames, quality=scope.event_quality)


def cohort_rows(scope: Scope) -> tuple[pl.DataFrame, pl.DataFrame]:
    """COHORTS and COHORT_PERSONS: every configured cohort."""
    found = [
        cohort(
            scope.events_for(each.sources),
            each,
            as_of=scope.as_of,
            timezone=scope.settings.project.timezone,
        )
        for each in scope.settings.cohorts
    ]
    quality = scope.event_quality
    members = [one.members().with_columns(pl.col("person").cast(pl.String)) for one in found]
    return (
        mart_rows(COHORTS, [one.to_polars() for one in found], quality=quality),
        mart_rows(COHORT_PERSONS, members, quality=quality),
    )
