"""By which property a funnel or a retention is broken down, and which event gives a person's value."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

import polars as pl

from opsanalytics.behavior.cohort_spec import Cohort
from opsanalytics.behavior.cohorts import cohort_column
from opsanalytics.behavior.filters import person_property_text, property_text
from opsanalytics.behavior.semantics import Semantics

NONE = "(none)"
OTHER = "(other)"
"""Reserved: a value that reads so in the data is shown in quotation marks."""
Attribution = Literal["entry", "first", "last", "all", "step"]
ATTRIBUTIONS: tuple[Attribution, ...] = ("entry", "first", "last", "all", "step")
OF_PRESET: dict[str, Attribution] = {"posthog": "first"}
"""Attribution of a segment that names none, where a preset's tool has another than `entry`."""


@dataclass(frozen=True)
class Segment:
    """A property by which to break down; `limit` values with the most entrants are shown."""

    property: str | tuple[str, ...] = ""
    """One, or several whose values are shown together: `Chrome, 95`."""
    name: str = ""
    """How the segment is called in the table; the property's name if empty."""
    limit: int = 10
    attribution: Attribution | None = None
    """Which event gives a person's value: `entry`, the first mature entry; `first` or `last`, the first or
    last event of any step that has one (an empty text is none), so that what people did later may decide
    their group; `all`, the funnel once for each value on the events that have it; `step`, the funnel once
    for each value of the events of step number `step`, where other events of that step do not serve it and
    persons without any are left out. With `all` and `step` a person may be in several groups. If not given,
    the preset's: `first` for `posthog`, else `entry`."""
    step: int | None = None
    of: Literal["event", "person"] = "event"
    """Whose property (see `subjects`)."""
    cohort: Cohort | str | None = None
    """In place of a property: who is in this cohort against who is not."""

    def __post_init__(self) -> None:
        if self.cohort is not None and (self.property or self.of != "event"):
            raise ValueError(f"segment {self.label()!r}: give a property or a cohort, not both")
        if not self.names() or not all(self.names()):
            raise ValueError("segment: property is empty")
        if self.attribution is not None and self.attribution not in ATTRIBUTIONS:
            raise ValueError(
                f"segment {self.label()!r}: attribution {self.attribution!r} is not one of "
                f"{', '.join(ATTRIBUTIONS)}"
            )
        if (self.attribution == "step") != (self.step is not None):
            raise ValueError(f"segment {self.label()!r}: attribution 'step' and a number `step` go together")
        if self.step is not None and self.step < 1:
            raise ValueError(f"segment {self.label()!r}: step is {self.step}; steps are numbered from 1")
        if self.of not in ("event", "person"):
            raise ValueError(f"segment {self.label()!r}: of is {self.of!r}, not 'event' or 'person'")
        if self.limit < 1:
            raise ValueError(f"segment {self.label()!r}: limit is {self.limit}, it must be at least 1")

    def names(self) -> tuple[str, ...]:
        if self.cohort is not None:
            return (cohort_column(self.cohort),)
        return (self.property,) if isinstance(self.property, str) else self.property

    def person_properties(self) -> tuple[str, ...]:
        return self.names() if self.of == "person" else ()

    def cohorts(self) -> tuple[Cohort | str, ...]:
        """The cohort whose members it tells from others, if it does."""
        return () if self.cohort is None else (self.cohort,)

    def label(self) -> str:
        return self.name or ", ".join(self.names())

    def attributed(self, semantics: Semantics) -> Attribution:
        return self.attribution or OF_PRESET.get(semantics.name, "entry")

    def text(self, columns: Collection[str]) -> pl.Expr:
        """The value on each event as text; null where it is missing, of several where all are.

        Raises:
            PropertyError: the events cannot have the property.
        """
        of_person = self.of == "person" or self.cohort is not None
        find = person_property_text if of_person else property_text
        parts = [find(name, columns) for name in self.names()]
        if len(parts) == 1:
            return parts[0]
        shown = pl.concat_str([part.fill_null(NONE) for part in parts], separator=", ")
        return pl.when(pl.any_horizontal(part.is_not_null() for part in parts)).then(shown)


def labelled(value: pl.Expr) -> pl.Expr:
    """Values as they are shown: null as `(none)`, reserved words in quotation marks."""
    return (
        pl.when(value.is_null())
        .then(pl.lit(NONE))
        .when(value.is_in([NONE, OTHER]))
        .then(pl.format('"{}"', value))
        .otherwise(value)
    )


def most_frequent(values: pl.Series, limit: int) -> list[str]:
    """The `limit` labels that occur most often, `(none)` apart; of equals those that sort first."""
    return most_frequent_of(frequencies(values), limit)


def frequencies(values: pl.Series) -> pl.DataFrame:
    """`value` and `len`: how often each label occurs."""
    return values.to_frame("value").group_by("value").agg(pl.len().cast(pl.Int64))


def most_frequent_of(counts: pl.DataFrame, limit: int) -> list[str]:
    """As `most_frequent`, from `frequencies`, which may have a label several times."""
    ranked = (
        counts.filter(pl.col("value") != NONE)
        .group_by("value")
        .agg(pl.col("len").sum())
        .sort(["len", "value"], descending=[True, False])
    )
    return ranked["value"].head(limit).to_list()


def grouped(value: pl.Expr, shown: Collection[str]) -> pl.Expr:
    """Labels with all but `shown` and `(none)` as `(other)`."""
    return pl.when(value.is_in([NONE, *shown])).then(value).otherwise(pl.lit(OTHER))
