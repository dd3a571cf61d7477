"""Bootstrap intervals of a funnel: how rates and medians would vary had other persons come."""

import numpy as np
import polars as pl

from opsanalytics.behavior.funnel import FunnelResult, gaps
from opsanalytics.behavior.marts import nullable
from opsanalytics.behavior.rows import Int64
from opsanalytics.behavior.statistics import CONFIDENCE, RESAMPLES, Floats

FEWEST = 100
"""Replicates below which the ends of a 95 % interval are a few values by chance."""


def bootstrap(result: FunnelResult, *, replicates: int = RESAMPLES, seed: int = 0) -> pl.DataFrame:
    """95 % percentile intervals from resampling the mature entrants with replacement.

    Out: `step`, `step_name`, `persons`, `rate`, `rate_low`, `rate_high`, `step_rate` (of those who made the
    step before), `step_rate_low`, `step_rate_high`, `median_seconds` (from the step before), `median_low`,
    `median_high`; null where nobody was observed. The same result and seed give the same table.

    Persons are not drawn one by one. How many of a resample made which steps is multinomial; the times of
    those who made a step are then a sample from all such times, whose middle order statistics are those of
    uniform numbers, beta distributed (Efron and Tibshirani 1993, 6; David and Nagaraja, Order Statistics
    2003, 2.2).

    Raises:
        ValueError: fewer than 100 replicates, or the funnel counts several rows a person, whose attempts
            are not independent.
    """
    if replicates < FEWEST:
        raise ValueError(f"replicates: {replicates} is fewer than {FEWEST}")
    mature = result.attempts.filter("mature")
    if mature["person"].is_duplicated().any():
        raise ValueError(
            f"funnel {result.definition.name!r} counts {result.definition.counting}: several rows of a "
            "person are not independent, and only persons are resampled"
        )
    steps = range(1, len(result.definition.steps) + 1)
    table = result.to_polars().select("step", "step_name", "persons", "rate", "step_rate", "median_seconds")
    random = np.random.default_rng(seed)
    times = {k: gaps(result, k) for k in steps}
    # A pattern: which steps somebody made, and which of them have a time that counts.
    timed = [times[k].is_not_null().alias(f"timed_{k}") for k in steps]
    made = mature.select(pl.col(f"ts_{k}").is_not_null().alias(f"made_{k}") for k in steps)
    patterns = made.with_columns(timed).group_by(pl.all()).len().sort(pl.all())
    drawn = np.zeros((replicates, 0), np.int64)
    if mature.height:
        shares = patterns["len"].to_numpy() / mature.height
        drawn = random.multinomial(mature.height, shares / shares.sum(), size=replicates)
    persons = {k: drawn @ patterns[f"made_{k}"].to_numpy().astype(np.int64) for k in steps}
    known = {k: drawn @ patterns[f"timed_{k}"].to_numpy().astype(np.int64) for k in steps}
    before = {k: _before(result, k) for k in steps}
    entered = np.full(replicates, mature.height)
    rates = [_interval(_shares(persons[k], entered)) for k in steps]
    persons[0] = entered
    step_rates = [_interval(_shares(persons[k], persons[before[k]])) for k in steps]
    medians = [
        _interval(_medians(np.sort(times[k].drop_nulls().to_numpy()) / 1e6, known[k], random)) for k in steps
    ]
    columns = {"rate": rates, "step_rate": step_rates, "median": medians}
    ends = {
        f"{name}_{end}": nullable([one[place] for one in found])
        for name, found in columns.items()
        for place, end in enumerate(("low", "high"))
    }
    order = ["step", "step_name", "persons"]
    for name in ("rate", "step_rate", "median"):
        order += [name if name != "median" else "median_seconds", f"{name}_low", f"{name}_high"]
    return table.with_columns(**ends).select(order)


def _before(result: FunnelResult, step: int) -> int:
    """The last step before `step` that is not optional; 0 for step 1."""
    steps = result.definition.steps
    return next((k for k in range(step - 1, 0, -1) if not steps[k - 1].optional), 0)


def _shares(part: Int64, whole: Int64) -> Floats:
    found: Floats = np.divide(part, whole, out=np.full(len(part), np.nan), where=whole > 0)
    return found


def _medians(ordered: Floats, sizes: Int64, random: np.random.Generator) -> Floats:
    """Medians of samples of these sizes, drawn with replacement from sorted values; NaN of none."""
    found = np.full(len(sizes), np.nan)
    some = sizes > 0
    if not some.any() or not len(ordered):
        return found
    size = sizes[some]
    rank = (size + 1) // 2
    lower = random.beta(rank, size + 1 - rank)
    # The next order statistic, given the one before it; of an odd number the middle one alone counts.
    rest = np.maximum(size - rank, 1)
    upper = np.where(size % 2 == 0, lower + (1 - lower) * random.beta(1, rest), lower)
    last = len(ordered) - 1
    places = (np.minimum((one * len(ordered)).astype(np.int64), last) for one in (lower, upper))
    found[some] = sum(ordered[place] for place in places) / 2
    return found


def _interval(values: Floats) -> tuple[float, float]:
    """Ends of the percentile interval; NaN where a replicate in forty or more has no value."""
    known = values[~np.isnan(values)]
    tail = (1 - CONFIDENCE) / 2
    if len(known) < (1 - tail) * len(values) or not len(known):
        return float("nan"), float("nan")
    low, high = np.quantile(known, [tail, 1 - tail])
    return float(low), float(high)
