"""Definitions of cohorts: persons by what they did, did not do, are, or when they were seen.

A condition is told by its key: `did`, `did_not`, `seen`, `property`, `cohort`, `all`, `any` or `not`.
"""

from collections.abc import Iterator
from datetime import date
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict, Discriminator, Field, Tag, model_validator

from opsanalytics.behavior.conditions import (
    NAME,
    Definition,
    Filter,
    Operator,
    Scalar,
    Sources,
    Step,
    StepField,
)
from opsanalytics.behavior.duration import Duration

MOST_CONDITIONS = 100
SMALL = 30
"""Rates of fewer persons (sessions, paths) are flagged, where a definition names no other number."""


class Period(Definition):
    """A stretch of time, both ends included; all of it if nothing is given."""

    within: Duration | None = None
    """Not longer ago than this, counted back from `as_of`."""
    before: Duration | None = None
    """At least so long ago, counted back from `as_of`."""
    first: date | None = None
    """First local day."""
    last: date | None = None
    """Last local day."""

    @model_validator(mode="after")
    def _period_fits(self) -> "Period":
        if self.within and self.before and self.before > self.within:
            raise ValueError("before is longer than within: there is no such time")
        if self.first and self.last and self.last < self.first:
            raise ValueError(f"last ({self.last}) lies before first ({self.first})")
        return self


class Did(Period):
    """Did an event at least `times` times in the period, and at most `at_most` times."""

    did: StepField
    times: int = Field(default=1, ge=0)
    at_most: int | None = Field(default=None, ge=0)

    @model_validator(mode="after")
    def _counts_fit(self) -> "Did":
        _plain("did", self.did)
        if self.at_most is not None and self.at_most < self.times:
            raise ValueError(f"at_most ({self.at_most}) is less than times ({self.times})")
        return self


class DidNot(Period):
    """Did not do an event in the period."""

    did_not: StepField

    @model_validator(mode="after")
    def _step_fits(self) -> "DidNot":
        _plain("did_not", self.did_not)
        return self


class Seen(Period):
    """Whose first or last event of all, whatever its name, lies in the period."""

    seen: Literal["first", "last"]


class PersonIs(Definition):
    """A property of the person passes a filter; `subjects` says which value that is."""

    property: str = Field(min_length=1)
    op: Operator = "eq"
    value: Scalar | tuple[Scalar, ...] | None = None

    @model_validator(mode="after")
    def _filter_fits(self) -> "PersonIs":
        as_filter(self)
        return self


def as_filter(condition: PersonIs) -> Filter:
    """The condition as a filter of the person's properties."""
    return Filter(property=condition.property, op=condition.op, value=condition.value, of="person")


class In(Definition):
    """Is in another cohort: its name in the configuration, or the cohort itself."""

    cohort: "CohortField"

    @model_validator(mode="after")
    def _names_one(self) -> "In":
        if self.cohort is None:
            raise ValueError("cohort names none")
        return self


class All(Definition):
    """All of these conditions hold."""

    all: "Annotated[tuple[Condition, ...], Field(min_length=1)]"


class AnyOf(Definition):
    """At least one of these conditions holds."""

    any: "Annotated[tuple[Condition, ...], Field(min_length=1)]"


class Not(Definition):
    """The condition does not hold."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_by_name=True, validate_by_alias=True)

    not_: "Condition" = Field(alias="not", serialization_alias="not")


KINDS: dict[str, type[Definition]] = {
    "did": Did,
    "did_not": DidNot,
    "seen": Seen,
    "property": PersonIs,
    "cohort": In,
    "all": All,
    "any": AnyOf,
    "not": Not,
}


def _kind(value: Any) -> str | None:
    """A tag that is no key, so that messages about keys can leave it out."""
    if isinstance(value, Definition):
        return next((f"{key} condition" for key, kind in KINDS.items() if type(value) is kind), None)
    if not isinstance(value, dict):
        return None
    given = {"not" if key == "not_" else key for key in value}
    return next((f"{key} condition" for key in KINDS if key in given), None)


Condition = Annotated[
    Annotated[Did, Tag("did condition")]
    | Annotated[DidNot, Tag("did_not condition")]
    | Annotated[Seen, Tag("seen condition")]
    | Annotated[PersonIs, Tag("property condition")]
    | Annotated[In, Tag("cohort condition")]
    | Annotated[All, Tag("all condition")]
    | Annotated[AnyOf, Tag("any condition")]
    | Annotated[Not, Tag("not condition")],
    Discriminator(
        _kind,
        custom_error_type="condition",
        custom_error_message=f"a condition is a table with one of the keys {', '.join(KINDS)}",
    ),
]


def _several(value: Any) -> Any:
    return (value,) if isinstance(value, (dict, Definition)) else value


CohortName = Annotated[str, Field(pattern=NAME)]


class Cohort(Definition):
    """Persons for whom every condition of `where` holds at `as_of`.

    Everybody with at least one event up to `as_of` (of `sources`) is asked, so that "did not" has somebody
    to be true of. Membership is of that one moment: who gets in by an act that a funnel counts as a step is
    there because of it, so such a funnel of the cohort says nothing about causes.
    """

    name: str = Field(default="cohort", min_length=1, pattern=NAME)
    title: str | None = None
    where: Annotated[tuple[Condition, ...], BeforeValidator(_several), Field(min_length=1)]
    sources: Sources = None
    min_n: int = Field(default=SMALL, ge=1)
    """Fewer members than this are flagged as small."""

    @model_validator(mode="after")
    def _not_too_many(self) -> "Cohort":
        count = sum(1 for _ in conditions(self))
        if count > MOST_CONDITIONS:
            raise ValueError(f"where: {count} conditions in all; at most {MOST_CONDITIONS}")
        return self

    @property
    def label(self) -> str:
        return self.title or self.name


def _told_apart(value: Any) -> str | None:
    return None if value is None else "name" if isinstance(value, str) else "cohort"


CohortField = (
    Annotated[
        Annotated[CohortName, Tag("name")] | Annotated[Cohort, Tag("cohort")], Discriminator(_told_apart)
    ]
    | None
)
"""A cohort, or the name of one in the configuration."""


def conditions(cohort: Cohort) -> Iterator[Definition]:
    """Every condition of a cohort, those inside others and inside its cohorts too."""
    pending: list[Definition] = list(cohort.where)
    while pending:
        one = pending.pop()
        yield one
        if isinstance(one, All):
            pending += one.all
        elif isinstance(one, AnyOf):
            pending += one.any
        elif isinstance(one, Not):
            pending.append(one.not_)
        elif isinstance(one, In) and isinstance(one.cohort, Cohort):
            pending += one.cohort.where


def _plain(field: str, step: Step) -> None:
    if step.occurrence != "any" or step.optional or step.within or step.after:
        raise ValueError(f"{field}: `occurrence`, `optional`, `within` and `after` of a step are for funnels")


for _model in (In, All, AnyOf, Not, Cohort):
    _model.model_rebuild()
