"""Friction, pain points and the backlog as marts."""

from collections.abc import Iterator

import dagster as dg
import polars as pl

from opsanalytics.analysis.improvement import feedback_themes, improvement
from opsanalytics.analysis.scope import Scope, complete_through
from opsanalytics.assets import keys
from opsanalytics.assets.behavior import mart_result, mart_spec
from opsanalytics.assets.previews import table_preview
from opsanalytics.config import Settings
from opsanalytics.feedback.tables import FEEDBACK_ASSIGNMENTS, FEEDBACK_THEMES
from opsanalytics.improvement.tables import BACKLOG, FRICTION, PAIN_POINT_PERSONS, PAIN_POINTS

SHOWN = ["rank", "lane", "status", "title", "reach", "impact", "confidence", "effort_weeks", "score"]


def friction_and_backlog(settings: Settings) -> dg.AssetsDefinition:
    """All improvement marts in one step: each is made of the ones before."""
    upstream = [keys.EVENTS, keys.PERSONS, keys.LEDGER, keys.MONITORING]
    themes = [dg.AssetKey(table.name) for table in (FEEDBACK_THEMES, FEEDBACK_ASSIGNMENTS)]
    tables = (FRICTION, PAIN_POINTS, PAIN_POINT_PERSONS, BACKLOG)

    @dg.multi_asset(
        name="improvement",
        specs=[mart_spec(settings, table, keys.IMPROVEMENT, [*upstream, *themes]) for table in tables],
    )
    def improvement_marts() -> Iterator[dg.MaterializeResult]:
        scope = Scope(settings, complete_through(settings))
        found = improvement(scope, feedback_themes(scope))
        unavailable = found.friction.filter(~pl.col("available")).select("signal", "reason")
        yield mart_result(settings, FRICTION, found.friction, **{"not available": table_preview(unavailable)})
        yield mart_result(settings, PAIN_POINTS, found.pain_points)
        yield mart_result(settings, PAIN_POINT_PERSONS, found.pain_point_persons)
        yield mart_result(
            settings, BACKLOG, found.backlog, ranking=table_preview(found.backlog.select(SHOWN), 15)
        )

    return improvement_marts
