"""Retention by cohort: the rules of `Retention`, evaluated exactly."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import polars as pl

from opsanalytics.behavior.marts import mart_rows, nullable, with_provenance
from opsanalytics.behavior.periods import (
    Weekday,
    period_first_day,
    period_number,
    period_of,
    weekday_number,
    zone,
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
from opsanalytics.behavior.spec import Retention
from opsanalytics.behavior.statistics import wilson
from opsanalytics.behavior.tables import RETENTION_CELLS

START, RETURN = 1, 2
"""Bits of `mask`."""


@dataclass(frozen=True, eq=False)
class RetentionResult:
    """Cells by cohort and period, and the curve pooled over complete cells."""

    definition: Retention
    as_of: datetime
    cells: pl.DataFrame
    """The columns of RETENTION_CELLS without `quality`; pooled rows (cohort null) first."""
    left_out: LeftOut
    """Matching events without person or time, which count nowhere."""

    def to_polars(self) -> pl.DataFrame:
        return self.cells

    def pooled(self) -> pl.DataFrame:
        """The overall curve: `period`, `n`, `returned`, `rate`, `rate_low`, `rate_high`, `complete`."""
        return self.cells.filter(pl.col("cohort").is_null()).drop(
            "retention", "cohort", "definition_id", "as_of"
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


def retention(
    events: Events,
    definition: Retention,
    *,
    as_of: datetime,
    timezone: str = "UTC",
    week_start: Weekday = "monday",
    max_cohorts: int | None = None,
) -> RetentionResult:
    """Evaluate retention by calendar period of the reporting zone.

    Cells: a cohort is a period with at least one start event; its row ends with the period that holds
    `as_of`. A cell is complete when its period was over at `as_of`; the others show what came so far.
    Pooled: for each period k, over all cohorts whose cell k is complete, whatever `max_cohorts` is; with
    recurring cohorts a person counts once for each cohort, so the interval is too narrow to some degree.

    Args:
        events: see `rows.Events`. "First ever" means first in here: give all of history.
        definition: what to count; its docstring has the rules.
        as_of: events up to here are complete; later ones are not looked at. Needs a time zone.
        timezone: IANA zone of the calendar.
        week_start: first day of a week.
        max_cohorts: show only the last so many cohorts; all if not given.

    Raises:
        EventsError, PropertyError: the events cannot answer the definition; nothing was read.
        ValueError: `as_of`, `timezone`, `week_start` or `max_cohorts` is wrong.
    """
    as_of = check_as_of(as_of)
    zone(timezone)
    weekday_number(week_start)
    if max_cohorts is not None and max_cohorts < 1:
        raise ValueError(f"max_cohorts: {max_cohorts} is less than 1")

    def number(ts: pl.Expr) -> pl.Expr:
        return period_number(ts, definition.period, timezone=timezone, week_start=week_start)

    def number_of(instant: datetime) -> int:
        return period_of(instant, definition.period, timezone=timezone, week_start=week_start)

    groups = [[definition.start], list(definition.returning)]
    rows = person_rows(matching_rows(events, groups, as_of=as_of, sources=definition.sources))
    cohorts, size, returned = _fold(rows, definition, number)
    table = _triangle(
        cohorts,
        size,
        returned,
        running=number_of(as_of),
        # The first instant that may still bring events: periods before its own are over.
        unfinished=number_of(as_of + timedelta(microseconds=1)),
    )
    pooled = _pooled(table, definition)
    if max_cohorts is not None:
        table = table.filter(pl.col("cohort").is_in(cohorts[-max_cohorts:]))
    first_day = period_first_day(pl.col("cohort"), definition.period, week_start=week_start)
    shown = table.with_columns(first_day.alias("cohort"))
    cells = _with_rates(pl.concat([pooled, shown.sort("cohort", "period")]), definition)
    return RetentionResult(
        definition=definition,
        as_of=as_of,
        cells=with_provenance(cells, definition, as_of),
        left_out=rows.left_out,
    )


def _fold(
    rows: PersonRows, definition: Retention, number: Callable[[pl.Expr], pl.Expr]
) -> tuple[Int32, Int64, Int64]:
    """Numbers of the cohorts, their sizes, and returns by cohort and period."""
    period = rows.times().to_frame().select(number(pl.col("ts"))).to_series().to_numpy()
    cohorts = np.unique(period[(rows.mask & START) != 0])
    size = np.zeros(len(cohorts), np.int64)
    returned = np.zeros((len(cohorts), definition.periods + 1), np.int64)
    if len(cohorts):
        from opsanalytics.behavior.kernels import fold_retention

        fold_retention(
            rows.ts,
            rows.mask,
            period,
            rows.offsets[:-1],
            rows.offsets[1:],
            cohorts,
            definition.periods,
            definition.cohort == "recurring",
            size,
            returned,
        )
    return cohorts, size, returned


def _triangle(cohorts: Int32, size: Int64, returned: Int64, *, running: int, unfinished: int) -> pl.DataFrame:
    """Cells of non-empty cohorts whose period has begun; `cohort` is still a number."""
    columns = returned.shape[1]
    cells = pl.DataFrame(
        {
            "cohort": np.repeat(cohorts, columns).astype(np.int32),
            "period": np.tile(np.arange(columns, dtype=np.int32), len(cohorts)),
            "n": np.repeat(size, columns),
            "returned": returned.ravel(),
        }
    )
    at = pl.col("cohort") + pl.col("period")
    return cells.filter((pl.col("n") > 0) & (at <= running)).with_columns((at < unfinished).alias("complete"))


def _pooled(table: pl.DataFrame, definition: Retention) -> pl.DataFrame:
    sums = table.filter("complete").group_by("period").agg(pl.col("n").sum(), pl.col("returned").sum())
    periods = pl.int_range(definition.periods + 1, dtype=pl.Int32, eager=True).alias("period")
    return (
        periods.to_frame()
        .join(sums, on="period", how="left", maintain_order="left")
        .select(
            pl.lit(None, dtype=pl.Date).alias("cohort"),
            "period",
            pl.col("n").fill_null(0),
            pl.col("returned").fill_null(0),
            (pl.col("n").fill_null(0) > 0).alias("complete"),
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
