"""How affected persons fared against comparable unaffected ones.

Whoever passes a step at once has little time to meet anything there, so comparing those who met a
signal with those who did not would blame the signal for slowness that was there before (immortal time).
Here an affected person who met the signal u seconds after reaching the step is compared with persons of
the same stratum who u seconds after reaching it were still there and had not met it. What these would
have done is the Kaplan-Meier estimate of passing (Kaplan and Meier 1958, statsmodels `SurvfuncRight`), in
which a person leaves the comparison on meeting the signal; those who never pass stay at risk for ever.
The effect is the mean difference over affected persons (standardised to them: the effect on the
treated). Its variance has a part of the affected persons (their differences) and one of the comparison
(Greenwood 1926, with the covariance of estimates that share persons).
"""

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from opsanalytics.behavior.statistics import CONFIDENCE

Floats: TypeAlias = NDArray[np.float64]
Labels: TypeAlias = NDArray[np.int64]


@dataclass(frozen=True)
class Comparison:
    """Rates are shares that passed; effects are differences of rates; None where nothing compares."""

    affected: int
    compared: int
    """Affected persons with comparable unaffected ones: the estimates are about these."""
    rate_affected: float | None
    rate_others: float | None
    effect: float | None
    effect_low: float | None
    effect_high: float | None
    error: float | None
    """Standard error of effect, systematic error included."""
    p_value: float | None
    """One-sided: how likely an estimate so harmful is if the effect is none or good."""
    crude_effect: float | None
    """Affected minus never affected, without strata and without regard to time."""

    @property
    def overlap(self) -> float | None:
        return self.compared / self.affected if self.affected else None


def compare(
    passed: Floats,
    met: Floats,
    stratum: Labels,
    *,
    min_controls: int,
    systematic_error: float,
) -> Comparison:
    """Compare persons who reached a step.

    Args:
        passed: seconds from reaching the step to passing it, inf for never.
        met: seconds from reaching the step to meeting the signal, inf for never before passing.
        stratum: number of the group within which persons are comparable.
        min_controls: how many must still have been there, unaffected, to compare an affected person.
        systematic_error: standard error added for what strata cannot remove.
    """
    from scipy.stats import norm

    hit, through = np.isfinite(met), np.isfinite(passed)
    affected = int(hit.sum())
    crude = float(through[hit].mean() - through[~hit].mean()) if 0 < affected < len(met) else None
    differences, rates, variance = [], [], 0.0
    for name in np.unique(stratum[hit]):
        inside = stratum == name
        own = inside & hit
        expected, shared = _expected(passed[inside], met[inside], met[own], min_controls)
        known = ~np.isnan(expected)
        differences.append(through[own][known] - expected[known])
        rates.append(through[own][known])
        variance += shared
    difference = np.concatenate(differences) if differences else np.empty(0)
    compared = len(difference)
    if compared < 2:
        return Comparison(affected, compared, None, None, None, None, None, None, None, crude)
    effect = float(difference.mean())
    rate = float(np.concatenate(rates).mean())
    sampling = float(difference.var(ddof=1)) / compared + variance / compared**2
    error = float(np.hypot(np.sqrt(sampling), systematic_error))
    reach = float(norm.ppf(0.5 + CONFIDENCE / 2)) * error
    p_value = float(norm.cdf(effect / error)) if error > 0 else float(effect >= 0)
    return Comparison(
        affected=affected,
        compared=compared,
        rate_affected=rate,
        rate_others=rate - effect,
        effect=effect,
        effect_low=max(-1.0, effect - reach),
        effect_high=min(1.0, effect + reach),
        error=error,
        p_value=p_value,
        crude_effect=crude,
    )


def _expected(passed: Floats, met: Floats, when: Floats, min_controls: int) -> tuple[Floats, float]:
    """Chance of passing for unaffected persons still there at each of `when`, and the variance of its sum.

    NaN where fewer than `min_controls` were still there.
    """
    from statsmodels.duration.survfunc import SurvfuncRight

    leaves = np.minimum(passed, met)
    passes = (passed < met) & np.isfinite(passed)
    still_there = (leaves[None, :] > when[:, None]).sum(axis=1)
    known = still_there >= min_controls
    expected = np.full(len(when), np.nan)
    if not known.any():
        return expected, 0.0
    if not passes.any():
        expected[known] = 0.0
        return expected, 0.0
    horizon = leaves[np.isfinite(leaves)].max() + 1.0
    curve = SurvfuncRight(np.where(np.isfinite(leaves), leaves, horizon), passes.astype(np.int64))
    staying = np.concatenate([[1.0], curve.surv_prob])
    # Greenwood's sum from each time to the end; the last persons' terms are undefined where all pass,
    # and then nobody stays, so they weigh nothing.
    at_risk, events = curve.n_risk, curve.n_events
    left = at_risk - events
    terms = np.divide(events, at_risk * left, out=np.zeros(len(events)), where=left > 0)
    remaining = np.concatenate([np.cumsum(terms[::-1])[::-1], [0.0]])
    position = np.searchsorted(curve.surv_times, when[known], side="right")
    stays = np.divide(
        staying[-1], staying[position], out=np.zeros(len(position)), where=staying[position] > 0
    )
    expected[known] = 1.0 - stays
    # Two estimates of one curve covary by Greenwood's sum from the later of their times.
    order = np.argsort(position, kind="stable")
    share, spread = stays[order], remaining[position[order]]
    before = np.concatenate([[0.0], np.cumsum(share)[:-1]])
    return expected, float((spread * (share**2 + 2 * share * before)).sum())
