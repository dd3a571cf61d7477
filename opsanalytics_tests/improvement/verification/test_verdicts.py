"""Verdicts on worlds whose truth is known: few false ones, and real fixes are seen."""

from collections import Counter
from dataclasses import replace
from datetime import date, timedelta

import numpy as np
import pytest
from scipy.stats import binom

from opsanalytics.improvement.verification.measure import baseline
from opsanalytics.improvement.verification.plan import Plan
from opsanalytics.improvement.verification.verdict import Verdict, judge
from opsanalytics_tests.simulators.fixes import World, panel_of, plan_for

FALSE = ("worked", "harmed", "regressed")
RUNS = 60


def verdicts(world: World, runs: int, *, structural: bool = False, seed: int = 11) -> list[Verdict]:
    rng = np.random.default_rng(seed)
    plan = plan_for(world)
    return [
        judge(plan, panel_of(rng, world, structural=structural), world.shipped, world.last_day)
        for _ in range(runs)
    ]


def outcomes(world: World, runs: int = RUNS, *, structural: bool = False) -> Counter[str]:
    return Counter(verdict.outcome for verdict in verdicts(world, runs, structural=structural))


@pytest.mark.parametrize("kind", ["plain", "drift", "step", "season", "regression", "shocks", "low"])
def test_a_fix_that_does_nothing_is_rarely_given_a_verdict(kind: str) -> None:
    """At most 6 %: no more of 60 runs than chance allows then (the benchmark has many runs)."""
    found = outcomes(World(kind))
    assert sum(found[each] for each in FALSE) <= binom.ppf(0.99, RUNS, 0.06)


def test_arms_that_drift_apart_are_noticed() -> None:
    found = outcomes(World("diverging"))
    assert found["inconclusive"] >= 0.8 * RUNS


@pytest.mark.parametrize("kind", ["plain", "drift", "season"])
def test_four_points_are_seen(kind: str) -> None:
    assert outcomes(World(kind, 0.04))["worked"] >= 0.9 * RUNS - 2


def test_harm_is_seen() -> None:
    found = outcomes(World(effect=-0.04))
    assert found["harmed"] >= 0.85 * RUNS
    assert found["worked"] == 0


def test_intervals_hold_the_truth() -> None:
    """Those of one look are 98.3 % ones."""
    for effect in (0.0, 0.03):
        changes = [each.change for each in verdicts(World(effect=effect), RUNS)]
        held = [each is not None and each.low <= effect <= each.high for each in changes]
        assert np.mean(held) >= 0.93


def test_an_effect_that_fades_is_not_left_as_worked() -> None:
    found = outcomes(World("novelty", 0.06, after=113), 30)
    assert found["regressed"] >= 15
    assert found["worked"] <= 6


def test_a_lasting_effect_rarely_falls_back() -> None:
    found = outcomes(World(effect=0.04, after=180), 40)
    assert found["worked"] >= 34
    assert found["regressed"] <= 3


@pytest.mark.slow
def test_without_unaffected_persons_shared_and_own_movement_is_no_effect() -> None:
    for kind in ("plain", "drift", "season"):
        found = outcomes(World(kind, before=84, affected=600), 25, structural=True)
        assert sum(found[each] for each in FALSE) <= 3
    found = outcomes(World("plain", 0.1, before=84, affected=600), 15, structural=True)
    assert found["worked"] >= 13


def test_between_looks_nothing_is_said() -> None:
    world = World(effect=0.2)
    panel = panel_of(np.random.default_rng(1), world)
    early = judge(plan_for(world), panel, world.shipped, world.shipped + timedelta(days=13))
    assert (early.outcome, early.change, early.look) == ("verifying", None, 0)
    assert early.next_look == world.shipped + timedelta(days=16)
    then = judge(plan_for(world), panel, world.shipped, world.shipped + timedelta(days=14))
    assert (then.outcome, then.look, then.since) == ("worked", 1, world.shipped + timedelta(days=16))


def test_later_days_do_not_change_what_a_look_found() -> None:
    world = World(effect=0.06, after=40)
    panel = panel_of(np.random.default_rng(2), world)
    plan = plan_for(world)
    first = judge(plan, panel, world.shipped, world.shipped + timedelta(days=14))
    later = judge(plan, panel, world.shipped, world.shipped + timedelta(days=40))
    assert first.outcome == later.outcome == "worked"
    assert first.change == later.change
    assert first.since == later.since


def test_too_short_a_baseline_decides_nothing() -> None:
    world = World(effect=0.2, before=40)
    panel = panel_of(np.random.default_rng(3), world)
    plan = plan_for(world).model_copy(update={"baseline_days": 56})
    verdict = judge(plan, panel, world.shipped, world.last_day)
    assert verdict.outcome == "inconclusive"
    assert "only 40 days" in verdict.reason


def test_too_little_traffic_says_how_long_it_would_take() -> None:
    world = World("low")
    panel = panel_of(np.random.default_rng(5), world)
    verdict = judge(plan_for(world, expected=0.05), panel, world.shipped, world.last_day)
    assert verdict.outcome == "inconclusive"
    assert verdict.more_days is not None
    assert verdict.more_days > 0
    few = World("low", affected=40, unaffected=80)
    panel = panel_of(np.random.default_rng(5), few)
    verdict = judge(plan_for(few, expected=0.03), panel, few.shipped, few.last_day)
    assert (verdict.outcome, verdict.more_days) == ("inconclusive", None)
    assert "more than another year" in verdict.reason


def test_a_problem_that_began_within_the_baseline_is_compared_with_its_own_time() -> None:
    """Before it began the gap was as after the fix; without the onset the fix would seem to do less."""
    world = World(before=70, after=30)
    rng = np.random.default_rng(7)
    panel = panel_of(rng, world)
    onset = world.shipped - timedelta(days=21)
    hurt = (panel.day >= onset.toordinal()) & (panel.day <= world.shipped.toordinal())
    lost = np.where(hurt, np.round(panel.affected.total * 0.2), 0.0)
    affected = replace(panel.affected, total=panel.affected.total - lost, squares=panel.affected.total - lost)
    plan = plan_for(world, expected=0.1)
    told = judge(
        plan, replace(panel, affected=affected, onset=onset.toordinal()), world.shipped, world.last_day
    )
    untold = judge(plan, replace(panel, affected=affected), world.shipped, world.last_day)
    assert told.outcome == "worked"
    assert told.change is not None
    assert told.change.low < 0.11 < told.change.high
    assert untold.change is None or untold.change.change < told.change.change


def test_placebos_are_of_days_before() -> None:
    world = World()
    panel = panel_of(np.random.default_rng(8), world)
    known = baseline(panel, world.shipped.toordinal())
    assert known.days == 56
    assert known.placebos
    assert all(date.fromordinal(each.day) < world.shipped for each in known.placebos)
    # What they would have shown lies around nothing.
    assert abs(np.mean([each.change for each in known.placebos])) < 0.03


def test_the_same_days_give_the_same_verdict() -> None:
    world = World("season", 0.02)
    panels = [panel_of(np.random.default_rng(9), world) for _ in range(2)]
    plan: Plan = plan_for(world)
    assert judge(plan, panels[0], world.shipped, world.last_day) == judge(
        plan, panels[1], world.shipped, world.last_day
    )
