"""Funnels and retention as marts."""

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType

import dagster as dg
import polars as pl

from opsanalytics.analysis.marts import FUNNEL_TABLES, definition_mart, funnel_marts, retention_marts
from opsanalytics.analysis.refresh import Refreshed
from opsanalytics.analysis.scope import Scope, frame_digest
from opsanalytics.assets import keys
from opsanalytics.assets.previews import bars_preview, table_preview
from opsanalytics.behavior.tables import FUNNEL_STEPS, METRIC_DEFINITIONS, RETENTION_CELLS
from opsanalytics.config import Settings
from opsanalytics.lake.tables import Table

UPSTREAM = [keys.EVENTS, keys.PERSONS, keys.LEDGER, keys.MONITORING]
DAYS_SHOWN = 100


def mart_spec(settings: Settings, table: Table, group: str, deps: list[dg.AssetKey]) -> dg.AssetSpec:
    """The asset of one mart: its name and description are the table's."""
    return dg.AssetSpec(
        key=table.name,
        deps=deps,
        group_name=group,
        kinds={"polars", "parquet"},
        owners=list(settings.project.owners),
        description=table.description,
        metadata={
            "dagster/column_schema": dg.TableSchema(
                columns=[
                    dg.TableColumn(column.name, str(column.dtype), column.description)
                    for column in table.columns
                ]
            )
        },
    )


def mart_result(
    table: Table,
    refreshed: Refreshed,
    metadata: Mapping[str, dg.MetadataValue] = MappingProxyType({}),
    *,
    checks: Sequence[dg.AssetCheckResult] = (),
) -> dg.MaterializeResult:
    """What happened to one mart of a step, and the checks of it.

    Its data version is its content, so that Dagster knows whether anything downstream is out of date.
    """
    frame = refreshed.frames[table.name]
    return dg.MaterializeResult(
        asset_key=table.name,
        check_results=list(checks),
        data_version=dg.DataVersion(frame_digest(frame)),
        metadata={
            "dagster/row_count": frame.height,
            "preview": table_preview(frame),
            **metadata,
            **_refreshed(table, refreshed),
        },
    )


def _refreshed(table: Table, refreshed: Refreshed) -> dict[str, dg.MetadataValue | str | int]:
    if refreshed.unchanged:
        return {"computed": "unchanged: nothing it depends on has changed"}
    told: dict[str, dg.MetadataValue | str | int] = {
        "computed": f"because of: {', '.join(refreshed.because)}",
        "rows changed": refreshed.rows_changed[table.name],
    }
    if refreshed.kept:
        told["left alone"] = ", ".join(refreshed.kept)
    if refreshed.days.height:
        told["days that changed"] = table_preview(refreshed.days, DAYS_SHOWN)
    return told


def funnels(settings: Settings) -> dg.AssetsDefinition:
    """All funnel marts in one step: they read the same events."""
    tables = (*FUNNEL_TABLES, METRIC_DEFINITIONS)

    @dg.multi_asset(
        name="funnels", specs=[mart_spec(settings, table, keys.BEHAVIOR, UPSTREAM) for table in tables]
    )
    def funnels(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult]:
        scope = Scope.of(settings)
        context.log.info(f"as of {scope.as_of:%Y-%m-%d %H:%M} UTC")
        refreshed = funnel_marts(scope)
        steps = refreshed.frames[FUNNEL_STEPS.name]
        labels = [f"{row['funnel']}: {row['step_name']}" for row in steps.iter_rows(named=True)]
        rates = bars_preview(labels, steps["rate"].to_list())
        for table in FUNNEL_TABLES:
            yield mart_result(table, refreshed, {"rates": rates} if table is FUNNEL_STEPS else {})
        yield mart_result(METRIC_DEFINITIONS, definition_mart(scope))

    return funnels


def retention(settings: Settings) -> dg.AssetsDefinition:
    """The retention mart."""

    @dg.multi_asset(name="retention", specs=[mart_spec(settings, RETENTION_CELLS, keys.BEHAVIOR, UPSTREAM)])
    def retention() -> dg.MaterializeResult:
        refreshed = retention_marts(Scope.of(settings))
        pooled = refreshed.frames[RETENTION_CELLS.name].filter(pl.col("cohort").is_null())
        labels = [f"{row['retention']}: period {row['period']}" for row in pooled.iter_rows(named=True)]
        curve = bars_preview(labels, pooled["rate"].to_list())
        return mart_result(RETENTION_CELLS, refreshed, {"pooled curve": curve})

    return retention
