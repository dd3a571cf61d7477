"""Intervals and tests, taken from statsmodels and scipy; nothing is derived here.

Undefined results (nobody observed) are NaN in arrays; tables turn them into nulls. The imports are slow
and stay inside the functions.
"""

import math
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Floats: TypeAlias = npt.NDArray[np.float64]

CONFIDENCE = 0.95
RESAMPLES = 1_000
RESAMPLED_AT_ONCE = 4_000_000
"""Values held at once while resampling."""
SMALL_EXPECTED_COUNT = 5.0
"""Below it a cell of a 2x2 table is too thin for the chi-square approximation (Cochran 1954)."""


def wilson(successes: npt.ArrayLike, n: npt.ArrayLike) -> tuple[Floats, Floats]:
    """Wilson score interval, 95 %, of each share `successes / n`; NaN where n is 0.

    Source: Wilson (1927), as Newcombe (1998), method 3, writes it; the tests compare it with scipy.
    Written here because statsmodels imports pandas, a fifth of what the first funnel of a process costs, and
    what scipy has takes one share at a time.

    Raises:
        ValueError: a count is negative, or successes exceed n.
    """
    from scipy.special import ndtri

    count, total = _counts(successes, n)
    z = float(ndtri(0.5 + CONFIDENCE / 2))
    with np.errstate(invalid="ignore", divide="ignore"):
        share = count / total
        middle = (share + z**2 / (2 * total)) / (1 + z**2 / total)
        half = z / (1 + z**2 / total) * np.sqrt(share * (1 - share) / total + z**2 / (4 * total**2))
    low, high = np.where(count == 0, 0.0, middle - half), np.where(count == total, 1.0, middle + half)
    nobody = total == 0
    low[nobody], high[nobody] = np.nan, np.nan
    return np.clip(low, 0.0, 1.0), np.clip(high, 0.0, 1.0)


def newcombe_difference(
    successes: npt.ArrayLike, n: npt.ArrayLike, other_successes: npt.ArrayLike, other_n: npt.ArrayLike
) -> tuple[Floats, Floats]:
    """Newcombe hybrid score interval, 95 %, of `successes / n - other_successes / other_n`.

    The groups are independent; NaN where one of them is empty. Source: Newcombe (1998), method 10,
    statsmodels `confint_proportions_2indep(method="newcomb")`.

    Raises:
        ValueError: a count is negative, or successes exceed n.
    """
    from statsmodels.stats.proportion import confint_proportions_2indep

    count, total = _counts(successes, n)
    other_count, other_total = _counts(other_successes, other_n)
    low, high = np.full(count.shape, np.nan), np.full(count.shape, np.nan)
    seen = (total > 0) & (other_total > 0)
    if seen.any():
        low[seen], high[seen] = confint_proportions_2indep(
            count[seen],
            total[seen],
            other_count[seen],
            other_total[seen],
            method="newcomb",
            compare="diff",
            alpha=1 - CONFIDENCE,
        )
    return low, high


def two_proportion_p(
    successes: npt.ArrayLike, n: npt.ArrayLike, other_successes: npt.ArrayLike, other_n: npt.ArrayLike
) -> Floats:
    """Two-sided p-value that two independent shares are equal; NaN where a group is empty.

    Score test (statsmodels `test_proportions_2indep(method="score")`, no correction: Pearson's
    chi-square), or Fisher's exact test (scipy) where a cell's expected count is below 5.

    Raises:
        ValueError: a count is negative, or successes exceed n.
    """
    from scipy.stats import fisher_exact
    from scipy.stats.contingency import expected_freq
    from statsmodels.stats.proportion import test_proportions_2indep

    count, total = _counts(successes, n)
    other_count, other_total = _counts(other_successes, other_n)
    p = np.full(count.shape, np.nan)
    for i in np.ndindex(count.shape):
        a, m, b, k = int(count[i]), int(total[i]), int(other_count[i]), int(other_total[i])
        if not m or not k:
            continue
        table = np.array([[a, m - a], [b, k - b]])
        if a + b in (0, m + k):
            p[i] = 1.0
        elif expected_freq(table).min() < SMALL_EXPECTED_COUNT:
            p[i] = fisher_exact(table).pvalue
        else:
            # Ratios, which statsmodels computes besides, are undefined where a group has no success.
            with np.errstate(divide="ignore", invalid="ignore"):
                p[i] = test_proportions_2indep(
                    a, m, b, k, method="score", compare="diff", correction=False
                ).pvalue
    return p


