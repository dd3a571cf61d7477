"""Tables of events made from the index, for what its folds do not know: held properties, sessions, values,
entities, cohorts, first events ever and breakdowns. Nothing is read of the event files but properties that
nobody has asked for yet."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import date, datetime
from typing import Any

import numpy as np
import polars as pl

from opsanalytics.behavior import funnel as funnels
from opsanalytics.behavior.cohort_spec import Cohort
from opsanalytics.behavior.cohorts import MEMBER, membership
from opsanalytics.behavior.conditions import ANY_EVENT, Step
from opsanalytics.behavior.funnel import FunnelResult
from opsanalytics.behavior.funnel_breakdown import Broken, broken_down
from opsanalytics.behavior.index import BehaviorIndex, Segment, Slice
from opsanalytics.behavior.index_columns import PropertyColumn
from opsanalytics.behavior.periods import microseconds
from opsanalytics.behavior.rows import LeftOut
from opsanalytics.behavior.segments import Segment as SegmentBy
from opsanalytics.behavior.semantics import Semantics, preset_named
from opsanalytics.behavior.spec import Exclusion, Funnel
from opsanalytics.behavior.subjects import person_properties
from opsanalytics.lake.events import scan_events
from opsanalytics.lake.tables import UTC_TIME


def projected_funnel(
    index: BehaviorIndex,
    definition: Funnel,
    *,
    as_of: datetime,
    first: date | None,
    last: date | None,
    timezone: str,
    preset: str | Semantics,
) -> FunnelResult:
    """As `funnel.funnel` on the lake's events.

    Raises: as `index_funnel.indexed_funnel`.
    """
    limits: dict[str, Any] = {
        "as_of": as_of,
        "first": first,
        "last": last,
        "timezone": timezone,
        "preset": preset,
    }
    table = Projection(index, definition, as_of, preset=preset)
    members = None
    asked = definition
    if definition.among is not None:
        members = members_of(index, definition.among, as_of=as_of, timezone=timezone)
        asked = definition.model_copy(update={"among": None})

    def evaluated(events: pl.DataFrame) -> FunnelResult:
        return funnels.funnel(events, asked, **limits)

    nobodys = table.nobodys()
    if definition.entity is not None:
        everybody = index.by_range(table.segments, table.rows)
        return evaluated(pl.concat([*everybody, nobodys]))

    def part(low: int, high: int, slices: list[Slice]) -> FunnelResult:
        events = table.rows(low, high, slices)
        if members is not None:
            events = events.filter(pl.Series(members[events["person"].to_numpy()], dtype=pl.Boolean))
        return evaluated(events)

    rest = evaluated(nobodys)
    found = [*index.by_range(table.segments, part), rest]
    return replace(
        rest,
        definition=definition,
        attempts=pl.concat([one.attempts for one in found]),
        left_out=LeftOut(
            sum(one.left_out.without_person for one in found), sum(one.left_out.without_time for one in found)
        ),
        names=index.named,
    )


def projected_breakdown(
    index: BehaviorIndex,
    definition: Funnel,
    segments: Sequence[SegmentBy],
    *,
    as_of: datetime,
    first: date | None,
    last: date | None,
    timezone: str,
    preset: str | Semantics,
) -> list[Broken]:
    """As `funnel_breakdown.broken_down` on the lake's events, for segments that are no cohorts.

    Raises: as `index_funnel.indexed_funnel`.
    """
    whole = any(one.person_properties() for one in segments)
    properties = [name for one in segments for name in one.names()]
    table = Projection(index, definition, as_of, preset=preset, properties=properties, whole=whole)
    events = pl.concat([*index.by_range(table.segments, table.rows), table.nobodys()])
    asked = definition
    if definition.among is not None:
        members = members_of(index, definition.among, as_of=as_of, timezone=timezone)
        belongs = np.append(members, True)[events["person"].fill_null(len(members)).to_numpy()]
        events = events.filter(pl.Series(belongs, dtype=pl.Boolean))
        asked = definition.model_copy(update={"among": None})
    parts = broken_down(
        events, asked, segments, as_of=as_of, first=first, last=last, timezone=timezone, preset=preset
    )
    names = None if definition.entity is not None else index.named
    return [replace(part, whole=replace(part.whole, definition=definition, names=names)) for part in parts]


def members_of(index: BehaviorIndex, cohort: Cohort | str, *, as_of: datetime, timezone: str) -> Any:
    """By number whether a person is in a cohort. The events are read.

    Raises: as `cohorts.membership`.
    """
    events = scan_events(index.home).filter(pl.col("ts").to_physical() <= index.until)
    asked = membership(events, cohort, as_of=as_of, timezone=timezone)
    names = asked.filter(MEMBER).select("person").collect()["person"]
    return index.persons.is_in(names.implode()).to_numpy()


class Projection:
    """Events up to `as_of` with the columns that a definition looks at; `person` is a number."""

    def __init__(
        self,
        index: BehaviorIndex,
        definition: Funnel,
        as_of: datetime,
        *,
        preset: str | Semantics,
        properties: Sequence[str] = (),
        whole: bool = False,
    ) -> None:
        """`properties` are wanted besides those of the definition; `whole`: all events are."""
        self._index = index
        self._until = min(microseconds(as_of), index.until)
        self.segments: list[Segment] = [one for one in index.segments if one.first <= self._until]
        wanted = [*_properties(definition), *properties]
        self._columns: dict[str, PropertyColumn] = {
            name: index.property_of(name, self.segments) for name in dict.fromkeys(wanted)
        }
        names = _events(definition)
        every = (
            whole
            or ANY_EVENT in names
            or definition.order == "strict"
            or "strict_order" in preset_named(preset).modes
            or (definition.counting == "sessions" and definition.session_property is None)
            or bool(person_properties(definition))
        )
        self._wanted = np.array([every or name in names for _, name in index.codes], np.bool_)
        self._names = pl.Series("event", [name for _, name in index.codes], pl.String)
        self._sources = pl.Series("source", [source for source, _ in index.codes], pl.String)

    def rows(self, _low: int, _high: int, slices: Sequence[Slice]) -> pl.DataFrame:
        """The events of some persons, as `BehaviorIndex.by_range` asks for them."""
        return self._frame([(one.place, one.begin, one.end) for one in slices], nobody=False)

    def nobodys(self) -> pl.DataFrame:
        """The events without a person."""
        parts = [(place, one.known, len(one.ts)) for place, one in enumerate(self.segments)]
        return self._frame(parts, nobody=True)

    def _frame(self, parts: Sequence[tuple[int, int, int]], *, nobody: bool) -> pl.DataFrame:
        persons: list[Any] = [np.empty(0, np.uint32)]
        times: list[Any] = [np.empty(0, np.int64)]
        events: list[Any] = [np.empty(0, np.uint16)]
        places: dict[str, list[Any]] = {name: [np.empty(0, np.uint32)] for name in self._columns}
        for place, begin, end in parts:
            segment = self.segments[place]
            chosen = begin + np.flatnonzero(
                self._wanted[segment.event[begin:end]] & (segment.ts[begin:end] <= self._until)
            )
            persons.append(segment.person[chosen])
            times.append(segment.ts[chosen])
            events.append(segment.event[chosen])
            for name, values in self._columns.items():
                codes = values.days[place].codes[segment.row[chosen]]
                places[name].append(values.places[place][codes])
        person = pl.Series("person", np.concatenate(persons), pl.UInt32)
        event = np.concatenate(events)
        return pl.DataFrame(
            {
                "person": pl.repeat(None, len(person), dtype=pl.UInt32, eager=True) if nobody else person,
                "ts": pl.Series(np.concatenate(times), dtype=pl.Int64).cast(UTC_TIME),
                "event": self._names.gather(event),
                "source": self._sources.gather(event),
                **{
                    name: values.values.gather(np.concatenate(places[name]))
                    for name, values in self._columns.items()
                },
            }
        )


def _events(definition: Funnel) -> set[str]:
    groups: list[Step | Exclusion] = [*definition.steps, *definition.exclusions]
    return {name for one in groups for name in (one.events if isinstance(one, Step) else (one.event,))}


def _properties(definition: Funnel) -> list[str]:
    groups: list[Step | Exclusion] = [*definition.steps, *definition.exclusions]
    matches = [one for group in groups for one in (group.matches if isinstance(group, Step) else (group,))]
    others = (definition.session_property, definition.entity, definition.value)
    return [
        *(each.property for one in matches for each in one.where),
        *definition.hold,
        *(name for name in others if name is not None),
    ]
