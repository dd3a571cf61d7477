"""Sessions, paths, cohorts and drop-off diagnoses as marts; empty where the configuration asks for none."""

from collections.abc import Callable, Iterator, Sequence

import dagster as dg

from opsanalytics.analysis.marts import (
    COHORT_TABLES,
    DIAGNOSIS_TABLES,
    cohort_marts,
    diagnosis_marts,
    path_marts,
    session_marts,
)
from opsanalytics.analysis.refresh import Refreshed
from opsanalytics.analysis.scope import Scope
from opsanalytics.assets import keys
from opsanalytics.assets.behavior import UPSTREAM, mart_result, mart_spec
from opsanalytics.behavior.tables_journeys import PATHS, SESSIONS
from opsanalytics.config import Settings
from opsanalytics.lake.tables import Table


def journeys(settings: Settings) -> list[dg.AssetsDefinition]:
    """The assets of the sections `sessions`, `paths`, `cohorts` and `diagnoses`."""
    return [
        _marts(settings, "sessions_of_people", [SESSIONS], session_marts),
        _marts(settings, "paths_of_people", [PATHS], path_marts),
        _marts(settings, "drop_off_diagnoses", DIAGNOSIS_TABLES, diagnosis_marts),
        _marts(settings, "cohorts_of_people", COHORT_TABLES, cohort_marts),
    ]


def _marts(
    settings: Settings, name: str, tables: Sequence[Table], refreshed: Callable[[Scope], Refreshed]
) -> dg.AssetsDefinition:
    """The tables of one step as one asset each."""

    @dg.multi_asset(
        name=name, specs=[mart_spec(settings, table, keys.BEHAVIOR, UPSTREAM) for table in tables]
    )
    def step() -> Iterator[dg.MaterializeResult]:
        done = refreshed(Scope.of(settings))
        for table in tables:
            yield mart_result(table, done)

    return step
