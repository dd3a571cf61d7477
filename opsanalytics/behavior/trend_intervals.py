"""Intervals of averages, formulas and changes: a bootstrap over persons, who bring all of their events.

Events of one person hang together, and so do the numbers of two periods; drawing whole persons keeps both.
Each replicate gives every person an independent Poisson(1) weight. Source: Efron and Tibshirani (1993), 8.3
(resampling of clusters), percentile ends; Poisson weights in place of draws: Chamandy et al. (2012).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import polars as pl

from opsanalytics.behavior.formulas import evaluate
from opsanalytics.behavior.rows import Int64
from opsanalytics.behavior.statistics import CONFIDENCE, Floats, quantile_interval, wilson

REPLICATES = 400
AT_ONCE = 20_000_000
"""Weights held at once."""
FEWEST_PERSONS = 10
"""Below it draws of persons say too little about how much they differ."""


@dataclass(frozen=True, eq=False)
class Replicates:
    """Numbers of series as they might have been, had other persons of the same kind come."""

    cells: int
    kept: Int64
    """Cells with at least ten persons, ascending; the others have no interval."""
    numbers: Mapping[str, Floats] = field(repr=False)
    """By letter: one row a kept cell, one column a replicate."""

    def value(self, formula: str) -> tuple[Floats, Floats]:
        """95 % interval of a formula in each cell; NaN where there is none."""
        low, high = np.full(self.cells, np.nan), np.full(self.cells, np.nan)
        low[self.kept], high[self.kept] = _ends(evaluate(formula, self.numbers))
        return low, high

    def change(self, formula: str, periods: int, back: int) -> tuple[Floats, Floats]:
        """95 % interval of the change against the cell `back` earlier in the same run of `periods` cells."""
        low, high = np.full(self.cells, np.nan), np.full(self.cells, np.nan)
        earlier = np.searchsorted(self.kept, self.kept - back)
        known = (self.kept[earlier] == self.kept - back) & (self.kept % max(periods, 1) >= back)
        found = evaluate(formula, self.numbers)
        with np.errstate(all="ignore"):
            change = found[known] / found[earlier[known]] - 1
        low[self.kept[known]], high[self.kept[known]] = _ends(np.where(np.isfinite(change), change, np.nan))
        return low, high


def replicates(series: Mapping[str, pl.DataFrame], cells: int) -> Replicates:
    """Draw persons.

    In: by letter what each person adds to each cell: `person`, `cell`, `upper`, and `lower` where the number
    is a quotient of sums; sorted by cell and person. The same rows give the same draws.
    """
    from scipy.sparse import csr_array

    pairs = pl.concat([each.select("person", "cell") for each in series.values()]).unique()
    persons = np.bincount(pairs["cell"].to_numpy(), minlength=cells)
    kept = np.flatnonzero(persons >= FEWEST_PERSONS).astype(np.int64)
    places = pl.DataFrame({"person": pairs["person"].unique().sort()}).with_row_index("place")
    rows = pl.DataFrame({"cell": kept}).with_row_index("row")
    shape = (len(kept), max(places.height, 1))
    sums = {}
    for letter, each in series.items():
        known = each.join(rows, on="cell", maintain_order="left").join(
            places, on="person", how="left", maintain_order="left"
        )
        where = (known["row"].to_numpy(), known["place"].to_numpy())
        sums[letter] = [
            csr_array((known[name].to_numpy(), where), shape=shape)
            for name in ("upper", "lower")
            if name in known.columns
        ]
    numbers = {letter: np.full((len(kept), REPLICATES), np.nan) for letter in series}
    generator = np.random.default_rng(0)
    size = max(1, AT_ONCE // shape[1])
    for begin in range(0, REPLICATES if len(kept) else 0, size):
        span = slice(begin, min(begin + size, REPLICATES))
        weights = generator.poisson(1.0, (shape[1], span.stop - begin)).astype(np.float64)
        for letter, parts in sums.items():
            upper, *lower = (part @ weights for part in parts)
            with np.errstate(all="ignore"):
                numbers[letter][:, span] = upper / lower[0] if lower else upper
    return Replicates(cells, kept, numbers)


def share_intervals(part: pl.DataFrame, whole: pl.DataFrame, cells: int) -> tuple[Floats, Floats] | None:
    """Wilson 95 % intervals of persons of `part` among those of `whole` (`person`, `cell`, distinct); None
    where some of the part are not among the whole, so that it is no share."""
    if part.join(whole, on=["person", "cell"], how="anti").height:
        return None
    counts = [np.bincount(each["cell"].to_numpy(), minlength=cells) for each in (part, whole)]
    return wilson(*counts)


def quantile_intervals(rows: pl.DataFrame, value: str, cells: int, share: float) -> tuple[Floats, Floats]:
    """95 % order-statistic interval, in each cell, of the value of a column below which a `share` lies."""
    low, high = np.full(cells, np.nan), np.full(cells, np.nan)
    for (cell,), group in rows.drop_nulls(value).group_by("cell"):
        low[cell], high[cell] = quantile_interval(group[value].to_numpy(), share)
    return low, high


def _ends(found: Floats) -> tuple[Floats, Floats]:
    low, high = np.full(len(found), np.nan), np.full(len(found), np.nan)
    known = np.isfinite(found).any(axis=1)
    if known.any():
        tail = (1 - CONFIDENCE) / 2
        low[known], high[known] = np.nanquantile(found[known], [tail, 1 - tail], axis=1)
    return low, high
