"""Systematic error, shrinkage, E-values."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from opsanalytics.improvement.calibration import (
    LEAST,
    Prior,
    e_value,
    prior_of,
    shrunk,
    systematic_error,
)


def controls(seed: int, count: int, bias: float, wide: float) -> tuple[list[float], list[float]]:
    rng = np.random.default_rng(seed)
    errors = rng.uniform(0.005, 0.02, count)
    return list(rng.normal(bias, wide, count) + rng.normal(0, errors)), list(errors)


def test_harmless_events_show_how_far_comparisons_are_off() -> None:
    found = [systematic_error(*controls(seed, 20, 0.0, 0.03), 0.01).error for seed in range(40)]
    assert np.mean(found) == pytest.approx(0.03, abs=0.005)
    common = [systematic_error(*controls(seed, 20, -0.04, 0.0), 0.01).error for seed in range(40)]
    assert np.mean(common) == pytest.approx(0.04, abs=0.006)


def test_without_systematic_error_hardly_any_is_found() -> None:
    found = [systematic_error(*controls(seed, 30, 0.0, 0.0), 0.01).error for seed in range(40)]
    assert np.mean(found) < 0.006
    assert min(found) >= LEAST


def test_few_harmless_events_are_no_licence_to_be_surer() -> None:
    found = systematic_error(*controls(1, 4, 0.0, 0.0), 0.01)
    assert found.error == 0.01
    assert not found.measured
    assert "at least 1" in found.words
    assert systematic_error([], [], 0.02).error == 0.02


def test_the_more_was_adjusted_the_less_it_is_believed() -> None:
    found = systematic_error([], [], 0.01)
    assert found.of(-0.1, -0.1) == pytest.approx(0.01)
    assert found.of(-0.2, -0.1) > found.of(-0.15, -0.1) > 0.01
    assert found.of(None, -0.1) == pytest.approx(0.01)


def test_shrinking_takes_back_the_winners_curse() -> None:
    rng = np.random.default_rng(4)
    true = np.where(rng.random(400) < 0.7, 0.0, rng.normal(-0.12, 0.05, 400))
    errors = rng.uniform(0.02, 0.06, 400)
    seen = true + rng.normal(0, errors)
    prior = prior_of(seen, errors)
    assert prior.none == pytest.approx(0.7, abs=0.12)
    guesses = np.array([shrunk(a, b, prior).expected for a, b in zip(seen, errors, strict=True)])
    chosen = np.argsort(seen)[:60]
    assert abs((seen[chosen] - true[chosen]).mean()) > 3 * abs((guesses[chosen] - true[chosen]).mean())
    assert ((guesses - true) ** 2).mean() < 0.6 * ((seen - true) ** 2).mean()


@given(st.floats(-0.6, 0.3), st.floats(0.005, 0.2), st.floats(0.05, 0.95))
def test_quantiles_rise_and_agree_with_chances(effect: float, error: float, none: float) -> None:
    found = shrunk(effect, error, Prior(none, -0.1, 0.1))
    points = [found.quantile(share) for share in (0.025, 0.2, 0.5, 0.8, 0.975)]
    assert points == sorted(points)
    assert 0 <= found.below(-0.01) <= 1
    assert 0 <= found.none <= 1


def test_e_value_is_that_of_its_authors() -> None:
    # VanderWeele and Ding (2017): a risk ratio of 3.9 has the E-value 7.26; the reciprocal has the same.
    assert e_value(0.1, 0.39) == pytest.approx(min(7.26, _own(0.9 / 0.61)), abs=0.01)
    assert e_value(0.61 / 3.9, 0.61) <= 7.26
    assert e_value(0.3, 0.3) == 1.0
    assert e_value(0.4, 0.3) == 1.0


def _own(ratio: float) -> float:
    return float(ratio + np.sqrt(ratio * (ratio - 1)))
