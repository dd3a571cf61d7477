"""From a table of events to the arrays the folds work on: rows of one person together, in order of time."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import polars as pl

from opsanalytics.behavior.conditions import ANY_EVENT, Match, Step
from opsanalytics.behavior.filters import PERSON_PROPERTIES, PROPERTIES, event_matches
from opsanalytics.behavior.periods import microseconds
from opsanalytics.lake.tables import UTC_TIME

Events: TypeAlias = pl.DataFrame | pl.LazyFrame
"""One row an event; columns `person` (any type that sorts), `event` (text), `ts` (a Datetime; without a
time zone it is UTC; a Date is its midnight), and where filters or segments need them `properties` (JSON
text, a struct or a map), `person_properties` (the same), `source` and further columns by name. Rows may come
in any order."""
OTHER_NAMES = {
    "person": ("person_id", "user_id", "userid", "user", "distinct_id", "uid", "customer_id"),
    "event": ("event_name", "event_type", "name", "action"),
    "ts": ("timestamp", "time", "event_time", "datetime", "created_at", "occurred_at", "date"),
}
"""What others call these columns."""

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
    keys: pl.DataFrame
    """Further columns that tell the entries of `persons` apart (`by` of `person_rows`); one row each."""
    offsets: Int64
    ts: Int64
    """Microseconds since 1970, UTC."""
    mask: Int32
    """Bit g is set where the event matches group g."""
    left_out: LeftOut
    value: npt.NDArray[np.float64] | None = None
    """A number on every row, NaN where there is none; only where the definition has a `value`."""

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
    groups: Sequence[Sequence[Step | Match]],
    *,
    as_of: datetime,
    sources: Sequence[str] | None,
    extra: Mapping[str, pl.Expr] | None = None,
    before: Mapping[str, pl.Expr] | None = None,
    among: pl.Expr | None = None,
    keep_all: bool = False,
) -> pl.DataFrame:
    """Events up to `as_of` that match a step of at least one group, or all with `keep_all`.

    Out: `person`, `ts` (UTC, µs), `mask` (Int32, bit g for group g) and the columns of `extra` and
    `before`. `before` is computed over all events of `sources`, before `among` and the steps choose among
    them. Rows without person or time are still among them.

    Raises:
        EventsError: a column is missing or has the wrong type; found before any data is read.
        PropertyError: a filter names a property the events cannot have.
    """
    frame, columns = checked(events, needs_source=sources is not None)
    matches = [[one for step in group for one in _matches(step)] for group in groups]
    wanted = pl.col("ts").is_null() | (pl.col("ts") <= pl.lit(as_of).cast(UTC_TIME))
    if sources is not None:
        wanted &= pl.col("source").cast(pl.String).is_in(list(sources))
    frame = frame.filter(wanted)
    if before:
        frame = frame.with_columns(**before)
    firsts = {
        f"first_{position}": _first_match(step, columns)
        for position, group in enumerate(groups)
        for step in group
        if isinstance(step, Step) and step.occurrence != "any"
    }
    frame = frame.with_columns(**firsts)
    if among is not None:
        frame = frame.filter(pl.col("ts").is_null() | among)
    names = {one.event for group in matches for one in group}
    if not keep_all and ANY_EVENT not in names:
        frame = frame.filter(pl.col("event").is_in(sorted(names)))
    serves = [
        pl.col(f"first_{position}")
        if f"first_{position}" in firsts
        else pl.any_horizontal(pl.lit(False), *(event_matches(one, columns) for one in group))
        for position, group in enumerate(matches)
    ]
    bits = [one.cast(pl.Int32) * (1 << position) for position, one in enumerate(serves)]
    rows = frame.select(
        "person",
        "ts",
        pl.sum_horizontal(bits).cast(pl.Int32).alias("mask"),
        **dict(extra or {}),
        **{name: pl.col(name) for name in before or ()},
    )
    return (rows if keep_all else rows.filter(pl.col("mask") != 0)).collect()


def person_rows(matching: pl.DataFrame, *, by: Sequence[str] = (), ties_by_mask: bool = False) -> PersonRows:
    """Sort the result of `matching_rows` by person and time; rows without either are counted and left out.

    With `by`, a person and the values of these columns stand for one person of the result; rows that
    lack such a value are left out. `ties_by_mask` sorts equal times, so that the order of rows is nothing.
    """
    without_person = matching["person"].null_count()
    without_time = matching.filter(pl.col("person").is_not_null())["ts"].null_count()
    needed = ["person", "ts", *by]
    if any(matching[name].null_count() for name in needed):
        matching = matching.drop_nulls(needed)
    if ties_by_mask:
        matching = matching.sort("ts", "mask")
    elif not matching["ts"].is_sorted():
        matching = matching.sort("ts")
    # Rows of a group keep their order, so each person's stay in order of time.
    carried = ["ts", "mask", *(["value"] if "value" in matching.columns else [])]
    grouped = matching.group_by("person", *by).agg(carried).sort("person", *by)
    ends = grouped["ts"].list.len().cast(pl.Int64).cum_sum().to_numpy()
    return PersonRows(
        persons=grouped["person"],
        keys=grouped.select(by),
        offsets=np.concatenate([np.zeros(1, np.int64), ends]),
        ts=grouped["ts"].explode().to_physical().to_numpy(),
        mask=grouped["mask"].explode().to_numpy(),
        left_out=LeftOut(without_person, without_time),
        value=grouped["value"].explode().fill_null(np.nan).to_numpy() if "value" in carried else None,
    )


def _first_match(step: Step, columns: list[str]) -> pl.Expr:
    """Whether each event is the person's first ever that serves the step, or the first of its name."""
    serves = pl.any_horizontal([event_matches(one, columns) for one in step.matches])
    if step.occurrence == "first":
        candidates = serves
    else:
        bare = [Match(event=name) for name in step.events]
        candidates = pl.any_horizontal([event_matches(one, columns) for one in bare])
    first = pl.when(candidates).then(pl.col("ts")).min().over("person")
    return (serves & (pl.col("ts") == first)).fill_null(False)


