"""Conversion over time: a funnel by calendar period of entry."""

from datetime import date, datetime, timedelta

import polars as pl

from opsanalytics.behavior.attempts import Bucket, best_attempts
from opsanalytics.behavior.folding import check_preset
from opsanalytics.behavior.funnel_rows import check_range, entry_rows, funnel_rows
from opsanalytics.behavior.marts import nullable, with_provenance
from opsanalytics.behavior.periods import (
    Weekday,
    hour_start,
    period_first_day,
    period_number,
    period_of,
    zone,
)
from opsanalytics.behavior.rows import Events, check_as_of
from opsanalytics.behavior.semantics import OPSANALYTICS, Semantics, preset_named
from opsanalytics.behavior.spec import Funnel, RetentionPeriod
from opsanalytics.behavior.statistics import wilson
from opsanalytics.behavior.times import step_range


def funnel_trend(
    events: Events,
    definition: Funnel,
    *,
    as_of: datetime,
    first: date | None = None,
    last: date | None = None,
    timezone: str = "UTC",
    week_start: Weekday = "monday",
    period: RetentionPeriod = "week",
    from_step: int = 1,
    to_step: int | None = None,
    preset: str | Semantics = OPSANALYTICS,
) -> pl.DataFrame:
    """Conversion from one step to another (over the whole funnel, if not given) by local calendar period of
    the entry event.

    An attempt belongs to the period of its entry, wherever its later steps lie. A person counts once in
    every period with an attempt, with the best of the attempts that started there. In the period that
    holds the time `as_of` minus window, entries before it are mature and those after it are open.

    In: as `funnel`. Out: the columns of FUNNEL_TREND without `quality`, every period from the first to
    the last with an entry, also those without; `entered` are those who made `from_step`, `converted` who
    made `to_step` too. For `period = "hour"` `period_start` is a UTC time stamp.

    Raises:
        EventsError, PropertyError, ValueError, PresetError: as `funnel`.
    """
    as_of = check_as_of(as_of)
    check_range(first, last)
    zone(timezone)
    semantics = preset_named(preset)
    check_preset(definition, semantics)
    steps = steps_of_trend(definition, from_step, to_step)
    rows = funnel_rows(
        events, definition, semantics, as_of=as_of, first=first, last=last, timezone=timezone
    ).rows
    entries = entry_rows(rows, definition, first=first, last=last, timezone=timezone)
    units = best_attempts(
        rows,
        definition,
        entries,
        as_of=as_of,
        bucket=period_bucket(period, timezone=timezone, week_start=week_start),
        semantics=semantics,
    )
    return trend_table(
        units,
        definition,
        as_of=as_of,
        timezone=timezone,
        week_start=week_start,
        period=period,
        steps=steps,
        semantics=semantics,
    )


def steps_of_trend(definition: Funnel, from_step: int, to_step: int | None) -> tuple[int, int]:
    """Numbers of the two steps between which conversion is measured.

    Raises:
        ValueError: these are not two steps, in this order.
    """
    if from_step == 1 and to_step is None:
        return 1, len(definition.steps)
    return step_range(definition, from_step, to_step)


def period_bucket(period: RetentionPeriod, *, timezone: str, week_start: Weekday) -> Bucket:
    """From times of entry to the numbers of their periods."""
    number = period_number(pl.col("ts"), period, timezone=timezone, week_start=week_start)
    return lambda ts: ts.to_frame("ts").select(number).to_series()


def trend_table(
    units: pl.DataFrame,
    definition: Funnel,
    *,
    as_of: datetime,
    timezone: str,
    week_start: Weekday,
    period: RetentionPeriod,
    steps: tuple[int, int],
    semantics: Semantics,
) -> pl.DataFrame:
    """`funnel_trend` of the attempts that `best_attempts` gives with `period_bucket`."""
    begin, end = steps
    mature = pl.col("mature")
    done = pl.col(f"ts_{end}").is_not_null()
    counts = (
        units.filter(pl.col(f"ts_{begin}").is_not_null())
        .group_by("bucket")
        .agg(
            mature.sum().cast(pl.Int64).alias("entered"),
            (mature & done).sum().cast(pl.Int64).alias("converted"),
            (~mature).sum().cast(pl.Int64).alias("immature_entered"),
        )
    )
    return counted_trend(
        counts,
        definition,
        as_of=as_of,
        timezone=timezone,
        week_start=week_start,
        period=period,
        semantics=semantics,
    )


def counted_trend(
    counts: pl.DataFrame,
    definition: Funnel,
    *,
    as_of: datetime,
    timezone: str,
    week_start: Weekday,
    period: RetentionPeriod,
    semantics: Semantics,
) -> pl.DataFrame:
    """`funnel_trend` from `bucket` (number of the period, Int32, once) and `entered`, `converted`,
    `immature_entered` (Int64) of the periods with any."""
    bounds = counts.select(pl.col("bucket").min().alias("low"), pl.col("bucket").max().alias("high"))
    low, high = bounds.row(0)
    buckets = pl.int_range(low or 0, 0 if low is None else high + 1, dtype=pl.Int32, eager=True)
    # The first instant that may still bring events decides which periods are over.
    now = period_of(as_of + timedelta(microseconds=1), period, timezone=timezone, week_start=week_start)
    frame = (
        pl.DataFrame({"bucket": buckets}, schema={"bucket": pl.Int32})
        .join(counts, on="bucket", how="left", maintain_order="left")
        .with_columns(pl.col("entered", "converted", "immature_entered").fill_null(0))
    )
    rate_low, rate_high = wilson(frame["converted"].to_numpy(), frame["entered"].to_numpy())
    if period == "hour":
        begins = hour_start(pl.col("bucket"), timezone)
    else:
        begins = period_first_day(pl.col("bucket"), period, week_start=week_start)
    shaped = frame.select(
        pl.lit(definition.name).alias("funnel"),
        begins.alias("period_start"),
        "entered",
        "converted",
        (pl.col("converted") / pl.col("entered")).fill_nan(None).alias("rate"),
        nullable(rate_low, "rate_low"),
        nullable(rate_high, "rate_high"),
        "immature_entered",
        ((pl.col("bucket") < now) & (pl.col("immature_entered") == 0)).alias("complete"),
    )
    identified = pl.lit(semantics.identified(definition.definition_id))
    return with_provenance(shaped, definition, as_of).with_columns(definition_id=identified)
