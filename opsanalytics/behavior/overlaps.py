"""One product instrumented with two vendors: each event counts once.

An overlap names sources that send the same events, best first. What a worse source sends is left out where
a better one sent the same event; where no better one did (before it was there, on a day it missed), the
worse one counts. The rule says which records count. It does not pair single events: clocks, ids and even
counts of two vendors differ, so pairs would be guesses.
"""

from collections.abc import Sequence
from typing import Literal

import polars as pl
from pydantic import BaseModel, ConfigDict, Field, field_validator


class Overlap(BaseModel):
    """`[[overlaps]]`: sources that instrument the same product."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    prefer: tuple[str, ...] = Field(min_length=2)
    """Sources, the one to count first."""
    events: tuple[str, ...] | None = Field(default=None, min_length=1)
    """Canonical event names that they share; all if not given."""
    per: Literal["day", "person_day"] = "day"
    """`day`: events of one name on one UTC day all come from one source. `person_day`: the same for each
    person by itself, for sources that miss some persons (ad blockers, server-side events). It needs the
    same user ids in all of them; a person whom the vendors know by different ids is still counted twice."""

    @field_validator("prefer")
    @classmethod
    def _sources_differ(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(value)) < len(value):
            raise ValueError(f"names a source twice: {', '.join(value)}")
        return value

    def among(self, sources: Sequence[str] | None) -> tuple[str, ...]:
        """The preferred sources that are among `sources`; all if that is None."""
        return tuple(name for name in self.prefer if sources is None or name in sources)


def counted_once(
    events: pl.LazyFrame, overlaps: Sequence[Overlap], *, sources: Sequence[str] | None = None
) -> pl.LazyFrame:
    """Leave out what a better source sent too.

    In: columns `person`, `source`, `event`, `ts` (UTC) and any others. `sources` are those that will be
    counted: an overlap is between them alone, so that what names one source gets all of it.
    Out: the same columns; the order of rows is not kept.
    """
    for overlap in overlaps:
        names = overlap.among(sources)
        if len(names) > 1:
            events = _without(events, overlap, names)
    return events


def _without(events: pl.LazyFrame, overlap: Overlap, names: Sequence[str]) -> pl.LazyFrame:
    columns = events.collect_schema().names()
    shared = pl.col("source").is_in(names)
    if overlap.events is not None:
        shared &= pl.col("event").is_in(overlap.events)
    ranks = {name: rank for rank, name in enumerate(names)}
    key = ["_day", "event"] if overlap.per == "day" else ["_day", "event", "person"]
    ranked = events.with_columns(
        pl.col("ts").dt.date().alias("_day"),
        pl.when(shared)
        .then(pl.col("source").replace_strict(ranks, default=None, return_dtype=pl.Int32))
        .alias("_rank"),
    )
    best = (
        ranked.filter(pl.col("_rank").is_not_null())
        .group_by(key)
        .agg(pl.col("_rank").min().alias("_best"))
        .collect()
    )
    return (
        ranked.join(best.lazy(), on=key, how="left")
        .filter(pl.col("_rank").is_null() | pl.col("_best").is_null() | (pl.col("_rank") == pl.col("_best")))
        .select(columns)
    )