def _matches(step: Step | Match) -> tuple[Match, ...]:
    return step.matches if isinstance(step, Step) else (step,)


def window_microseconds(window: timedelta) -> int:
    return window // timedelta(microseconds=1)


def is_mature(entries: Int64, window: timedelta, as_of: datetime) -> npt.NDArray[np.bool_]:
    """Whether the window of attempts with these entry times had elapsed at `as_of`."""
    return entries <= microseconds(as_of) - window_microseconds(window)


def checked(events: Events, *, needs_source: bool = False) -> tuple[pl.LazyFrame, list[str]]:
    """The events with text names, UTC times and JSON properties, and the names of their columns.

    Raises:
        EventsError: a column is missing or has the wrong type; no row is read.
    """
    frame = events.lazy()
    schema = frame.collect_schema()
    needed = ["person", "event", "ts", *(["source"] if needs_source else [])]
    missing = [name for name in needed if name not in schema]
    if missing:
        raise EventsError(
            f"events lack the columns {missing}; they need person, event and ts"
            f"{', and source because the definition names sources' if needs_source else ''}. "
            f"Columns are {schema.names()}{_renaming(missing, schema.names())}"
        )
    ts, event = schema["ts"], schema["event"]
    if not isinstance(ts, (pl.Datetime, pl.Date)) and ts != pl.Null:
        raise EventsError(f"column ts is {ts}, not Datetime; {_parsing(ts)}")
    if not isinstance(event, (pl.String, pl.Categorical, pl.Enum, pl.Null)):
        raise EventsError(f"column event is {event}, not text")
    if schema["person"].is_nested():
        raise EventsError(f"column person is {schema['person']}, which does not sort")
    if schema["person"].is_object():
        raise EventsError(
            "column person holds Python objects, which do not sort; make text of them first: "
            'pl.Series("person", [str(one) for one in persons])'
        )
    objects = []
    for name in (PROPERTIES, PERSON_PROPERTIES):
        kind = schema.get(name, pl.String())
        if not isinstance(kind, pl.String):
            objects.append(_json_text(name, kind))
    if ts == pl.Date() or (isinstance(ts, pl.Datetime) and ts.time_zone is None):
        utc = pl.col("ts").cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
    else:
        utc = pl.col("ts").cast(UTC_TIME)
    person = pl.col("person")
    if isinstance(schema["person"], (pl.Categorical, pl.Enum)):
        person = person.cast(pl.String)
    elif schema["person"].is_float():
        # How NumPy and pandas write a missing id.
        person = person.fill_nan(None)
    plain = frame.with_columns(person, utc, pl.col("event").cast(pl.String), *objects)
    return plain, schema.names()


def _json_text(name: str, kind: pl.DataType) -> pl.Expr:
    """A column of properties as the text of JSON objects."""
    column = pl.col(name)
    if isinstance(kind, pl.Struct):
        return column.struct.json_encode()
    if isinstance(kind, (pl.Null, pl.Categorical, pl.Enum, pl.Binary)):
        return column.cast(pl.String)
    entries = _map_entries(kind)
    if entries is None:
        raise EventsError(f"column {name} is {kind}, not the text of a JSON object, a struct or a map")
    entry = pl.element().struct.json_encode()
    member = entry.str.replace(r'(?s)^\{"key":("(?:[^"\\]|\\.)*"),"value":(.*)\}$', "${1}:${2}")
    members = column.cast(entries).list.eval(member).list.join(",")
    return pl.concat_str(pl.lit("{"), members, pl.lit("}")).alias(name)


def _map_entries(kind: pl.DataType) -> pl.List | None:
    """A map, or the list of pairs that it is elsewhere, as a list of `key` (text) and `value`."""
    if type(kind).__name__ == "Map":  # Polars has it since 2.1.
        key, value = kind.key, kind.value  # type: ignore[attr-defined]
    elif isinstance(kind, pl.List) and isinstance(kind.inner, pl.Struct):
        fields = {field.name: field.dtype for field in kind.inner.fields}
        if set(fields) != {"key", "value"}:
            return None
        key, value = fields["key"], fields["value"]
    else:
        return None
    if not isinstance(key, (pl.String, pl.Categorical, pl.Enum)):
        return None
    return pl.List(pl.Struct({"key": pl.String, "value": value}))


def _renaming(missing: Sequence[str], columns: Sequence[str]) -> str:
    """What to rename, where columns of other tools' names stand in for the missing ones."""
    plain = {name.lower(): name for name in columns}
    found = {}
    for name in missing:
        other = next((other for other in OTHER_NAMES.get(name, ()) if other in plain), None)
        if other is not None:
            found[plain[other]] = name
    return f". Rename them: .rename({found})" if found else ""


def _parsing(ts: pl.DataType) -> str:
    """How to make a Datetime of a column of this type."""
    if ts.is_numeric():
        return 'parse it first: pl.from_epoch("ts", time_unit="s"), or "ms" or "us"'
    if isinstance(ts, pl.String):
        return 'parse it first: pl.col("ts").str.to_datetime(time_zone="UTC")'
    return "parse it first, in UTC"
