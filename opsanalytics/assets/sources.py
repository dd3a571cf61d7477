"""Sources beside each other."""

from datetime import UTC, datetime

import dagster as dg
import polars as pl

from opsanalytics.analysis.scope import Scope
from opsanalytics.analysis.sources import COUNTED_ONCE, DESCRIPTION, check_counted_once, comparison_mart
from opsanalytics.assets import keys
from opsanalytics.assets.behavior import UPSTREAM, mart_result, mart_spec
from opsanalytics.assets.previews import table_preview
from opsanalytics.behavior.source_comparison import SOURCE_COMPARISON
from opsanalytics.config import Settings

SHOWN = [
    "source_a",
    "source_b",
    "event",
    "events_a",
    "events_b",
    "persons_both",
    "ratio",
    "verdict",
    "relation",
]


def source_comparison(settings: Settings) -> dg.AssetsDefinition:
    """The reconciliation of vendors, day by day."""

    @dg.multi_asset(
        name="source_comparison",
        specs=[mart_spec(settings, SOURCE_COMPARISON, keys.BOOKS, UPSTREAM)],
        check_specs=[dg.AssetCheckSpec(COUNTED_ONCE, asset=SOURCE_COMPARISON.name, description=DESCRIPTION)],
    )
    def source_comparison() -> dg.MaterializeResult:
        scope = Scope.of(settings)
        refreshed = comparison_mart(scope)
        frame = refreshed.frames[SOURCE_COMPARISON.name]
        outcomes = check_counted_once(scope, frame, checked_at=datetime.now(UTC))
        failed = [outcome for outcome in outcomes if not outcome.passed]
        found = pl.DataFrame(
            {
                "sources": [outcome.partition for outcome in outcomes],
                "person-days in the smaller": [outcome.checked for outcome in outcomes],
                "also in the other": [outcome.unexpected for outcome in outcomes],
                "counted twice": [not outcome.passed for outcome in outcomes],
            }
        )
        check = dg.AssetCheckResult(
            asset_key=SOURCE_COMPARISON.name,
            check_name=COUNTED_ONCE,
            passed=not failed,
            severity=dg.AssetCheckSeverity.WARN,
            description=DESCRIPTION if not failed else _advice(failed[0].partition),
            metadata={"pairs of sources": table_preview(found, 20)},
        )
        whole = table_preview(frame.filter(pl.col("day").is_null()).select(SHOWN), 30)
        return mart_result(SOURCE_COMPARISON, refreshed, {"all days": whole}, checks=[check])

    return source_comparison


def _advice(pair: str) -> str:
    return (
        f"{pair} send the same events of the same persons, so everybody counts twice. Say which one counts: "
        f"[[overlaps]] with prefer = [...] in opsanalytics.toml, or name the sources of each funnel."
    )
