"""Our events beside what the vendor itself counts, by day and event name."""

import polars as pl

from opsanalytics.lake.paths import Home
from opsanalytics.sources.base import EventSourceSettings
from opsanalytics.sources.totals import read_totals

COMPARED = pl.Schema(
    {
        "source": pl.String,
        "day": pl.Date,
        "event": pl.String,
        "vendor": pl.Int64,
        "ours": pl.Int64,
        "difference": pl.Int64,
        "exact": pl.Boolean,
    }
)


def compare_totals(home: Home, settings: EventSourceSettings) -> pl.DataFrame:
    """Every landed total of the vendor beside our count.

    Columns: `source`, `day` (on the vendor's clock), `event` (as the vendor names it), `vendor`, `ours`,
    `difference` (ours minus the vendor's), `exact` (false: the vendor says that its figure is not). Only
    days with a total and with events of ours: others are not landed. Sorted by day and event.
    """
    landed = read_totals(home, settings.name)
    stated = pl.DataFrame(
        [
            (day, event, count, totals.exact)
            for day, totals in landed.days.items()
            for event, count in totals.events.items()
        ],
        schema={"day": pl.Date, "event": pl.String, "vendor": pl.Int64, "exact": pl.Boolean},
        orient="row",
    )
    files = sorted(home.events.glob(f"day=*/{settings.name}.parquet"))
    if stated.is_empty() or not files:
        return COMPARED.to_frame()
    day = pl.col("ts").dt.convert_time_zone(settings.vendor_zone.key).dt.date().alias("day")
    ours = (
        pl.scan_parquet(files, hive_partitioning=False)
        .select(day, pl.col("source_event").alias("event"))
        .filter(pl.col("day").is_in(stated["day"].unique().to_list()))
        .group_by("day", "event")
        .agg(pl.len().cast(pl.Int64).alias("ours"))
        .collect()
    )
    exact = stated.select("day", "exact").unique()
    return (
        stated.drop("exact")
        .join(ours, on=["day", "event"], how="full", coalesce=True)
        .filter(pl.col("day").is_in(ours["day"].unique().to_list()))
        .join(exact, on="day", how="left")
        .with_columns(pl.col("vendor", "ours").fill_null(0), pl.lit(settings.name).alias("source"))
        .with_columns((pl.col("ours") - pl.col("vendor")).alias("difference"))
        .select(COMPARED.names())
        .sort("day", "event")
    )
