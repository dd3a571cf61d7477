"""The questions: `opsanalytics.funnel`, `funnel_trend`, `retention` and `reconcile`."""

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Literal, TypeAlias

import polars as pl

from opsanalytics.behavior import funnel as funnels
from opsanalytics.behavior import funnel_trend as trends
from opsanalytics.behavior import reconcile as reconciling
from opsanalytics.behavior import retention as retentions
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
from opsanalytics.behavior.retention_breakdown import retention_by_value
from opsanalytics.behavior.rows import Events
from opsanalytics.behavior.segments import Segment
from opsanalytics.behavior.semantics import PRESETS, Semantics, preset_named
from opsanalytics.behavior.spec import Funnel, Retention, RetentionPeriod
from opsanalytics.behavior.subjects import person_properties
from opsanalytics.lake.paths import Home
from opsanalytics.queries.answers import FunnelResult, RetentionResult
from opsanalytics.queries.indexed import from_index
from opsanalytics.queries.inputs import EventsOrLake, as_definition, day_of, end_of, lake_of, table_of

Breakdown: TypeAlias = str | Segment | Sequence[str | Segment] | None
FunnelLike: TypeAlias = Funnel | Mapping[str, Any] | str | Path
RetentionLike: TypeAlias = Retention | Mapping[str, Any] | str | Path


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
        events: a Polars DataFrame or LazyFrame, one row an event: `person`, `event`, `ts` (a Datetime;
            without a time zone it is UTC) and `properties` (a struct, or JSON text); further columns are
            properties too, and with a column `properties` come before its keys. Or the home folder of a lake.
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
    home = _indexed_home(events, asked, persons, as_of, segments)
    if home is not None:
        found = from_index(
            home, as_of, lambda index, end: _counted(index, asked, segments, as_of=end, **limits)
        )
        if found is not None:
            return found
    table, end = asked_of(events, persons, as_of)
    if not segments:
        return FunnelResult(funnels.funnel(table, asked, as_of=end, **limits))
    parts = broken_down(table, asked, segments, as_of=end, **limits)
    return FunnelResult(parts[0].whole, tuple(parts))


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
    home = _indexed_home(events, asked, persons, as_of)
    if home is not None:
        found = from_index(home, as_of, lambda index, end: indexed_trend(index, asked, as_of=end, **limits))
        if found is not None:
            return found
    table, end = asked_of(events, persons, as_of)
    return trends.funnel_trend(table, asked, as_of=end, **limits)


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
        preset: `posthog` lets column 0 count the whole cohort.
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
    home = None if breakdown is not None else _indexed_home(events, asked, persons, as_of)
    if home is not None:
        found = from_index(
            home, as_of, lambda index, end: indexed_retention(index, asked, as_of=end, **limits)
        )
        if found is not None:
            return RetentionResult(found, {})
    table, end = asked_of(events, persons, as_of)
    limits["as_of"] = end
    counted = retentions.retention(table, asked, **limits)
    by_value = {}
    if breakdown is not None:
        segment = Segment(breakdown) if isinstance(breakdown, str) else breakdown
        by_value = retention_by_value(table, asked, segment, **limits)
    return RetentionResult(counted, by_value)


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
    limits: dict[str, Any] = {
        "first": day_of("first", first),
        "last": day_of("last", last),
        "timezone": timezone,
    }

    def of_index(index: BehaviorIndex, end: datetime) -> Reconciliation:
        def ask(semantics: Semantics) -> FunnelCounts:
            return indexed_funnel(index, asked, as_of=end, preset=semantics, **limits)

        return reconciling.reconcile(pl.DataFrame(), asked, as_of=end, presets=presets, ask=ask, **limits)

    home = _indexed_home(events, asked, persons, as_of)
    if home is not None:
        found = from_index(home, as_of, of_index)
        if found is not None:
            return found
    table, end = asked_of(events, persons, as_of)
    return reconciling.reconcile(table, asked, as_of=end, presets=presets, **limits)


def as_segments(breakdown: Breakdown) -> list[Segment]:
    """The segments of a breakdown, however it was written."""
    if breakdown is None:
        return []
    several = [breakdown] if isinstance(breakdown, (str, Segment)) else breakdown
    if not isinstance(several, Sequence) or not all(isinstance(one, (str, Segment)) for one in several):
        raise TypeError(f"breakdown: {breakdown!r} is not a property, a Segment, or a list of these")
    return [Segment(one) if isinstance(one, str) else one for one in several]


def asked_of(
    events: EventsOrLake, persons: pl.DataFrame | None, as_of: datetime | None
) -> tuple[Events, datetime]:
    """The events as a table, and the moment up to which they are complete; see `funnel`."""
    table = table_of(events, persons)
    check_as_of(as_of)
    return table, end_of(table) if as_of is None else as_of.astimezone(UTC)


def check_as_of(as_of: datetime | None) -> None:
    """Raise TypeError or ValueError if `as_of` is no time, or has no time zone."""
    if as_of is not None and not isinstance(as_of, datetime):
        raise TypeError(f"as_of: {as_of!r} is not a time; write datetime(..., tzinfo=UTC)")
    if as_of is not None and as_of.tzinfo is None:
        raise ValueError(f"as_of: {as_of.isoformat()} has no time zone; write datetime(..., tzinfo=UTC)")


def _indexed_home(
    events: EventsOrLake,
    definition: Funnel | Retention,
    persons: pl.DataFrame | None,
    as_of: datetime | None,
    segments: Sequence[Segment] = (),
) -> Home | None:
    """The lake to ask the index of; None for a table, and where person properties decide that are given apart
    from the events."""
    home = lake_of(events)
    check_as_of(as_of)
    about_persons = bool(person_properties(definition)) or any(one.person_properties() for one in segments)
    return None if persons is not None and about_persons else home


def _counted(
    index: BehaviorIndex, definition: Funnel, segments: Sequence[Segment], **limits: Any
) -> FunnelResult:
    if not segments:
        return FunnelResult(indexed_funnel(index, definition, **limits))
    parts = indexed_breakdown(index, definition, segments, **limits)
    return FunnelResult(parts[0].whole, tuple(parts))
