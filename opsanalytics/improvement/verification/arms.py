"""Whom a fix can reach, and with whom they are compared."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import polars as pl

Metric = Literal["pass", "conversion", "revenue", "heard"]
METRICS: tuple[Metric, ...] = ("pass", "conversion", "revenue")
"""Those that somebody may choose; `heard` is that of items from feedback alone."""

COVERED = 0.8
"""The affected arm must hold so much of all exposure."""
HALF = 0.5
"""Values at least this exposed, against the most exposed one, are affected."""
TRACE = 0.1
"""Values at most this exposed, against the affected ones, are unaffected."""
COUNTS = 0.05
"""A value counts as the most exposed one only with so much of all exposure: rates of a few are noise."""
FEWEST = 100
"""Units that the unaffected arm needs."""


@dataclass(frozen=True)
class Split:
    """Values of a column or property: those of the affected, and those of comparable unaffected persons."""

    by: str
    affected: tuple[str, ...]
    unaffected: tuple[str, ...]

    def told(self) -> str:
        """Such as "platform android against ios, web"."""
        return f"{self.by} {', '.join(self.affected)} against {', '.join(self.unaffected)}"


def find_split(units: pl.DataFrame, names: Sequence[str]) -> Split | None:
    """The column that best tells persons whom the problem reaches from those it does not; None: none does.

    A value of a column is affected if its persons met the problem at least half as often as those of the most
    exposed value, unaffected if they met it at most a tenth as often as the affected. The affected must hold
    80 % of all exposure, the unaffected a hundred units. Of several columns the one counts with which the
    same effect on the exposed would stand out most (exposure over the standard error of a difference).
    Outcomes play no part, so the choice favours no verdict.

    Args:
        units: one row a unit: `met` (whether the person met the problem there), and the columns `names`.
    """
    exposed = int(units["met"].sum())
    best: tuple[float, Split] | None = None
    for name in names:
        if name not in units.columns or not exposed:
            continue
        values = (
            units.drop_nulls(name)
            .group_by(name)
            .agg(n=pl.len(), met=pl.col("met").sum())
            .with_columns(share=pl.col("met") / pl.col("n"))
            .sort(name)
        )
        large = values.filter(pl.col("met") >= COUNTS * exposed)
        if large.is_empty():
            continue
        top: float = large["share"].max()  # type: ignore[assignment]
        affected = values.filter(pl.col("share") >= HALF * top)
        n1, met = int(affected["n"].sum()), int(affected["met"].sum())
        unaffected = values.filter(pl.col("share") <= TRACE * met / n1)
        n0 = int(unaffected["n"].sum())
        if met < COVERED * exposed or n0 < FEWEST:
            continue
        stands_out = met / n1 / (1 / n1 + 1 / n0) ** 0.5
        if best is None or stands_out > best[0] * (1 + 1e-9):
            best = stands_out, Split(name, tuple(affected[name].to_list()), tuple(unaffected[name].to_list()))
    return best[1] if best else None
