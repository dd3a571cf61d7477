"""Thresholds of friction signals, pain points and the backlog; part of the configuration."""

from datetime import timedelta
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from opsanalytics.behavior.duration import Duration
from opsanalytics.behavior.spec import Filters, Step

BUILT_IN = {
    "rage_click": "Rage clicks",
    "dead_click": "Clicks without an answer",
    "form_abandonment": "Form given up",
    "release_drop": "Event rarer since a release",
    "error": "Error",
    "slow_load": "Slow loading",
    "empty_search": "Search without results",
    "repeated_attempt": "Repeated attempt",
    "dead_end": "Dead end",
    "back_and_forth": "Back and forth",
}
"""Signals that come with opsanalytics, and what reports call them."""
RankingMethod = Literal["rice", "wsjf", "ice", "value_per_effort"]
ItemId = Annotated[str, Field(pattern=r"^PP-[0-9a-f]{8}$")]


class Settings(BaseModel):
    """Immutable; unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Clicks(Settings):
    """What `rage_click` and `dead_click` have in common."""

    event: str | None = None
    """Event of a click; without it only what trackers report by themselves is known."""
    element: str = "element"
    """Property that tells elements of a page apart."""
    x: str = "x"
    y: str = "y"
    """Properties with the position in pixels, if there are any."""
    ignore: tuple[str, ...] = ()
    """Elements that are clicked quickly, or do nothing, by design: steppers, calendars, text to select."""
    reported: tuple[str, ...] = ()


class RageClick(Clicks):
    """`rage_click`: so many clicks on one element within this time, no farther apart than `pixels`.

    Four clicks in a second, as Mixpanel and Amplitude count; PostHog takes three.
    """

    clicks: int = Field(default=4, ge=2)
    within: Duration = timedelta(seconds=1)
    pixels: float = Field(default=50, gt=0)
    reported: tuple[str, ...] = ("$rageclick", "$mp_rage_click", "[Amplitude] Rage Click")
    """Events by which trackers report rage clicks themselves."""


class DeadClick(Clicks):
    """`dead_click`: a click that no other event of the person follows within this time.

    Only on elements that are answered in at least `min_answered` of at least `min_clicks` clicks.
    """

    within: Duration = timedelta(seconds=3)
    min_answered: float = Field(default=0.5, gt=0, le=1)
    min_clicks: int = Field(default=30, ge=1)
    reported: tuple[str, ...] = ("$dead_click", "$mp_dead_click", "[Amplitude] Dead Click")
    """Events by which trackers report dead clicks themselves."""


class FormAbandonment(Settings):
    """`form_abandonment`: a form was begun and not sent within this time."""

    start: str | None = None
    """Event of beginning a form."""
    submit: str | None = None
    """Event of sending it."""
    form: str = "form"
    """Property that tells forms apart, on both events."""
    within: Duration = timedelta(minutes=30)


class ReleaseDrop(Settings):
    """`release_drop`: after a release far fewer of the active persons do an event than in the days before.

    A release is the first day on which `min_share` of a platform's active persons have a version of the
    product. Whole weeks and all versions are compared, so that weekdays and persons are the same; a version
    that few take up in these weeks can hardly be seen.
    """

    weeks: int = Field(default=1, ge=1)
    min_drop: float = Field(default=0.3, gt=0, lt=1)
    """Share of the earlier rate that is lost."""
    min_share: float = Field(default=0.05, gt=0, lt=1)
    min_persons: int = Field(default=50, ge=1)
    """Persons who did the event in the weeks before."""


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


class CustomSignal(Settings):
    """`[[friction.custom]]`: an event that means trouble in your product, such as a question nobody answered.

    It may be the event that reaches a funnel's step: then it is met on reaching it.
    """

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    """Part of the item's identity: keep it when you reword the title."""
    title: str = Field(min_length=1)
    """What went wrong, in plain words; begins items and rows of reports."""
    event: str = Field(min_length=1)
    where: Filters = ()
    """As for funnel steps."""
    place: str | None = Field(default=None, min_length=1)
    """Column or property that tells one place from another; the event's name if not given or missing."""
    times: int = Field(default=1, ge=1)
    """It is met at the event that makes so many `within` this time."""
    within: Duration | None = None
    note: str | None = Field(default=None, min_length=1)
    """What weakens it, such as when a property is filled in; stands among the caveats of its items."""

    @model_validator(mode="after")
    def _times_within(self) -> "CustomSignal":
        if self.times > 1 and self.within is None:
            raise ValueError(f"times = {self.times} needs within, for example within = '1d'")
        if self.times == 1 and self.within is not None:
            raise ValueError("within needs times = 2 or more")
        return self

    @property
    def step(self) -> Step:
        """The event and its filters."""
        return Step(event=self.event, where=self.where)


