"""Funnels and retention as marts."""

from collections.abc import Iterator

import dagster as dg
import polars as pl

from opsanalytics.analysis import behavior
from opsanalytics.analysis.scope import Scope, complete_through
from opsanalytics.assets import keys
from opsanalytics.assets.previews import bars_preview, table_preview
from opsanalytics.behavior.tables import (
    FUNNEL_BREAKDOWN,
    FUNNEL_COMPARISON,
    FUNNEL_STEPS,
    FUNNEL_TIMES,
    FUNNEL_TREND,
    METRIC_DEFINITIONS,
    RETENTION_CELLS,
)
from opsanalytics.config import Settings
from opsanalytics.lake.marts import write_mart
from opsanalytics.lake.tables import Table

UPSTREAM = [keys.EVENTS, keys.PERSONS, keys.LEDGER]


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
    settings: Settings, table: Table, frame: pl.DataFrame, **metadata: dg.MetadataValue
) -> dg.MaterializeResult:
    """Write the mart and describe what was written."""
    written = write_mart(settings.home, table, frame)
    return dg.MaterializeResult(
        asset_key=table.name,
        metadata={"dagster/row_count": written.height, "preview": table_preview(written), **metadata},
    )


def funnels(settings: Settings) -> dg.AssetsDefinition:
    """All funnel marts in one step: they read the same events."""
    tables = (
        FUNNEL_STEPS,
        FUNNEL_TREND,
        FUNNEL_TIMES,
        FUNNEL_COMPARISON,
        FUNNEL_BREAKDOWN,
        METRIC_DEFINITIONS,
    )

    @dg.multi_asset(
        name="funnels", specs=[mart_spec(settings, table, keys.BEHAVIOR, UPSTREAM) for table in tables]
    )
    def funnels(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult]:
        scope = Scope(settings, complete_through(settings))
        context.log.info(f"as of {scope.as_of:%Y-%m-%d %H:%M} UTC")
        results = behavior.funnel_results(scope)
        steps = behavior.funnel_steps(scope, results)
        labels = [f"{row['funnel']}: {row['step_name']}" for row in steps.iter_rows(named=True)]
        yield mart_result(settings, FUNNEL_STEPS, steps, rates=bars_preview(labels, steps["rate"].to_list()))
        yield mart_result(settings, FUNNEL_TREND, behavior.funnel_trends(scope))
        yield mart_result(settings, FUNNEL_TIMES, behavior.funnel_times(scope, results))
        yield mart_result(settings, FUNNEL_COMPARISON, behavior.funnel_comparisons(scope))
        yield mart_result(settings, FUNNEL_BREAKDOWN, behavior.funnel_breakdowns(scope))
        yield mart_result(settings, METRIC_DEFINITIONS, behavior.metric_definitions(settings))

    return funnels


def retention(settings: Settings) -> dg.AssetsDefinition:
    """The retention mart."""

    @dg.multi_asset(name="retention", specs=[mart_spec(settings, RETENTION_CELLS, keys.BEHAVIOR, UPSTREAM)])
    def retention() -> dg.MaterializeResult:
        scope = Scope(settings, complete_through(settings))
        cells = behavior.retention_cells(scope)
        pooled = cells.filter(pl.col("cohort").is_null())
        labels = [f"{row['retention']}: period {row['period']}" for row in pooled.iter_rows(named=True)]
        return mart_result(
            settings,
            RETENTION_CELLS,
            cells,
            **{"pooled curve": bars_preview(labels, pooled["rate"].to_list())},
        )

    return retention
