import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from opsanalytics.behavior.exposure import Comparison, compare

NEVER = np.inf


def trial(seed: int, persons: int, effect: float, *, clock: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Persons in two strata that differ in passing and in meeting the signal.

    Clock `early`: the signal comes before anybody can have passed. Clock `lingering`: it comes to those
    who are still there, so who passes fast does not meet it.
    """
    rng = np.random.default_rng(seed)
    stratum = rng.integers(0, 2, persons)
    would = rng.random(persons) < np.where(stratum == 1, 0.7, 0.4)
    passing = np.where(would, 60 + rng.exponential(120, persons), NEVER)
    meeting = rng.uniform(1, 50, persons) if clock == "early" else rng.exponential(150, persons)
    met = np.where(rng.random(persons) < np.where(stratum == 1, 0.1, 0.4), meeting, NEVER)
    met = np.where(met < passing, met, NEVER)
    blocked = np.isfinite(met) & would & (rng.random(persons) < -effect / np.where(stratum == 1, 0.7, 0.4))
    return np.where(blocked, NEVER, passing), met, stratum


def compared(seed: int, persons: int, effect: float, clock: str) -> Comparison:
    passed, met, stratum = trial(seed, persons, effect, clock=clock)
    return compare(passed, met, stratum, min_controls=10, systematic_error=0.0)


def test_confounding_by_stratum_is_removed() -> None:
    found = compared(1, 4_000, 0.0, "early")
    assert found.crude_effect is not None
    assert found.effect is not None
    assert found.crude_effect < -0.08
    assert abs(found.effect) < 0.04


def test_intervals_cover_the_truth_as_often_as_they_say() -> None:
    covered = 0
    for seed in range(100):
        found = compared(seed, 800, -0.2, "early")
        assert found.effect_low is not None
        assert found.effect_high is not None
        covered += found.effect_low <= -0.2 <= found.effect_high
    assert covered >= 90


def test_lingering_alone_is_no_harm() -> None:
    shown = 0
    for seed in range(100):
        found = compared(seed, 1_500, 0.0, "lingering")
        assert found.matched_high is not None
        shown += found.matched_high < 0
    assert shown <= 18  # 10 % expected; the stratified effect alone says harm nearly always


def test_lingering_fools_the_stratified_effect() -> None:
    found = compared(5, 4_000, 0.0, "lingering")
    assert found.effect is not None
    assert found.effect < -0.05
    assert found.effect_high is not None
    assert found.effect_high > -0.03


def test_mantel_haenszel_agrees_with_published_weights() -> None:
    # Two strata: 10 of 20 against 30 of 40, 5 of 10 against 40 of 50.
    affected = [np.r_[np.full(10, 100.0), np.full(10, NEVER)], np.r_[np.full(5, 100.0), np.full(5, NEVER)]]
    others = [np.r_[np.full(30, 100.0), np.full(10, NEVER)], np.r_[np.full(40, 100.0), np.full(10, NEVER)]]
    passed = np.concatenate([affected[0], others[0], affected[1], others[1]])
    met = np.concatenate([np.full(20, 1.0), np.full(40, NEVER), np.full(10, 1.0), np.full(50, NEVER)])
    stratum = np.repeat([0, 1], [60, 60])
    found = compare(passed, met, stratum, min_controls=5, systematic_error=0.0)
    weights = np.array([20 * 40 / 60, 10 * 50 / 60])
    assert found.effect == pytest.approx(np.average([10 / 20 - 30 / 40, 5 / 10 - 40 / 50], weights=weights))


def test_affected_persons_without_company_are_not_compared() -> None:
    passed = np.full(30, NEVER)
    met = np.r_[np.full(10, 1.0), np.full(20, NEVER)]
    stratum = np.r_[np.zeros(5), np.ones(25)].astype(np.int64)
    found = compare(passed, met, stratum, min_controls=10, systematic_error=0.01)
    assert (found.affected, found.compared, found.overlap) == (10, 5, 0.5)


def test_nobody_comparable_states_no_effect() -> None:
    found = compare(
        np.full(5, NEVER), np.ones(5), np.zeros(5, np.int64), min_controls=2, systematic_error=0.01
    )
    assert found.effect is None
    assert found.crude_effect is None


@given(st.integers(0, 10_000))
def test_order_of_persons_changes_nothing(seed: int) -> None:
    passed, met, stratum = trial(seed, 200, -0.1, clock="lingering")
    order = np.random.default_rng(seed).permutation(200)
    one = compare(passed, met, stratum, min_controls=5, systematic_error=0.01)
    other = compare(passed[order], met[order], stratum[order], min_controls=5, systematic_error=0.01)
    assert one.affected == other.affected
    assert one.effect == pytest.approx(other.effect, abs=1e-12)
    assert one.effect_high == pytest.approx(other.effect_high, abs=1e-12)


@given(st.integers(0, 10_000))
def test_interval_holds_the_estimate(seed: int) -> None:
    passed, met, stratum = trial(seed, 150, -0.2, clock="lingering")
    found = compare(passed, met, stratum, min_controls=3, systematic_error=0.01)
    if found.effect is not None and found.effect_low is not None and found.effect_high is not None:
        assert -1 <= found.effect_low <= found.effect <= found.effect_high <= 1
