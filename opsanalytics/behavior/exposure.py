"""How persons who met something at a step fared against comparable persons who did not, in two ways that err
on opposite sides.

*Stratified*: Mantel-Haenszel risk difference over strata with the variance of Sato (1989), as in
Greenland and Robins (1985); statsmodels' `StratifiedTable` has odds ratio and risk ratio only. It takes
no account of when the signal was met. Who passes a step at once has little time to meet anything, so
where meeting is a matter of staying long it blames the signal for slowness that was there before
(immortal time): it may overstate harm.

*Time-matched*: an affected person who met the signal u seconds after reaching the step is compared with
persons of the same stratum who u seconds after reaching it had neither passed nor met it. What these
would have done is the Kaplan-Meier estimate of passing (statsmodels `SurvfuncRight`), in which a person
leaves the comparison on meeting the signal. Variance: the affected persons' differences, and Greenwood's
with the covariance of estimates that share persons. It is free of immortal time, but counts people
who silently gave up as still there while the affected were surely active: it may understate harm.

The estimate is the stratified one. Its interval reaches to the upper end of the time-matched 80 %
interval where that shows less harm; a finding needs harm in both.
"""

from dataclasses import dataclass
from typing import Any, TypeAlias

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
    crude_effect: float | None
    """Affected minus never affected, without strata."""
    rate_affected: float | None = None
    rate_others: float | None = None
    """Both standardised with Mantel-Haenszel weights."""
    effect: float | None = None
    effect_low: float | None = None
    effect_high: float | None = None
    matched_effect: float | None = None
    """Time-matched; None if too few were still there to compare with."""
    matched_high: float | None = None
    """Upper end of its 80 % interval: one-sided, harm is shown at 10 % if this is below zero."""
    p_value: float | None = None
    """One-sided p of the stratified effect: how likely so harmful an estimate is if there is no harm."""

    @property
    def overlap(self) -> float | None:
        return self.compared / self.affected if self.affected else None

    def without_effect(self) -> "Comparison":
        """The counts alone."""
        return Comparison(self.affected, self.compared, self.crude_effect)


@dataclass(frozen=True)
class Estimate:
    """A difference of shares, and its standard error."""

    effect: float
    error: float


@dataclass(frozen=True)
class Stratified:
    """Persons with something against persons without, over strata; NaN where nothing compares."""

    compared: int
    """Persons with it who have company in their stratum."""
    rate_with: float
    rate_without: float
    """Both standardised with Mantel-Haenszel weights."""
    effect: float
    error: float
    p_value: float
    """Cochran-Mantel-Haenszel test, two-sided."""


def stratified(n1: Floats, n0: Floats, a: Floats, b: Floats) -> Stratified:
    """Compare n1 persons a stratum, of whom a passed, with n0, of whom b passed.

    The test is statsmodels `StratifiedTable.test_null_odds`, without continuity correction.
    """
    usable = (n1 > 0) & (n0 > 0)
    n1, n0, a, b = (counts[usable] for counts in (n1, n0, a, b))
    compared = int(n1.sum())
    nothing = float("nan")
    if not compared:
        return Stratified(0, nothing, nothing, nothing, nothing, nothing)
    weights = n1 * n0 / (n1 + n0)
    found = _mantel_haenszel(n1, n0, a, b)
    # Where all passed, or none did, there is nothing to test.
    varies = bool((((a + b) > 0) & ((a + b) < n1 + n0)).any())
    test = odds_tables(n1, n0, a, b).test_null_odds(correction=False) if varies else None
    return Stratified(
        compared,
        float(np.average(a / n1, weights=weights)),
        float(np.average(b / n0, weights=weights)),
        found.effect,
        found.error,
        float(test.pvalue) if test is not None else 1.0,
    )


