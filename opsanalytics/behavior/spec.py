"""Definitions of funnels and retention: what is counted, before any data is read."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field, model_validator

from opsanalytics.behavior.cohort_spec import Cohort, CohortField
from opsanalytics.behavior.conditions import (
    NAME,
    Definition,
    Filter,
    Filters,
    Match,
    Scalar,
    Sources,
    Step,
    StepField,
)
from opsanalytics.behavior.duration import Duration

__all__ = [
    "NAME",
    "Cohort",
    "Definition",
    "Exclusion",
    "Filter",
    "Filters",
    "Funnel",
    "Match",
    "Period",
    "Retention",
    "RetentionPeriod",
    "Scalar",
    "Sources",
    "Step",
]

MOST_PERIODS = 1_000
Period = Literal["day", "week", "month"]
RetentionPeriod = Literal["hour", "day", "week", "month"]


class Exclusion(Match):
    """An event that must not come between two steps.

    It counts when it lies in the window, after the time of `from_step` and before that of `to_step`, or
    where that was not reached anywhere after `from_step`. Equal times do not count.
    """

    from_step: int = Field(default=1, ge=1)
    """Number of a step, from 1."""
    to_step: int | None = Field(default=None, ge=2)
    """Number of a later step; the last if not given."""


def _order(value: Any) -> Any:
    return "any" if value == "unordered" else value


def _names(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


class Funnel(Definition):
    """Steps that people take, and how much of it must be so.

    An attempt starts at an event of step 1; each next step is the earliest later unused event; an
    event serves one step only; events with equal time stamps may be taken in any order. A person's
    result is the attempt that gets furthest; of several, the one that gets there earliest, and of these
    the one that entered latest. The conversion window is measured from the entry event and includes its
    end. Attempts whose window has not elapsed are kept apart (see `attempts`).

    `order = "strict"`: steps must be neighbouring events of the person. `order = "any"`: an attempt
    starts at any step and reaches as many steps as distinct steps lie in its window. Where a step has
    `within`, an attempt may use any later event for the steps before it, not only the earliest: the
    funnel asks whether there is such a sequence.
    """

    name: str = Field(default="funnel", min_length=1, pattern=NAME)
    title: str | None = None
    steps: Annotated[tuple[StepField, ...], Field(min_length=1, max_length=20)]
    """Two neighbouring steps may be equal: the second then needs a second event."""
    window: Duration
    sources: Sources = None
    order: Annotated[Literal["ordered", "strict", "any"], BeforeValidator(_order)] = "ordered"
    """`any` is also written `unordered`."""
    exclusions: Annotated[tuple[Exclusion, ...], Field(max_length=10)] = ()
    """If the attempts that get furthest are all excluded, the person counts nowhere, step 1 included.
    With `order = "any"` an attempt that is not complete before the exclusion is thrown away, the person is
    not: another attempt may count."""
    date_range: Literal["entry", "all_steps"] = "entry"
    """What `first` and `last` limit: entries only, or the events of all steps and exclusions."""
    counting: Literal["persons", "attempts", "sessions"] = "persons"
    """`persons` once each; `attempts` one after the other (the next starts after the one before has
    converted, was excluded or ran out of time); `sessions` each by itself."""
    session_gap: Duration = timedelta(minutes=30)
    """A pause longer than this ends a session."""
    session_property: str | None = Field(default=None, min_length=1)
    """Property that tells sessions apart, instead of pauses."""
    hold: Annotated[tuple[Annotated[str, Field(min_length=1)], ...], BeforeValidator(_names)] = ()
    """Properties that must have the same values on all events of an attempt, exclusions included. An
    event without one of them counts nowhere."""
    entity: str | None = Field(default=None, min_length=1)
    """Property whose values are counted in place of persons, an account for example. Events without it count
    nowhere."""
    reentry: bool = True
    """Whether later events of step 1 start further attempts; if not, only the first in the range does."""
    value: str | None = Field(default=None, min_length=1)
    """Numeric property, revenue for example, that is added up over the events that made each step."""
    among: CohortField = None
    """Only persons of this cohort count: the cohort, or its name in the configuration."""

    labels: ClassVar[Any] = {"name": True, "title": True, "steps": {"__all__": {"name"}}}
    later: ClassVar[frozenset[str]] = frozenset(
        {
            "order",
            "exclusions",
            "date_range",
            "counting",
            "session_gap",
            "session_property",
            "hold",
            "entity",
            "reentry",
            "value",
            "among",
        }
    )

    @model_validator(mode="after")
    def _rules_fit(self) -> "Funnel":
        for number, step in enumerate(self.steps, 1):
            if step.optional and number in (1, len(self.steps)):
                raise ValueError(f"step {number} is optional; only steps between the first and the last can")
            if number == 1 and (step.within or step.after):
                raise ValueError("step 1 has `within` or `after`, but no step before it")
            if step.within and step.after and step.after > step.within:
                raise ValueError(f"step {number}: `after` is longer than `within`")
            if self.order != "ordered" and (step.optional or step.within or step.after):
                raise ValueError(
                    f"step {number} has `optional`, `within` or `after`, which need order = 'ordered'"
                )
            if step.within and self.exclusions:
                raise ValueError(f"step {number} has `within`, which cannot be combined with exclusions")
        if self.among is not None and self.entity is not None:
            raise ValueError("among is a cohort of persons; it does not go with `entity`")
        if not self.reentry and self.counting != "persons":
            raise ValueError(f"reentry = false does not go with counting = {self.counting!r}")
        for number, one in enumerate(self.exclusions):
            to_step = one.to_step or len(self.steps)
            if to_step > len(self.steps) or one.from_step >= to_step:
                raise ValueError(
                    f"exclusions.{number}: from_step {one.from_step} and to_step {to_step} "
                    f"must be two of the {len(self.steps)} steps, in this order"
                )
            if self.order == "any" and (one.from_step, to_step) != (1, len(self.steps)):
                raise ValueError(f"exclusions.{number}: order = 'any' has no steps to lie between")
        return self

    @property
    def label(self) -> str:
        return self.title or self.name


def _cohort(value: Any) -> Any:
    return "first" if value == "first_time" else value


class Retention(Definition):
    """Of the persons with a `start` event in a period, how many have a `returning` event k periods later.

    Calendar periods of the reporting time zone, or with `clock = "rolling"` multiples of the period since
    the person's own first start event (a month is 30 days). Period 0 is the cohort's own period: it counts
    return events with a later time stamp than the (period's) first start event, so an event never is its
    own return, and it is not forced to 100 % (unless `zero = "started"`). A cell is complete when its
    periods have ended for the whole cohort; the pooled curve uses complete cells only.
    """

    name: str = Field(default="retention", min_length=1, pattern=NAME)
    title: str | None = None
    start: StepField
    returning: Annotated[tuple[StepField, ...], Field(min_length=1)]
    """Any of these events is a return."""
    period: RetentionPeriod = "week"
    periods: int = Field(default=8, ge=1, le=60)
    """Periods followed after the cohort's own: 8 gives the periods 0 to 8."""
    cohort: Annotated[Literal["first", "first_ever", "recurring"], BeforeValidator(_cohort)] = "first"
    """`first` (or `first_time`): a person belongs to the period of the first start event ever that passes
    its filters. `first_ever`: the same, but only if the first event ever of that name passes them.
    `recurring`: to every period with a start event."""
    sources: Sources = None
    clock: Literal["calendar", "rolling"] = "calendar"
    returns: Literal["on", "on_or_after"] = "on"
    """Whether a return counts in its own period, or in that and all before (unbounded). The follow-up ends
    with the last period for everybody, so that old cohorts do not look better for being old."""
    brackets: tuple[Annotated[int, Field(ge=1)], ...] = ()
    """Widths, in periods, of the columns after column 0, in place of `periods`: (1, 2, 4) gives the periods
    0, 1, 2 to 3 and 4 to 7. A column is called by its first period."""
    minimum: int = Field(default=1, ge=1)
    """Return events that a person needs in a column; in column 0 one is enough."""
    minimum_in: Literal["column", "period"] = "column"
    """Whether these may come anywhere in a column of several periods, or must come in one of its periods."""
    zero: Literal["returned", "started"] = "returned"
    """What column 0 counts: those who returned, or the whole cohort."""
    entity: str | None = Field(default=None, min_length=1)
    """Property whose values are counted in place of persons. Events without it count nowhere."""
    value: str | None = Field(default=None, min_length=1)
    """Numeric property, revenue for example, that is added up over the return events of each column (with
    `zero = "started"` also over the start events of column 0)."""
    among: CohortField = None
    """Only persons of this cohort count: the cohort, or its name in the configuration. (The field `cohort` is
    about something else: into which period a person falls.)"""

    later: ClassVar[frozenset[str]] = frozenset(
        {"clock", "returns", "brackets", "minimum", "minimum_in", "zero", "entity", "value", "among"}
    )
    labels: ClassVar[Any] = {
        "name": True,
        "title": True,
        "start": {"name"},
        "returning": {"__all__": {"name"}},
    }

    @model_validator(mode="before")
    @classmethod
    def _one_return_event(cls, data: Any) -> Any:
        if isinstance(data, dict) and "returning" in data:
            returning = data["returning"]
            single = isinstance(returning, (str, dict, Step)) or not isinstance(returning, Sequence)
            return data | {"returning": [returning] if single else returning}
        return data

    @model_validator(mode="after")
    def _rules_fit(self) -> "Retention":
        if self.among is not None and self.entity is not None:
            raise ValueError("among is a cohort of persons; it does not go with `entity`")
        if self.clock == "rolling" and self.cohort == "recurring":
            raise ValueError(
                "clock = 'rolling' counts from the first start event; cohort cannot be 'recurring'"
            )
        if self.value is not None and self.returns == "on_or_after":
            raise ValueError("value is added up by period; it does not go with returns = 'on_or_after'")
        for step in (self.start, *self.returning):
            if step.occurrence != "any" or step.optional or step.within or step.after:
                raise ValueError(
                    f"{step.label}: `occurrence`, `optional`, `within` and `after` are for funnels"
                )
        if sum(self.brackets) > MOST_PERIODS:
            raise ValueError(
                f"brackets: {sum(self.brackets)} periods in all; at most {MOST_PERIODS} are followed"
            )
        return self

    @property
    def columns(self) -> tuple[int, ...]:
        """First period of every column."""
        if not self.brackets:
            return tuple(range(self.periods + 1))
        return (0, *(1 + sum(self.brackets[:i]) for i in range(len(self.brackets))))

    @property
    def last_period(self) -> int:
        """Number of the last period that is followed."""
        return sum(self.brackets) if self.brackets else self.periods

    @property
    def label(self) -> str:
        return self.title or self.name
