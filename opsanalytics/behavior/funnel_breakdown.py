"""Funnels by segment: which values of a property convert better or worse than the rest."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

import polars as pl

from opsanalytics.behavior.attempts import best_attempts, check_range, entry_rows
from opsanalytics.behavior.filters import property_text
from opsanalytics.behavior.marts import nullable, with_provenance
from opsanalytics.behavior.periods import zone
from opsanalytics.behavior.rows import Events, check_as_of, is_mature, matching_rows, person_rows
from opsanalytics.behavior.spec import Funnel
from opsanalytics.behavior.statistics import (
    benjamini_hochberg,
    newcombe_difference,
    two_proportion_p,
    wilson,
)

NONE = "(none)"
OTHER = "(other)"
"""Reserved: a value that reads so in the data is shown in quotation marks."""
COUNTS = pl.DataFrame(
    schema={
        "segment": pl.String,
        "value": pl.String,
        "step": pl.Int32,
        "entered": pl.Int64,
        "persons": pl.Int64,
        "others_entered": pl.Int64,
        "others_persons": pl.Int64,
    }
)


@dataclass(frozen=True)
class Segment:
    """A property by which to break down; `limit` values with the most entrants are shown."""

    property: str
    name: str = ""
    """How the segment is called in the table; the property's name if empty."""
    limit: int = 10

    def __post_init__(self) -> None:
        if not self.property:
            raise ValueError("segment: property is empty")
        if self.limit < 1:
            raise ValueError(f"segment {self.label()!r}: limit is {self.limit}, it must be at least 1")

    def label(self) -> str:
        return self.name or self.property


def funnel_breakdown(
    events: Events,
    definition: Funnel,
    *,
    segment: str | Segment | Sequence[Segment],
    as_of: datetime,
    first: date | None = None,
    last: date | None = None,
    timezone: str = "UTC",
    limit: int = 10,
) -> pl.DataFrame:
    """The funnel over mature attempts, by the value of a property on the entry event.

    A person belongs to one value: that of the first mature entry event in the range (of several at the
    same time stamp, the value that sorts first), whichever attempt got furthest. So the values add up to
    the whole funnel, their groups are disjoint, and the outcome does not decide the group.

    Values beyond `limit` form `(other)`, entries without the property `(none)`; both are compared as any
    other value. `difference` is with all persons outside the value. `q_value` adjusts over every value
    and step after the first of all segments of this call: pass them together.

    In: as `funnel`; `segment` a property, or one or more `Segment` (then `limit` is theirs).
    Out: the columns of FUNNEL_BREAKDOWN without `quality`.

    Raises:
        EventsError, PropertyError, ValueError: as `funnel`.
    """
    as_of = check_as_of(as_of)
    check_range(first, last)
    zone(timezone)
    if isinstance(segment, str):
        segments: Sequence[Segment] = [Segment(segment, limit=limit)]
    else:
        segments = [segment] if isinstance(segment, Segment) else list(segment)
    columns = events.lazy().collect_schema().names()
    values = {f"segment_{i}": property_text(one.property, columns) for i, one in enumerate(segments)}
    groups = [[step] for step in definition.steps]
    matching = matching_rows(events, groups, as_of=as_of, sources=definition.sources, extra=values)
    rows = person_rows(matching)
    entries = entry_rows(rows, first=first, last=last, timezone=timezone)
    entries = entries[is_mature(rows.ts[entries], definition.window, as_of)]
    best = best_attempts(rows, definition, entries, as_of=as_of)
    counts = [
        _counts(_by_value(best, matching, column), one, definition)
        for one, column in zip(segments, values, strict=True)
    ]
    frame = pl.concat([COUNTS, *counts])
    return with_provenance(_compared(frame, definition), definition, as_of)


def _by_value(best: pl.DataFrame, matching: pl.DataFrame, column: str) -> pl.DataFrame:
    """`value`, `step_reached` of each person."""
    entry = matching.filter((pl.col("mask") & 1) == 1).select("person", "ts", value=column)
    return (
        best.join(entry, left_on=["person", "first_entry_ts"], right_on=["person", "ts"], how="left")
        .group_by("person")
        .agg(pl.col("value").min(), pl.col("step_reached").first())
        .drop("person")
    )


def _counts(by_value: pl.DataFrame, segment: Segment, definition: Funnel) -> pl.DataFrame:
    value = pl.col("value")
    labelled = by_value.with_columns(
        pl.when(value.is_null())
        .then(pl.lit(NONE))
        .when(value.is_in([NONE, OTHER]))
        .then(pl.format('"{}"', value))
        .otherwise(value)
        .alias("value")
    )
    ranked = (
        labelled.filter(value != NONE)
        .group_by("value")
        .len()
        .sort(["len", "value"], descending=[True, False])
    )
    shown = ranked["value"].head(segment.limit)
    grouped = (
        labelled.with_columns(
            pl.when(value.is_in([NONE, *shown])).then(value).otherwise(pl.lit(OTHER)).alias("value")
        )
        .group_by("value")
        .agg(
            pl.len().cast(pl.Int64).alias("entered"),
            *(
                (pl.col("step_reached") >= k).sum().cast(pl.Int64).alias(str(k))
                for k in range(1, len(definition.steps) + 1)
            ),
        )
    )
    by_step = grouped.unpivot(index=["value", "entered"], variable_name="step", value_name="persons")
    return by_step.select(
        pl.lit(segment.label()).alias("segment"),
        "value",
        pl.col("step").cast(pl.Int32),
        "entered",
        "persons",
        (pl.col("entered").sum().over("step") - pl.col("entered")).alias("others_entered"),
        (pl.col("persons").sum().over("step") - pl.col("persons")).alias("others_persons"),
    ).sort("value", "step")


def _compared(counts: pl.DataFrame, definition: Funnel) -> pl.DataFrame:
    persons, entered = counts["persons"].to_numpy(), counts["entered"].to_numpy()
    others = counts["others_persons"].to_numpy(), counts["others_entered"].to_numpy()
    rate_low, rate_high = wilson(persons, entered)
    difference_low, difference_high = newcombe_difference(persons, entered, *others)
    p = two_proportion_p(persons, entered, *others)
    # Everybody in a segment has made step 1, so there is nothing to compare.
    for compared in (difference_low, difference_high, p):
        compared[counts["step"].to_numpy() == 1] = float("nan")
    rate = pl.col("persons") / pl.col("entered")
    others_rate = pl.col("others_persons") / pl.col("others_entered")
    return counts.select(
        pl.lit(definition.name).alias("funnel"),
        "segment",
        "value",
        "step",
        "entered",
        "persons",
        rate.fill_nan(None).alias("rate"),
        nullable(rate_low, "rate_low"),
        nullable(rate_high, "rate_high"),
        (rate - others_rate).fill_nan(None).alias("difference"),
        nullable(difference_low, "difference_low"),
        nullable(difference_high, "difference_high"),
        nullable(benjamini_hochberg(p), "q_value"),
    )
