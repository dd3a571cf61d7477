"""Canonical feedback, and the themes in it."""

import os
from collections.abc import Iterator
from datetime import UTC, datetime

import dagster as dg
import polars as pl

from opsanalytics.analysis.improvement import encoder_in_use
from opsanalytics.analysis.marts import THEME_TABLES, theme_marts
from opsanalytics.analysis.scope import Scope
from opsanalytics.assets import keys
from opsanalytics.assets.behavior import mart_result, mart_spec
from opsanalytics.assets.checks import check_results, check_specs
from opsanalytics.assets.failures import clear_failures
from opsanalytics.assets.previews import table_preview
from opsanalytics.cleaning.feedback import clean_feedback
from opsanalytics.config import Settings
from opsanalytics.feedback.tables import FEEDBACK_ASSIGNMENTS, FEEDBACK_THEMES, THEME_HISTORY
from opsanalytics.lake.publish import read_feedback
from opsanalytics.quality.generated import feedback_rules
from opsanalytics.quality.validate import validate_feedback


def feedback(settings: Settings) -> dg.AssetsDefinition:
    """Canonical feedback of all sources."""
    rules = feedback_rules(settings.quality)

    @dg.asset(
        key=keys.FEEDBACK,
        deps=[keys.landing(source.name) for source in settings.feedback_sources],
        group_name=keys.FEEDBACK_GROUP,
        kinds={"polars", "parquet", "greatexpectations"},
        owners=list(settings.project.owners),
        check_specs=check_specs(keys.FEEDBACK, rules),
        description=(
            "What users said: surveys, forms, reviews and tickets in one table, ratings on one scale, e-mail "
            "addresses, phone and card numbers redacted."
        ),
    )
    def feedback() -> dg.MaterializeResult:
        before = read_feedback(settings.home).height
        with clear_failures():
            privacy = settings.privacy_rules(os.environ)
            reports = [
                clean_feedback(source, settings.home, privacy=privacy.get(source.name))
                for source in settings.feedback_sources
            ]
        outcomes = validate_feedback(
            settings.home,
            [source.name for source in settings.feedback_sources],
            checked_at=datetime.now(UTC),
            rules=rules,
        )
        frame = read_feedback(settings.home)
        by_source = frame.group_by("source").agg(
            pl.len().alias("messages"),
            pl.col("rating").count().alias("rated"),
            pl.col("ts").max().alias("newest"),
        )
        return dg.MaterializeResult(
            metadata={
                "dagster/row_count": frame.height,
                "messages before": before,
                "quarantined": sum(report.quarantined for report in reports),
                "by source": table_preview(by_source.sort("source")),
            },
            check_results=check_results(keys.FEEDBACK, rules, outcomes),
        )

    return feedback


def themes(settings: Settings) -> dg.AssetsDefinition:
    """Theme marts."""

    @dg.multi_asset(
        name="themes",
        specs=[
            mart_spec(settings, table, keys.FEEDBACK_GROUP, [keys.FEEDBACK, keys.PERSONS, keys.LEDGER])
            for table in THEME_TABLES
        ],
    )
    def themes() -> Iterator[dg.MaterializeResult]:
        scope = Scope.of(settings)
        refreshed = theme_marts(scope)
        shown = refreshed.frames[FEEDBACK_THEMES.name].select(
            "rank", "label", "authors", "share", "satisfaction", "recent", "earlier", "trend"
        )
        yield mart_result(
            FEEDBACK_THEMES,
            refreshed,
            {"themes": table_preview(shown, 20), "encoder": dg.MetadataValue.text(encoder_in_use(scope))},
        )
        unassigned = refreshed.frames[FEEDBACK_ASSIGNMENTS.name]["theme_id"].null_count()
        yield mart_result(FEEDBACK_ASSIGNMENTS, refreshed, {"unassigned": dg.MetadataValue.int(unassigned)})
        history = refreshed.frames[THEME_HISTORY.name].sort("at", descending=True)
        yield mart_result(THEME_HISTORY, refreshed, {"last": table_preview(history.drop("as_of"), 20)})

    return themes
