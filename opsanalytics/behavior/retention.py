"""Retention by cohort: the rules of `Retention`, evaluated exactly."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import numpy as np
import polars as pl

from opsanalytics.behavior.calendars import Calendar
from opsanalytics.behavior.marts import mart_rows, nullable, with_provenance
from opsanalytics.behavior.periods import (
    Weekday,
    hour_start,
    microseconds,
    period_first_day,
)
from opsanalytics.behavior.rows import (
    Events,
    Int32,
    Int64,
    LeftOut,
    PersonRows,
    check_as_of,
    matching_rows,
    person_rows,
)
from opsanalytics.behavior.spec import Match, Retention, Step
from opsanalytics.behavior.statistics import Floats, wilson
from opsanalytics.behavior.subjects import prepared
from opsanalytics.behavior.tables import RETENTION_CELLS
from opsanalytics.behavior.values import VALUE, numeric

START = 1
"""Bit of `mask`; see `kernels_retention`."""
LENGTHS = {"hour": 3_600, "day": 86_400, "week": 7 * 86_400, "month": 30 * 86_400}
"""Seconds of a rolling period."""
AMOUNTS = ("valued", "total")
COHORTS = ("first", "first_ever", "recurring")
"""As numbered in `kernels_retention`."""


@dataclass(frozen=True, eq=False)
class RetentionResult:
    """Cells by cohort and period, and the curve pooled over complete cells."""

    definition: Retention
    as_of: datetime
    cells: pl.DataFrame
    """The columns of RETENTION_CELLS without `quality`; pooled rows (cohort null) first. With brackets
    `period` is the first of a column. Cohorts of hours are added up by local day here; see `by_hour`."""
    left_out: LeftOut
    """Matching events without person or time, which count nowhere."""
    by_hour: pl.DataFrame | None = None
    """For `period = "hour"`: `cohort` (start of the hour, UTC), `period`, `n`, `returned`, `complete`."""
    amounts: pl.DataFrame | None = None
    """Where the definition has a `value`: `cohort`, `period`, `n`, `returned`, `events`, `total`; pooled rows
    first."""

    def to_polars(self) -> pl.DataFrame:
        return self.cells

    def pooled(self) -> pl.DataFrame:
        """The overall curve: `period`, `n`, `returned`, `rate`, `rate_low`, `rate_high`, `complete`."""
        return self.cells.filter(pl.col("cohort").is_null()).drop(
            "retention", "cohort", "definition_id", "as_of"
        )

    def value_cells(self) -> pl.DataFrame:
        """The definition's `value` over the return events: `cohort` (null: complete cells pooled), `period`,
        `n` (persons of the cohort), `returned`, `events` (with a value), `total`, `per_event`, `per_person`
        (total / n), `per_returned` (total / returned, the average that PostHog shows).

        With `zero = "started"` column 0 also adds up the start events.

        Raises:
            ValueError: the definition has no `value`.
        """
        if self.amounts is None:
            raise ValueError(f"{self.definition.name!r} has no `value`; name the property to add up")
        total = pl.col("total")
        return self.amounts.with_columns(
            (total / pl.col("events")).fill_nan(None).alias("per_event"),
            (total / pl.col("n")).fill_nan(None).alias("per_person"),
            (total / pl.col("returned")).fill_nan(None).alias("per_returned"),
        )

    def mart_rows(self, *, quality: str) -> pl.DataFrame:
        """Rows of the mart RETENTION_CELLS; `quality` is the state of the checks upstream."""
        return mart_rows(RETENTION_CELLS, [self.cells], quality=quality)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        cells = self.cells.drop("retention", "definition_id", "as_of")
        return {
            "definition": self.definition.model_dump(mode="json"),
            "definition_id": self.definition.definition_id,
            "as_of": self.as_of.isoformat(),
            "cells": cells.with_columns(pl.col("cohort").cast(pl.String)).to_dicts(),
            "left_out": {
                "without_person": self.left_out.without_person,
                "without_time": self.left_out.without_time,
            },
        }

    def __repr__(self) -> str:
        head = (
            f"{self.definition.label}: pooled over complete {self.definition.period}s "
            f"at {self.as_of.isoformat(timespec='minutes')}"
        )
        return "\n".join([head, *(_line(row, self.definition.period) for row in self.pooled().to_dicts())])


@dataclass(frozen=True, eq=False)
class Folded:
    """Counts by cohort, before it is known what is over."""

    cohorts: Int32
    """Numbers of their periods, ascending."""
    size: Int64
    latest: Int64
    """Last start event that counts, microseconds."""
    returned: Int64
    """By cohort and column."""
    valued: Int64
    total: Floats
    """Return events with a value and the sum of their values, by cohort and column."""


def retention(
    events: Events,
    definition: Retention,
    *,
    as_of: datetime,
    timezone: str = "UTC",
    week_start: Weekday = "monday",
    max_cohorts: int | None = None,
    preset: Literal["opsanalytics", "posthog"] = "opsanalytics",
) -> RetentionResult:
    """Evaluate retention by cohorts of local calendar periods.

    Cells: a cohort is a period with at least one start event; its row ends with the period that holds
    `as_of`. A cell is complete when its periods were over at `as_of` for all of its cohort; with returns on
    or after a period when the last followed period was. The others show what came so far.
    Pooled: for each period k, over all cohorts whose cell k is complete, whatever `max_cohorts` is; with
    recurring cohorts a person counts once for each cohort, so the interval is too narrow to some degree.

    Args:
        events: see `rows.Events`. "First ever" means first in here: give all of history.
        definition: what to count; its docstring has the rules.
        as_of: events up to here are complete; later ones are not looked at. Needs a time zone.
        timezone: IANA zone of the calendar.
        week_start: first day of a week.
        max_cohorts: show only the last so many cohorts; all if not given.
        preset: `posthog` lets column 0 count the whole cohort, and minimum occurrences come in one period.

    Raises:
        EventsError, PropertyError: the events cannot answer the definition; nothing was read.
        ValueError: `as_of`, `timezone`, `week_start`, `max_cohorts` or `preset` is wrong.
    """
    definition, calendar, as_of = asked(
        definition,
        as_of=as_of,
        timezone=timezone,
        week_start=week_start,
        max_cohorts=max_cohorts,
        preset=preset,
    )
    groups = groups_of(definition)
    events = prepared(events, definition, as_of=as_of, timezone=timezone)
    extra = None
    if definition.value is not None:
        extra = {VALUE: numeric(definition.value, events.lazy().collect_schema().names())}
    rows = person_rows(
        matching_rows(events, groups, as_of=as_of, sources=definition.sources, extra=extra),
        ties_by_mask=definition.value is not None,
    )
    folded = fold_rows(rows, definition, calendar)
    return result_of(
        folded, definition, calendar, as_of=as_of, max_cohorts=max_cohorts, left_out=rows.left_out
    )


def asked(
    definition: Retention,
    *,
    as_of: datetime,
    timezone: str,
    week_start: Weekday,
    max_cohorts: int | None,
    preset: str,
) -> tuple[Retention, Calendar, datetime]:
    """What `retention` is asked for: the definition by the preset's rules, its calendar, `as_of` in UTC.

    Raises:
        ValueError: an argument is wrong.
    """
    as_of = check_as_of(as_of)
    calendar = Calendar(definition.period, timezone, week_start)
    if max_cohorts is not None and max_cohorts < 1:
        raise ValueError(f"max_cohorts: {max_cohorts} is less than 1")
    if preset not in ("opsanalytics", "posthog"):
        raise ValueError(f"preset: {preset!r} is not 'opsanalytics' or 'posthog'")
    if preset == "posthog":
        rules = {"zero": "started"}
        if definition.brackets and definition.minimum > 1:
            rules["minimum_in"] = "period"
        definition = definition.model_copy(update=rules)
    return definition, calendar, as_of


def groups_of(definition: Retention) -> list[list[Step | Match]]:
    """What rows are matched against, a bit of `mask` each; see `kernels_retention`."""
    groups: list[list[Step | Match]] = [[definition.start], list(definition.returning)]
    if definition.cohort == "first_ever":
        groups.append([Match(event=name) for name in definition.start.events])
    return groups


def result_of(
    folded: Folded,
    definition: Retention,
    calendar: Calendar,
    *,
    as_of: datetime,
    max_cohorts: int | None,
    left_out: LeftOut,
) -> RetentionResult:
    """The counts as cells, with what was over at `as_of`, intervals and the pooled curve."""
    now = _Now(as_of, calendar)
    table = _cells(folded, definition, now)
    pooled = _pooled(table, definition)
    if max_cohorts is not None:
        table = table.filter(pl.col("cohort").is_in(folded.cohorts[-max_cohorts:]))
    by_hour = None
    if definition.period == "hour":
        starts = hour_start(pl.col("cohort"), calendar.timezone)
        by_hour = table.with_columns(starts).drop(*AMOUNTS, strict=False)
        table = _by_day(table.with_columns(starts), calendar.timezone)
    else:
        first_day = period_first_day(pl.col("cohort"), definition.period, week_start=calendar.week_start)
        table = table.with_columns(first_day.alias("cohort"))
    table = pl.concat([pooled, table.sort("cohort", "period")])
    cells = _with_rates(table, definition)
    return RetentionResult(
        definition=definition,
        as_of=as_of,
        cells=with_provenance(cells, definition, as_of),
        left_out=left_out,
        by_hour=by_hour,
        amounts=None
        if definition.value is None
        else table.select("cohort", "period", "n", "returned", pl.col("valued").alias("events"), "total"),
    )


class _Now:
    """What had begun and what was over at `as_of`."""

    def __init__(self, as_of: datetime, calendar: Calendar) -> None:
        self.running = calendar.of(as_of)
        # Of the first instant that may still bring events: periods before it are over.
        self.unfinished = calendar.unfinished(as_of)
        self.next_instant = microseconds(as_of) + 1


def fold_rows(rows: PersonRows, definition: Retention, calendar: Calendar) -> Folded:
    """Count cohorts and returns over rows whose mask has the bits of `groups_of`."""
    period = rows.times().to_frame().select(calendar.number(pl.col("ts"))).to_series().to_numpy()
    columns = definition.columns
    cohorts = np.unique(period[(rows.mask & START) != 0])
    folded = Folded(
        cohorts=cohorts,
        size=np.zeros(len(cohorts), np.int64),
        latest=np.full(len(cohorts), np.iinfo(np.int64).min),
        returned=np.zeros((len(cohorts), len(columns)), np.int64),
        valued=np.zeros((len(cohorts), len(columns)), np.int64),
        total=np.zeros((len(cohorts), len(columns))),
    )
    if len(cohorts):
        from opsanalytics.behavior.kernels_retention import fold_columns

        widths = np.diff([*columns, definition.last_period + 1])
        fold_columns(
            rows.ts,
            rows.mask,
            period,
            rows.offsets[:-1],
            rows.offsets[1:],
            cohorts,
            COHORTS.index(definition.cohort),
            _length(definition),
            np.repeat(np.arange(len(columns)), widths),
            len(columns),
            definition.minimum,
            definition.minimum_in == "period",
            definition.returns == "on_or_after",
            definition.zero == "started",
            np.empty(0) if rows.value is None else rows.value,
            folded.size,
            folded.latest,
            folded.returned,
            folded.valued,
            folded.total,
        )
    return folded


def _length(definition: Retention) -> int:
    """Microseconds of a rolling period; 0 where the calendar decides."""
    return LENGTHS[definition.period] * 1_000_000 if definition.clock == "rolling" else 0


def _cells(folded: Folded, definition: Retention, now: _Now) -> pl.DataFrame:
    """Cells of non-empty cohorts that have begun; `cohort` is still a number."""
    columns = len(definition.columns)
    first = np.tile(np.array(definition.columns, np.int32), len(folded.cohorts))
    ends = np.array([*definition.columns[1:], definition.last_period + 1], np.int64)
    if definition.returns == "on_or_after":
        ends[:] = definition.last_period + 1
    over_after = np.tile(ends, len(folded.cohorts))
    cohort = np.repeat(folded.cohorts, columns).astype(np.int32)
    begun = cohort.astype(np.int64) + first <= now.running
    complete = cohort.astype(np.int64) + over_after <= now.unfinished
    if definition.clock == "rolling":
        # Also the last of the cohort has lived through the column, and nobody joins the cohort any more.
        length = _length(definition)
        size = np.repeat(folded.size, columns)
        latest = np.where(size > 0, np.repeat(folded.latest, columns), 0)
        complete = (cohort < now.unfinished) & (latest + over_after * length <= now.next_instant)
    cells = pl.DataFrame(
        {
            "cohort": cohort,
            "period": first,
            "n": np.repeat(folded.size, columns),
            "returned": folded.returned.ravel(),
            "complete": complete,
        }
    )
    if definition.value is not None:
        cells = cells.with_columns(
            pl.Series("valued", folded.valued.ravel()), pl.Series("total", folded.total.ravel())
        )
    return cells.filter(pl.col("n") > 0, pl.Series(begun))


def _by_day(by_hour: pl.DataFrame, timezone: str) -> pl.DataFrame:
    """Cohorts of hours added up by local day, column by column of those that all of them have begun."""
    day = pl.col("cohort").dt.convert_time_zone(timezone).dt.date()
    return (
        by_hour.with_columns(day)
        .group_by("cohort", "period")
        .agg(pl.col(_summed(by_hour)).sum(), pl.col("complete").all())
        .select(by_hour.columns)
    )


def _summed(table: pl.DataFrame) -> list[str]:
    return [name for name in ("n", "returned", *AMOUNTS) if name in table.columns]


def _pooled(table: pl.DataFrame, definition: Retention) -> pl.DataFrame:
    names = _summed(table)
    sums = table.filter("complete").group_by("period").agg(pl.col(names).sum())
    periods = pl.Series("period", definition.columns, dtype=pl.Int32)
    return (
        periods.to_frame()
        .join(sums, on="period", how="left", maintain_order="left")
        .select(
            pl.lit(None, dtype=pl.Date).alias("cohort"),
            "period",
            pl.col("n").fill_null(0),
            pl.col("returned").fill_null(0),
            (pl.col("n").fill_null(0) > 0).alias("complete"),
            *(pl.col(name).fill_null(0) for name in names if name in AMOUNTS),
        )
    )


def _with_rates(table: pl.DataFrame, definition: Retention) -> pl.DataFrame:
    low, high = wilson(table["returned"].to_numpy(), table["n"].to_numpy())
    return table.select(
        pl.lit(definition.name).alias("retention"),
        "cohort",
        "period",
        "n",
        "returned",
        (pl.col("returned") / pl.col("n")).fill_nan(None).alias("rate"),
        nullable(low, "rate_low"),
        nullable(high, "rate_high"),
        "complete",
    )


def _line(row: dict[str, Any], period: str) -> str:
    if not row["n"]:
        return f"  {period} {row['period']}: no complete cohort"
    interval = f"{row['rate_low']:.1%} to {row['rate_high']:.1%}"
    return f"  {period} {row['period']}: {row['returned']} of {row['n']}, {row['rate']:.1%} ({interval})"