def odds_tables(n1: Floats, n0: Floats, a: Floats, b: Floats) -> Any:
    """The strata of `stratified` as a statsmodels `StratifiedTable`; those of one person say nothing."""
    from statsmodels.stats.contingency_tables import StratifiedTable

    several = n1 + n0 > 1
    return StratifiedTable(np.array([[a, n1 - a], [b, n0 - b]])[:, :, several])


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
        min_controls: how many unaffected ones a stratum must have to compare an affected person.
        systematic_error: standard error added for what strata cannot remove.
    """
    from scipy.stats import norm

    hit, through = np.isfinite(met), np.isfinite(passed)
    affected = int(hit.sum())
    crude = float(through[hit].mean() - through[~hit].mean()) if 0 < affected < len(met) else None
    groups, number = np.unique(stratum, return_inverse=True)
    n1, n0, a, b = (
        np.bincount(number, weights=weights.astype(np.float64), minlength=len(groups)).astype(np.float64)
        for weights in (hit, ~hit, hit & through, ~hit & through)
    )
    usable = (n0 >= min_controls) & (n1 > 0)
    compared = int(n1[usable].sum())
    if compared < 2:
        return Comparison(affected, compared, crude)
    n1, n0, a, b = (counts[usable] for counts in (n1, n0, a, b))
    weights = n1 * n0 / (n1 + n0)
    found = _mantel_haenszel(n1, n0, a, b)
    error = float(np.hypot(found.error, systematic_error))
    reach = float(norm.ppf(0.5 + CONFIDENCE / 2)) * error
    matched = time_matched(passed, met, stratum, groups[usable], min_controls)
    high = None if matched is None else matched.effect + float(norm.ppf(0.9)) * matched.error
    return Comparison(
        affected=affected,
        compared=compared,
        crude_effect=crude,
        rate_affected=float(np.average(a / n1, weights=weights)),
        rate_others=float(np.average(b / n0, weights=weights)),
        effect=found.effect,
        effect_low=max(-1.0, found.effect - reach),
        effect_high=min(1.0, max(found.effect + reach, high if high is not None else -1.0)),
        matched_effect=None if matched is None else matched.effect,
        matched_high=high,
        p_value=float(norm.cdf(found.effect / error)) if error > 0 else float(found.effect >= 0),
    )


def _mantel_haenszel(n1: Floats, n0: Floats, a: Floats, b: Floats) -> Estimate:
    """Risk difference over strata: affected n1, of whom a passed; unaffected n0, of whom b passed."""
    n = n1 + n0
    whole = (n1 * n0 / n).sum()
    effect = float(((a * n0 - b * n1) / n).sum() / whole)
    p = (n1**2 * b - n0**2 * a + n1 * n0 * (n0 - n1) / 2) / n**2
    q = (a * (n0 - b) + b * (n1 - a)) / (2 * n)
    return Estimate(effect, float(np.sqrt(max(0.0, effect * p.sum() + q.sum())) / whole))


def time_matched(
    passed: Floats, met: Floats, stratum: Labels, usable: Labels, min_controls: int
) -> Estimate | None:
    """Mean difference of affected persons to what persons still there at the same time would have done.

    Args:
        passed, met, stratum, min_controls: as `compare`.
        usable: the strata to look at.
    """
    hit = np.isfinite(met)
    differences, variance = [], 0.0
    for name in usable:
        inside = stratum == name
        own = inside & hit
        expected, shared = _expected(passed[inside], met[inside], met[own], min_controls)
        known = ~np.isnan(expected)
        differences.append(np.isfinite(passed[own][known]) - expected[known])
        variance += shared
    difference = np.concatenate(differences) if differences else np.empty(0)
    compared = len(difference)
    if compared < 2:
        return None
    sampling = float(difference.var(ddof=1)) / compared + variance / compared**2
    return Estimate(float(difference.mean()), float(np.sqrt(sampling)))


def _expected(passed: Floats, met: Floats, when: Floats, min_controls: int) -> tuple[Floats, float]:
    """Chance of passing for unaffected persons still there at each of `when`, and the variance of its sum.

    NaN where fewer than `min_controls` were still there.
    """
    from statsmodels.duration.survfunc import SurvfuncRight

    leaves = np.minimum(passed, met)
    passes = (passed < met) & np.isfinite(passed)
    still_there = len(leaves) - np.searchsorted(np.sort(leaves), when, side="right")
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
