"""Two funnels side by side, and bootstrap intervals of means."""

import numpy as np
import polars as pl
import pytest
from scipy.stats import norm

from opsanalytics.behavior.comparison import compared
from opsanalytics.behavior.funnel import FunnelResult, funnel
from opsanalytics.behavior.spec import Funnel
from opsanalytics.behavior.statistics import bootstrap_mean
from opsanalytics_tests.behavior.examples import LATER, table, written

TWO = Funnel(name="two", steps=["A", "B"], window="60s")


def converting(converted: int, entered: int) -> FunnelResult:
    people = {f"p{k}": written("A1 B2" if k < converted else "A1") for k in range(entered)}
    return funnel(table(people), TWO, as_of=LATER)


def test_the_difference_is_tested_at_every_step_but_the_first() -> None:
    rows = compared(converting(56, 70), converting(48, 80))
    assert rows["difference"].to_list() == [0.0, pytest.approx(0.2)]
    assert rows["q_value"][0] is None
    # Newcombe (1998), Statistics in Medicine 17:873, table II, example (a), method 10.
    assert rows.select(pl.col("difference_low", "difference_high").round(4)).row(1) == (0.0524, 0.3339)


def test_funnels_of_other_lengths_are_not_compared() -> None:
    three = Funnel(name="three", steps=["A", "B", "C"], window="60s")
    with pytest.raises(ValueError, match="2 steps and one of 3"):
        compared(converting(1, 2), funnel(table({}), three, as_of=LATER))


def test_the_bootstrap_interval_is_that_of_the_normal_mean_for_many_values() -> None:
    values = np.random.default_rng(1).exponential(10.0, 5_000)
    low, high = bootstrap_mean(values)
    half = norm.ppf(0.975) * values.std() / np.sqrt(len(values))
    assert low == pytest.approx(values.mean() - half, abs=0.05)
    assert high == pytest.approx(values.mean() + half, abs=0.05)
    assert bootstrap_mean(values) == (low, high)


def test_one_value_has_no_interval() -> None:
    assert np.isnan(bootstrap_mean([1.0])).all()
