"""Charts of lifecycle, stickiness, usage interval and trends show what the rows say."""

from datetime import UTC, datetime, timedelta

import polars as pl
import pytest

import opsanalytics
from opsanalytics_tests.behavior.examples import table

START = datetime(2026, 3, 2, 12, tzinfo=UTC)
NOON = START + timedelta(days=13)


@pytest.fixture
def events() -> pl.DataFrame:
    days = {"p": (0, 1, 2, 9, 13), "q": (0, 7), "r": (8, 10)}
    return table(
        {who: [("<b>use</b>", START + timedelta(days=d)) for d in each] for who, each in days.items()}
    )


def test_dormant_persons_are_below_the_axis_and_not_in_the_running_period(events: pl.DataFrame) -> None:
    drawn = opsanalytics.lifecycle(events, {"period": "day"}, as_of=NOON).figure()
    bars = {bar.name: bar for bar in drawn.data}
    assert list(bars["dormant"].y[:3]) == [0, -1, 0]
    assert bars["dormant"].y[-1] is None
    assert bars["resurrected"].marker.opacity[-1] < bars["resurrected"].marker.opacity[0]


def test_stickiness_has_whiskers(events: pl.DataFrame) -> None:
    result = opsanalytics.stickiness(events, {}, as_of=NOON)
    (bars,) = result.figure().data
    assert list(bars.y[:2]) == [1.0, 0.5]
    assert bars.error_y.array[1] > 0
    assert [line.name for line in result.figure("active").data] == [
        "active in a day",
        "active in 7 days",
        "active in 30 days",
    ]


def test_the_usage_interval_is_marked(events: pl.DataFrame) -> None:
    drawn = opsanalytics.usage_interval(events, {}, as_of=NOON).figure()
    assert drawn.layout.shapes[0].x0 == 7.0
    assert list(drawn.data[1].y) == pytest.approx([1 / 3, 2 / 3, 1.0])


def test_trends_leave_out_what_is_not_over_and_give_formulas_their_own_axis(events: pl.DataFrame) -> None:
    asked = {"series": ["<b>use</b>", "*"], "formulas": ["A / B"], "period": "week"}
    drawn = opsanalytics.trends(events, asked, as_of=NOON).figure()
    assert [len(line.x) for line in drawn.data] == [1, 1, 1]
    assert [line.yaxis for line in drawn.data] == [None, None, "y2"]
    assert all("<b>" not in line.name for line in drawn.data)
