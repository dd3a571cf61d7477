"""What passing a step is worth to those who met a signal, and what not passing it loses a week."""

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from opsanalytics.improvement.calibration import UNSEEN, Posterior, Z

Floats: TypeAlias = NDArray[np.float64]
Bools: TypeAlias = NDArray[np.bool_]
Labels: TypeAlias = NDArray[np.int64]
Triple: TypeAlias = tuple[float, float, float]
"""Estimate, lower and upper end of the 95 % interval."""

SHRINK = 2.0
"""Persons' worth of the overall rate that each group's rate is mixed with."""


@dataclass(frozen=True)
class Worth:
    """With standard errors; `revenue` is per final conversion, None where no amounts are known."""

    conversion: float
    """Chance of final conversion once the step is passed, of people alike to the affected."""
    conversion_error: float
    revenue: float | None = None
    revenue_error: float = 0.0


def worth_of_passing(
    passed: Bools, converted: Bools, amount: Floats | None, met: Bools, groups: Labels, *, last: bool
) -> Worth:
    """What passing is worth, averaged over groups in the proportion of the affected.

    Those who pass despite the signal and those who never met it count alike: it was met before passing. The
    error has room for what sets the affected apart unseen, as `Systematic.of` has.

    Args:
        passed, converted, met: of each person who reached the step.
        amount: revenue of each person who converted; NaN where not known.
        groups: who is alike.
        last: whether passing the step is the final conversion.
    """
    weights = np.bincount(groups[met], minlength=int(groups.max(initial=0)) + 1).astype(np.float64)
    weights /= max(1.0, weights.sum())
    size = np.bincount(groups[passed], minlength=len(weights)).astype(np.float64)
    won = np.bincount(groups[converted], minlength=len(weights)).astype(np.float64)
    overall = (won.sum() + 0.5) / (size.sum() + 1.0)
    rate = (won + SHRINK * overall) / (size + SHRINK)
    chance, error = 1.0, 0.0
    if not last:
        chance = float(weights @ rate)
        sampling = float(np.sqrt((weights**2) @ (rate * (1 - rate) / (size + SHRINK))))
        error = float(np.hypot(sampling, UNSEEN * (chance - overall)))
    if amount is None:
        return Worth(chance, error)
    paid = converted & np.isfinite(amount)
    if paid.sum() < 2:
        return Worth(chance, error)
    buyers = np.bincount(groups[paid], minlength=len(weights)).astype(np.float64)
    spent = np.bincount(groups[paid], amount[paid], minlength=len(weights))
    mean, spread = float(amount[paid].mean()), float(amount[paid].var(ddof=1))
    each = (spent + SHRINK * mean) / (buyers + SHRINK)
    share = weights * (np.ones_like(rate) if last else rate)
    share /= share.sum()
    return Worth(
        chance, error, float(share @ each), float(np.sqrt((share**2) @ (spread / (buyers + SHRINK))))
    )


def lost(
    reach: float, effect: Posterior, matched: float | None, matched_high: float | None, worth: Worth
) -> Triple:
    """Final conversions lost a week: reach x harm x chance of converting after the step.

    The interval joins the relative errors of harm and chance (delta method); reach is as observed.

    Args:
        reach: persons affected a week.
        effect: of meeting the signal on passing.
        matched, matched_high: the time-matched effect and the upper end of its 80 % interval. Where that
            shows less harm the interval reaches it; where it shows none, it is the estimate.
        worth: of passing.
    """
    harm = -effect.expected
    least, most = -effect.quantile(0.975), -effect.quantile(0.025)
    if matched is not None and matched_high is not None:
        least = min(least, -matched_high)
        if matched_high >= 0:
            harm = min(harm, max(0.0, -matched))
    return _product((harm, least, most), worth.conversion, worth.conversion_error, reach)


def lost_revenue(conversions: Triple, worth: Worth) -> Triple | None:
    """Revenue lost a week: conversions lost x revenue per conversion, with both their errors."""
    if worth.revenue is None:
        return None
    return _product(conversions, worth.revenue, worth.revenue_error, 1.0)


def _product(harm: Triple, value: float, error: float, reach: float) -> Triple:
    estimate, least, most = (part * value for part in harm)
    spread = Z * estimate * (error / value if value > 0 else 0.0)
    ends = (
        estimate,
        estimate - float(np.hypot(estimate - least, spread)),
        estimate + float(np.hypot(most - estimate, spread)),
    )
    weekly = [reach * max(0.0, end) for end in ends]
    return weekly[0], weekly[1], weekly[2]
