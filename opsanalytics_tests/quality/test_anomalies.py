from datetime import date, timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest

from opsanalytics.quality.anomalies import daily_series, judge_freshness, judge_volumes, usual
from opsanalytics.quality.settings import AnomalySettings
from opsanalytics_tests.quality.arrivals import FIRST, LAST, WEEKDAYS, Change, counts

SETTINGS = AnomalySettings()
TEN = {f"event_{number}": 20.0 * (number + 1) for number in range(10)}
ALARMS = ("drop", "spike")


def volumes(profiles: pl.DataFrame, last: date = LAST) -> list[dict[str, Any]]:
    return judge_volumes(daily_series(profiles, last), last, SETTINGS)


def alarms(rows: list[dict[str, Any]]) -> list[tuple[str | None, date, str]]:
    return [(row["event"], row["day"], row["verdict"]) for row in rows if row["verdict"] in ALARMS]


def silences(profiles: pl.DataFrame, last: date = LAST) -> dict[str | None, str]:
    return {row["event"]: row["verdict"] for row in judge_freshness(daily_series(profiles, last), SETTINGS)}


@pytest.mark.parametrize("seed", range(3))
def test_a_product_as_usual_raises_no_alarm(seed: int) -> None:
    assert alarms(volumes(counts(TEN, seed))) == []


@pytest.mark.parametrize(("factor", "verdict"), [(0.3, "drop"), (3.0, "spike")])
def test_a_planted_change_is_the_only_alarm(factor: float, verdict: str) -> None:
    day = LAST - timedelta(days=2)
    plant: Change = lambda at, n: round(n * factor) if at == day else n  # noqa: E731
    assert alarms(volumes(counts(TEN, change={"event_9": plant}))) == [("event_9", day, verdict)]


def test_a_quiet_weekend_is_usual() -> None:
    sunday = LAST
    rows = [
        row for row in volumes(counts({"view": 1000.0})) if row["event"] == "view" and row["day"] == sunday
    ]
    assert sunday.weekday() == 6
    (row,) = rows
    assert row["verdict"] == "usual"
    assert row["expected"] == pytest.approx(1000 * WEEKDAYS[6], rel=0.1)
    assert row["expected_low"] <= row["observed"] <= row["expected_high"]


def test_an_outage_of_the_whole_source_is_told_once() -> None:
    day = LAST - timedelta(days=1)
    cut: Change = lambda at, n: round(n * 0.4) if at == day else n  # noqa: E731
    rows = volumes(counts(TEN, change=dict.fromkeys(TEN, cut)))
    assert alarms(rows) == [(None, day, "drop")]
    assert {row["event"] for row in rows if row["verdict"] == "with_source"} >= {"event_8", "event_9"}


def test_steady_growth_is_no_alarm() -> None:
    assert alarms(volumes(counts(TEN, weekly_growth=0.05))) == []


def test_an_odd_day_of_the_past_does_not_change_what_is_usual() -> None:
    history = np.tile(100.0 * np.array(WEEKDAYS), 8)
    odd = history.copy()
    odd[30] *= 20
    assert usual(odd).mean == pytest.approx(usual(history).mean, rel=0.01)


def test_too_little_history_gives_no_verdict() -> None:
    last = FIRST + timedelta(days=6 * 7 - 1)
    assert {row["verdict"] for row in volumes(counts(TEN), last)} == {"too_little_history"}


def test_a_daily_event_that_stops_is_silent_and_no_other() -> None:
    stop: Change = lambda at, n: 0 if at > LAST - timedelta(days=5) else n  # noqa: E731
    found = silences(counts(TEN, change={"event_3": stop}))
    assert [event for event, verdict in found.items() if verdict == "silent"] == ["event_3"]


def test_an_event_of_working_days_may_rest_at_weekends() -> None:
    rest: Change = lambda at, n: 0 if at.weekday() >= 5 else n  # noqa: E731
    assert silences(counts(TEN, change={"event_3": rest}))["event_3"] == "fresh"


def test_a_rare_event_is_never_called_silent() -> None:
    rare: Change = lambda at, n: n if at.day % 5 == 0 and at < LAST - timedelta(days=12) else 0  # noqa: E731
    assert silences(counts(TEN, change={"event_3": rare}))["event_3"] == "rare"


def test_what_stopped_long_ago_is_no_longer_news() -> None:
    stop: Change = lambda at, n: 0 if at > LAST - timedelta(days=30) else n  # noqa: E731
    assert silences(counts(TEN, change={"event_3": stop}))["event_3"] == "retired"


def test_a_silent_source_is_told_once() -> None:
    stop: Change = lambda at, n: 0 if at > LAST - timedelta(days=5) else n  # noqa: E731
    found = silences(counts(TEN, change=dict.fromkeys(TEN, stop)))
    assert found[None] == "silent"
    assert {verdict for event, verdict in found.items() if event is not None} == {"with_source"}
