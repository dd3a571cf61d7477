"""The improvement stage as one pure function: from behaviour and feedback to the ranked backlog."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import polars as pl

from opsanalytics.behavior.population import FunnelPersons
from opsanalytics.feedback.themes import Themes
from opsanalytics.improvement.backlog import rank_backlog
from opsanalytics.improvement.friction import find_friction
from opsanalytics.improvement.pain_points import find_pain_points
from opsanalytics.improvement.settings import BacklogSettings, FrictionSettings, PainPointSettings


@dataclass(frozen=True)
class Improvement:
    """Frames conform to FRICTION, PAIN_POINTS, PAIN_POINT_PERSONS, PAIN_POINT_GROUPS,
    PAIN_POINT_OVERLAPS and BACKLOG."""

    friction: pl.DataFrame
    pain_points: pl.DataFrame
    pain_point_persons: pl.DataFrame
    pain_point_groups: pl.DataFrame
    pain_point_overlaps: pl.DataFrame
    backlog: pl.DataFrame


def analyse_improvement(
    events: pl.LazyFrame,
    funnels: Sequence[FunnelPersons],
    themes: Themes,
    *,
    as_of: datetime,
    friction: FrictionSettings | None = None,
    pain_points: PainPointSettings | None = None,
    backlog: BacklogSettings | None = None,
    quality: str = "not_checked",
) -> Improvement:
    """Find friction and pain points and rank them. The same for the same input, whatever its order.

    Args:
        events: columns person, event, ts and, where there are any, session_id, url, platform,
            app_version, properties (JSON); as `lake.events.scan_events` gives them.
        funnels: definitions with how far each mature entrant got.
        themes: what people said, as `feedback.themes.find_themes` gives them.
        as_of: data up to here is complete, UTC.
        friction, pain_points, backlog: settings; the defaults if not given.
        quality: state of the quality checks upstream.
    """
    thresholds = pain_points or PainPointSettings()
    signals = find_friction(
        events,
        friction or FrictionSettings(),
        [funnel.definition for funnel in funnels],
        as_of=as_of,
        quality=quality,
    )
    found = find_pain_points(funnels, signals, themes, thresholds, as_of=as_of, quality=quality)
    ranked = rank_backlog(found.items, backlog or BacklogSettings(), thresholds, as_of=as_of)
    return Improvement(signals.friction, found.items, found.persons, found.groups, found.overlaps, ranked)
