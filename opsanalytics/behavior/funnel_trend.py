"""Conversion over time: a funnel by calendar period of entry."""

from datetime import date, datetime

import polars as pl

from opsanalytics.behavior.attempts import best_attempts
from opsanalytics.behavior.calendars import Calendar
from opsanalytics.behavior.folding import check_preset
from opsanalytics.behavior.funnel_rows import check_range, entry_rows, funnel_rows
from opsanalytics.behavior.marts import nullable, with_provenance
from opsanalytics.behavior.periods import Weekday, hour_start, period_first_day
from opsanalytics.behavior.rows import Events, check_as_of
from opsanalytics.behavior.semantics import OPSANALYTICS, Semantics, preset_named
from opsanalytics.behavior.spec import Funnel, RetentionPeriod
from opsanalytics.behavior.statistics import wilson

COUNTED = ["entered", "converted", "immature_entered"]
COUNTS = pl.Schema({"bucket": pl.Int32(), **dict.fromkeys(COUNTED, pl.Int64())})


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
    preset: str | Semantics = OPSANALYTICS,
) -> pl.DataFrame:
    """Conversion over the whole funnel by local calendar period of the entry event.

    An attempt belongs to the period of its entry, wherever its later steps lie. A person counts once in
    every period with an attempt, with the best of the attempts that started there. In the period that
    holds the time `as_of` minus window, entries before it are mature and those after it are open.

    In: as `funnel`. Out: the columns of FUNNEL_TREND without `quality`, every period from the first to
    the last with an entry, also those without. For `period = "hour"` `period_start` is a UTC time stamp.

    Raises:
        EventsError, PropertyError, ValueError, PresetError: as `funnel`.
    """
    as_of = check_as_of(as_of)
    check_range(first, last)
    semantics = preset_named(preset)
    check_preset(definition, semantics)

    calendar = Calendar(period, timezone, week_start)
    rows = funnel_rows(
        events, definition, semantics, as_of=as_of, first=first, last=last, timezone=timezone
    ).rows
    entries = entry_rows(rows, definition, first=first, last=last, timezone=timezone)
    units = best_attempts(
        rows,
        definition,
        entries,
        as_of=as_of,
        bucket=lambda ts: ts.to_frame().select(calendar.number(pl.col("ts"))).to_series(),
        semantics=semantics,
    )
    return trend_table(by_bucket(units, definition), definition, calendar, as_of=as_of, semantics=semantics)


def by_bucket(units: pl.DataFrame, definition: Funnel) -> pl.DataFrame:
    """How many of the attempts of `best_attempts` entered, converted and are open: the columns of COUNTS."""
    mature = pl.col("mature")
    done = pl.col("step_reached") == len(definition.steps)
    entered, converted, still_open = (one.sum().cast(pl.Int64) for one in (mature, mature & done, ~mature))
    return units.group_by("bucket").agg(entered=entered, converted=converted, immature_entered=still_open)


def trend_table(
    counts: pl.DataFrame,
    definition: Funnel,
    calendar: Calendar,
    *,
    as_of: datetime,
    semantics: Semantics,
) -> pl.DataFrame:
    """The counts of `by_bucket` as `funnel_trend` gives them."""
    bounds = counts.select(pl.col("bucket").min().alias("low"), pl.col("bucket").max().alias("high"))
    low, high = bounds.row(0)
    buckets = pl.int_range(low or 0, 0 if low is None else high + 1, dtype=pl.Int32, eager=True)
    now = calendar.unfinished(as_of)
    frame = (
        pl.DataFrame({"bucket": buckets}, schema={"bucket": pl.Int32})
        .join(counts, on="bucket", how="left", maintain_order="left")
        .with_columns(pl.col(COUNTED).fill_null(0))
    )
    rate_low, rate_high = wilson(frame["converted"].to_numpy(), frame["entered"].to_numpy())
    if calendar.period == "hour":
        begins = hour_start(pl.col("bucket"), calendar.timezone)
    else:
        begins = period_first_day(pl.col("bucket"), calendar.period, week_start=calendar.week_start)
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
