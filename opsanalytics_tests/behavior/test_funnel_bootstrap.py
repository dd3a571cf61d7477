"""Bootstrap intervals: what resampling the persons gives, and what is known from theory."""

from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest
from scipy.stats import bootstrap as scipy_bootstrap

import opsanalytics
from opsanalytics import Funnel
from opsanalytics.behavior.funnel_bootstrap import bootstrap
from opsanalytics.queries.answers import FunnelResult

START = datetime(2024, 1, 1, tzinfo=UTC)
LATER = datetime(2025, 1, 1, tzinfo=UTC)
AB = Funnel(name="ab", steps=["A", "B"], window="7d")


def result(persons: int, share: float, seed: int = 3, **change: object) -> FunnelResult:
    """Some of the persons make step B, after a skewed time."""
    random = np.random.default_rng(seed)
    rows = [(str(one), "A", START) for one in range(persons)]
    for one in np.flatnonzero(random.random(persons) < share).tolist():
        rows.append((str(one), "B", START + timedelta(seconds=float(random.exponential(3_600)))))
    events = pl.DataFrame(rows, schema=["person", "event", "ts"], orient="row")
    return opsanalytics.funnel(events, Funnel(**(AB.model_dump() | change)), as_of=LATER)


def test_rates_have_the_intervals_of_wilson_where_these_are_close_to_normal() -> None:
    found = result(4_000, 0.3)
    wilson = found.to_polars()
    ours = found.bootstrap(4_000)
    assert ours["rate"].to_list() == wilson["rate"].to_list()
    for end in ("rate_low", "rate_high", "step_rate_low", "step_rate_high"):
        assert ours[end][1] == pytest.approx(wilson[end][1], abs=0.002)
    assert ours.row(0, named=True)["rate_low"] == 1.0


def test_medians_have_the_intervals_of_drawing_persons_one_by_one() -> None:
    found = result(400, 0.6)
    seconds = found.times().seconds
    drawn = scipy_bootstrap(
        (seconds,), np.median, n_resamples=5_000, method="percentile", rng=np.random.default_rng(1)
    ).confidence_interval
    row = found.bootstrap(20_000).row(1, named=True)
    width = drawn.high - drawn.low
    assert row["median_low"] == pytest.approx(drawn.low, abs=0.15 * width)
    assert row["median_high"] == pytest.approx(drawn.high, abs=0.15 * width)
    assert row["median_low"] < row["median_seconds"] < row["median_high"]


def test_intervals_cover_the_truth_as_often_as_they_say() -> None:
    covered = {"rate": 0, "median": 0}
    runs = 200
    for seed in range(runs):
        row = result(300, 0.4, seed).bootstrap(400).row(1, named=True)
        covered["rate"] += row["rate_low"] <= 0.4 <= row["rate_high"]
        covered["median"] += row["median_low"] <= 3_600 * np.log(2) <= row["median_high"]
    # Four standard errors of a coverage of 95 %; the percentile interval is a little short at this size.
    assert all(count / runs >= 0.95 - 0.062 - 0.01 for count in covered.values()), covered


def test_the_order_of_persons_and_nothing_else_but_the_seed_matters() -> None:
    found = result(50, 0.5)
    shuffled = found.counts.attempts.sample(fraction=1.0, shuffle=True, seed=5)
    moved = type(found.counts)(AB, LATER, shuffled, found.counts.left_out)
    assert bootstrap(moved).equals(found.bootstrap())
    assert moved.to_polars().equals(found.to_polars())
    assert not found.bootstrap(seed=1).equals(found.bootstrap())


def test_nobody_and_one_person_have_nothing_to_vary() -> None:
    row = result(3, 0.0).bootstrap().row(1, named=True)
    assert (row["rate_low"], row["rate_high"], row["median_low"]) == (0.0, 0.0, None)
    empty = opsanalytics.funnel(
        pl.DataFrame(schema={"person": pl.String, "event": pl.String, "ts": pl.Datetime}), AB, as_of=LATER
    )
    assert empty.bootstrap()["rate_low"].to_list() == [None, None]


def test_what_cannot_be_resampled_is_refused() -> None:
    with pytest.raises(ValueError, match="replicates: 10 is fewer than 100"):
        result(3, 0.5).bootstrap(10)
    rows = [("p", "A", START), ("p", "B", START), ("p", "A", START + timedelta(days=1))]
    events = pl.DataFrame(rows, schema=["person", "event", "ts"], orient="row")
    several = opsanalytics.funnel(events, AB.model_copy(update={"counting": "attempts"}), as_of=LATER)
    with pytest.raises(ValueError, match="only persons are resampled"):
        several.bootstrap()
