"""Friction, pain points, verdicts on fixes and the backlog as marts."""

from collections.abc import Iterator

import dagster as dg
import polars as pl

from opsanalytics.analysis.marts import (
    BACKLOG_TABLES,
    IMPROVEMENT_TABLES,
    VERIFICATION_TABLES,
    backlog_marts,
    improvement_marts,
    verification_marts,
)
from opsanalytics.analysis.scope import Scope
from opsanalytics.assets import keys
from opsanalytics.assets.behavior import mart_result, mart_spec
from opsanalytics.assets.previews import table_preview
from opsanalytics.config import Settings
from opsanalytics.feedback.tables import FEEDBACK_ASSIGNMENTS, FEEDBACK_THEMES
from opsanalytics.improvement.tables import (
    BACKLOG,
    BACKLOG_HISTORY,
    FRICTION,
    PAIN_POINT_GROUPS,
    PAIN_POINT_OVERLAPS,
    PAIN_POINT_PERSONS,
    PAIN_POINTS,
)
from opsanalytics.improvement.verification.tables import VERIFICATIONS

JUDGED = ["title", "outcome", "change", "change_low", "change_high", "expected", "next_look", "reason"]
SHOWN = [
    "rank",
    "lane",
    "status",
    "state",
    "owner",
    "title",
    "reach",
    "impact",
    "confidence",
    "effort_weeks",
    "score",
]


def friction_and_backlog(settings: Settings) -> dg.AssetsDefinition:
    """All improvement marts in one step: each is made of the ones before."""
    upstream = [keys.EVENTS, keys.PERSONS, keys.LEDGER, keys.MONITORING]
    themes = [dg.AssetKey(table.name) for table in (FEEDBACK_THEMES, FEEDBACK_ASSIGNMENTS)]

    @dg.multi_asset(
        name="improvement",
        specs=[
            mart_spec(settings, table, keys.IMPROVEMENT, [*upstream, *themes])
            for table in (*IMPROVEMENT_TABLES, *VERIFICATION_TABLES, *BACKLOG_TABLES)
        ],
    )
    def improvement() -> Iterator[dg.MaterializeResult]:
        scope = Scope.of(settings)
        refreshed, verified, ranked = (
            improvement_marts(scope),
            verification_marts(scope),
            backlog_marts(scope),
        )
        friction = refreshed.frames[FRICTION.name]
        unavailable = friction.filter(~pl.col("available")).select("signal", "reason")
        ranking = ranked.frames[BACKLOG.name].select(SHOWN)
        yield mart_result(FRICTION, refreshed, {"not available": table_preview(unavailable)})
        yield mart_result(PAIN_POINTS, refreshed)
        yield mart_result(PAIN_POINT_PERSONS, refreshed)
        yield mart_result(PAIN_POINT_GROUPS, refreshed)
        yield mart_result(PAIN_POINT_OVERLAPS, refreshed)
        verdicts = verified.frames[VERIFICATIONS.name].select(JUDGED)
        for table in VERIFICATION_TABLES:
            more = {"verdicts": table_preview(verdicts)} if table == VERIFICATIONS else {}
            yield mart_result(table, verified, more)
        yield mart_result(BACKLOG, ranked, {"ranking": table_preview(ranking, 15)})
        yield mart_result(BACKLOG_HISTORY, ranked)

    return improvement
