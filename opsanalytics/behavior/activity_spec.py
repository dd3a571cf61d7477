"""Definitions of lifecycle, stickiness and usage interval: how a product's use is spread over time."""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field, model_validator

from opsanalytics.behavior.conditions import ANY_EVENT, Definition, Step, StepField
from opsanalytics.behavior.spec import NAME, RetentionPeriod, Sources

LENGTH_ORDER = ("hour", "day", "week", "month", "range")


def _several(value: Any) -> Any:
    return [value] if isinstance(value, (str, dict, Step)) else value


def plain_step(step: Step) -> Step:
    """The step, if it asks for nothing that only funnels know.

    Raises:
        ValueError: it does.
    """
    if step.optional or step.within or step.after:
        raise ValueError(f"{step.label}: `optional`, `within` and `after` are for funnels")
    return step


class Activity(Definition):
    """What counts as use of the product, and by whom."""

    title: str | None = None
    events: Annotated[tuple[StepField, ...], Field(min_length=1), BeforeValidator(_several)] = (
        Step(ANY_EVENT),
    )
    """Any of these events is a use; every event if not given."""
    sources: Sources = None
    entity: str | None = Field(default=None, min_length=1)
    """Property whose values are counted in place of persons. Events without it count nowhere."""

    labels: ClassVar[Any] = {"name": True, "title": True, "events": {"__all__": {"name"}}}

    @model_validator(mode="after")
    def _plain_events(self) -> "Activity":
        for step in self.events:
            plain_step(step)
        return self

    @property
    def steps(self) -> tuple[Step, ...]:
        """Everything that is looked for in the events."""
        return self.events

    @property
    def label(self) -> str:
        return self.title or str(getattr(self, "name", ""))


class Lifecycle(Activity):
    """Who is new, returning, resurrected or dormant in each period.

    A person is active in a period with at least one of the `events`. Of those active in a period, `new` are
    those whose first it is (see `new`), `returning` those active in the period before too, `resurrected` the
    others. `dormant` are those active in the period before and not in this one: nobody can be counted as
    dormant before the period is over.
    """

    name: str = Field(default="lifecycle", min_length=1, pattern=NAME)
    period: RetentionPeriod = "week"
    new: Literal["activity", "person"] = "activity"
    """`activity`: new in the period of the first of the `events`. `person`: new in the period of the first
    event of whatever name, as PostHog and Amplitude count; who does one of the `events` for the first time
    later is resurrected."""


class Stickiness(Activity):
    """In how many units (days) of a period (week) people are active, and how many are active at a time.

    A person counts in a period with at least one of the `events`, once, with the number of different
    units that have one.
    """

    name: str = Field(default="stickiness", min_length=1, pattern=NAME)
    unit: RetentionPeriod = "day"
    period: Literal["day", "week", "month", "range"] = "week"
    """`range` takes all days that are asked for as one period, as PostHog does."""
    minimum: int = Field(default=1, ge=1)
    """Uses that a unit needs; those in units with fewer count nowhere."""

    later: ClassVar[frozenset[str]] = frozenset({"minimum"})

    @model_validator(mode="after")
    def _unit_is_shorter(self) -> "Stickiness":
        if LENGTH_ORDER.index(self.unit) >= LENGTH_ORDER.index(self.period):
            raise ValueError(f"unit: {self.unit!r} is not shorter than the period {self.period!r}")
        if (self.unit, self.period) == ("week", "month"):
            raise ValueError("unit: weeks do not add up to months; count days, or take period = 'range'")
        return self


class UsageInterval(Activity):
    """How long people pause between two uses.

    A use is a calendar unit with at least one of the `events`; a pause is the number of units from one use
    to the next. Each person counts once, with the median of their pauses. Persons with one use have none.
    """

    name: str = Field(default="usage_interval", min_length=1, pattern=NAME)
    unit: RetentionPeriod = "day"
    share: float = Field(default=0.8, gt=0, lt=1)
    """The usage interval is the pause within which this share of the persons use the product again."""
