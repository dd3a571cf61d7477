"""Intervals of averages, formulas and changes: a bootstrap over persons, who bring all of their events.

Events of one person hang together, and so do the numbers of two periods; drawing whole persons keeps both.
Each replicate gives every person an independent Poisson(1) weight. Source: Efron and Tibshirani (1993), 8.3
(resampling of clusters), percentile ends; Poisson weights in place of draws: Chamandy et al. (2012).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl

from opsanalytics.behavior.formulas import evaluate
from opsanalytics.behavior.statistics import CONFIDENCE, Floats, median_interval, wilson

REPLICATES = 400
AT_ONCE = 20_000_000
"""Weights held at once."""
FEWEST_PERSONS = 10
"""Below it draws of persons say too little about how much they differ."""


@dataclass(frozen=True, eq=False)
class Additive:
    """What each person adds to the numbers: `person`, `cell`, `upper`, and `lower` where the number is a
    quotient; sorted by cell and person."""

    shares: pl.DataFrame


def value_intervals(formula: str, series: Mapping[str, Additive], cells: int) -> tuple[Floats, Floats]:
    """95 % interval of the formula in each cell; NaN where it does not exist or fewer than ten persons add."""
    found = np.concatenate(list(_replicates(formula, series, cells)), axis=1)
    return _ends(found, _persons(series, cells) >= FEWEST_PERSONS)


def share_intervals(part: pl.DataFrame, whole: pl.DataFrame, cells: int) -> tuple[Floats, Floats] | None:
    """Wilson 95 % intervals of persons of `part` among those of `whole` (`person`, `cell`, distinct); None
    where some of the part are not among the whole, so that it is no share."""
    if part.join(whole, on=["person", "cell"], how="anti").height:
        return None
    counts = [np.bincount(each["cell"].to_numpy(), minlength=cells) for each in (part, whole)]
    return wilson(*counts)


def change_intervals(
    formula: str, series: Mapping[str, Additive], cells: int, periods: int, back: int
) -> tuple[Floats, Floats]:
    """95 % interval of the change against the cell `back` periods earlier; NaN for the first `back` cells of
    each run of `periods`, and as in `value_intervals`."""
    enough = _persons(series, cells) >= FEWEST_PERSONS
    both = np.zeros(cells, bool)
    both[back:] = enough[back:] & enough[: cells - back]
    both &= np.arange(cells) % max(periods, 1) >= back
    changes = []
    for found in _replicates(formula, series, cells):
        change = np.full(found.shape, np.nan)
        with np.errstate(all="ignore"):
            change[back:] = found[back:] / found[: cells - back] - 1
        changes.append(np.where(np.isfinite(change), change, np.nan))
    return _ends(np.concatenate(changes, axis=1), both)


def median_intervals(rows: pl.DataFrame, value: str, cells: int) -> tuple[Floats, Floats]:
    """95 % order-statistic interval of the median of a column in each cell."""
    low, high = np.full(cells, np.nan), np.full(cells, np.nan)
    for (cell,), group in rows.drop_nulls(value).group_by("cell"):
        low[cell], high[cell] = median_interval(group[value].to_numpy())
    return low, high


def _replicates(formula: str, series: Mapping[str, Additive], cells: int) -> Iterator[Floats]:
    """Values of the formula by cell and replicate, some replicates at a time."""
    from scipy.sparse import csr_array

    everybody = pl.concat([each.shares["person"] for each in series.values()]).unique().sort()
    places = pl.DataFrame({"person": everybody}).with_row_index("place")
    sums = {}
    for letter, each in series.items():
        shares = each.shares.join(places, on="person", how="left", maintain_order="left")
        where = (shares["cell"].to_numpy(), shares["place"].to_numpy())
        sums[letter] = [
            csr_array((shares[name].to_numpy(), where), shape=(cells, max(len(everybody), 1)))
            for name in ("upper", "lower")
            if name in shares.columns
        ]
    generator = np.random.default_rng(0)
    left = REPLICATES
    while left:
        size = min(left, max(1, AT_ONCE // max(len(everybody), 1)))
        left -= size
        weights = generator.poisson(1.0, (max(len(everybody), 1), size)).astype(np.float64)
        values = {}
        with np.errstate(all="ignore"):
            for letter, parts in sums.items():
                upper, *lower = (part @ weights for part in parts)
                values[letter] = upper / lower[0] if lower else upper
        yield evaluate(formula, values)


def _persons(series: Mapping[str, Additive], cells: int) -> Floats:
    pairs = pl.concat([each.shares.select("person", "cell") for each in series.values()]).unique()
    return np.bincount(pairs["cell"].to_numpy(), minlength=cells).astype(np.float64)


def _ends(found: Floats, enough: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> tuple[Floats, Floats]:
    low, high = np.full(len(found), np.nan), np.full(len(found), np.nan)
    known = enough & (np.isfinite(found).sum(axis=1) > 0)
    if known.any():
        tail = (1 - CONFIDENCE) / 2
        low[known], high[known] = np.nanquantile(found[known], [tail, 1 - tail], axis=1)
    return low, high
