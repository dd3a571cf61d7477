"""Thresholds of friction signals, pain points and the backlog; part of the configuration."""

from datetime import timedelta
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from opsanalytics.behavior.duration import Duration

ItemId = Annotated[str, Field(pattern=r"^PP-[0-9a-f]{8}$")]


class Settings(BaseModel):
    """Immutable; unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class SlowLoad(Settings):
    """`slow_load`: the event's property, in milliseconds, lies above the threshold."""

    event: str | None = None
    property: str = "ms"
    threshold_ms: float = Field(default=3_000, gt=0)


class EmptySearch(Settings):
    """`empty_search`: the search event's number of results is 0."""

    event: str | None = None
    property: str = "results"


class RepeatedAttempt(Settings):
    """`repeated_attempt`: the same event so often within this time, with no progress in a funnel between.

    Looked for at every funnel step but the last, and at the events named here.
    """

    events: tuple[str, ...] = ()
    """Events that people repeat when something fails, such as asking for a mail again."""
    attempts: int = Field(default=3, ge=2)
    within: Duration = timedelta(minutes=10)


class DeadEnd(Settings):
    """`dead_end`: an event that ends at least `min_share` of the sessions it occurs in.

    A session is the vendor's, or ends where a person is silent for longer than `gap`.
    """

    gap: Duration = timedelta(minutes=30)
    min_share: float = Field(default=0.5, gt=0, lt=1)
    """The Wilson interval of the share must lie above this."""
    min_sessions: int = Field(default=30, ge=1)


class BackAndForth(Settings):
    """`back_and_forth`: from one page to another and back, so often within this time."""

    returns: int = Field(default=2, ge=1)
    within: Duration = timedelta(minutes=5)


class FrictionSettings(Settings):
    """What counts as friction. A signal that is not configured or not in the data is not available."""

    error_events: tuple[str, ...] = ()
    error_place: tuple[str, ...] = ("page", "code")
    """Columns or properties that tell one error from another; `page` falls back to the URL."""
    page_property: str = "page"
    slow_load: SlowLoad = SlowLoad()
    empty_search: EmptySearch = EmptySearch()
    repeated_attempt: RepeatedAttempt = RepeatedAttempt()
    dead_end: DeadEnd = DeadEnd()
    back_and_forth: BackAndForth = BackAndForth()
    max_places: int = Field(default=100, ge=1)
    """Places kept apart per signal, by persons; the rest is "(other)"."""


class PainPointSettings(Settings):
    """When a signal or a theme becomes a pain point, and when a pain point is a finding."""

    exposure_within: Duration = timedelta(days=7)
    """A signal is put to a step if it was met at most so long after the step was reached."""
    min_affected: int = Field(default=30, ge=2)
    min_overlap: float = Field(default=0.5, ge=0, le=1)
    min_controls: int = Field(default=10, ge=2)
    """An affected person is comparable if so many of the same stratum were still at the step, unaffected."""
    false_discovery_rate: float = Field(default=0.10, gt=0, lt=1)
    min_effect: float = Field(default=0.01, ge=0, lt=1)
    """A finding's effect is at least so large (0.01: one percentage point)."""
    systematic_error: float = Field(default=0.01, ge=0, lt=1)
    """Standard error added for confounding that strata cannot remove; no amount of data makes it go away."""
    watch_limit: int = Field(default=20, ge=0)
    min_theme_authors: int = Field(default=3, ge=1)
    min_rated: int = Field(default=5, ge=1)
    """With fewer ratings a theme counts as unrated."""
    happy_above: float = Field(default=0.6, ge=0, le=1)
    """A theme whose mean satisfaction is above this is praise, not a pain point."""


class BacklogSettings(Settings):
    """How pain points are ranked."""

    default_effort_weeks: float = Field(default=1.0, gt=0)
    effort: dict[ItemId, Annotated[float, Field(gt=0)]] = {}
    """Person-weeks by item id, where somebody has estimated them."""
    unrated_severity: float = Field(default=0.5, ge=0, le=1)
    """Assumed severity of a theme that nobody has rated; its score's interval runs from 0 to 1."""
