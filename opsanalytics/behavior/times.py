"""How long it takes from one step to another."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from opsanalytics.behavior.funnel import FunnelResult
from opsanalytics.behavior.spec import Funnel
from opsanalytics.behavior.statistics import Floats, median_interval

PERCENTILES = (5, 10, 25, 50, 75, 90, 95, 99)
MOST_BINS = 60
NO_SPREAD_SECONDS = 60
"""Width of a bin where all times are equal."""


@dataclass(frozen=True, eq=False)
class ConversionTimes:
    """Times of all mature attempts that made both steps, exact to the microsecond."""

    from_step: int
    to_step: int
    seconds: Floats
    """Sorted."""

    def to_dict(self) -> dict[str, Any]:
        """`from_step`, `to_step`, `n`, `mean`, `median`, `median_low`, `median_high` (95 %, by order
        statistics), `min`, `max`, `p5` to `p99` (linear interpolation); seconds, None if nobody made it."""
        known = len(self.seconds) > 0
        low, high = median_interval(self.seconds)
        summary = {
            "mean": float(np.mean(self.seconds)) if known else None,
            "median": float(np.median(self.seconds)) if known else None,
            "median_low": None if math.isnan(low) else low,
            "median_high": None if math.isnan(high) else high,
            "min": float(self.seconds[0]) if known else None,
            "max": float(self.seconds[-1]) if known else None,
        }
        points = np.percentile(self.seconds, PERCENTILES).tolist() if known else [None] * len(PERCENTILES)
        named = {f"p{p}": value for p, value in zip(PERCENTILES, points, strict=True)}
        return {
            "from_step": self.from_step,
            "to_step": self.to_step,
            "n": len(self.seconds),
            **summary,
            **named,
        }

    def histogram(self, bins: int | None = None) -> pl.DataFrame:
        """`from_seconds`, `to_seconds`, `persons`: bins of equal width from the shortest time on.

        `bins` is the cube root of the number of times, rounded up, at most 60, if not given; the width is
        a whole number of seconds. One more row holds the longest time where it lies on the last edge.

        Raises:
            ValueError: `bins` is less than 1.
        """
        if bins is not None and bins < 1:
            raise ValueError(f"bins: {bins} is less than 1")
        schema = {"from_seconds": pl.Float64, "to_seconds": pl.Float64, "persons": pl.Int64}
        if not len(self.seconds):
            return pl.DataFrame(schema=schema)
        count = bins or min(MOST_BINS, math.ceil(round(len(self.seconds) ** (1 / 3), 9)))
        begin = float(self.seconds[0])
        width = math.ceil((float(self.seconds[-1]) - begin) / count) or NO_SPREAD_SECONDS
        places = ((self.seconds - begin) // width).astype(np.int64)
        edges = begin + width * np.arange(count + 1)
        persons = np.bincount(places, minlength=count + 1)
        return pl.DataFrame(
            {"from_seconds": edges, "to_seconds": edges + width, "persons": persons}, schema=schema
        )


def conversion_times(result: FunnelResult, from_step: int = 1, to_step: int | None = None) -> ConversionTimes:
    """Times from one step to another (the last if not given) of mature attempts that made both.

    Raises:
        ValueError: these are not two steps of the funnel, in this order.
    """
    from_step, to_step = step_range(result.definition, from_step, to_step)
    gap = (pl.col(f"ts_{to_step}") - pl.col(f"ts_{from_step}")).dt.total_microseconds().drop_nulls()
    seconds = result.attempts.filter("mature").select(gap.sort()).to_series().to_numpy() / 1e6
    if not result.semantics.zero_gaps:
        seconds = seconds[seconds > 0]
    return ConversionTimes(from_step, to_step, seconds.astype(np.float64))


def step_range(definition: Funnel, from_step: int, to_step: int | None) -> tuple[int, int]:
    """Two steps of a funnel, the last one for `to_step` None.

    Raises:
        ValueError: these are not two steps, in this order.
    """
    last = len(definition.steps)
    end = last if to_step is None else to_step
    if not 1 <= from_step < end <= last:
        raise ValueError(f"from_step {from_step}, to_step {end}: not two of the {last} steps in order")
    return from_step, end
