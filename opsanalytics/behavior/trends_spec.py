"""Definition of trends: series of numbers by period, and formulas over them."""

import builtins
from string import ascii_uppercase
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field, model_validator

from opsanalytics.behavior.activity_spec import plain_step
from opsanalytics.behavior.conditions import Definition, Step, StepField
from opsanalytics.behavior.formulas import formula_names
from opsanalytics.behavior.spec import NAME, RetentionPeriod, Sources

Measure = Literal[
    "total",
    "persons",
    "per_person",
    "sum",
    "average",
    "median",
    "min",
    "max",
    "p75",
    "p90",
    "p95",
    "p99",
]
QUANTILES: dict[Measure, float] = {"median": 0.5, "p75": 0.75, "p90": 0.9, "p95": 0.95, "p99": 0.99}
"""Measures that are quantiles, and of what share."""
OF_PROPERTY: tuple[Measure, ...] = ("sum", "average", "min", "max", *QUANTILES)
EMPTY_IS_ZERO: tuple[Measure, ...] = ("total", "persons", "sum")
"""Measures of nothing that are 0; the others do not exist."""


class Series(Definition):
    """One number a period: of an event, or of one of several."""

    event: StepField
    measure: Measure = "total"
    """`total`: events. `persons`: different persons. `per_person`: events by person. The others are of the
    numbers in `property`, over the events that have one."""
    property: str | None = Field(default=None, min_length=1)
    name: str | None = None

    labels: ClassVar[Any] = {"name": True, "event": {"name"}}

    @model_validator(mode="after")
    def _property_fits(self) -> "Series":
        plain_step(self.event)
        if (self.measure in OF_PROPERTY) != (self.property is not None):
            needs = "needs a `property`" if self.property is None else "takes no `property`"
            raise ValueError(f"measure {self.measure!r} {needs}")
        return self

    @builtins.property
    def label(self) -> str:
        if self.name:
            return self.name
        measure = f"{self.measure} of {self.property}" if self.property else self.measure.replace("_", " ")
        return f"{self.event.label}, {measure}"


class Formula(Definition):
    """A number made of series, `A` being the first: `A / B`."""

    formula: str = Field(min_length=1)
    name: str | None = None

    @property
    def label(self) -> str:
        return self.name or self.formula

    @model_validator(mode="after")
    def _readable(self) -> "Formula":
        if not formula_names(self.formula):
            raise ValueError(f"formula {self.formula!r} names no series")
        return self


def _series(value: Any) -> Any:
    """Accept an event, or several, in place of a series."""
    each = [value] if isinstance(value, (str, dict, Step, Series)) else value
    if not isinstance(each, (list, tuple)):
        return value
    return [{"event": one} if isinstance(one, (str, Step)) else one for one in each]


def _formulas(value: Any) -> Any:
    each = [value] if isinstance(value, (str, dict, Formula)) else value
    if not isinstance(each, (list, tuple)):
        return value
    return [{"formula": one} if isinstance(one, str) else one for one in each]


class Trends(Definition):
    """Series of numbers by calendar period, and formulas over them.

    The series are called A, B, ... in their order. A period that is not over is marked, and has no change
    against the period it is compared with.
    """

    name: str = Field(default="trends", min_length=1, pattern=NAME)
    title: str | None = None
    series: Annotated[tuple[Series, ...], Field(min_length=1, max_length=26), BeforeValidator(_series)]
    formulas: Annotated[tuple[Formula, ...], Field(max_length=26), BeforeValidator(_formulas)] = ()
    period: RetentionPeriod = "week"
    compare: int | None = Field(default=None, ge=1, le=1_000)
    """How many periods back each value is compared: 52 weeks for the year before. If not given, as many as
    are asked for (`first` to `last`), and 1 if all are."""
    sources: Sources = None
    entity: str | None = Field(default=None, min_length=1)
    """Property whose values are counted in place of persons. Events without it count nowhere."""

    labels: ClassVar[Any] = {
        "name": True,
        "title": True,
        "series": {"__all__": {"name": True, "event": {"name"}}},
        "formulas": {"__all__": {"name"}},
    }

    @model_validator(mode="after")
    def _formulas_fit(self) -> "Trends":
        for number, each in enumerate(self.formulas):
            unknown = sorted(formula_names(each.formula) - set(self.letters))
            if unknown:
                raise ValueError(
                    f"formulas.{number}: {each.formula!r} names {', '.join(unknown)}; the series are "
                    f"{', '.join(self.letters)}"
                )
        return self

    @property
    def letters(self) -> tuple[str, ...]:
        return tuple(ascii_uppercase[: len(self.series)])

    @property
    def steps(self) -> tuple[Step, ...]:
        """Everything that is looked for in the events."""
        return tuple(each.event for each in self.series)

    @property
    def label(self) -> str:
        return self.title or self.name
