"""Marts of drop-off diagnosis."""

from collections.abc import Sequence

import polars as pl

from opsanalytics.analysis.behavior import segment_of
from opsanalytics.analysis.scope import Scope
from opsanalytics.behavior.diagnosis import DiagnosisResult, diagnose
from opsanalytics.behavior.diagnosis_spec import Diagnosis
from opsanalytics.behavior.marts import mart_rows
from opsanalytics.behavior.spec import Funnel
from opsanalytics.behavior.tables_diagnosis import DROP_OFF_DIAGNOSIS, DROP_OFF_NEXT, DROP_OFF_STEPS
from opsanalytics.improvement.friction import friction_met


def diagnosis_results(scope: Scope, definitions: Sequence[Diagnosis]) -> list[DiagnosisResult]:
    """Diagnoses by the configured segments and friction."""
    return [_diagnosed(scope, each) for each in definitions]


def _diagnosed(scope: Scope, definition: Diagnosis) -> DiagnosisResult:
    settings, funnel = scope.settings, definition.funnel
    if not isinstance(funnel, Funnel):
        raise TypeError(f"{definition.name}: the configuration has not put the funnel in")
    events = scope.events_for(funnel.sources)
    return diagnose(
        events,
        definition,
        as_of=scope.as_of,
        first=scope.first_entry,
        timezone=settings.project.timezone,
        segments=[segment_of(each) for each in settings.segments],
        signals=friction_met(events, settings.friction, funnel, as_of=scope.as_of),
    )


def diagnosis_rows(scope: Scope, definitions: Sequence[Diagnosis]) -> dict[str, pl.DataFrame]:
    """DROP_OFF_STEPS, DROP_OFF_DIAGNOSIS and DROP_OFF_NEXT by name."""
    results = diagnosis_results(scope, definitions)
    quality = scope.event_quality
    return {
        DROP_OFF_STEPS.name: mart_rows(DROP_OFF_STEPS, [one.summary() for one in results], quality=quality),
        DROP_OFF_DIAGNOSIS.name: mart_rows(
            DROP_OFF_DIAGNOSIS, [one.to_polars() for one in results], quality=quality
        ),
        DROP_OFF_NEXT.name: mart_rows(DROP_OFF_NEXT, [one.instead for one in results], quality=quality),
    }
