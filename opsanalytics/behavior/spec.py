"""Definitions of funnels and retention: what is counted, before any data is read.

They are pydantic models: written in `opsanalytics.toml`, built in Python, serialised to JSON, and
hashed to an id that every number computed from them carries.
"""

import hashlib
import json
import math
from collections.abc import Sequence
from datetime import timedelta
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from opsanalytics.behavior.duration import Duration

Scalar = bool | int | float | str
Operator = Literal["eq", "ne", "in", "contains", "gt", "ge", "lt", "le", "set", "not_set"]
MOST_PERIODS = 1_000
Period = Literal["day", "week", "month"]
RetentionPeriod = Literal["hour", "day", "week", "month"]


class Definition(BaseModel):
    """Base of all definitions: immutable, unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    labels: ClassVar[Any] = {"name": True, "title": True}
    """What is only shown to people, in the form of pydantic's `exclude`."""
    later: ClassVar[frozenset[str]] = frozenset()
    """Fields that came later: at their default they stay out of the id, so that ids outlive new rules."""

    @property
    def definition_id(self) -> str:
        """First 12 hex digits of the SHA-256 of everything that can change a number.

        Names and titles do not: two funnels with equal rules have equal ids.
        """
        rules = _without_defaults(self, self.model_dump(mode="json", exclude=self.labels))
        text = json.dumps(rules, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(f"{type(self).__name__}:{text}".encode()).hexdigest()[:12]


def _without_defaults(definition: Definition, rules: dict[str, Any]) -> dict[str, Any]:
    """`rules`, the dump of `definition`, without its `later` fields that are at their default."""
    kept = {}
    for name, dumped in rules.items():
        value = getattr(definition, name)
        if name in definition.later and value == type(definition).model_fields[name].get_default():
            continue
        if isinstance(value, Definition):
            dumped = _without_defaults(value, dumped)
        elif isinstance(value, tuple) and value and isinstance(value[0], Definition):
            dumped = [_without_defaults(one, part) for one, part in zip(value, dumped, strict=True)]
        kept[name] = dumped
    return kept


class Filter(Definition):
    """One condition on an event: a column (`platform`, `url`, ...) or else a key of `properties`.

    `eq`, `ne` and `in` compare as text if `value` is text, as numbers if it is a number ("5" equals 5),
    and with `true` or `false` if it is a boolean. `contains` looks for a piece of text, upper and lower
    case distinct. `gt`, `ge`, `lt`, `le` compare numbers. A missing value, a JSON null among them, fails
    every operator except `not_set` and `ne`; so does text that is no number where numbers are compared.
    """

    property: str = Field(min_length=1)
    op: Operator = "eq"
    value: Scalar | tuple[Scalar, ...] | None = None

    @model_validator(mode="after")
    def _value_fits(self) -> "Filter":
        if self.op in ("set", "not_set"):
            if self.value is not None:
                raise ValueError(f"op {self.op!r} takes no value")
        elif self.op == "in":
            if not isinstance(self.value, tuple) or not self.value:
                raise ValueError("op 'in' takes a list of values")
        elif self.value is None or isinstance(self.value, tuple):
            raise ValueError(f"op {self.op!r} takes one value")
        elif self.op == "contains":
            if not isinstance(self.value, str) or not self.value:
                raise ValueError(f"op 'contains' takes a piece of text, not {self.value!r}")
        elif self.op in ("gt", "ge", "lt", "le") and (
            isinstance(self.value, (bool, str)) or not math.isfinite(self.value)
        ):
            raise ValueError(f"op {self.op!r} compares numbers; {self.value!r} is not one")
        return self


def _filters(value: Any) -> Any:
    """Accept the short form `{plan = "pro"}` for a list of equality filters."""
    if isinstance(value, dict) and "property" not in value:
        return [
            {"property": key, "op": "in" if isinstance(wanted, list) else "eq", "value": wanted}
            for key, wanted in value.items()
        ]
    return [value] if isinstance(value, (dict, Filter)) else value


Filters = Annotated[tuple[Filter, ...], BeforeValidator(_filters)]
"""Filters that must all pass; also written as `{plan = "pro"}`."""


def _event(value: Any) -> Any:
    return {"event": value} if isinstance(value, str) else value


class Match(Definition):
    """An event that passes all filters of `where`."""

    event: str = Field(min_length=1)
    where: Filters = ()


class Step(Definition):
    """An event that passes all filters of `where`, or one of `also`. `Step("sign_up")` is the short form."""

    event: str = Field(min_length=1)
    where: Filters = ()
    name: str | None = None
    also: tuple[Annotated[Match, BeforeValidator(_event)], ...] = ()
    """Other events that serve the step just as well."""
    optional: bool = False
    """The step may be left out; an attempt that meets it before the next step has made it."""
    within: Duration | None = None
    """Longest time since the step before (the last one made, where that is optional), inclusive."""
    after: Duration | None = None
    """Shortest time since the step before, inclusive."""

    later: ClassVar[frozenset[str]] = frozenset({"also", "optional", "within", "after"})

    def __init__(self, event: str | None = None, /, **data: Any) -> None:
        super().__init__(**({"event": event} if event is not None else {}), **data)

    @property
    def label(self) -> str:
        return self.name or " or ".join(self.events)

    @property
    def matches(self) -> tuple[Match, ...]:
        """Everything that serves the step."""
        return (Match(event=self.event, where=self.where), *self.also)

    @property
    def events(self) -> tuple[str, ...]:
        """The names of the events that may serve the step, each once."""
        return tuple(dict.fromkeys(one.event for one in self.matches))


class Exclusion(Match):
    """An event that must not come between two steps.

    It counts when it lies in the window, after the time of `from_step` and before that of `to_step`, or
    where that was not reached anywhere after `from_step`. Equal times do not count.
    """

    from_step: int = Field(default=1, ge=1)
    """Number of a step, from 1."""
    to_step: int | None = Field(default=None, ge=2)
    """Number of a later step; the last if not given."""


def _step(value: Any) -> Any:
    """Accept a name, or a list of names and matches, any of which serves the step."""
    if isinstance(value, list) and value:
        first, *also = (_event(one) for one in value)
        return {**(first if isinstance(first, dict) else first.model_dump()), "also": also}
    return _event(value)


def _names(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


StepField = Annotated[Step, BeforeValidator(_step)]
SourceName = Annotated[str, Field(min_length=1)]
Sources = Annotated[tuple[SourceName, ...], Field(min_length=1)] | None
"""Sources whose events count; all if not given."""


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

    name: str = Field(min_length=1, pattern=r"^[a-z][a-z0-9_]*$")
    title: str | None = None
    steps: Annotated[tuple[StepField, ...], Field(min_length=2, max_length=20)]
    """Two neighbouring steps may be equal: the second then needs a second event."""
    window: Duration
    sources: Sources = None
    order: Literal["ordered", "strict", "any"] = "ordered"
    exclusions: Annotated[tuple[Exclusion, ...], Field(max_length=10)] = ()
    """If the attempts that get furthest are all excluded, the person counts nowhere, step 1 included.
    With `order = "any"` the excluded attempt is thrown away, the person is not."""
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

    name: str = Field(min_length=1, pattern=r"^[a-z][a-z0-9_]*$")
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
    zero: Literal["returned", "started"] = "returned"
    """What column 0 counts: those who returned, or the whole cohort."""

    later: ClassVar[frozenset[str]] = frozenset({"clock", "returns", "brackets", "minimum", "zero"})
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
        if self.clock == "rolling" and self.cohort == "recurring":
            raise ValueError(
                "clock = 'rolling' counts from the first start event; cohort cannot be 'recurring'"
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
