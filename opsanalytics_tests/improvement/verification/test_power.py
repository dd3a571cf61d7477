"""What a plan foresees comes about: power and duration against simulation."""

import numpy as np

from opsanalytics.improvement.verification.measure import baseline, measure
from opsanalytics.improvement.verification.power import outlook
from opsanalytics_tests.simulators.fixes import World, panel_of

LEVEL = 0.05 / 3


def test_foreseen_errors_and_power_are_those_of_the_verdict() -> None:
    rng = np.random.default_rng(21)
    world = World(effect=0.03, after=29)
    start = world.shipped.toordinal()
    foreseen, chances, seen, errors = [], [], [], []
    for _ in range(60):
        panel = panel_of(rng, world)
        ahead = outlook(panel.before(start), level=LEVEL)
        foreseen.append(ahead.standard_error(28)[0])
        chances.append(ahead.power(0.03, 28))
        change = measure(panel.until(start + 28), start, baseline(panel, start), alpha=LEVEL)
        seen.append(change.low > 0)
        errors.append(change.error)
    assert 0.85 < np.mean(foreseen) / np.mean(errors) < 1.15
    # The verdict also asks that the change shows in log-odds, which costs a little.
    assert -0.1 < np.mean(chances) - np.mean(seen) < 0.15


def test_more_people_longer_looks_and_larger_effects_have_more_power() -> None:
    rng = np.random.default_rng(22)
    few = outlook(panel_of(rng, World("low")).before(World().shipped.toordinal()), level=LEVEL)
    many = outlook(panel_of(rng, World()).before(World().shipped.toordinal()), level=LEVEL)
    assert few.power(0.04, 28) < many.power(0.04, 28)
    assert many.power(0.02, 14) < many.power(0.02, 56)
    assert many.power(0.02, 28) < many.power(0.04, 28)
    assert many.least_change(56, 0.9) < few.least_change(56, 0.9)


def test_the_days_needed_are_the_fewest_with_the_power() -> None:
    ahead = outlook(
        panel_of(np.random.default_rng(23), World()).before(World().shipped.toordinal()), level=LEVEL
    )
    days = ahead.days_for(0.03, 0.9, 182)
    assert days is not None
    assert ahead.power(0.03, days) >= 0.9 > ahead.power(0.03, days - 1)
    assert ahead.days_for(0.001, 0.9, 182) is None