class FrictionSettings(Settings):
    """What counts as friction. A signal that is not configured or not in the data is not available."""

    error_events: tuple[str, ...] = ()
    error_place: tuple[str, ...] = ("page", "code")
    """Columns or properties that tell one error from another; `page` falls back to the URL."""
    page_property: str = "page"
    rage_click: RageClick = RageClick()
    dead_click: DeadClick = DeadClick()
    slow_load: SlowLoad = SlowLoad()
    empty_search: EmptySearch = EmptySearch()
    repeated_attempt: RepeatedAttempt = RepeatedAttempt()
    dead_end: DeadEnd = DeadEnd()
    back_and_forth: BackAndForth = BackAndForth()
    form_abandonment: FormAbandonment = FormAbandonment()
    release_drop: ReleaseDrop = ReleaseDrop()
    custom: tuple[CustomSignal, ...] = ()
    max_places: int = Field(default=100, ge=1)
    """Places kept apart per signal, by persons; the rest is "(other)"."""

    @field_validator("custom")
    @classmethod
    def _names_differ(cls, value: tuple[CustomSignal, ...]) -> tuple[CustomSignal, ...]:
        taken = set(BUILT_IN)
        for signal in value:
            if signal.name in taken:
                what = "is the name of a built-in signal" if signal.name in BUILT_IN else "is used twice"
                raise ValueError(f"the name {signal.name!r} {what}")
            taken.add(signal.name)
        return value

    @property
    def titles(self) -> dict[str, str]:
        """What reports call each signal, by its name."""
        return BUILT_IN | {signal.name: signal.title for signal in self.custom}


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
    """Standard error added for confounding that groups of alike persons cannot remove; no amount of data
    makes it go away. Measured instead if there are enough `harmless` events."""
    harmless: tuple[Annotated[str, Field(min_length=1)], ...] = ()
    """Events that cannot keep anybody from a step, such as switching the colours: what comparisons say of
    them is how far comparisons are off. Eight or more, met by different kinds of people."""
    alike_by: tuple[Annotated[str, Field(min_length=1)], ...] | None = None
    """Properties that tell people apart, to compare like with like; the configured segments' if not given."""
    sure_of_harm: float = Field(default=0.9, gt=0, lt=1)
    """A finding is at least so likely to have an effect of at least `min_effect`, given all estimates."""
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
    """Person-weeks by item id, where somebody has estimated them; the command line goes first."""
    causal_share: float = Field(default=0.8, gt=0, le=1)
    """How much of what a comparison shows counts as caused: people were not sent to the signal by lot. A
    factor of every behavioural item's confidence."""
    unrated_severity: float = Field(default=0.5, ge=0, le=1)
    """Assumed severity of a theme that nobody has rated; its score's interval runs from 0 to 1."""
    ranking: RankingMethod = "rice"
    """What the score is made of: see `ranking`."""
    tie_below: float = Field(default=0.6, gt=0.5, lt=1)
    """An item shares the rank of another one that is less likely than this to be ahead of it."""
    quiet_days: float = Field(default=7.0, gt=0)
    """What was shipped has come back if it was silent for so long, and for longer than chance has it."""
    back_persons: int = Field(default=3, ge=1)
    """And if so many met it, or wrote of it, after the silence."""
