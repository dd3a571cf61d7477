"""From a table of events to the arrays the folds work on: rows of one person together, in order of time."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import polars as pl

from opsanalytics.behavior.filters import step_matches
from opsanalytics.behavior.periods import microseconds
from opsanalytics.behavior.spec import Step
from opsanalytics.lake.tables import UTC_TIME

Events: TypeAlias = pl.DataFrame | pl.LazyFrame
"""One row an event; columns `person` (any type that sorts), `event` (text), `ts` (a Datetime; without a
time zone it is UTC), and where filters or segments need them `properties` (JSON text), `source` and
further columns by name. Rows may come in any order."""

Int64: TypeAlias = npt.NDArray[np.int64]
Int32: TypeAlias = npt.NDArray[np.int32]


class EventsError(ValueError):
    """The table of events lacks a column, or a column has the wrong type."""


@dataclass(frozen=True)
class LeftOut:
    """Events that match a definition but belong to nobody or to no time; they count nowhere."""

    without_person: int = 0
    without_time: int = 0


@dataclass(frozen=True, eq=False)
class PersonRows:
    """Matching events by person and time: those of `persons[i]` are rows `offsets[i]` to `offsets[i+1]`."""

    persons: pl.Series
    offsets: Int64
    ts: Int64
    """Microseconds since 1970, UTC."""
    mask: Int32
    """Bit g is set where the event matches group g."""
    left_out: LeftOut

    def person_of_row(self) -> Int64:
        """Index into `persons` of every row."""
        return np.repeat(np.arange(len(self.persons), dtype=np.int64), np.diff(self.offsets))

    def times(self) -> pl.Series:
        """`ts` as UTC time stamps."""
        return pl.Series("ts", self.ts).cast(UTC_TIME)


def check_as_of(as_of: datetime) -> datetime:
    """`as_of` in UTC.

    Raises:
        ValueError: it has no time zone.
    """
    if as_of.tzinfo is None:
        raise ValueError(f"as_of: {as_of.isoformat()} has no time zone; write datetime(..., tzinfo=UTC)")
    return as_of.astimezone(UTC)


def matching_rows(
    events: Events,
    groups: Sequence[Sequence[Step]],
    *,
    as_of: datetime,
    sources: Sequence[str] | None,
    extra: Mapping[str, pl.Expr] | None = None,
) -> pl.DataFrame:
    """Events up to `as_of` that match a step of at least one group.

    Out: `person`, `ts` (UTC, µs), `mask` (Int32, bit g for group g) and the columns of `extra`. Rows
    without person or time are still among them.

    Raises:
        EventsError: a column is missing or has the wrong type; found before any data is read.
        PropertyError: a filter names a property the events cannot have.
    """
    frame, columns = _checked(events, needs_source=sources is not None)
    steps = [step for group in groups for step in group]
    wanted = pl.col("event").is_in(sorted({step.event for step in steps}))
    if sources is not None:
        wanted &= pl.col("source").cast(pl.String).is_in(list(sources))
    in_time = pl.col("ts").is_null() | (pl.col("ts") <= pl.lit(as_of).cast(UTC_TIME))
    bits = [
        pl.any_horizontal([step_matches(step, columns) for step in group]).cast(pl.Int32) * (1 << position)
        for position, group in enumerate(groups)
    ]
    return (
        frame.filter(wanted & in_time)
        .select("person", "ts", pl.sum_horizontal(bits).cast(pl.Int32).alias("mask"), **dict(extra or {}))
        .filter(pl.col("mask") != 0)
        .collect()
    )


def person_rows(matching: pl.DataFrame) -> PersonRows:
    """Sort the result of `matching_rows` by person and time; rows without either are counted and left out."""
    without_person = matching["person"].null_count()
    without_time = matching.filter(pl.col("person").is_not_null())["ts"].null_count()
    if without_person or without_time:
        matching = matching.drop_nulls(["person", "ts"])
    if not matching["ts"].is_sorted():
        matching = matching.sort("ts")
    # Rows of a group keep their order, so each person's stay in order of time.
    grouped = matching.group_by("person").agg("ts", "mask").sort("person")
    ends = grouped["ts"].list.len().cast(pl.Int64).cum_sum().to_numpy()
    return PersonRows(
        persons=grouped["person"],
        offsets=np.concatenate([np.zeros(1, np.int64), ends]),
        ts=grouped["ts"].explode().to_physical().to_numpy(),
        mask=grouped["mask"].explode().to_numpy(),
        left_out=LeftOut(without_person, without_time),
    )


def window_microseconds(window: timedelta) -> int:
    return window // timedelta(microseconds=1)


def is_mature(entries: Int64, window: timedelta, as_of: datetime) -> npt.NDArray[np.bool_]:
    """Whether the window of attempts with these entry times had elapsed at `as_of`."""
    return entries <= microseconds(as_of) - window_microseconds(window)


def _checked(events: Events, *, needs_source: bool) -> tuple[pl.LazyFrame, list[str]]:
    frame = events.lazy()
    schema = frame.collect_schema()
    needed = ["person", "event", "ts", *(["source"] if needs_source else [])]
    missing = [name for name in needed if name not in schema]
    if missing:
        raise EventsError(
            f"events lack the columns {missing}; they need person, event and ts"
            f"{', and source because the definition names sources' if needs_source else ''}. "
            f"Columns are {schema.names()}"
        )
    ts, event = schema["ts"], schema["event"]
    if not isinstance(ts, pl.Datetime) and ts != pl.Null:
        raise EventsError(f"column ts is {ts}, not Datetime; parse it first, in UTC")
    if not isinstance(event, (pl.String, pl.Categorical, pl.Enum, pl.Null)):
        raise EventsError(f"column event is {event}, not text")
    properties = schema.get("properties", pl.String())
    if not isinstance(properties, (pl.String, pl.Null)):
        raise EventsError(f"column properties is {properties}, not the text of a JSON object")
    if schema["person"].is_nested():
        raise EventsError(f"column person is {schema['person']}, which does not sort")
    if isinstance(ts, pl.Datetime) and ts.time_zone is None:
        utc = pl.col("ts").cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
    else:
        utc = pl.col("ts").cast(UTC_TIME)
    person = pl.col("person")
    if isinstance(schema["person"], (pl.Categorical, pl.Enum)):
        person = person.cast(pl.String)
    return frame.with_columns(person, utc, pl.col("event").cast(pl.String)), schema.names()
