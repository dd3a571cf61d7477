"""Persons active by day, and in the 7 and 30 days that end with it: DAU, WAU, MAU and their ratios."""

from datetime import date, datetime

import polars as pl

from opsanalytics.behavior.calendars import Calendar
from opsanalytics.behavior.marts import nullable
from opsanalytics.behavior.statistics import wilson

WINDOWS = {"dau": 1, "wau": 7, "mau": 30}
"""Days that end with the day itself, as PostHog, Mixpanel and Amplitude count."""


def active_persons(
    units: pl.DataFrame,
    calendar: Calendar,
    *,
    as_of: datetime,
    data_from: datetime | None,
    first: date | None = None,
    last: date | None = None,
) -> pl.DataFrame:
    """Count active persons by local day.

    In: `person` and `day` (numbers of `calendar`, which is of days), distinct. Out: the columns of
    ACTIVE_PERSONS between `definition` and the provenance. Every day from that of the first event (or
    `first`) to that of `as_of` (or `last`). A window that begins before the day of the first event is not
    full, and has no ratio; nor has a day that is not over.
    """
    if data_from is None:
        begin, end = 0, -1
    else:
        begin = calendar.of(data_from)
        end = calendar.of(as_of)
    shown = (
        begin if first is None else max(begin, calendar.of_day(first)),
        end if last is None else min(end, calendar.of_day(last)),
    )
    numbers = pl.int_range(begin, end + 1, dtype=pl.Int32, eager=True).alias("day")
    table = numbers.to_frame()
    for name, length in WINDOWS.items():
        table = table.with_columns(_trailing(units, numbers, length).alias(name))
    starts = calendar.starts(numbers, as_of).select("period_start", "complete")
    table = pl.concat([table, starts], how="horizontal").with_columns(
        full_week=pl.col("day") >= begin + WINDOWS["wau"] - 1,
        full_month=pl.col("day") >= begin + WINDOWS["mau"] - 1,
    )
    for name, of, full in (("dau_wau", "wau", "full_week"), ("dau_mau", "mau", "full_month")):
        low, high = wilson(table["dau"].to_numpy(), table[of].to_numpy())
        known = pl.col("complete") & pl.col(full)
        table = table.with_columns(
            pl.when(known).then((pl.col("dau") / pl.col(of)).fill_nan(None)).alias(name),
            pl.when(known).then(nullable(low)).alias(f"{name}_low"),
            pl.when(known).then(nullable(high)).alias(f"{name}_high"),
        )
    return table.filter(pl.col("day").is_between(*shown)).select(
        pl.col("period_start").alias("day"),
        *WINDOWS,
        *(name + end for name in ("dau_wau", "dau_mau") for end in ("", "_low", "_high")),
        "full_week",
        "full_month",
        "complete",
    )


def _trailing(units: pl.DataFrame, numbers: pl.Series, length: int) -> pl.Series:
    """Persons with a use in the `length` days that end with each day.

    Each use makes its person active from its day on until the window has passed or the next use takes over;
    arrivals and departures added up give the count.
    """
    following = pl.col("day").shift(-1).over("person")
    spans = units.sort("person", "day").select(
        "day", pl.min_horizontal(pl.col("day") + length, following).alias("until")
    )
    changes = pl.concat(
        [
            spans.select("day", pl.lit(1, pl.Int64).alias("change")),
            spans.select(pl.col("until").alias("day"), pl.lit(-1, pl.Int64).alias("change")),
        ]
    )
    by_day = changes.group_by("day").agg(pl.col("change").sum())
    return (
        numbers.to_frame("day")
        .join(by_day, on="day", how="left", maintain_order="left")["change"]
        .fill_null(0)
        .cum_sum()
    )
