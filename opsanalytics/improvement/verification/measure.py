"""By how much a fix changed what the affected do: before against after, against those it did not reach."""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from opsanalytics.improvement.verification.arms import Metric
from opsanalytics.improvement.verification.gap import (
    Bools,
    Daily,
    Days,
    Estimate,
    Fit,
    Floats,
    Gap,
    count_error,
    fit_autoregressive,
    fit_level,
    log_odds_gap,
    points_gap,
    trend,
)

Method = Literal["difference", "structural", "heard"]

DRIFT_P = 0.1
"""If a slope of the gap before shipping is less likely by chance than this, the arms were drifting apart."""
APART = 7
"""Days that there must be on each side of a change within the baseline, to tell it from the rest."""
FIRST_PLACEBO, PLACEBO_STEP, PLACEBO_DAYS = 21, 7, 14
"""The first pretended shipping after so many days, then every so many, each with so many days after it."""
MOST_PLACEBOS = 16


@dataclass(frozen=True)
class Panel:
    """Daily counts: of the affected arm, and of those it is compared with (one unaffected arm, or, for the
    structural model, the other steps of the funnel)."""

    day: Days
    affected: Daily
    others: tuple[Daily, ...]
    method: Method
    metric: Metric
    onset: int | None = None
    """Day on which the problem began, if that lies within the baseline."""
    repeats: float = 1.0
    """By how much the variance of a rate is larger than that of so many units, as attempts of one person
    resemble each other (Kish's design effect), at least 1."""

    def on(self, chosen: Bools) -> "Panel":
        return replace(
            self,
            day=self.day[chosen],
            affected=self.affected.on(chosen),
            others=tuple(each.on(chosen) for each in self.others),
        )

    def until(self, last: int) -> "Panel":
        """The days up to `last`, inclusive."""
        return self.on(self.day <= last)

    def before(self, shipped: int) -> "Panel":
        """The baseline."""
        return self.on(self.day < shipped)

    @property
    def walks(self) -> bool:
        """Whether there is nothing to compare with, so that the level may wander off by itself."""
        return self.method == "structural" and not self.others


@dataclass(frozen=True)
class Placebo:
    """What would have been found had the fix been shipped on a day of the baseline."""

    day: int
    change: float
    error: float


@dataclass(frozen=True)
class Baseline:
    """What the days before shipping say of the comparison itself."""

    days: int
    slope: float
    """Change of the gap per week, in the unit of the metric."""
    slope_low: float
    slope_high: float
    p_value: float
    placebos: tuple[Placebo, ...]

    @property
    def drifting(self) -> bool:
        """Whether the arms were drifting apart already."""
        return self.p_value < DRIFT_P

    @property
    def inflation(self) -> float:
        """By how much errors must grow for the placebos to look like no effect: at least 1."""
        if not self.placebos:
            return 1.0
        return float(max(1.0, np.sqrt(np.mean([(each.change / each.error) ** 2 for each in self.placebos]))))


@dataclass(frozen=True)
class Change:
    """A change in the unit of the metric (0.01: one percentage point), with its interval."""

    change: float
    low: float
    high: float
    error: float


def baseline(panel: Panel, shipped: int) -> Baseline:
    """The gap before shipping: whether it drifted, and what pretended shippings would have shown."""
    before = panel.before(shipped)
    gap = _gap(before)
    level = before.method == "structural"
    scale = _points(before.affected.mean) if level else 1.0
    terms = {"trend": trend(gap.day)} | _onset(gap.day, before)
    fitted = fit_autoregressive(gap, terms)
    slope, error = fitted.change("trend")
    estimate = Estimate(slope, max(error, 1e-12), fitted.freedom)
    low, high = estimate.interval(0.05)
    weekly = scale * 7 / 30
    return Baseline(
        days=len(gap.day),
        slope=slope * weekly,
        slope_low=low * weekly,
        slope_high=high * weekly,
        p_value=estimate.p_value,
        placebos=_placebos(before),
    )


def measure(panel: Panel, shipped: int, known: Baseline, *, alpha: float) -> Change:
    """The change after shipping, over all days of the panel. The day of shipping counts nowhere.

    Args:
        panel: from the baseline to the last day of the look.
        shipped: day of shipping.
        known: of the same panel.
        alpha: what the interval leaves out, both sides together.
    """
    used = panel.on(panel.day != shipped)
    if used.method == "structural":
        found = [_level(used, used.day > shipped, drifting=False).widened(known.inflation)]
        if known.drifting and not used.walks:
            found.append(_level(used, used.day > shipped, drifting=True).widened(known.inflation))
        spans = [_as_points(used, shipped, each, alpha) for each in found]
        low, high = min(each.low for each in spans), max(each.high for each in spans)
        return Change(spans[0].change, low, high, spans[0].error)
    plain = _difference(used, shipped, _gap(used), drifting=False)
    ends = [plain.interval(alpha)]
    if known.drifting:
        ends.append(_difference(used, shipped, _gap(used), drifting=True).interval(alpha))
    if used.metric != "revenue":
        gap = log_odds_gap(used.day, used.affected, used.others)
        other = _as_points(
            used, shipped, _difference(used, shipped, gap, drifting=False, counts=False), alpha
        )
        ends.append((other.low, other.high))
    return Change(plain.change, min(low for low, _ in ends), max(high for _, high in ends), plain.error)


