"""Drift, unusual volumes and silence as marts with asset checks that warn."""

from collections.abc import Iterator
from datetime import UTC, datetime

import dagster as dg
import polars as pl

from opsanalytics.analysis.marts import MONITORING_TABLES, monitoring_marts
from opsanalytics.analysis.monitoring import (
    DESCRIPTIONS,
    DRIFT,
    FRESHNESS,
    PLAN,
    VOLUME,
    Monitoring,
    counted_events,
    record_monitoring,
)
from opsanalytics.analysis.scope import Scope
from opsanalytics.assets import keys
from opsanalytics.assets.behavior import mart_result, mart_spec
from opsanalytics.assets.failures import clear_failures
from opsanalytics.assets.previews import table_preview
from opsanalytics.config import Settings
from opsanalytics.quality.results import CheckOutcome
from opsanalytics.quality.tables import EVENT_DRIFT, EVENT_FRESHNESS, VOLUME_ANOMALIES

TABLE_OF = {VOLUME: VOLUME_ANOMALIES, FRESHNESS: EVENT_FRESHNESS, DRIFT: EVENT_DRIFT, PLAN: EVENT_DRIFT}


def event_monitoring(settings: Settings) -> dg.AssetsDefinition:
    """All monitoring marts in one step: they read the same profiles."""

    @dg.multi_asset(
        name="event_monitoring",
        specs=[mart_spec(settings, table, keys.BOOKS, [keys.EVENTS]) for table in MONITORING_TABLES],
        check_specs=[
            dg.AssetCheckSpec(check, asset=table.name, description=DESCRIPTIONS[check])
            for check, table in TABLE_OF.items()
        ],
    )
    def event_monitoring(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult]:
        with clear_failures():
            scope = Scope.of(settings)
            refreshed = monitoring_marts(scope)
            found = Monitoring(
                scope.as_of,
                drift=refreshed.frames[EVENT_DRIFT.name],
                volumes=refreshed.frames[VOLUME_ANOMALIES.name],
                freshness=refreshed.frames[EVENT_FRESHNESS.name],
                counted=counted_events(settings),
            )
            outcomes = record_monitoring(settings, found, checked_at=datetime.now(UTC))
        context.log.info(f"as of {found.as_of:%Y-%m-%d %H:%M} UTC")
        alarms = found.volumes.filter(pl.col("verdict").is_in(["drop", "spike"]))
        silent = found.freshness.filter(pl.col("verdict") == "silent")
        shown = {
            EVENT_DRIFT: found.drift.sort("warns", descending=True, maintain_order=True),
            VOLUME_ANOMALIES: alarms,
            EVENT_FRESHNESS: silent,
        }
        for table in MONITORING_TABLES:
            checks = [_check(name, outcomes) for name, of in TABLE_OF.items() if of is table]
            told = {"findings": table_preview(shown[table].drop("as_of"), 20)}
            yield mart_result(table, refreshed, told, checks=checks)

    return event_monitoring


def _check(name: str, outcomes: list[CheckOutcome]) -> dg.AssetCheckResult:
    own = [outcome for outcome in outcomes if outcome.check == name]
    failed = [outcome for outcome in own if not outcome.passed]
    findings = "\n".join(
        f"- {outcome.partition}: {example}" for outcome in reversed(failed) for example in outcome.examples
    )
    return dg.AssetCheckResult(
        asset_key=TABLE_OF[name].name,
        check_name=name,
        passed=not failed,
        severity=dg.AssetCheckSeverity.WARN,
        description=DESCRIPTIONS[name],
        metadata={
            "looked at": max(outcome.checked for outcome in own),
            "findings": sum(outcome.unexpected or 0 for outcome in failed),
            "days with findings": len(failed),
            "newest first": dg.MetadataValue.md(findings or "none"),
        },
    )
