"""Results of quality checks as Dagster asset checks, with the failing values beside them."""

from collections.abc import Iterable, Sequence

import dagster as dg
import polars as pl

from opsanalytics.assets.previews import table_preview
from opsanalytics.quality.results import CheckOutcome
from opsanalytics.quality.rules import Rule

SHOWN = 20


def check_specs(asset: dg.AssetKey, rules: Iterable[Rule]) -> list[dg.AssetCheckSpec]:
    """One check a rule, so that each has its own history in the UI."""
    return [
        dg.AssetCheckSpec(rule.name, asset=asset, description=rule.description, blocking=rule.blocking)
        for rule in rules
    ]


def check_results(
    asset: dg.AssetKey, rules: Sequence[Rule], outcomes: Sequence[CheckOutcome]
) -> list[dg.AssetCheckResult]:
    """One result a rule over all partitions that were checked; failing partitions are listed."""
    return [_result(asset, rule, [each for each in outcomes if each.check == rule.name]) for rule in rules]


def _result(asset: dg.AssetKey, rule: Rule, outcomes: Sequence[CheckOutcome]) -> dg.AssetCheckResult:
    failed = [outcome for outcome in outcomes if not outcome.passed]
    metadata: dict[str, dg.MetadataValue | int] = {
        "partitions checked": len(outcomes),
        "rows checked": sum(outcome.checked for outcome in outcomes),
        "rows that failed": sum(outcome.unexpected or 0 for outcome in failed),
    }
    if failed:
        metadata["failing values"] = table_preview(
            pl.DataFrame(
                {
                    "partition": [outcome.partition for outcome in failed],
                    "failed": [outcome.unexpected for outcome in failed],
                    "of": [outcome.checked for outcome in failed],
                    "examples (redacted)": [", ".join(outcome.examples) for outcome in failed],
                }
            ),
            SHOWN,
        )
    return dg.AssetCheckResult(
        asset_key=asset,
        check_name=rule.name,
        passed=not failed,
        severity=dg.AssetCheckSeverity.ERROR if rule.severity == "error" else dg.AssetCheckSeverity.WARN,
        description=rule.description
        if not failed
        else f"{rule.description} Failed in {len(failed)} of {len(outcomes)} partitions.",
        metadata=metadata,
    )
