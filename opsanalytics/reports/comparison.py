"""Small comparisons that a report adds to the marts: this week against the one before, years of cohorts."""

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Literal

import polars as pl

from opsanalytics.behavior.statistics import newcombe_difference, wilson

WEEK = timedelta(days=7)


@dataclass(frozen=True)
class WeekChange:
    """The latest complete week of a funnel against the week before.

    `verdict` is `up` or `down` only where the 95 % Newcombe interval of the difference leaves out 0.
    """

    week: date
    before: date
    rate: float
    entered: int
    rate_before: float
    entered_before: int
    difference: float
    low: float
    high: float
    verdict: Literal["up", "down", "none"]


def week_change(trend: pl.DataFrame, first_day: date) -> WeekChange | str:
    """Compare two weeks of one funnel (rows of FUNNEL_TREND), neither later than the report's week.

    Returns the reason, a sentence, where the data do not support it.
    """
    known = trend.filter((pl.col("period_start") <= first_day) & (pl.col("entered") > 0))
    weeks = {row["period_start"]: row for row in known.filter(pl.col("complete")).to_dicts()}
    if not weeks:
        return "No week is complete yet."
    latest = max(weeks)
    now, before = weeks[latest], weeks.get(latest - WEEK)
    if before is None:
        return "There is no complete week before it to compare with."
    lows, highs = newcombe_difference(
        now["converted"], now["entered"], before["converted"], before["entered"]
    )
    low, high = float(lows), float(highs)
    return WeekChange(
        week=latest,
        before=latest - WEEK,
        rate=now["rate"],
        entered=now["entered"],
        rate_before=before["rate"],
        entered_before=before["entered"],
        difference=now["rate"] - before["rate"],
        low=low,
        high=high,
        verdict="up" if low > 0 else "down" if high < 0 else "none",
    )


def by_year(cells: pl.DataFrame) -> pl.DataFrame:
    """Cohorts of one retention added up by calendar year of their start, complete cells only.

    Returns `cohort` (1 January), `period`, `n`, `returned`, `rate`, `rate_low`, `rate_high` (Wilson 95 %),
    `complete` (always true). With recurring cohorts a person counts once a cohort.
    """
    years = (
        cells.filter(pl.col("cohort").is_not_null() & pl.col("complete"))
        .group_by(pl.col("cohort").dt.truncate("1y"), "period")
        .agg(pl.col("n").sum(), pl.col("returned").sum())
        .filter(pl.col("n") > 0)
        .sort("cohort", "period")
    )
    low, high = wilson(years["returned"].to_numpy(), years["n"].to_numpy())
    return years.with_columns(
        rate=pl.col("returned") / pl.col("n"),
        rate_low=pl.Series(low, dtype=pl.Float64),
        rate_high=pl.Series(high, dtype=pl.Float64),
        complete=pl.lit(True),
    )
