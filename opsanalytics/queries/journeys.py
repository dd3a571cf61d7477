"""The questions `opsanalytics.sessions`, `paths` and `cohort`."""

from collections.abc import Mapping
from datetime import date, datetime
from pathlib import Path
from typing import Any, TypeAlias

import polars as pl

from opsanalytics.behavior import cohorts as cohort_counts
from opsanalytics.behavior import paths as path_counts
from opsanalytics.behavior import sessions as session_counts
from opsanalytics.behavior.cohort_spec import Cohort
from opsanalytics.behavior.journey_spec import Paths, Sessions
from opsanalytics.behavior.periods import Weekday
from opsanalytics.behavior.rows import Events
from opsanalytics.queries.ask import answered
from opsanalytics.queries.inputs import EventsOrLake, as_definition, day_of
from opsanalytics.queries.journey_answers import CohortResult, PathsResult, SessionsResult

SessionsLike: TypeAlias = Sessions | Mapping[str, Any] | str | Path
PathsLike: TypeAlias = Paths | Mapping[str, Any] | str | Path
CohortLike: TypeAlias = Cohort | Mapping[str, Any] | str | Path


def sessions(
    events: EventsOrLake,
    definition: SessionsLike | None = None,
    *,
    as_of: datetime | None = None,
    timezone: str = "UTC",
    week_start: Weekday = "monday",
    persons: pl.DataFrame | None = None,
) -> SessionsResult:
    """Cut events into sessions and count them.

    Args:
        events, as_of, persons: as `funnel`.
        definition: a `Sessions`, its fields as a mapping, or a JSON or TOML file; its defaults if not given.
        timezone, week_start: calendar of midnight and of the periods.

    Raises:
        as `funnel`.
    """
    asked = as_definition(definition or {}, Sessions)

    def of_table(table: Events, end: datetime) -> SessionsResult:
        return SessionsResult(
            session_counts.sessions(table, asked, as_of=end, timezone=timezone, week_start=week_start)
        )

    return answered(events, persons, as_of, of_table)


def paths(
    events: EventsOrLake,
    definition: PathsLike | None = None,
    *,
    as_of: datetime | None = None,
    first: date | str | None = None,
    last: date | str | None = None,
    timezone: str = "UTC",
    persons: pl.DataFrame | None = None,
) -> PathsResult:
    """What people did after, or before, an event or a step of a funnel.

    Args:
        events, as_of, persons: as `funnel`.
        definition: a `Paths`, its fields as a mapping, or a JSON or TOML file; its defaults if not given.
        first, last: local days, or times with a zone, that limit the anchors (a funnel's entries), inclusive.
        timezone: IANA zone of these days.

    Raises:
        as `funnel`; ValueError also if the definition only names its funnel or cohort.
    """
    asked = as_definition(definition or {}, Paths)
    days = {"first": day_of("first", first), "last": day_of("last", last)}

    def of_table(table: Events, end: datetime) -> PathsResult:
        return PathsResult(path_counts.paths(table, asked, as_of=end, timezone=timezone, **days))

    return answered(events, persons, as_of, of_table)


def cohort(
    events: EventsOrLake,
    definition: CohortLike,
    *,
    as_of: datetime | None = None,
    timezone: str = "UTC",
    persons: pl.DataFrame | None = None,
) -> CohortResult:
    """Who belongs to a cohort at `as_of`.

    Args:
        events, as_of, persons: as `funnel`.
        definition: a `Cohort`, its fields as a mapping, or a JSON or TOML file.
        timezone: IANA zone of the local days in the definition.

    Raises:
        as `funnel`; ValueError also if the definition only names another cohort.
    """
    asked = as_definition(definition, Cohort)

    def of_table(table: Events, end: datetime) -> CohortResult:
        return CohortResult(cohort_counts.cohort(table, asked, as_of=end, timezone=timezone))

    return answered(events, persons, as_of, of_table)
