"""Themes, friction, pain points and the backlog."""

from opsanalytics.analysis.behavior import funnel_results
from opsanalytics.analysis.scope import Scope
from opsanalytics.behavior.population import FunnelPersons
from opsanalytics.config import Settings
from opsanalytics.feedback.themes import Themes, find_themes
from opsanalytics.improvement.analysis import Improvement, analyse_improvement
from opsanalytics.improvement.settings import PainPointSettings


def feedback_themes(scope: Scope) -> Themes:
    """FEEDBACK_THEMES, FEEDBACK_ASSIGNMENTS and THEME_HISTORY."""
    return find_themes(
        scope.feedback,
        scope.persons,
        as_of=scope.as_of,
        settings=scope.settings.feedback,
        quality=scope.feedback_quality,
        zone=scope.settings.project.zone,
        week_start=scope.settings.project.week_start_number,
        decisions=scope.theme_decisions,
    )


def improvement(scope: Scope, themes: Themes) -> Improvement:
    """FRICTION, PAIN_POINTS, PAIN_POINT_PERSONS, PAIN_POINT_GROUPS, PAIN_POINT_OVERLAPS and BACKLOG."""
    settings = scope.settings
    return analyse_improvement(
        scope.events,
        # Who is affected is a person; a funnel of attempts or sessions has several rows for one.
        [
            FunnelPersons(result.definition, result.mature)
            for result in funnel_results(scope)
            if result.definition.counting == "persons"
        ],
        themes.audible,
        as_of=scope.as_of,
        friction=settings.friction,
        pain_points=_alike_by_segments(settings),
        backlog=settings.backlog,
        quality=scope.event_quality,
    )


def _alike_by_segments(settings: Settings) -> PainPointSettings:
    """Thresholds with the properties by which people are told apart: the segments', if none are named."""
    if settings.pain_points.alike_by is not None:
        return settings.pain_points
    named = [each.property for each in settings.segments if each.of == "event"]
    own = tuple(dict.fromkeys(name for name in named if isinstance(name, str)))
    return settings.pain_points.model_copy(update={"alike_by": own})
