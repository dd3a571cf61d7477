"""Effects of several signals together, on persons made by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from opsanalytics.improvement.effects import Effect, joint_effects, partition
from opsanalytics.improvement.likeness import Likeness


def alike(groups: np.ndarray) -> Likeness:
    return Likeness(groups, np.zeros_like(groups), "")


def estimated(passed: np.ndarray, met: list[np.ndarray], groups: np.ndarray) -> list[Effect]:
    everybody = np.ones(len(passed), bool)
    labels = [partition(hit, everybody, alike(groups), 5) for hit in met]
    return joint_effects(passed, met, labels, groups, [True] * len(met))


def crowd(seed: int, persons: int = 6_000) -> tuple[np.random.Generator, np.ndarray, np.ndarray]:
    """Two groups that differ in passing and in meeting things."""
    rng = np.random.default_rng(seed)
    groups = rng.integers(0, 2, persons)
    return rng, groups, np.where(groups == 1, 0.7, 0.45)


def test_one_signal_is_standardised_to_the_affected() -> None:
    # 10 of 20 affected against 30 of 40 in one group, 5 of 10 against 40 of 50 in the other.
    met = np.repeat([True, False, True, False], [20, 40, 10, 50])
    passed = np.concatenate([np.arange(n) < k for k, n in ((10, 20), (30, 40), (5, 10), (40, 50))])
    (found,) = estimated(passed, [met], np.repeat([0, 1], [60, 60]))
    assert found.effect == pytest.approx((20 * (0.5 - 0.75) + 10 * (0.5 - 0.8)) / 30)
    assert found.rate_affected == pytest.approx(0.5)
    assert found.crude == pytest.approx(15 / 30 - 70 / 90)


def test_what_only_comes_with_a_problem_has_no_effect_of_its_own() -> None:
    own, errors = [], []
    for seed in range(30):
        rng, groups, chance = crowd(seed)
        cause = rng.random(len(groups)) < 0.12
        shadow = (cause & (rng.random(len(groups)) < 0.7)) | (rng.random(len(groups)) < 0.02)
        passed = rng.random(len(groups)) < chance - 0.25 * cause
        first, second = estimated(passed, [cause, shadow], groups)
        assert second.alone is not None
        assert second.alone < -0.12
        own.append(second.effect)
        errors.append(abs((first.effect or 0.0) + 0.25) / (first.error or 1.0))
    assert abs(np.mean(np.array(own, float))) < 0.02
    assert np.mean(np.array(errors) < 1.96) > 0.85


def test_two_problems_of_the_same_persons_each_keep_their_own_effect() -> None:
    rng, groups, chance = crowd(3, 40_000)
    one = rng.random(len(groups)) < 0.15
    other = rng.random(len(groups)) < np.where(one, 0.5, 0.1)
    passed = rng.random(len(groups)) < chance - 0.1 * one - 0.2 * other
    first, second = estimated(passed, [one, other], groups)
    assert first.effect == pytest.approx(-0.1, abs=0.03)
    assert second.effect == pytest.approx(-0.2, abs=0.03)
    assert first.alone is not None
    assert first.alone < -0.16


def test_errors_are_those_of_a_bootstrap_over_persons() -> None:
    rng, groups, chance = crowd(5, 3_000)
    cause = rng.random(len(groups)) < 0.15
    shadow = (cause & (rng.random(len(groups)) < 0.6)) | (rng.random(len(groups)) < 0.05)
    passed = rng.random(len(groups)) < chance - 0.25 * cause - 0.12 * shadow
    stated = estimated(passed, [cause, shadow], groups)
    drawn = []
    for _ in range(300):
        chosen = rng.integers(0, len(groups), len(groups))
        drawn.append(
            [
                each.effect
                for each in estimated(passed[chosen], [cause[chosen], shadow[chosen]], groups[chosen])
            ]
        )
    spread = np.std(np.array(drawn, float), axis=0, ddof=1)
    for found, by_drawing in zip(stated, spread, strict=True):
        assert found.error == pytest.approx(by_drawing, rel=0.12)


def test_signals_that_nothing_can_tell_apart_do_not_break_it() -> None:
    rng, groups, chance = crowd(7)
    met = rng.random(len(groups)) < 0.1
    passed = rng.random(len(groups)) < chance - 0.2 * met
    first, second = estimated(passed, [met, met.copy()], groups)
    assert first.effect == pytest.approx(-0.2, abs=0.06)
    assert second.effect == pytest.approx(0.0, abs=0.02)


def test_only_those_with_the_chance_are_compared() -> None:
    # Whoever opens the page is keen; the trouble on it hides behind that.
    rng, groups, _ = crowd(9, 20_000)
    opens = rng.random(len(groups)) < 0.4
    met = opens & (rng.random(len(groups)) < 0.3)
    passed = rng.random(len(groups)) < 0.4 + 0.3 * opens - 0.2 * met
    label = partition(met, opens, alike(groups), 10)
    (found,) = joint_effects(passed, [met], [label], groups, [True])
    assert found.crude is not None
    assert found.crude > -0.05
    assert found.effect == pytest.approx(-0.2, abs=0.03)


def test_thin_groups_are_put_together_and_lonely_persons_left_out() -> None:
    groups = np.repeat([0, 1, 2], [20, 6, 3])
    coarse = np.repeat([0, 0, 1], [20, 6, 3])
    met = np.concatenate([np.arange(20) < 5, np.arange(6) < 3, np.ones(3, bool)])
    label = partition(met, np.ones(29, bool), Likeness(groups, coarse, ""), 3)
    assert (label[:20] == 0).all()
    assert len(set(label[20:26].tolist())) == 1
    assert label[20] != 0
    assert (label[26:] == -1).all()


@given(st.integers(0, 10_000))
def test_order_of_persons_changes_nothing(seed: int) -> None:
    rng, groups, chance = crowd(seed, 400)
    met = [rng.random(400) < 0.2, rng.random(400) < 0.3]
    passed = rng.random(400) < chance - 0.2 * met[0]
    order = rng.permutation(400)
    one = estimated(passed, met, groups)
    other = estimated(passed[order], [hit[order] for hit in met], groups[order])
    for a, b in zip(one, other, strict=True):
        assert a.affected == b.affected
        assert a.effect == pytest.approx(b.effect, abs=1e-9)
        assert a.error == pytest.approx(b.error, abs=1e-9)
