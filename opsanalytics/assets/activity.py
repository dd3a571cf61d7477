"""Lifecycle, stickiness, usage interval and trends as marts."""

from collections.abc import Callable, Iterator

import dagster as dg

from opsanalytics.analysis import activity
from opsanalytics.analysis.marts import (
    lifecycle_marts,
    stickiness_marts,
    trends_marts,
    usage_interval_marts,
)
from opsanalytics.analysis.refresh import Refreshed
from opsanalytics.analysis.scope import Scope
from opsanalytics.assets import keys
from opsanalytics.assets.behavior import UPSTREAM, mart_result, mart_spec
from opsanalytics.config import Settings
from opsanalytics.lake.tables import Table

STEPS: tuple[tuple[tuple[Table, ...], Callable[[Scope], Refreshed]], ...] = (
    (activity.LIFECYCLE_TABLES, lifecycle_marts),
    (activity.STICKINESS_TABLES, stickiness_marts),
    (activity.USAGE_INTERVAL_TABLES, usage_interval_marts),
    (activity.TRENDS_TABLES, trends_marts),
)


def use_over_time(settings: Settings) -> dg.AssetsDefinition:
    """All of these marts in one step: they read the same events."""
    specs = [mart_spec(settings, table, keys.BEHAVIOR, UPSTREAM) for tables, _ in STEPS for table in tables]

    @dg.multi_asset(name="use_over_time", specs=specs)
    def use_over_time() -> Iterator[dg.MaterializeResult]:
        scope = Scope.of(settings)
        for tables, refreshed_by in STEPS:
            refreshed = refreshed_by(scope)
            for table in tables:
                yield mart_result(table, refreshed)

    return use_over_time
