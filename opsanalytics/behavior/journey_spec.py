"""Definitions of sessions and of paths: what is counted, before any data is read."""

from collections.abc import Iterable
from datetime import timedelta
from typing import Annotated, Any, ClassVar, Literal

import polars as pl
from pydantic import BeforeValidator, Discriminator, Field, Tag, model_validator

from opsanalytics.behavior.cohort_spec import SMALL, CohortField
from opsanalytics.behavior.conditions import ANY_EVENT, NAME, Definition, Sources, Step, StepField
from opsanalytics.behavior.duration import Duration
from opsanalytics.behavior.spec import Funnel, Period

MOST_STEPS = 20


def _several(value: Any) -> Any:
    """One step, or several."""
    return (value,) if isinstance(value, (str, dict, Step)) else value


Steps = Annotated[tuple[StepField, ...], BeforeValidator(_several)]


class Sessions(Definition):
    """Events of a person that hang together.

    A session ends before a pause longer than `gap`, before local midnight (`midnight = true`, as Mixpanel and
    Universal Analytics count), before an event of `start` and after one of `end`. It belongs to the period it
    began in. It is over at `as_of` when no later event could belong to it; the others stand apart as open.
    Of events with equal time stamps those of `start` come first and those of `end` last.
    """

    name: str = Field(default="sessions", min_length=1, pattern=NAME)
    title: str | None = None
    events: Annotated[Steps, Field(min_length=1)] = (Step(ANY_EVENT),)
    """Events that make up sessions; others are not looked at, unless `start` or `end` names them."""
    gap: Duration = timedelta(minutes=30)
    """A pause longer than this ends a session."""
    midnight: bool = False
    """Whether local midnight ends a session."""
    start: Steps = ()
    """Events that always begin a session."""
    end: Steps = ()
    """Events that always end one, and are its last."""
    only_started: bool = False
    """Only `start` begins a session: events after a pause, midnight or an end, and before the next start,
    belong to none."""
    session_property: str | None = Field(default=None, min_length=1)
    """Property that tells sessions apart, in place of all the rules above. Events without it are in none."""
    period: Period = "week"
    """Local calendar periods that sessions are counted by."""
    bounce_events: int = Field(default=1, ge=1)
    """A session of at most so many events bounces, ..."""
    engaged_after: Duration | None = None
    """... unless it lasts at least this long (GA4: 10s) ..."""
    engaging: Steps = ()
    """... or one of its events is one of these (GA4: key events)."""
    sources: Sources = None
    among: CohortField = None
    """Only persons of this cohort count."""
    min_n: int = Field(default=SMALL, ge=1)
    """Rates over fewer sessions are flagged as small."""

    labels: ClassVar[Any] = {
        "name": True,
        "title": True,
        **{field: {"__all__": {"name"}} for field in ("events", "start", "end", "engaging")},
    }

    @model_validator(mode="after")
    def _rules_fit(self) -> "Sessions":
        plain_steps((*self.events, *self.start, *self.end, *self.engaging))
        if self.only_started and not self.start:
            raise ValueError("only_started needs `start`: the events that begin a session")
        if self.session_property is not None and (self.midnight or self.start or self.end):
            raise ValueError(
                "session_property tells sessions apart; it does not go with `midnight`, `start` or `end`"
            )
        return self

    @property
    def label(self) -> str:
        return self.title or self.name


class UrlGroup(Definition):
    """A pattern and what is shown in place of everything it matches; the pattern itself if not given."""

    pattern: str = Field(min_length=1)
    """Compared with the whole label; `*` stands for any text."""
    name: str | None = Field(default=None, min_length=1)

    @property
    def shown(self) -> str:
        return self.name or self.pattern

    @property
    def regex(self) -> str:
        """The pattern as a regular expression."""
        return "^(?s:" + ".*".join(pl.escape_regex(part) for part in self.pattern.split("*")) + ")$"


def _group(value: Any) -> Any:
    return {"pattern": value} if isinstance(value, str) else value


def _told_apart(value: Any) -> str | None:
    return None if value is None else "name" if isinstance(value, str) else "funnel"


FunnelField = Annotated[
    Annotated[Annotated[str, Field(pattern=NAME)], Tag("name")] | Annotated[Funnel, Tag("funnel")],
    Discriminator(_told_apart),
]
"""A funnel, or its name in the configuration."""


