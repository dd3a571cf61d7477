"""Stickiness: in how many units of a period people are active; the rules of `Stickiness`."""

from dataclasses import asdict, dataclass
from datetime import date, datetime
from typing import Any, Literal, cast

import polars as pl

from opsanalytics.behavior.active_persons import active_persons
from opsanalytics.behavior.activity import History, Uses, uses
from opsanalytics.behavior.activity_spec import Stickiness
from opsanalytics.behavior.calendars import Calendar, asked_days, local_day
from opsanalytics.behavior.marts import nullable, plain_rows, with_provenance
from opsanalytics.behavior.periods import Weekday
from opsanalytics.behavior.rows import LeftOut, check_as_of
from opsanalytics.behavior.spec import RetentionPeriod
from opsanalytics.behavior.statistics import wilson
from opsanalytics.lake.tables import UTC_TIME

StickinessPreset = Literal["opsanalytics", "posthog"]
KEYS = ("period_start", "starts_at", "complete")


@dataclass(frozen=True, eq=False)
class StickinessCounts:
    """Persons by the number of units in which they were active."""

    definition: Stickiness
    as_of: datetime
    cells: pl.DataFrame
    """The columns of STICKINESS without `quality`; rows pooled over complete periods (period_start null)
    first."""
    days: pl.DataFrame
    """The columns of ACTIVE_PERSONS without `quality`: how many persons are active by day, and of those of
    the last 7 and 30 days which share."""
    left_out: LeftOut

    def to_polars(self) -> pl.DataFrame:
        return self.cells

    def pooled(self) -> pl.DataFrame:
        """The cells pooled over complete periods."""
        return self.cells.filter(pl.col("period_start").is_null()).drop(
            "definition", "period_start", "starts_at", "definition_id", "as_of"
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return {
            "definition": self.definition.model_dump(mode="json"),
            "definition_id": self.definition.definition_id,
            "as_of": self.as_of.isoformat(),
            "cells": plain_rows(self.cells),
            "days": plain_rows(self.days),
            "left_out": asdict(self.left_out),
        }

    def __repr__(self) -> str:
        unit, period = self.definition.unit, self.definition.period
        whole = period == "range"
        over = "" if whole else f", pooled over complete {period}s"
        moment = self.as_of.isoformat(timespec="minutes")
        lines = [f"{self.definition.label}: {unit}s with use in a {period}{over} at {moment}"]
        shown = self.cells.filter(pl.col("period_start").is_not_null()) if whole else self.pooled()
        if not shown["n"].sum():
            lines.append("  nobody" if whole else f"  nobody in a complete {period}")
        if whole and not shown["complete"].all():
            lines.append("  not over yet; so far:")
        for row in shown.filter(pl.col("at_least") > 0).to_dicts():
            lines.append(
                f"  {row['units']} or more: {row['at_least']} of {row['n']}, {row['at_least_share']:.1%} "
                f"({row['at_least_low']:.1%} to {row['at_least_high']:.1%})"
            )
        known = self.days.filter(pl.col("complete"), pl.col("dau_mau").is_not_null()).tail(1)
        for row in known.to_dicts():
            lines.append(
                f"  {row['day']}: {row['dau']} of {row['mau']} active in 30 days were active that day, "
                f"{row['dau_mau']:.1%} ({row['dau_mau_low']:.1%} to {row['dau_mau_high']:.1%})"
            )
        return "\n".join(lines)


def stickiness(
    events: History,
    definition: Stickiness,
    *,
    as_of: datetime,
    first: date | None = None,
    last: date | None = None,
    timezone: str = "UTC",
    week_start: Weekday = "monday",
    preset: StickinessPreset = "opsanalytics",
) -> StickinessCounts:
    """Count persons by the number of units with use, period by period.

    A period is complete when it was over at `as_of` and did not begin before the day of the first event there
    is; the others show what came so far and are not in the pooled rows. In the pooled rows a person counts
    once for each period, so that the interval is too narrow to some degree.

    Args:
        events: see `rows.Events`, `activity.History`.
        as_of: events up to here are complete; later ones are not looked at. Needs a time zone.
        first, last: local days; with `period = "range"` uses outside of their units do not count, else whole
            periods are shown. If not given, all from the first event to `as_of`.
        timezone, week_start: calendar of units and periods.
        preset: `posthog` takes the whole range as one period.

    Raises:
        EventsError, PropertyError: the events cannot answer the definition; nothing was read.
        ValueError: another argument is wrong.
    """
    as_of = check_as_of(as_of)
    asked_days(first, last)
    if preset not in ("opsanalytics", "posthog"):
        raise ValueError(f"preset: {preset!r} is not 'opsanalytics' or 'posthog'")
    if preset == "posthog":
        definition = definition.model_copy(update={"period": "range"})
    unit = Calendar(definition.unit, timezone, week_start)
    calendars = {"unit": unit, "day": Calendar("day", timezone, week_start)}
    ranged = definition.period == "range"
    if not ranged:
        period = Calendar(cast(RetentionPeriod, definition.period), timezone, week_start)
        calendars["period"] = period
    found = uses(
        events,
        definition,
        calendars,
        as_of=as_of,
        minimum=definition.minimum,
        at_most=definition.at_most,
    )
    if ranged:
        active, periods = _whole_range(found, unit, first, last, as_of)
    else:
        active, periods = _by_period(found, unit, period, first, last, as_of)
    cells = _cells(active, periods)
    pooled = _pooled(cells)
    table = _with_shares(pl.concat([pooled, cells]), definition)
    days = active_persons(
        found.units.select("person", "day").unique(),
        calendars["day"],
        as_of=as_of,
        data_from=found.data_from,
        first=first,
        last=last,
    )
    named = days.select(pl.lit(definition.name).alias("definition"), pl.all())
    return StickinessCounts(
        definition=definition,
        as_of=as_of,
        cells=with_provenance(table, definition, as_of),
        days=with_provenance(named, definition, as_of),
        left_out=found.left_out,
    )


def _by_period(
    found: Uses, unit: Calendar, period: Calendar, first: date | None, last: date | None, as_of: datetime
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """`person`, `period`, `units`; and the periods with the number of their units (`possible`)."""
    known: Any = found.units["period"].min()
    begin = known if first is None else period.of_day(first)
    end = period.of(as_of) if last is None else min(period.of(as_of), period.of_day(last, last=True))
    begin = end + 1 if begin is None else begin
    # One more, whose start is the end of the last.
    starts = period.starts(period.between(begin, end + 1), as_of, found.data_from)
    first_unit = unit.number(pl.col("starts_at"))
    periods = starts.with_columns((first_unit.shift(-1) - first_unit).alias("possible")).head(-1)
    active = (
        found.units.group_by("person", "period")
        .agg(pl.col("unit").n_unique().cast(pl.Int32).alias("units"))
        .join(periods.select("period"), on="period", how="semi")
    )
    return active, periods


def _whole_range(
    found: Uses, unit: Calendar, first: date | None, last: date | None, as_of: datetime
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The same, the range being the only period."""
    begun = first or (local_day(found.data_from, unit.timezone) if found.data_from else None)
    ended = last or local_day(as_of, unit.timezone)
    if begun is None or ended < begun:
        periods = unit.starts(pl.Series("period", [], pl.Int32), as_of)
        periods = periods.with_columns(pl.lit(None, pl.Int32).alias("possible"))
        return found.units.select("person", "unit").clear().rename({"unit": "period"}).with_columns(
            pl.lit(0, pl.Int32).alias("units")
        ), periods
    begin, end = unit.of_day(begun), unit.of_day(ended, last=True)
    edges = unit.starts(pl.Series("period", [begin], pl.Int32), as_of, None)
    periods = edges.with_columns(
        pl.lit(0, pl.Int32).alias("period"),
        pl.lit(end - begin + 1, pl.Int32).alias("possible"),
        pl.lit(end < unit.unfinished(as_of)).alias("complete"),
    )
    active = (
        found.units.filter(pl.col("unit").is_between(begin, end))
        .group_by("person")
        .agg(pl.col("unit").n_unique().cast(pl.Int32).alias("units"))
        .select("person", pl.lit(0, pl.Int32).alias("period"), "units")
    )
    return active, periods


def _cells(active: pl.DataFrame, periods: pl.DataFrame) -> pl.DataFrame:
    """One row a period and possible number of units."""
    counts = active.group_by("period", "units").agg(pl.len().cast(pl.Int64).alias("persons"))
    return (
        periods.with_columns(pl.int_ranges(1, pl.col("possible") + 1, dtype=pl.Int32).alias("units"))
        .explode("units", empty_as_null=False)
        .join(counts, on=["period", "units"], how="left", maintain_order="left")
        .with_columns(pl.col("persons").fill_null(0))
        .sort("period", "units")
        .with_columns(
            pl.col("persons").sum().over("period").alias("n"),
            pl.col("persons").cum_sum(reverse=True).over("period").alias("at_least"),
        )
        .select(*KEYS, "units", "n", "persons", "at_least")
    )


def _pooled(cells: pl.DataFrame) -> pl.DataFrame:
    """Complete periods added up; a number of units that some of them do not have is over those that do."""
    return (
        cells.filter("complete")
        .group_by("units")
        .agg(pl.col("n", "persons", "at_least").sum())
        .select(
            pl.lit(None, pl.Date).alias("period_start"),
            pl.lit(None, UTC_TIME).alias("starts_at"),
            pl.lit(True).alias("complete"),
            "units",
            "n",
            "persons",
            "at_least",
        )
        .sort("units")
    )


def _with_shares(table: pl.DataFrame, definition: Stickiness) -> pl.DataFrame:
    n = table["n"].to_numpy()
    low, high = wilson(table["persons"].to_numpy(), n)
    least_low, least_high = wilson(table["at_least"].to_numpy(), n)
    return table.select(
        pl.lit(definition.name).alias("definition"),
        "period_start",
        "starts_at",
        "units",
        "n",
        "persons",
        (pl.col("persons") / pl.col("n")).fill_nan(None).alias("share"),
        nullable(low, "share_low"),
        nullable(high, "share_high"),
        "at_least",
        (pl.col("at_least") / pl.col("n")).fill_nan(None).alias("at_least_share"),
        nullable(least_low, "at_least_low"),
        nullable(least_high, "at_least_high"),
        "complete",
    )
