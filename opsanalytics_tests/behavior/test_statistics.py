"""Published values of the intervals and tests, and their edges."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom, binomtest, chi2_contingency, fisher_exact, quantile_test

from opsanalytics.behavior.statistics import (
    benjamini_hochberg,
    median_interval,
    newcombe_difference,
    quantile_interval,
    two_proportion_p,
    wilson,
)


@pytest.mark.parametrize(
    ("successes", "n", "low", "high"),
    # Newcombe (1998), Statistics in Medicine 17:857, table I, method 3.
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilson_published_values(successes: int, n: int, low: float, high: float) -> None:
    assert [float(end) for end in wilson(successes, n)] == pytest.approx([low, high], abs=5e-5)


def test_wilson_of_nobody_is_undefined() -> None:
    low, high = wilson([0, 1], [0, 2])
    assert np.isnan([low[0], high[0]]).all()
    assert not np.isnan([low[1], high[1]]).any()


@settings(deadline=None)  # the first call imports statsmodels
@given(st.integers(1, 10**6).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_equals_scipy_and_holds_the_rate(counts: tuple[int, int]) -> None:
    successes, n = counts
    low, high = (float(end) for end in wilson(successes, n))
    assert 0 <= low <= successes / n + 1e-12
    assert successes / n - 1e-12 <= high <= 1
    other = binomtest(successes, n).proportion_ci(method="wilson")
    assert (low, high) == pytest.approx((other.low, other.high), abs=1e-12)


def test_more_successes_than_persons_are_refused() -> None:
    with pytest.raises(ValueError, match="between 0 and n"):
        wilson(3, 2)


@pytest.mark.parametrize(
    ("counts", "low", "high"),
    # Newcombe (1998), Statistics in Medicine 17:873, table II, method 10.
    [
        ((56, 70, 48, 80), 0.0524, 0.3339),
        ((9, 10, 3, 10), 0.1705, 0.8090),
        ((5, 56, 0, 29), -0.0381, 0.1926),
        ((0, 10, 0, 10), -0.2775, 0.2775),
    ],
)
def test_newcombe_published_values(counts: tuple[int, int, int, int], low: float, high: float) -> None:
    assert [float(end) for end in newcombe_difference(*counts)] == pytest.approx([low, high], abs=5e-5)


def test_newcombe_with_an_empty_group_is_undefined() -> None:
    assert np.isnan(newcombe_difference([1], [2], [0], [0])).all()


def test_p_of_small_counts_is_fishers() -> None:
    assert float(two_proportion_p(3, 4, 1, 4)) == pytest.approx(fisher_exact([[3, 1], [1, 3]]).pvalue)


def test_p_of_large_counts_is_pearsons() -> None:
    expected = chi2_contingency([[56, 14], [48, 32]], correction=False).pvalue
    assert float(two_proportion_p(56, 70, 48, 80)) == pytest.approx(expected)


@pytest.mark.parametrize(("counts", "p"), [((0, 5, 0, 9), 1.0), ((5, 5, 9, 9), 1.0), ((0, 0, 1, 2), np.nan)])
def test_p_of_degenerate_counts(counts: tuple[int, int, int, int], p: float) -> None:
    assert float(two_proportion_p(*counts)) == pytest.approx(p, nan_ok=True)


def test_benjamini_hochberg_published_values() -> None:
    # Benjamini and Hochberg (1995), section 3.2: the first four of these 15 are rejected at 5 %.
    p = [0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344, 0.0459, 0.3240]
    p += [0.4262, 0.5719, 0.6528, 0.7590, 1.0]
    assert int((benjamini_hochberg(p) <= 0.05).sum()) == 4


def test_benjamini_hochberg_skips_undefined() -> None:
    adjusted = benjamini_hochberg([0.01, float("nan"), 0.04])
    assert adjusted[[0, 2]] == pytest.approx([0.02, 0.04])
    assert np.isnan(adjusted[1])


@pytest.mark.parametrize("n", [0, 1, 5])
def test_too_few_values_have_no_median_interval(n: int) -> None:
    assert np.isnan(median_interval(np.arange(n))).all()


@pytest.mark.parametrize("n", [6, 9, 50, 1001])
def test_median_interval_covers_with_95_percent(n: int) -> None:
    low, high = median_interval(np.arange(n)[::-1])
    # Of n values, those below the median are binomial: P(low <= median <= high) exactly.
    coverage = binom.cdf(high, n, 0.5) - binom.cdf(low, n, 0.5)
    assert coverage >= 0.95
    tighter = binom.cdf(high - 1, n, 0.5) - binom.cdf(low + 1, n, 0.5)
    assert tighter < 0.95


@settings(deadline=None)  # the first call imports scipy.stats
@given(st.lists(st.floats(-1e9, 1e9), min_size=1, max_size=400), st.sampled_from([0.5, 0.75, 0.9, 0.99]))
def test_intervals_of_quantiles_equal_scipys(values: list[float], share: float) -> None:
    other = quantile_test(values, q=0, p=share).confidence_interval(0.95)
    np.testing.assert_equal(quantile_interval(values, share), (other.low, other.high))


def test_intervals_of_many_values_equal_scipys() -> None:
    values = np.random.default_rng(5).exponential(size=1_000_003)
    other = quantile_test(values, q=0, p=0.9).confidence_interval(0.95)
    assert quantile_interval(values, 0.9) == (other.low, other.high)
