"""Trends of themes: what is beyond chance, over all themes at once."""

import numpy as np
import pytest

from opsanalytics.feedback.trend import trends


@pytest.mark.parametrize(
    ("recent", "earlier", "told"),
    [(0, 0, "none"), (5, 0, "none"), (6, 0, "more"), (0, 6, "fewer"), (12, 10, "none"), (40, 10, "more")],
)
def test_a_trend_is_told_beyond_chance(recent: int, earlier: int, told: str) -> None:
    assert trends([recent], [earlier])[0] == [told]


def test_among_many_themes_chance_is_no_trend() -> None:
    random = np.random.default_rng(1)
    runs = [trends(random.poisson(12, 40).tolist(), random.poisson(12, 40).tolist())[0] for _ in range(50)]
    # without correction most runs would have an alarm
    assert sum(any(each != "none" for each in told) for told in runs) <= 5


def test_a_silent_theme_has_no_q_value_and_costs_the_others_nothing() -> None:
    told, q_values = trends([0, 40, 0], [0, 10, 0])
    assert told == ["none", "more", "none"]
    assert q_values == [None, trends([40], [10])[1][0], None]
