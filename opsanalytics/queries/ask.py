"""The questions: `opsanalytics.funnel`, `funnel_trend`, `retention` and `reconcile`."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Literal, TypeAlias, TypeVar

import polars as pl

from opsanalytics.behavior import funnel as funnels
from opsanalytics.behavior import funnel_trend as trends
from opsanalytics.behavior import reconcile as reconciling
from opsanalytics.behavior import retention as retentions
from opsanalytics.behavior.calendars import Calendar
from opsanalytics.behavior.folding import check_preset
from opsanalytics.behavior.funnel import FunnelResult as FunnelCounts
from opsanalytics.behavior.funnel_breakdown import broken_down
from opsanalytics.behavior.index import BehaviorIndex
from opsanalytics.behavior.index_breakdown import indexed_breakdown
from opsanalytics.behavior.index_funnel import indexed_funnel
from opsanalytics.behavior.index_retention import indexed_retention
from opsanalytics.behavior.index_trend import indexed_trend
from opsanalytics.behavior.periods import Weekday, zone
from opsanalytics.behavior.reconcile import Reconciliation
from opsanalytics.behavior.retention_breakdown import groups_apart, retention_by_value
from opsanalytics.behavior.rows import Events
from opsanalytics.behavior.segments import Segment
from opsanalytics.behavior.semantics import PRESETS, Semantics, preset_named
from opsanalytics.behavior.spec import Funnel, Retention, RetentionPeriod
from opsanalytics.behavior.subjects import person_properties
from opsanalytics.behavior.times import step_range
from opsanalytics.queries.answers import FunnelResult, RetentionResult
from opsanalytics.queries.indexed import from_index
from opsanalytics.queries.inputs import (
    EPOCH,
    EventsOrLake,
    as_definition,
    day_of,
    end_of,
    lake_of,
    nothing_like,
    table_of,
)

Breakdown: TypeAlias = str | Segment | Sequence[str | Segment] | None
FunnelLike: TypeAlias = Funnel | Mapping[str, Any] | str | Path
RetentionLike: TypeAlias = Retention | Mapping[str, Any] | str | Path
Answered = TypeVar("Answered")


def funnel(
    events: EventsOrLake,
    definition: FunnelLike,
    *,
    preset: str | Semantics = "opsanalytics",
    breakdown: Breakdown = None,
    as_of: datetime | None = None,
    first: date | str | None = None,
    last: date | str | None = None,
    timezone: str = "UTC",
    persons: pl.DataFrame | None = None,
) -> FunnelResult:
    """Evaluate a funnel.

    Args:
        events: a table (of Polars, pandas, PyArrow, DuckDB), one row an event: `person`, `event`, `ts` (a
            Datetime; without a time zone it is UTC) and `properties` (a struct, a map, or JSON text); further
            columns are properties too, and with a column `properties` come before its keys. Or the home
            folder of a lake.
        definition: a `Funnel`, its fields as a mapping, or a JSON or TOML file.
        preset: whose way of counting: `opsanalytics`, `posthog`, `mixpanel`, `mixpanel_optimized`,
            `amplitude`, `clickhouse` (its modes follow: `clickhouse:strict_order`), or a `Semantics`.
        breakdown: a property, a `Segment`, or several; tested together.
        as_of: events up to here are complete; later ones are not looked at. If not given, the time of
            the last event, of whatever name. Needs a time zone.
        first, last: local days (also as `2026-09-01`), or times with a zone, that limit entries (with some
            presets all events), inclusive.
        timezone: IANA zone of these days.
        persons: a column `person` and one a person property, for filters and segments with `of="person"`.

    Raises:
        DefinitionError: the definition is wrong; no data has been read, as with all of these:
        EventsError, PropertyError: the events cannot answer it.
        PresetError: the preset's tool cannot express it.
        ValueError, TypeError, FileNotFoundError: another argument is wrong.
    """
    asked = as_definition(definition, Funnel)
    semantics = preset_named(preset)
    check_preset(asked, semantics)
    segments = as_segments(breakdown)
    zone(timezone)
    limits: dict[str, Any] = {
        "first": day_of("first", first),
        "last": day_of("last", last),
        "timezone": timezone,
        "preset": semantics,
    }

    def of_table(table: Events, end: datetime) -> FunnelResult:
        if not segments:
            return FunnelResult(funnels.funnel(table, asked, as_of=end, **limits))
        parts = broken_down(table, asked, segments, as_of=end, **limits)
        return FunnelResult(parts[0].whole, tuple(parts))

    def of_index(index: BehaviorIndex, end: datetime) -> FunnelResult:
        if not segments:
            return FunnelResult(indexed_funnel(index, asked, as_of=end, **limits))
        parts = indexed_breakdown(index, asked, segments, as_of=end, **limits)
        return FunnelResult(parts[0].whole, tuple(parts))

    indexed = of_index if _indexed(asked, persons, segments) else None
    return answered(events, persons, as_of, of_table, indexed)


def funnel_trend(
    events: EventsOrLake,
    definition: FunnelLike,
    *,
    period: RetentionPeriod = "week",
    from_step: int = 1,
    to_step: int | None = None,
    preset: str | Semantics = "opsanalytics",
    as_of: datetime | None = None,
    first: date | str | None = None,
    last: date | str | None = None,
    timezone: str = "UTC",
    week_start: Weekday = "monday",
    persons: pl.DataFrame | None = None,
) -> pl.DataFrame:
    """Conversion by local period of entry: the mart `funnel_trend` without `quality`.

    In and raises: as `funnel`; `period` is `hour`, `day`, `week` or `month`; `from_step` and `to_step` (the
    last if not given) are the steps between which conversion is measured.
    """
    asked = as_definition(definition, Funnel)
    check_preset(asked, preset_named(preset))
    Calendar(period, timezone, week_start)
    step_range(asked, from_step, to_step)
    limits: dict[str, Any] = {
        "first": day_of("first", first),
        "last": day_of("last", last),
        "timezone": timezone,
        "week_start": week_start,
        "period": period,
        "from_step": from_step,
        "to_step": to_step,
        "preset": preset,
    }

    def of_table(table: Events, end: datetime) -> pl.DataFrame:
        return trends.funnel_trend(table, asked, as_of=end, **limits)

    def of_index(index: BehaviorIndex, end: datetime) -> pl.DataFrame:
        return indexed_trend(index, asked, as_of=end, **limits)

    return answered(events, persons, as_of, of_table, of_index if _indexed(asked, persons) else None)


def retention(
    events: EventsOrLake,
    definition: RetentionLike,
    *,
    preset: Literal["opsanalytics", "posthog"] = "opsanalytics",
    breakdown: str | Segment | None = None,
    as_of: datetime | None = None,
    timezone: str = "UTC",
    week_start: Weekday = "monday",
    max_cohorts: int | None = None,
    persons: pl.DataFrame | None = None,
) -> RetentionResult:
    """Evaluate retention.

    Args:
        events, as_of, persons: as `funnel`.
        definition: a `Retention`, its fields as a mapping, or a JSON or TOML file.
        preset: `posthog` lets column 0 count the whole cohort, and minimum occurrences come in one period.
        breakdown: a property or a `Segment` whose `attribution` is `entry` (the start event's value; the
            default), `first` or `last` (of the first or last start or return event that has one), or `all`
            (start and return share the value; the default of `posthog`).
        timezone, week_start: calendar of the periods.
        max_cohorts: only the last so many cohorts; all if not given.

    Raises:
        as `funnel`.
    """
    asked = as_definition(definition, Retention)
    limits: dict[str, Any] = {
        "timezone": timezone,
        "week_start": week_start,
        "max_cohorts": max_cohorts,
        "preset": preset,
    }
    segment = as_segment(breakdown)
    Calendar(asked.period, timezone, week_start)

    def of_table(table: Events, end: datetime) -> RetentionResult:
        counted = retentions.retention(table, asked, as_of=end, **limits)
        if segment is None:
            return RetentionResult(counted, {})
        groups = retention_by_value(table, asked, segment, as_of=end, **limits)
        return RetentionResult(counted, groups, groups_apart(asked, segment, preset))

    def of_index(index: BehaviorIndex, end: datetime) -> RetentionResult:
        return RetentionResult(indexed_retention(index, asked, as_of=end, **limits), {})

    indexed = of_index if segment is None and _indexed(asked, persons) else None
    return answered(events, persons, as_of, of_table, indexed)


def reconcile(
    events: EventsOrLake,
    definition: FunnelLike,
    *,
    presets: Sequence[str | Semantics] = tuple(PRESETS),
    as_of: datetime | None = None,
    first: date | str | None = None,
    last: date | str | None = None,
    timezone: str = "UTC",
    persons: pl.DataFrame | None = None,
) -> Reconciliation:
    """The presets side by side, and which rule makes each difference. In and raises: as `funnel`."""
    asked = as_definition(definition, Funnel)
    if isinstance(presets, str) or not presets:
        raise TypeError(f"presets: {presets!r} is not a list of presets; write ['posthog', 'mixpanel']")
    others = [preset_named(preset) for preset in presets]
    limits: dict[str, Any] = {
        "first": day_of("first", first),
        "last": day_of("last", last),
        "timezone": timezone,
    }

    def of_table(table: Events, end: datetime) -> Reconciliation:
        return reconciling.reconcile(table, asked, as_of=end, presets=others, **limits)

    def of_index(index: BehaviorIndex, end: datetime) -> Reconciliation:
        def ask(semantics: Semantics) -> FunnelCounts:
            return indexed_funnel(index, asked, as_of=end, preset=semantics, **limits)

        return reconciling.reconcile(pl.DataFrame(), asked, as_of=end, presets=others, ask=ask, **limits)

    def tried(table: Events, end: datetime) -> FunnelCounts:
        return funnels.funnel(table, asked, as_of=end, **limits)

    indexed = of_index if _indexed(asked, persons) else None
    return answered(events, persons, as_of, of_table, indexed, tried=tried)


def as_segments(breakdown: Breakdown) -> list[Segment]:
    """The segments of a breakdown, however it was written."""
    if breakdown is None:
        return []
    several = [breakdown] if isinstance(breakdown, (str, Segment)) else breakdown
    if not isinstance(several, Sequence) or not all(isinstance(one, (str, Segment)) for one in several):
        raise TypeError(f"breakdown: {breakdown!r} is not a property, a Segment, or a list of these")
    return [Segment(one) if isinstance(one, str) else one for one in several]


def as_segment(breakdown: str | Segment | None) -> Segment | None:
    """The segment of a breakdown that can only have one."""
    if isinstance(breakdown, str):
        return Segment(breakdown)
    if breakdown is not None and not isinstance(breakdown, Segment):
        raise TypeError(f"breakdown: {breakdown!r} is not a property or a Segment")
    return breakdown


def answered(
    events: EventsOrLake,
    persons: pl.DataFrame | None,
    as_of: datetime | None,
    of_table: Callable[[Events, datetime], Answered],
    of_index: Callable[[BehaviorIndex, datetime], Answered] | None = None,
    *,
    tried: Callable[[Events, datetime], object] | None = None,
) -> Answered:
    """What `of_table` says of the events and the moment up to which they are complete (see `funnel`), or of a
    lake what `of_index` says of its index, where that can answer.

    A table is asked without its rows first, by `tried` if that is given: what is wrong with the question is
    told before anything is read.
    """
    home = lake_of(events)
    check_as_of(as_of)
    if home is not None and of_index is not None:
        found = from_index(home, as_of, of_index)
        if found is not None:
            return found
    table = table_of(events, persons)
    if home is None:
        (tried or of_table)(nothing_like(table), EPOCH)
    return of_table(table, end_of(table) if as_of is None else as_of.astimezone(UTC))


def check_as_of(as_of: datetime | None) -> None:
    """Raise TypeError or ValueError if `as_of` is no time, or has no time zone."""
    if as_of is not None and not isinstance(as_of, datetime):
        raise TypeError(f"as_of: {as_of!r} is not a time; write datetime(..., tzinfo=UTC)")
    if as_of is not None and as_of.tzinfo is None:
        raise ValueError(f"as_of: {as_of.isoformat()} has no time zone; write datetime(..., tzinfo=UTC)")


def _indexed(
    definition: Funnel | Retention, persons: pl.DataFrame | None, segments: Sequence[Segment] = ()
) -> bool:
    """Whether an index could answer: not where properties of persons decide that are given apart."""
    about_persons = bool(person_properties(definition)) or any(one.person_properties() for one in segments)
    return persons is None or not about_persons