def benjamini_hochberg(p_values: npt.ArrayLike) -> Floats:
    """Adjusted p-values that control the false discovery rate; NaN stays NaN and does not count.

    Source: Benjamini and Hochberg (1995), scipy `false_discovery_control(method="bh")`.
    """
    from scipy.stats import false_discovery_control

    p = np.asarray(p_values, dtype=np.float64)
    adjusted = np.full(p.shape, np.nan)
    tested = ~np.isnan(p)
    if tested.any():
        adjusted[tested] = false_discovery_control(p[tested], method="bh")
    return adjusted


def median_interval(values: npt.ArrayLike) -> tuple[float, float]:
    """95 % interval of the median by order statistics, no distribution assumed; NaN below 6 values.

    Source: Conover, Practical Nonparametric Statistics (1999), 3.2: the ends are two of the values, chosen by
    the binomial distribution. The tests compare it with scipy's `quantile_test`, which takes half a second to
    import and sorts all values.
    """
    return quantile_interval(values, 0.5)


def quantile_interval(values: npt.ArrayLike, share: float) -> tuple[float, float]:
    """95 % interval of the value below which a `share` lies; as `median_interval`, NaN where the values are
    too few."""
    sample = np.asarray(values, dtype=np.float64)
    if not sample.size:
        return float("nan"), float("nan")
    rest = (1 - CONFIDENCE) / 2
    low, high = _binomial(rest, sample.size, share) - 1, _binomial(1 - rest, sample.size, share)
    ends = [end for end in (low, high) if 0 <= end < sample.size]
    ordered = np.partition(sample, ends) if ends else sample
    first, second = (float(ordered[end]) if end in ends else float("nan") for end in (low, high))
    return first, second


def _binomial(chance: float, n: int, share: float) -> int:
    """The least number that so many of `n` do not exceed with at least this chance."""
    from scipy.special import bdtr, bdtrik

    found: int = max(0, math.ceil(bdtrik(chance, n, share)))
    # What inverts a distribution of steps may be one beside.
    while found and bdtr(found - 1, n, share) >= chance:
        found -= 1
    while found < n and bdtr(found, n, share) < chance:
        found += 1
    return found


def count_ratio(counts: npt.ArrayLike, others: npt.ArrayLike) -> tuple[Floats, Floats]:
    """95 % interval of the ratio `counts / others` of two independent counts; NaN where an end is not finite.

    Given their sum, the first count is binomial; the ends are the odds of its Wilson interval. Source:
    Przyborowski and Wilenski (1940), conditional comparison of two Poisson counts.
    """
    count, other = np.asarray(counts, np.float64), np.asarray(others, np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        low, high = (share / (1 - share) for share in wilson(count, count + other))
    return np.where(np.isfinite(low), low, np.nan), np.where(np.isfinite(high), high, np.nan)


def poisson_interval(count: float) -> tuple[float, float]:
    """95 % interval of the mean of a Poisson count. Source: Garwood (1936), by chi-square quantiles."""
    from scipy.stats import chi2

    tail = (1 - CONFIDENCE) / 2
    low = float(chi2.ppf(tail, 2 * count)) / 2 if count else 0.0
    return low, float(chi2.ppf(1 - tail, 2 * count + 2)) / 2


def bootstrap_mean(values: npt.ArrayLike) -> tuple[float, float]:
    """95 % percentile bootstrap interval of the mean; NaN below 2 values.

    Source: Efron and Tibshirani (1993), scipy `bootstrap(method="percentile")`, 1,000 resamples from a fixed
    seed: the same values give the same interval.
    """
    from scipy.stats import bootstrap

    sample = np.asarray(values, dtype=np.float64)
    if sample.size < 2:
        return float("nan"), float("nan")
    interval = bootstrap(
        (sample,),
        np.mean,
        n_resamples=RESAMPLES,
        batch=max(1, RESAMPLED_AT_ONCE // sample.size),
        confidence_level=CONFIDENCE,
        method="percentile",
        rng=np.random.default_rng(0),
    ).confidence_interval
    return float(interval.low), float(interval.high)


def _counts(successes: npt.ArrayLike, n: npt.ArrayLike) -> tuple[Floats, Floats]:
    count, total = np.broadcast_arrays(
        np.asarray(successes, dtype=np.float64), np.asarray(n, dtype=np.float64)
    )
    if (count < 0).any() or (count > total).any():
        raise ValueError("counts must lie between 0 and n")
    return count, total
