"""Uses of the product from the behavior index: who was there in which calendar units, and matching events.

A person is told by the place of the name in the order of all names, so that whatever is sorted by person
comes in the order that names give; `PersonNames` has the names.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import cached_property

import numpy as np
import numpy.typing as npt
import polars as pl

from opsanalytics.behavior.calendars import Calendar
from opsanalytics.behavior.conditions import Step
from opsanalytics.behavior.index import BehaviorIndex, NotIndexedError, Segment, Slice, nobodys
from opsanalytics.behavior.index_coding import Coding, coding_of_groups
from opsanalytics.behavior.index_funnel import class_codes
from opsanalytics.behavior.index_periods import DayPeriods, periods_of_days
from opsanalytics.behavior.index_streaming import Codes
from opsanalytics.behavior.periods import LONG_AGO, microseconds
from opsanalytics.behavior.rows import Int32, Int64, LeftOut
from opsanalytics.lake.tables import UTC_TIME

PERSON_AT_ONCE = 1 << 16
"""Persons whose uses are gathered at once."""


@dataclass(frozen=True, eq=False)
class PersonNames:
    """Names of the persons of an index, by their place in the order of names."""

    index: BehaviorIndex

    @cached_property
    def _ordered(self) -> pl.Series:
        return self.index.persons.gather(np.argsort(self.index.ranks))

    def __call__(self, frame: pl.DataFrame) -> pl.DataFrame:
        """A frame with the names in its column `person`."""
        return frame.with_columns(self._ordered.gather(frame["person"]).alias("person"))


@dataclass(frozen=True, eq=False)
class Found:
    """The part of an index that a definition looks at."""

    index: BehaviorIndex
    coding: Coding
    segments: tuple[Segment, ...]
    codes: Codes
    until: int
    """Time of the last event that counts, microseconds."""

    @classmethod
    def of(
        cls,
        index: BehaviorIndex,
        groups: Sequence[Sequence[Step]],
        *,
        sources: Sequence[str] | None,
        entity: str | None,
        as_of: datetime,
        label: str,
    ) -> "Found":
        """Events that match one of `groups`, a bit of the masks each.

        Raises:
            NotIndexedError: entities or first events ever are asked for, or too many filters.
            EventsChangedError: the lake changed while it was read; open the index again.
            PropertyError: a filter names a property the events cannot have.
        """
        if entity is not None or any(step.occurrence != "any" for group in groups for step in group):
            raise NotIndexedError(
                f"{label} counts entities or first events, which the index does not tell; evaluate it on the "
                "events of the lake"
            )
        until = min(microseconds(as_of), index.until)
        segments = index.between(LONG_AGO, until)
        coding = coding_of_groups(groups, index.codes, sources=sources, label=label)
        codes = class_codes(index, coding, segments, until=until)
        return cls(index, coding, tuple(segments), codes, until)

    def left_out(self) -> LeftOut:
        """Matching events of nobody. In the lake every event has a time."""
        found = nobodys(self.segments, self.codes, self.coding.masks != 0, since=LONG_AGO, until=self.until)
        return LeftOut(without_person=found)

    def data_from(self) -> datetime | None:
        """Time of the first event of the sources, of whatever name and whoever's; None if there is none."""
        for segment, code in zip(self.segments, self.codes, strict=True):
            times = segment.ts[self.coding.of_sources[code]]
            if len(times) and times.min() <= self.until:
                first: datetime = pl.Series([times.min()], dtype=pl.Int64).cast(UTC_TIME).item()
                return first
        return None

    def uses(self, calendars: Mapping[str, Calendar], *, of_any_name: bool = False) -> pl.DataFrame:
        """`person` (see the module) and one column a calendar (Int32): when persons have matching events, or
        with `of_any_name` any of the sources. Distinct; of one person together and in order of time."""
        from opsanalytics.behavior.kernels_activity import choose_uses, uses_by_person

        wanted = self.coding.of_sources if of_any_name else self.coding.masks != 0
        table, periods = _units([one.day for one in self.segments], calendars)

        def part(low: int, high: int, slices: list[Slice]) -> tuple[Int32, Int32]:
            room = sum(one.end - one.begin for one in slices)
            who, slot = np.empty(room, np.int32), np.empty(room, np.int32)
            latest, count = np.full(high - low, -1, np.int32), np.zeros(high - low, np.int64)
            size = 0
            for one in slices:
                columns = (one.segment.person, one.segment.ts, self.codes[one.place], one.begin, one.end)
                times = (periods[one.place].edges, periods[one.place].slots, self.until)
                size = choose_uses(*columns, low, wanted, *times, latest, count, size, who, slot)
            place = np.cumsum(count) - count
            out_who, out_slot = np.empty(size, np.int32), np.empty(size, np.int32)
            uses_by_person(who, slot, size, place, out_who, out_slot)
            return out_who + np.int32(low), out_slot

        found = self.index.by_range(self.segments, part, most=PERSON_AT_ONCE)
        number = np.concatenate([np.empty(0, np.int32), *(one[0] for one in found)])
        slot = np.concatenate([np.empty(0, np.int32), *(one[1] for one in found)])
        frame = pl.DataFrame({"person": pl.Series(self.index.ranks[number], dtype=pl.UInt32)})
        frame = frame.with_columns(table.select(pl.all().gather(slot)) if table.height else table)
        if table.is_duplicated().any():
            # A zone repeats the end of a unit after the next one has begun.
            frame = frame.unique().sort(pl.all())
        return frame

    def matching(self, calendar: Calendar, extra: Mapping[str, str] | None = None) -> pl.DataFrame:
        """Matching events of persons: `person` (see the module), `mask` (Int32, a bit a group), `period`
        (Int32) and by name in `extra` the text of an event property."""
        days = [one.day for one in self.segments]
        numbers, periods = periods_of_days(days, calendar)
        columns = {
            name: self.index.property_of(property_, self.segments)
            for name, property_ in (extra or {}).items()
        }
        persons: list[npt.NDArray[np.uint32]] = [np.empty(0, np.uint32)]
        masks: list[Int32] = [np.empty(0, np.int32)]
        slots: list[Int64] = [np.empty(0, np.int64)]
        places: dict[str, list[npt.NDArray[np.uint32]]] = {name: [np.empty(0, np.uint32)] for name in columns}
        for place, (segment, code) in enumerate(zip(self.segments, self.codes, strict=True)):
            mask = self.coding.masks[code[: segment.known]]
            wanted = mask != 0
            if segment.last > self.until:
                wanted &= segment.ts[: segment.known] <= self.until
            chosen = np.flatnonzero(wanted)
            persons.append(self.index.ranks[segment.person[chosen]])
            masks.append(mask[chosen])
            slots.append(_slots(periods[place], segment.ts, chosen))
            for name, column in columns.items():
                codes = column.days[place].codes[segment.row[chosen]]
                places[name].append(column.places[place][codes])
        return pl.DataFrame(
            {
                "person": pl.Series(np.concatenate(persons), dtype=pl.UInt32),
                "mask": pl.Series(np.concatenate(masks), dtype=pl.Int32),
                "period": pl.Series(numbers[np.concatenate(slots)], dtype=pl.Int32),
                **{
                    name: column.values.gather(np.concatenate(places[name]))
                    for name, column in columns.items()
                },
            }
        )


