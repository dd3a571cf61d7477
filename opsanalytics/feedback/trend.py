"""Whether a theme is written about more or less than before."""

from collections.abc import Sequence
from typing import Literal, TypeAlias

Trend: TypeAlias = Literal["more", "fewer", "none"]
FALSE_SHARE = 0.05
"""Expected share of false alarms among the themes that are said to have changed."""


def trends(recent: Sequence[int], earlier: Sequence[int]) -> tuple[list[Trend], list[float | None]]:
    """Direction and q-value of each theme.

    An exact two-sided binomial test of an even split between two spans of equal length, corrected over all
    themes with a message in either (Benjamini and Hochberg 1995): with forty themes two would change by
    chance each week. It says nothing about how much was said in all. Themes silent in both have no q-value.

    Args:
        recent: messages of the later span, by theme.
        earlier: messages of the earlier span, by theme.
    """
    from scipy.stats import binomtest
    from statsmodels.stats.multitest import multipletests

    told: list[Trend] = ["none"] * len(recent)
    q_values: list[float | None] = [None] * len(recent)
    spoken = [at for at in range(len(recent)) if recent[at] + earlier[at]]
    if not spoken:
        return told, q_values
    p_values = [binomtest(recent[at], recent[at] + earlier[at], 0.5).pvalue for at in spoken]
    corrected = multipletests(p_values, method="fdr_bh")[1]
    for at, q in zip(spoken, corrected, strict=True):
        q_values[at] = round(float(q), 6)
        if q < FALSE_SHARE:
            told[at] = "more" if recent[at] > earlier[at] else "fewer"
    return told, q_values