@dataclass(frozen=True)
class Stretch:
    """Days after the verdict, seen by themselves."""

    change: Estimate
    """Against the baseline."""
    fall: Estimate
    """Of the change, against the days up to the verdict."""


def stretches(panel: Panel, shipped: int, verified: int, width: int, known: Baseline) -> list[Stretch]:
    """Each `width` days after the day `verified`, as far as they are whole.

    Each uses the days up to its own end, so it is what was known then.
    """
    result = []
    used = panel.on(panel.day != shipped)
    last = int(used.day[-1])
    for number in range((last - verified) // width):
        part = used.until(verified + (number + 1) * width)
        gap = _gap(part)
        terms: dict[str, Floats] = {"after": ((gap.day > shipped) & (gap.day <= verified)).astype(np.float64)}
        for each in range(number + 1):
            first = verified + each * width
            terms[f"stretch {each}"] = ((gap.day > first) & (gap.day <= first + width)).astype(np.float64)
        terms |= _onset(gap.day, part)
        structural = part.method == "structural"
        fitted = fit_level(gap, terms) if part.walks else fit_autoregressive(gap, terms)
        rate = _points(part.affected.mean) if structural else 1.0
        changes = [fitted.change(f"stretch {number}"), fitted.change("after", f"stretch {number}")]
        change, fall = (
            Estimate(value * rate, max(error, 1e-12) * rate, fitted.freedom).widened(
                known.inflation if structural else 1.0
            )
            for value, error in changes
        )
        result.append(Stretch(change, fall))
    return result


def _gap(panel: Panel) -> Gap:
    if panel.method == "structural":
        return log_odds_gap(panel.day, panel.affected, panel.others)
    return points_gap(panel.day, panel.affected, panel.others[0])


def _onset(day: Days, panel: Panel) -> dict[str, Floats]:
    """A term for the days before the problem began, if there are enough on both sides."""
    if panel.onset is None:
        return {}
    earlier = day < panel.onset
    if earlier.sum() < APART or (~earlier).sum() < APART:
        return {}
    return {"before it began": earlier.astype(np.float64)}


def _difference(panel: Panel, shipped: int, gap: Gap, *, drifting: bool, counts: bool = True) -> Estimate:
    after = gap.day > shipped
    terms: dict[str, Floats] = {"after": after.astype(np.float64)} | _onset(gap.day, panel)
    if drifting:
        terms["trend"] = trend(gap.day)
    fitted = fit_autoregressive(gap, terms)
    change, error = fitted.change("after")
    if counts and not drifting:
        counted = count_error((panel.affected, *panel.others), panel.day > shipped)
        error = max(error, counted * np.sqrt(panel.repeats))
    return Estimate(change, max(error, 1e-12), fitted.freedom)


def _level(panel: Panel, after: Bools, *, drifting: bool) -> Estimate:
    """In log-odds."""
    gap = _gap(panel)
    chosen = np.isin(gap.day, panel.day[after])
    terms: dict[str, Floats] = {"after": chosen.astype(np.float64)} | _onset(gap.day, panel)
    if drifting:
        terms["trend"] = trend(gap.day)
    fitted = fit_level(gap, terms) if panel.walks else fit_autoregressive(gap, terms)
    change, error = fitted.change("after")
    floor = np.sqrt(
        panel.repeats * sum(np.mean(gap.error[side] ** 2) / side.sum() for side in (chosen, ~chosen))
    )
    return Estimate(change, float(max(error, floor, 1e-12)), fitted.freedom)


def _as_points(panel: Panel, shipped: int, estimate: Estimate, alpha: float) -> Change:
    """A change in log-odds as one of the rate that the affected have after shipping."""
    rate = min(max(panel.on(panel.day > shipped).affected.mean, 0.005), 0.995)
    here = np.log(rate / (1 - rate))

    def points(change: float) -> float:
        return float(rate - 1 / (1 + np.exp(-(here - change))))

    low, high = estimate.interval(alpha)
    return Change(points(estimate.change), points(low), points(high), estimate.error * _points(rate))


def _points(rate: float) -> float:
    """Points for a small step in log-odds."""
    return max(rate * (1 - rate), 1e-3)


def _placebos(before: Panel) -> tuple[Placebo, ...]:
    """Pretended shippings within the baseline, the problem having begun before."""
    first, last = int(before.day[0]), int(before.day[-1])
    start = (
        first + FIRST_PLACEBO if before.onset is None else max(first + FIRST_PLACEBO, before.onset + APART)
    )
    days = list(range(start, last - PLACEBO_DAYS + 1, PLACEBO_STEP))[-MOST_PLACEBOS:]
    found = []
    for day in days:
        part = before.on(before.day != day)
        if part.method == "structural":
            estimate = _level(part, part.day > day, drifting=False)
            scale = _points(part.affected.mean)
            found.append(Placebo(day, estimate.change * scale, estimate.error * scale))
        else:
            part = part.until(day + PLACEBO_DAYS)
            estimate = _difference(part, day, _gap(part), drifting=False)
            found.append(Placebo(day, estimate.change, estimate.error))
    return tuple(found)


def fitted_baseline(panel: Panel) -> Fit:
    """The gap of a baseline without any change, for a power calculation."""
    gap = _gap(panel)
    fit = fit_level if panel.walks else fit_autoregressive
    return fit(gap, _onset(gap.day, panel))


def daily_error(panel: Panel) -> float:
    """Standard error of a usual day's gap, from the counts."""
    return float(np.sqrt(panel.repeats * np.mean(_gap(panel).error ** 2)))