def _slots(periods: DayPeriods, ts: Int64, chosen: npt.NDArray[np.intp]) -> Int64:
    if len(periods.edges) == 1:
        return np.full(len(chosen), periods.slots[0], np.int64)
    return periods.slots[np.searchsorted(periods.edges, ts[chosen], side="right") - 1]


def _units(days: Sequence[date], calendars: Mapping[str, Calendar]) -> tuple[pl.DataFrame, list[DayPeriods]]:
    """When the numbers of calendars change, taken together: the numbers by slot, one column a calendar, and
    the slots of each day. Slots follow each other in time."""
    found = {name: periods_of_days(days, calendar) for name, calendar in calendars.items()}
    rows: dict[str, list[Int32]] = {name: [] for name in calendars}
    edges: list[Int64] = []
    for place in range(len(days)):
        own = [by_day[place] for _, by_day in found.values()]
        every = np.unique(np.concatenate([one.edges for one in own]))
        edges.append(every)
        for name, (numbers, by_day) in found.items():
            at = np.searchsorted(by_day[place].edges, every, side="right") - 1
            rows[name].append(numbers[by_day[place].slots[at]])
    every_row = {name: np.concatenate([np.empty(0, np.int32), *parts]) for name, parts in rows.items()}
    count = sum(map(len, edges))
    changed = np.zeros(count, np.bool_)
    changed[:1] = True
    for numbers in every_row.values():
        changed[1:] |= numbers[1:] != numbers[:-1]
    slots = np.cumsum(changed) - 1
    table = pl.DataFrame(
        {name: pl.Series(numbers[changed], dtype=pl.Int32) for name, numbers in every_row.items()}
    )
    ends = np.cumsum([len(one) for one in edges])
    return table, [DayPeriods(one, slots[end - len(one) : end]) for one, end in zip(edges, ends, strict=True)]
