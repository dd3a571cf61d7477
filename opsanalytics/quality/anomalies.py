"""Daily volumes that are unusual for their weekday, and events that stopped coming.

**Volume.** The days before a day are split into weekly levels and a profile of the weekdays by median
polish of log counts (J. W. Tukey, Exploratory Data Analysis, 1977), so that a few odd days change
nothing. What the profile and the levels of the three weeks before said too much or too little, day by
day, gives a scale by the median absolute deviation. The count of the day is then negative binomial: the
randomness of counting, and on top of it that scale. An alarm needs three things: the false discovery rate
of Benjamini and Yekutieli (the series hang together) over all series of that day, a change that matters,
and a deviation larger than any of the history.

**Freshness.** The chance that an event is silent on a weekday comes from how often it was; the chance
that it is silent for days is their product.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import polars as pl

from opsanalytics.quality.settings import AnomalySettings

Verdict = Literal["usual", "drop", "spike", "with_source", "too_little_history"]
FRESH, SILENT, RETIRED, RARE, UNKNOWN = "fresh", "silent", "retired", "rare", "too_little_history"

WEEK = 7
LEVEL_WEEKS = 3
"""Weeks before a day whose levels say what level to expect."""
FEW = 10.0
"""Usual events a day below which logarithms mislead, and mean and variance of the counts are used."""
SPIKE_EVENTS = 20
"""Fewer events than this are no spike, whatever is usual."""
INTERVAL = 0.99
WITH_SOURCE = 0.001
"""A change of an event is the change of its whole source unless it is less probable than this."""
MAD_TO_DEVIATION = 1.4826
"""Standard deviation of a normal distribution in units of its median absolute deviation."""
MIN_SILENT_DAYS = 2
FRESHNESS_WEEKS = 4
"""Weeks between the first and the last day of an event from which its rhythm is known."""

MIN_ACTIVE = 0.7
"""Share of days with events below which an event is rare, and its silence says nothing (5 of 7: 0.71)."""
NO_EXTRA = 1e-6
"""Extra variance of a law that is Poisson for all purposes."""

Counts = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Series:
    """Events a day of one event (null: all) of one source, from the first day it was seen."""

    source: str
    event: str | None
    first: date
    counts: Counts


@dataclass(frozen=True)
class Forecast:
    """What is usual for a day: mean and extra variance (relative) of a negative binomial."""

    mean: float
    extra: float
    largest: float
    """Largest deviation of the history, as logarithm of a ratio."""


def daily_series(profiles: pl.DataFrame, last: date) -> list[Series]:
    """Series of all events, and of all events together, of each source up to the day `last`.

    `profiles` as `quality.profiles.profile_days` gives them. A day without a row has no events.
    """
    counts = profiles.filter(pl.col("property").is_null() & (pl.col("day") <= last))
    total = (
        counts.group_by("source", "day").agg(pl.col("n").sum()).with_columns(event=pl.lit(None, pl.String))
    )
    both = pl.concat([frame.select("source", "event", "day", "n") for frame in (total, counts)])
    found = []
    for (source, event), part in sorted(
        both.partition_by("source", "event", as_dict=True).items(),
        key=lambda item: (str(item[0][0]), item[0][1] is not None, str(item[0][1])),
    ):
        first: date = part["day"].min()  # type: ignore[assignment]
        values = np.zeros((last - first).days + 1)
        values[(part["day"] - first).dt.total_days().to_numpy()] = part["n"].to_numpy()
        found.append(Series(str(source), None if event is None else str(event), first, values))
    return found


def judge_volumes(series: list[Series], last: date, settings: AnomalySettings) -> list[dict[str, Any]]:
    """A row (`VOLUME_ANOMALIES` without `as_of`) for each series and each of the last `window_days` days."""
    rows: list[dict[str, Any]] = []
    for back in range(settings.window_days - 1, -1, -1):
        day, judged = _day(series, last, back, settings), settings.false_discovery_rate
        rows += _judge_day(day, judged, settings.min_change)
    return rows


def judge_freshness(series: list[Series], settings: AnomalySettings) -> list[dict[str, Any]]:
    """A row (`EVENT_FRESHNESS` without `as_of`) for each series: how long it has been silent."""
    from scipy.stats import false_discovery_control

    rows = [_silence(each, settings) for each in series]
    tested = [row for row in rows if row["p_value"] is not None]
    if tested:
        for row, q in zip(
            tested, false_discovery_control([row["p_value"] for row in tested], method="by"), strict=True
        ):
            row["q_value"] = float(q)
            improbable = q <= settings.false_discovery_rate
            if improbable and row["silent_days"] > max(row["longest_gap"], MIN_SILENT_DAYS - 1):
                row["verdict"] = SILENT
    silent = {row["source"] for row in rows if row["event"] is None and row["verdict"] == SILENT}
    for row in rows:
        if row["event"] is not None and row["source"] in silent and row["verdict"] == SILENT:
            row["verdict"] = "with_source"
    return rows


def _day(
    series: list[Series], last: date, back: int, settings: AnomalySettings
) -> list[tuple[dict[str, Any], Forecast | None]]:
    """What was observed on the day `back` days before `last`, and what was to be expected."""
    found: list[tuple[dict[str, Any], Forecast | None]] = []
    for each in series:
        position = len(each.counts) - 1 - back
        if position < 0:
            continue
        weeks = min(position // WEEK, settings.history_weeks)
        row = {
            "source": each.source,
            "event": each.event,
            "day": last - timedelta(days=back),
            "observed": int(each.counts[position]),
            "weeks": weeks,
            "verdict": "too_little_history",
        }
        enough = weeks >= settings.min_weeks
        found.append((row, usual(each.counts[position - weeks * WEEK : position]) if enough else None))
    return found


def _judge_day(
    day: list[tuple[dict[str, Any], Forecast | None]], false_discovery_rate: float, min_change: float
) -> list[dict[str, Any]]:
    from scipy.stats import false_discovery_control

    known = [(row, forecast) for row, forecast in day if forecast is not None]
    if known:
        observed = np.array([row["observed"] for row, _ in known], dtype=np.float64)
        forecasts = [forecast for _, forecast in known]
        chances = tails(observed, forecasts)
        adjusted = false_discovery_control(chances, method="by")
        figures = zip(known, chances, adjusted, *intervals(forecasts), strict=True)
        for (row, forecast), p, q, low, high in figures:
            row |= {
                "expected": round(forecast.mean, 3),
                "expected_low": int(low),
                "expected_high": int(high),
                "p_value": float(p),
                "q_value": float(q),
                "verdict": _verdict(row["observed"], forecast, min_change)
                if q <= false_discovery_rate
                else "usual",
            }
        _explain_by_source(known)
    return [row for row, _ in day]


def _verdict(observed: int, forecast: Forecast, min_change: float) -> Verdict:
    """Verdict on a count that is improbable: whether it also matters."""
    deviation = np.log((observed + 0.5) / (forecast.mean + 0.5))
    if abs(deviation) <= forecast.largest:
        return "usual"
    if observed < (1 - min_change) * forecast.mean:
        return "drop"
    if observed > forecast.mean / (1 - min_change) and observed >= SPIKE_EVENTS:
        return "spike"
    return "usual"


def _explain_by_source(known: list[tuple[dict[str, Any], Forecast]]) -> None:
    """One cause is one alarm: an event that fell just as its whole source fell is not told again."""
    ratios = {
        row["source"]: (row["verdict"], row["observed"] / forecast.mean)
        for row, forecast in known
        if row["event"] is None and row["verdict"] in ("drop", "spike")
    }
    for row, forecast in known:
        if row["event"] is None or row["source"] not in ratios:
            continue
        verdict, ratio = ratios[row["source"]]
        if row["verdict"] == verdict:
            scaled = replace(forecast, mean=max(forecast.mean * ratio, 1e-9))
            if tails(np.array([row["observed"]]), [scaled])[0] >= WITH_SOURCE:
                row["verdict"] = "with_source"


def usual(history: Counts) -> Forecast:
    """What the day after `history`, whole weeks of daily counts, is expected to bring."""
    weeks = history.reshape(-1, WEEK)
    logs = np.log(weeks + 0.5)
    profile = np.zeros(WEEK)
    levels = np.median(logs, axis=1)
    for _ in range(3):
        profile = np.median(logs - levels[:, None], axis=0)
        levels = np.median(logs - profile, axis=1)
    before = np.array(
        [np.median(levels[week - LEVEL_WEEKS : week]) for week in range(LEVEL_WEEKS, len(levels) + 1)]
    )
    errors = logs[LEVEL_WEEKS:] - (before[:-1, None] + profile)
    # A product that grows is always above the weeks before, by about as much each time.
    trend = float(np.median(errors))
    errors -= trend
    mean = float(np.exp(before[-1] + trend + profile[0]) - 0.5)
    largest = float(np.abs(errors).max())
    if mean < FEW:
        mean = max(float(history.mean()), 0.5 / len(history))
        extra = max(0.0, (float(history.var()) - mean) / mean**2)
        largest = float(np.abs(np.log((history + 0.5) / (mean + 0.5))).max())
        return Forecast(mean, extra, largest)
    scale = MAD_TO_DEVIATION * float(np.median(np.abs(errors)))
    # The profile and the level are themselves estimated from this many days.
    uncertain = scale**2 * (1 + 1 / len(levels) + 1 / LEVEL_WEEKS / WEEK)
    return Forecast(mean, max(0.0, uncertain - 1 / mean), largest)


def tails(observed: Counts, forecasts: Sequence[Forecast]) -> Counts:
    """For each forecast the chance of a count at least as far out as observed, both sides together."""
    law = _law(forecasts)
    chances: Counts = np.minimum(1.0, 2 * np.minimum(law.cdf(observed), law.sf(observed - 1)))
    return chances


def intervals(forecasts: Sequence[Forecast]) -> tuple[Counts, Counts]:
    """For each forecast the counts that hold 99 of 100 such days."""
    law = _law(forecasts)
    outside = (1 - INTERVAL) / 2
    return law.ppf(outside), law.ppf(1 - outside)


def _law(forecasts: Sequence[Forecast]) -> Any:
    from scipy.stats import nbinom

    mean = np.array([forecast.mean for forecast in forecasts])
    size = 1 / np.maximum([forecast.extra for forecast in forecasts], NO_EXTRA)
    return nbinom(size, size / (size + mean))


def _silence(series: Series, settings: AnomalySettings) -> dict[str, Any]:
    active = np.flatnonzero(series.counts)
    newest = int(active[-1])
    silent = len(series.counts) - 1 - newest
    row: dict[str, Any] = {
        "source": series.source,
        "event": series.event,
        "first_seen": series.first,
        "last_seen": series.first + timedelta(days=newest),
        "silent_days": silent,
        "longest_gap": None,
        "p_value": None,
        "q_value": None,
        "verdict": UNKNOWN,
    }
    history = series.counts[max(0, newest + 1 - settings.history_weeks * WEEK) : newest + 1] > 0
    if len(history) < FRESHNESS_WEEKS * WEEK:
        return row
    row["longest_gap"] = int(np.diff(np.flatnonzero(history), prepend=-1).max()) - 1
    if silent > settings.window_days:
        return row | {"verdict": RETIRED}
    if history.mean() < MIN_ACTIVE:
        return row | {"verdict": RARE}
    # Day `newest + k` has the weekday of the day k - 7 before `newest`.
    chance = 1.0
    for ahead in range(1, silent + 1):
        same = history[::-1][(-ahead) % WEEK :: WEEK]
        chance *= 1 - (same.sum() + 0.5) / (len(same) + 1)
    return row | {"p_value": float(chance), "verdict": FRESH}
