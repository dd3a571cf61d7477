"""Who used the product in which calendar units: what lifecycle, stickiness and usage interval start from."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias

import polars as pl

from opsanalytics.behavior.activity_spec import Activity
from opsanalytics.behavior.calendars import Calendar
from opsanalytics.behavior.conditions import Step
from opsanalytics.behavior.index import BehaviorIndex
from opsanalytics.behavior.index_activity import Found, PersonNames
from opsanalytics.behavior.rows import Events, LeftOut, checked, matching_rows
from opsanalytics.behavior.spec import Retention
from opsanalytics.behavior.subjects import prepared
from opsanalytics.lake.tables import UTC_TIME

History: TypeAlias = Events | BehaviorIndex
"""A table of events, or the index of a lake: the same answers, without reading its events. It raises
NotIndexedError where it cannot tell: entities, first events ever, too many filters; and EventsChangedError
where the lake changes under it."""


@dataclass(frozen=True, eq=False)
class Uses:
    """Every use once by person and unit."""

    units: pl.DataFrame
    """`person` and one column a calendar (Int32 numbers); distinct, each person's in order. A person is a
    number where there is `named`."""
    left_out: LeftOut
    data_from: datetime | None
    """Time of the first event there is, of whatever name; None without events."""
    began: pl.DataFrame | None = None
    """`person`, `began`: unit of the first event of whatever name, in the first calendar."""
    named: Callable[[pl.DataFrame], pl.DataFrame] | None = None
    """Puts names in the place of numbers, which are sorted as they are."""


def uses(
    events: History,
    definition: Activity,
    calendars: dict[str, Calendar],
    *,
    as_of: datetime,
    with_began: bool = False,
    minimum: int = 1,
    at_most: int | None = None,
) -> Uses:
    """Find the uses that a definition counts, up to `as_of`: those of persons with at least `minimum`, and no
    more than `at_most`, in the same unit of the first calendar.

    Raises:
        EventsError, PropertyError: the events cannot answer the definition; nothing was read.
        NotIndexedError, EventsChangedError: see `History`.
    """
    if isinstance(events, BehaviorIndex):
        return _indexed_uses(
            events,
            definition,
            calendars,
            as_of=as_of,
            with_began=with_began,
            minimum=minimum,
            at_most=at_most,
        )
    subjects = with_subjects(events, definition.steps, entity=definition.entity, as_of=as_of)
    rows = matching_rows(subjects, [definition.steps], as_of=as_of, sources=definition.sources)
    left_out = left_out_of(rows)
    units = (
        rows.drop_nulls(["person", "ts"])
        .select(
            "person", *(calendar.number(pl.col("ts")).alias(name) for name, calendar in calendars.items())
        )
        .filter(_often(next(iter(calendars)), minimum, at_most))
        .unique()
        .sort("person", *calendars)
    )
    known = known_events(subjects, definition.sources, as_of)
    began = None
    if with_began:
        first = next(iter(calendars.values()))
        began = (
            known.filter(pl.col("person").is_not_null())
            .group_by("person")
            .agg(pl.col("ts").min())
            .select("person", first.number(pl.col("ts")).alias("began"))
            .collect()
        )
    return Uses(units, left_out, data_from(known), began)


def _indexed_uses(
    index: BehaviorIndex,
    definition: Activity,
    calendars: dict[str, Calendar],
    *,
    as_of: datetime,
    with_began: bool,
    minimum: int,
    at_most: int | None,
) -> Uses:
    found = Found.of(
        index,
        [definition.steps],
        sources=definition.sources,
        entity=definition.entity,
        as_of=as_of,
        label=definition.label,
    )
    began, units = None, found.uses(calendars)
    first = next(iter(calendars))
    if minimum > 1 or at_most is not None:
        events = found.matching(calendars[first]).rename({"period": first})
        frequent = events.filter(_often(first, minimum, at_most)).select("person", first).unique()
        units = units.join(frequent, on=["person", first], how="semi", maintain_order="left")
    if with_began:
        every = found.uses({first: calendars[first]}, of_any_name=True)
        began = every.unique("person", keep="first", maintain_order=True).rename({first: "began"})
    return Uses(units, found.left_out(), found.data_from(), began, PersonNames(index))


def _often(unit: str, minimum: int, at_most: int | None) -> pl.Expr:
    """Whether a person's events in a unit are so many."""
    if minimum == 1 and at_most is None:
        return pl.lit(True)
    count = pl.len().over("person", unit)
    return count >= minimum if at_most is None else count.is_between(minimum, at_most)


def with_subjects(
    events: Events,
    steps: Sequence[Step],
    *,
    entity: str | None,
    as_of: datetime,
    wanted: Iterable[str] = (),
) -> Events:
    """Events with the person properties that the steps and `wanted` name, and who is counted as `person`.

    Raises:
        EventsError, PropertyError: a column is missing or has the wrong type; found before any row is read.
    """
    plain = tuple(step.model_copy(update={"occurrence": "any"}) for step in steps)
    # Persons and entities are found as for a retention of the same events: there is one rule.
    like = Retention(start=plain[0], returning=plain, entity=entity)
    return prepared(events, like, as_of=as_of, wanted=wanted)


def known_events(events: Events, sources: Sequence[str] | None, as_of: datetime) -> pl.LazyFrame:
    """`person` and `ts` of all events of these sources with a time, up to `as_of`."""
    frame, _ = checked(events, needs_source=sources is not None)
    if sources is not None:
        frame = frame.filter(pl.col("source").cast(pl.String).is_in(list(sources)))
    return frame.filter(pl.col("ts") <= pl.lit(as_of).cast(UTC_TIME)).select("person", "ts")


def data_from(known: pl.LazyFrame) -> datetime | None:
    """Time of the first event; None if there is none."""
    first: datetime | None = known.select(pl.col("ts").min()).collect().item()
    return first


def left_out_of(rows: pl.DataFrame) -> LeftOut:
    """What of the result of `rows.matching_rows` belongs to nobody or to no time."""
    without_person = rows["person"].null_count()
    without_time = rows.filter(pl.col("person").is_not_null())["ts"].null_count()
    return LeftOut(without_person, without_time)
