"""Cohorts: who belongs to them, and how funnels and retention are narrowed to or broken down by them.

One pass over the events counts what every condition needs, person by person: time grows with the events,
memory with the persons.
"""

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import polars as pl

from opsanalytics.behavior.cohort_spec import (
    All,
    AnyOf,
    Cohort,
    Did,
    DidNot,
    In,
    Not,
    Period,
    PersonIs,
    Seen,
    as_filter,
    conditions,
)
from opsanalytics.behavior.conditions import Definition, Match, Step
from opsanalytics.behavior.filters import PERSON, filter_passes, step_matches
from opsanalytics.behavior.latest import with_latest
from opsanalytics.behavior.marts import mart_rows, nullable, with_provenance
from opsanalytics.behavior.periods import microseconds, time_range, zone
from opsanalytics.behavior.rows import Events, LeftOut, check_as_of, checked, window_microseconds
from opsanalytics.behavior.statistics import wilson
from opsanalytics.behavior.tables_journeys import COHORT_PERSONS, COHORTS
from opsanalytics.lake.tables import UTC_TIME

MEMBER = "cohort_member"


@dataclass(frozen=True, eq=False)
class CohortResult:
    """Who belongs to a cohort at `as_of`."""

    definition: Cohort
    as_of: datetime
    persons: pl.Series
    """The members, sorted."""
    asked: int
    """Persons with at least one event (n)."""
    left_out: LeftOut
    """Events without person or time, which count nowhere."""

    @property
    def size(self) -> int:
        return len(self.persons)

    def to_polars(self) -> pl.DataFrame:
        """One row: the columns of the mart COHORTS without `quality`."""
        low, high = wilson([self.size], [self.asked])
        frame = pl.DataFrame(
            {
                "cohort": [self.definition.name],
                "n": [self.asked],
                "persons": [self.size],
                "rate": [self.size / self.asked if self.asked else None],
                "rate_low": nullable(low),
                "rate_high": nullable(high),
                "small": [self.size < self.definition.min_n],
            },
            schema_overrides={"rate": pl.Float64},
        )
        return with_provenance(frame, self.definition, self.as_of)

    def members(self) -> pl.DataFrame:
        """One row a member: the columns of the mart COHORT_PERSONS without `quality`; `person` as it came."""
        frame = pl.DataFrame({"person": self.persons}).select(
            pl.lit(self.definition.name).alias("cohort"), "person"
        )
        return with_provenance(frame, self.definition, self.as_of)

    def mart_rows(self, *, quality: str) -> pl.DataFrame:
        """Rows of the mart COHORTS; `quality` is the state of the checks upstream."""
        return mart_rows(COHORTS, [self.to_polars()], quality=quality)

    def member_rows(self, *, quality: str) -> pl.DataFrame:
        """Rows of the mart COHORT_PERSONS."""
        members = self.members().with_columns(pl.col("person").cast(pl.String))
        return mart_rows(COHORT_PERSONS, [members], quality=quality)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON; the members themselves are in `members()`."""
        return {
            "definition": self.definition.model_dump(mode="json"),
            "definition_id": self.definition.definition_id,
            "as_of": self.as_of.isoformat(),
            **self.to_polars().drop("cohort", "definition_id", "as_of").to_dicts()[0],
            "left_out": {
                "without_person": self.left_out.without_person,
                "without_time": self.left_out.without_time,
            },
        }

    def __repr__(self) -> str:
        row = self.to_polars().to_dicts()[0]
        head = f"{self.definition.label} at {self.as_of.isoformat(timespec='minutes')}"
        if row["rate"] is None:
            return f"{head}: nobody was seen"
        interval = f"{row['rate_low']:.1%} to {row['rate_high']:.1%}"
        small = ", few" if row["small"] else ""
        return f"{head}: {row['persons']} of {row['n']} persons, {row['rate']:.1%} ({interval}){small}"


def cohort(events: Events, definition: Cohort, *, as_of: datetime, timezone: str = "UTC") -> CohortResult:
    """Who belongs to a cohort.

    Args:
        events: see `rows.Events`. "First" means first in here: give all of history.
        definition: who belongs; its docstring has the rules.
        as_of: the moment of the question; later events are not looked at. Needs a time zone.
        timezone: IANA zone of the local days `first` and `last`.

    Raises:
        EventsError, PropertyError: the events cannot answer the definition; nothing was read.
        ValueError: `as_of` or `timezone` is wrong, or a condition names a cohort and does not hold it.
    """
    as_of = check_as_of(as_of)
    frame, _ = checked(events, needs_source=definition.sources is not None)
    asked = membership(frame, definition, as_of=as_of, timezone=timezone)
    person, ts = pl.col("person"), pl.col("ts")
    late = (ts > pl.lit(as_of).cast(UTC_TIME)).fill_null(False)
    ours = frame.filter(~late, _from(definition.sources))
    counts = ours.select(
        without_person=person.is_null().sum(),
        without_time=(person.is_not_null() & ts.is_null()).sum(),
    )
    members, left_out = pl.collect_all([asked, counts])
    return CohortResult(
        definition=definition,
        as_of=as_of,
        persons=members.filter(MEMBER)["person"].sort(),
        asked=members.height,
        left_out=LeftOut(*(int(value) for value in left_out.row(0))),
    )


def membership(
    events: Events, definition: Cohort | str, *, as_of: datetime, timezone: str = "UTC"
) -> pl.LazyFrame:
    """`person` and `cohort_member` of everybody with an event of the cohort's sources; nothing is read yet.

    In and raises: as `cohort`.
    """
    if isinstance(definition, str):
        raise ValueError(
            f"cohort {definition!r} is only named here; give the Cohort itself, or put the definition into a "
            "configuration that has the cohort"
        )
    zone(timezone)
    inside = list(conditions(definition))
    sourced = definition.sources is not None or any(
        isinstance(one, In) and isinstance(one.cohort, Cohort) and one.cohort.sources is not None
        for one in inside
    )
    frame, columns = checked(events, needs_source=sourced)
    steps = [
        one.did if isinstance(one, Did) else one.did_not for one in inside if isinstance(one, (Did, DidNot))
    ]
    names = {one.property for one in inside if isinstance(one, PersonIs)}
    names |= {
        each.property
        for step in steps
        for match in step.matches
        for each in match.where
        if each.of == "person"
    }
    frame, columns = with_latest(frame, columns, names, as_of)
    counting = _Counting(columns, as_of, timezone)
    asked, member = counting.seen(definition), counting.of(definition)
    known = pl.col("person").is_not_null() & (pl.col("ts") <= pl.lit(as_of).cast(UTC_TIME))
    return (
        frame.filter(known)
        .group_by("person")
        .agg(counting.columns)
        .filter(asked)
        .select("person", member.fill_null(False).alias(MEMBER))
    )


def members_only(
    frame: pl.LazyFrame, whole: Events, definition: Cohort | str, *, as_of: datetime, timezone: str
) -> pl.LazyFrame:
    """The events of a cohort's members, and those without a person, so that these are still counted.

    In: `frame`, events as `rows.checked` gives them; `whole`, the events that decide who belongs.
    Raises: as `membership`.
    """
    members = membership(whole, definition, as_of=as_of, timezone=timezone)
    joined = frame.join(members, on="person", how="left", maintain_order="left")
    return joined.filter(pl.col("person").is_null() | pl.col(MEMBER).fill_null(False)).drop(MEMBER)


def cohort_column(definition: Cohort | str) -> str:
    """Name of the person property that tells members of a cohort from others."""
    return f"cohort {definition if isinstance(definition, str) else definition.name}"


def labelled_by(
    frame: pl.LazyFrame, whole: Events, definition: Cohort | str, *, as_of: datetime, timezone: str
) -> pl.LazyFrame:
    """The events with the person property `cohort_column`: `in NAME` or `not in NAME`.

    In and raises: as `members_only`.
    """
    members = membership(whole, definition, as_of=as_of, timezone=timezone)
    name = definition if isinstance(definition, str) else definition.name
    value = (
        pl.when(pl.col(MEMBER).fill_null(False))
        .then(pl.lit(f"in {name}"))
        .otherwise(pl.lit(f"not in {name}"))
    )
    return (
        frame.join(members, on="person", how="left", maintain_order="left")
        .with_columns(value.alias(PERSON + cohort_column(definition)))
        .drop(MEMBER)
    )


@dataclass(eq=False)
class _Counting:
    """Conditions as expressions over what is counted person by person."""

    names: Collection[str]
    as_of: datetime
    timezone: str
    columns: list[pl.Expr] = field(default_factory=list)

    def of(self, definition: Cohort) -> pl.Expr:
        """Whether a person belongs."""
        parts = [self._condition(one, definition.sources) for one in definition.where]
        return pl.all_horizontal(self.seen(definition), *parts)

    def seen(self, definition: Cohort) -> pl.Expr:
        """Whether a person has an event of the cohort's sources."""
        return self._counted(_from(definition.sources).any())

    def _condition(self, one: Definition, sources: tuple[str, ...] | None) -> pl.Expr:
        if isinstance(one, Did):
            count = self._occurrences(one.did, one, sources)
            enough = count >= one.times
            return enough if one.at_most is None else enough & (count <= one.at_most)
        if isinstance(one, DidNot):
            return self._occurrences(one.did_not, one, sources) == 0
        if isinstance(one, Seen):
            ts = pl.col("ts").filter(_from(sources))
            edge = self._counted(ts.min() if one.seen == "first" else ts.max())
            return self._in_period(edge, one)
        if isinstance(one, PersonIs):
            # A column of the events may change over time; the latest event has the latest value.
            passes = filter_passes(as_filter(one), self.names)
            return self._counted((passes & (pl.col("ts") == pl.col("ts").max())).any())
        if isinstance(one, In):
            if not isinstance(one.cohort, Cohort):
                raise ValueError(f"cohort {one.cohort!r} is only named here; give the Cohort itself")
            return self.of(one.cohort)
        if isinstance(one, Not):
            return ~self._condition(one.not_, sources)
        if isinstance(one, All):
            return pl.all_horizontal([self._condition(each, sources) for each in one.all])
        if isinstance(one, AnyOf):
            return pl.any_horizontal([self._condition(each, sources) for each in one.any])
        raise TypeError(f"{type(one).__name__} is not a condition")

    def _occurrences(self, step: Step | Match, period: Period, sources: tuple[str, ...] | None) -> pl.Expr:
        served = step_matches(step, self.names) if isinstance(step, Step) else pl.lit(False)
        return self._counted((served & self._in_period(pl.col("ts"), period) & _from(sources)).sum())

    def _in_period(self, ts: pl.Expr, period: Period) -> pl.Expr:
        since, to = time_range(period.first, period.last, self.timezone)
        now = microseconds(self.as_of)
        if period.within is not None:
            since = max(since, now - window_microseconds(period.within))
        if period.before is not None:
            to = min(to, now - window_microseconds(period.before))
        return ts.dt.epoch("us").is_between(since, to).fill_null(False)

    def _counted(self, aggregate: pl.Expr) -> pl.Expr:
        name = f"counted_{len(self.columns)}"
        self.columns.append(aggregate.alias(name))
        return pl.col(name)


def _from(sources: tuple[str, ...] | None) -> pl.Expr:
    if sources is None:
        return pl.lit(True)
    return pl.col("source").cast(pl.String).is_in(list(sources)).fill_null(False)
