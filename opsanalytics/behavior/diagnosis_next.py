"""What people who dropped out after a step did instead."""

import numpy as np
import polars as pl

from opsanalytics.behavior.diagnosis_rows import Surroundings
from opsanalytics.behavior.marts import nullable
from opsanalytics.behavior.segments import OTHER
from opsanalytics.behavior.statistics import (
    benjamini_hochberg,
    newcombe_difference,
    two_proportion_p,
    wilson,
)

NOTHING = "(nothing)"
SHOWN = 12
NEXT = pl.Schema(
    {
        "event": pl.String(),
        "n": pl.Int64(),
        "count": pl.Int64(),
        "rate": pl.Float64(),
        "rate_low": pl.Float64(),
        "rate_high": pl.Float64(),
        "other_n": pl.Int64(),
        "other_count": pl.Int64(),
        "other_rate": pl.Float64(),
        "difference": pl.Float64(),
        "difference_low": pl.Float64(),
        "difference_high": pl.Float64(),
        "q_value": pl.Float64(),
    }
)


def did_instead(around: Surroundings, landmark: float, *, least: int) -> pl.DataFrame:
    """The first event after the landmark of who dropped out, beside those who went on after it.

    Both are followed from the landmark to the end of their attempt's window; later steps of the funnel are
    left out, so what is compared is what people did besides going on. Events of fewer than `least` persons
    are `(other)`. Empty where one of the groups has fewer.
    """
    still = around.still_there(landmark)
    through = np.isfinite(around.passed)
    following = around.after.filter(pl.col("seconds") > landmark).sort("at", "seconds", "event")
    first = following.unique("at", keep="first", maintain_order=True)
    persons = pl.DataFrame(
        {"at": np.flatnonzero(still), "passed": through[still]},
        schema={"at": pl.Int64, "passed": pl.Boolean},
    ).join(first, on="at", how="left", maintain_order="left")
    dropped, went = int((~persons["passed"]).sum()), int(persons["passed"].sum())
    if min(dropped, went) < least:
        return NEXT.to_frame()
    counted = (
        persons.with_columns(pl.col("event").fill_null(NOTHING))
        .group_by("event")
        .agg(count=(~pl.col("passed")).sum(), other_count=pl.col("passed").sum())
        .sort("count", "event", descending=[True, False])
        .with_row_index("rank")
    )
    shown = (pl.col("rank") < SHOWN) & (pl.col("count") + pl.col("other_count") >= least)
    label = pl.when(shown | (pl.col("event") == NOTHING)).then("event").otherwise(pl.lit(OTHER))
    rows = (
        counted.group_by(event=label).agg(pl.col("count", "other_count").sum().cast(pl.Int64)).sort("event")
    )
    count, other = rows["count"].to_numpy(), rows["other_count"].to_numpy()
    low, high = wilson(count, np.full(len(count), dropped))
    below, above = newcombe_difference(count, dropped, other, went)
    p = two_proportion_p(count, dropped, other, went)
    return rows.select(
        "event",
        pl.lit(dropped, pl.Int64).alias("n"),
        "count",
        (pl.col("count") / dropped).alias("rate"),
        nullable(low, "rate_low"),
        nullable(high, "rate_high"),
        pl.lit(went, pl.Int64).alias("other_n"),
        "other_count",
        (pl.col("other_count") / went).alias("other_rate"),
        (pl.col("count") / dropped - pl.col("other_count") / went).alias("difference"),
        nullable(below, "difference_low"),
        nullable(above, "difference_high"),
        nullable(benjamini_hochberg(p), "q_value"),
    )
