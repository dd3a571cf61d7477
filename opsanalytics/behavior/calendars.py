"""The periods of a report: which there are, when they start, and which of them are over."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import get_args

import polars as pl

from opsanalytics.behavior.periods import (
    Weekday,
    day_start,
    hour_start,
    period_first_day,
    period_number,
    period_of,
    weekday_number,
    zone,
)
from opsanalytics.behavior.spec import RetentionPeriod
from opsanalytics.lake.tables import UTC_TIME


@dataclass(frozen=True)
class Calendar:
    """Consecutive numbers of hours, days, weeks or months of a time zone; see `periods`."""

    period: RetentionPeriod
    timezone: str
    week_start: Weekday

    def __post_init__(self) -> None:
        if self.period not in get_args(RetentionPeriod):
            raise ValueError(f"period: {self.period!r} is not one of {', '.join(get_args(RetentionPeriod))}")
        zone(self.timezone)
        weekday_number(self.week_start)

    def number(self, ts: pl.Expr) -> pl.Expr:
        """Number of the period of every UTC time stamp, Int32."""
        return period_number(ts, self.period, timezone=self.timezone, week_start=self.week_start)

    def of(self, instant: datetime) -> int:
        """Number of the period of an instant."""
        return period_of(instant, self.period, timezone=self.timezone, week_start=self.week_start)

    def of_day(self, day: date, *, last: bool = False) -> int:
        """Number of the period in which a local day begins, or with `last` ends."""
        micros = (
            day_start(day + timedelta(days=1), self.timezone) - 1 if last else day_start(day, self.timezone)
        )
        instant = pl.DataFrame({"ts": [micros]}).select(pl.col("ts").cast(UTC_TIME))
        number: int = instant.select(self.number(pl.col("ts"))).item()
        return number

    def unfinished(self, as_of: datetime) -> int:
        """Number of the first period that events after `as_of` may still change."""
        return self.of(as_of + timedelta(microseconds=1))

    def between(self, begin: int, end: int) -> pl.Series:
        """The numbers from one to another, Int32; none if the second is less."""
        return pl.int_range(begin, max(begin, end + 1), dtype=pl.Int32, eager=True).alias("period")

    def starts(self, numbers: pl.Series, as_of: datetime, data_from: datetime | None = None) -> pl.DataFrame:
        """`period`, `period_start` (local day), `starts_at` (UTC) and `complete`, one row a number.

        It is complete when it was over at `as_of` and did not begin before the local day of `data_from`, the
        time of the first event there is.
        """
        frame = numbers.cast(pl.Int32).rename("period").to_frame()
        complete = (pl.col("period") < self.unfinished(as_of)).alias("complete")
        if self.period == "hour":
            begins = hour_start(pl.col("period"), self.timezone)
            first = begins.dt.convert_time_zone(self.timezone).dt.date()
        else:
            first = period_first_day(pl.col("period"), self.period, week_start=self.week_start)
            begins = (
                first.cast(pl.Datetime("us"))
                .dt.replace_time_zone(self.timezone, ambiguous="earliest", non_existent="null")
                .dt.convert_time_zone("UTC")
            )
        found = frame.select(
            "period", first.alias("period_start"), begins.cast(UTC_TIME).alias("starts_at"), complete
        )
        if found["starts_at"].null_count():
            # Where the clocks skip midnight.
            skipped = [
                {"period": row["period"], "late": day_start(row["period_start"], self.timezone)}
                for row in found.filter(pl.col("starts_at").is_null()).unique("period").to_dicts()
            ]
            late = pl.DataFrame(skipped, schema={"period": pl.Int32, "late": pl.Int64})
            found = (
                found.join(late, on="period", how="left", maintain_order="left")
                .with_columns(pl.coalesce("starts_at", pl.col("late").cast(UTC_TIME)))
                .drop("late")
            )
        if data_from is not None:
            known = pl.col("period_start") >= pl.lit(local_day(data_from, self.timezone))
            found = found.with_columns(pl.col("complete") & known)
        return found


def local_day(instant: datetime, timezone: str) -> date:
    """The day of an instant in a time zone."""
    day: date = (
        pl.select(pl.lit(instant).cast(UTC_TIME).dt.convert_time_zone(timezone).dt.date()).to_series().item()
    )
    return day


def asked_days(first: date | None, last: date | None) -> None:
    """Check a range of local days.

    Raises:
        ValueError: not days, or the last lies before the first.
    """
    for name, day in (("first", first), ("last", last)):
        if day is not None and (not isinstance(day, date) or isinstance(day, datetime)):
            raise ValueError(f"{name}: {day!r} is not a day; write datetime.date(2026, 3, 1)")
        if day is not None and not date.min.year < day.year < date.max.year:
            raise ValueError(f"{name}: {day} has days before or after it that no calendar has")
    if first is not None and last is not None and last < first:
        raise ValueError(f"last: {last} lies before first: {first}")
