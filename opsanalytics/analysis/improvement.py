"""Themes, friction, pain points and the backlog."""

import logging

from opsanalytics.analysis.behavior import funnel_results
from opsanalytics.analysis.program import program_version
from opsanalytics.analysis.scope import Scope
from opsanalytics.behavior.population import FunnelPersons
from opsanalytics.config import Settings
from opsanalytics.feedback.encoders import encoder_at
from opsanalytics.feedback.sentences import (
    MODEL_SHA256,
    Encode,
    EncoderMissingError,
    SentenceEncoder,
    missing_packages,
)
from opsanalytics.feedback.themes import Themes, find_themes
from opsanalytics.feedback.vector_cache import cached
from opsanalytics.feedback.walked import Walked
from opsanalytics.improvement.analysis import Improvement, analyse_improvement
from opsanalytics.improvement.settings import PainPointSettings

_log = logging.getLogger(__name__)


def sentence_encoder(scope: Scope) -> Encode | None:
    """What gives sentence embeddings, if any week of themes was found with them.

    None also where they cannot be computed: then themes are found by words, and the log says why.
    """
    wanted = scope.settings.feedback.encoder == "minilm"
    if not wanted and all(each.encoder == "tfidf" for each in scope.theme_encoders):
        return None
    try:
        encode = SentenceEncoder()
    except EncoderMissingError as error:
        _log.warning("Themes are found by words, and may have other ids until this is mended: %s", error)
        return None
    # a look back asks for fewer texts than there are
    return cached(encode, scope.home.embeddings_file(MODEL_SHA256), keep_others=scope.wider is not None)


def encoder_in_use(scope: Scope) -> str:
    """The encoder that the newest themes are found with, and why it is not the configured one."""
    missing = missing_packages()
    if scope.settings.feedback.encoder == "minilm" and missing:
        return f"tfidf: minilm is configured, but {', '.join(missing)} cannot be imported"
    return encoder_at(scope.theme_encoders, scope.as_of)


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
        encoders=scope.theme_encoders,
        encode=sentence_encoder(scope),
        walked=Walked(scope.home.theme_weeks, program_version()),
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