class Paths(Definition):
    """What people did next after an anchor event, or just before it, event by event.

    With `start` paths lead on from that event, with `end` up to it, with both from one to the other; with
    `funnel` from, or up to, the event that made a step of its; with none from the first event of sessions.
    A path ends after `steps` events, with a session (a pause longer than `gap`) and, where given, `window`
    after (before) the anchor. Equal events in a row count as one, at the time of the first (`collapse`).
    Anchors so late that their path may still grow at `as_of` stand apart as open: decided by the anchor's
    time alone.
    Of events with equal time stamps those of `start` come first and those of `end` last, others by label.
    """

    name: str = Field(default="paths", min_length=1, pattern=NAME)
    title: str | None = None
    start: StepField | None = None
    end: StepField | None = None
    funnel: FunnelField | None = None
    """The funnel, or its name in the configuration. Its mature attempts count."""
    step: int = Field(default=1, ge=1)
    """Step of the funnel whose event is the anchor."""
    outcome: Literal["dropped", "continued", "all"] = "dropped"
    """Whose: those who made the step and none after it, those who went on, or both."""
    direction: Literal["after", "before"] | None = None
    """`after` the anchor or `before` it. Only a funnel's anchors have a choice (`after` if not given)."""
    steps: int = Field(default=4, ge=1, le=MOST_STEPS)
    """Events followed, the anchor not counted."""
    events: Annotated[Steps, Field(min_length=1)] = (Step(ANY_EVENT),)
    """Events that paths are made of, besides anchors."""
    without: Annotated[tuple[Annotated[str, Field(min_length=1)], ...], BeforeValidator(_several)] = ()
    """Names of events that are no part of paths."""
    collapse: bool = True
    occurrence: Literal["first", "every"] = "first"
    """Whether a person's first anchor counts (then paths are persons), or every one."""
    gap: Duration = timedelta(minutes=30)
    window: Duration | None = None
    by: str | None = Field(default=None, min_length=1)
    """Property that is shown in place of the event's name, `url` for example, where an event has it."""
    urls: bool = False
    """The values of `by` are URLs: host, query and fragment are dropped, and ids in the path become `:id`."""
    groups: tuple[Annotated[UrlGroup, BeforeValidator(_group)], ...] = ()
    """Labels to be shown as one, the first pattern that fits: `/product/*`."""
    limit: int = Field(default=10, ge=1, le=100)
    """Labels shown at each step; the others are `(other)`."""
    min_persons: int = Field(default=5, ge=1)
    """Labels and sequences of fewer persons are `(other)` too."""
    sources: Sources = None
    among: CohortField = None
    """Only persons of this cohort count."""
    min_n: int = Field(default=SMALL, ge=1)
    """Rates over fewer paths are flagged as small."""

    labels: ClassVar[Any] = {
        "name": True,
        "title": True,
        "start": {"name"},
        "end": {"name"},
        "events": {"__all__": {"name"}},
    }

    @model_validator(mode="after")
    def _rules_fit(self) -> "Paths":
        plain_steps([*self.events, *(one for one in (self.start, self.end) if one is not None)])
        if self.funnel is not None and (self.start or self.end):
            raise ValueError("funnel gives the anchors; it does not go with `start` or `end`")
        if (
            self.funnel is None
            and self.model_fields_set & {"step", "outcome", "direction"}
            and (self.step != 1 or self.outcome != "dropped" or self.direction is not None)
        ):
            raise ValueError("step, outcome and direction are about a funnel; name it in `funnel`")
        if self.urls and self.by is None:
            raise ValueError("urls needs `by`: the property that holds the URL")
        if isinstance(self.funnel, Funnel):
            check_funnel(self.funnel, self)
        return self

    @property
    def backwards(self) -> bool:
        """Whether paths lead up to the anchor."""
        if self.funnel is not None:
            return self.direction == "before"
        return self.start is None and self.end is not None

    @property
    def label(self) -> str:
        return self.title or self.name


def check_funnel(funnel: Funnel, paths: Paths) -> None:
    """Raise ValueError unless the funnel has such anchors."""
    if paths.step > len(funnel.steps):
        raise ValueError(f"step: {paths.step}, but the funnel has {len(funnel.steps)} steps")
    if paths.step == len(funnel.steps) and paths.outcome != "all":
        raise ValueError(f"outcome: nobody drops out or goes on after step {paths.step}, the last; use 'all'")
    if funnel.entity is not None:
        raise ValueError(f"funnel: counts {funnel.entity}; paths are those of persons")


def plain_steps(steps: Iterable[Step]) -> None:
    """Raise ValueError if a step has what only funnels can evaluate."""
    for step in steps:
        if step.occurrence != "any" or step.optional or step.within or step.after:
            raise ValueError(f"{step.label}: `occurrence`, `optional`, `within` and `after` are for funnels")
