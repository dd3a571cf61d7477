"""Which comparisons of a drop-off diagnosis are findings."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from opsanalytics.behavior.diagnosis_candidates import Compared, Flags, against_those_there
from opsanalytics.behavior.diagnosis_rows import Surroundings
from opsanalytics.behavior.diagnosis_spec import Diagnosis
from opsanalytics.behavior.exposure import Stratified
from opsanalytics.behavior.statistics import CONFIDENCE, benjamini_hochberg

MIN_OVERLAP = 0.5
"""Share of those with it that must have comparable persons for a finding."""
STABLE = 0.5
"""Share of an effect that must remain among equally active persons: what takes more away hints at more that
was not measured (Altonji, Elder and Taber 2005; Oster 2019)."""
ONE_SIDED = 1.2815515594457831
"""Standard errors above zero of a time-matched estimate that agrees: 10 %, one-sided, as for pain points."""
FINDINGS = ("drops_more", "stays_more")


@dataclass(frozen=True, eq=False)
class Judged:
    """A comparison and what it comes to."""

    one: Compared
    verdict: str
    q: float
    """Of the largest p of the tests it has to pass, Benjamini-Hochberg over all."""
    active: Stratified | None
    """The cross-check among equally active persons."""
    matched: tuple[float, float, float] | None
    """Time-matched estimate and the ends of its interval; only where it might be a finding."""


def judged(compared: Sequence[Compared], around: Surroundings, definition: Diagnosis) -> list[Judged]:
    """Test all comparisons together.

    What happened after the step has to pass a cross-check besides. Whoever is there longer has done more of
    everything and goes on more often, and who met what harms did less: without it all events seem to help. So
    what seems to help has to pass the test among equally active persons last seen at about the same time,
    without those who met what harms, and keep half of its effect. What seems to harm has to keep its sign
    among equally active persons; no more, because doing less may be the harm. Both have to show against
    persons still there at the moment it was met, as far as there are such.
    """
    rate = definition.false_discovery_rate
    first = benjamini_hochberg([one.found.p_value for one in compared])
    active = [one.among_active() for one in compared]
    harmed = np.zeros(len(around.passed), np.bool_)
    for one, q, check in zip(compared, first, active, strict=True):
        if check is not None and q < rate and one.found.effect < 0 and check.effect < 0:
            harmed[one.members] = True
    active = [
        _check(one, check, harmed) if one.found.effect > 0 else check
        for one, check in zip(compared, active, strict=True)
    ]
    p_values = [_largest(one, check) for one, check in zip(compared, active, strict=True)]
    return [
        _judged(one, float(q), seems=bool(before < rate), check=check, around=around, definition=definition)
        for one, before, q, check in zip(compared, first, benjamini_hochberg(p_values), active, strict=True)
    ]


def _check(one: Compared, check: Stratified | None, harmed: Flags) -> Stratified | None:
    return None if check is None else one.among_present(harmed)


def _largest(one: Compared, check: Stratified | None) -> float:
    found = one.found
    if check is None or not found.compared:
        return found.p_value
    if not check.effect * found.effect > 0:
        return 1.0
    return max(found.p_value, check.p_value) if found.effect > 0 else found.p_value


def _judged(
    one: Compared,
    q: float,
    *,
    seems: bool,
    check: Stratified | None,
    around: Surroundings,
    definition: Diagnosis,
) -> Judged:
    found = one.found
    if (
        not seems
        or abs(found.effect) < definition.min_effect
        or found.compared < max(definition.min_n, MIN_OVERLAP * one.n_with)
    ):
        return Judged(one, "no_finding", q, check, None)
    estimate = against_those_there(around, one)
    matched = None if estimate is None else (estimate.effect, *interval(estimate.effect, estimate.error))
    holds = q < definition.false_discovery_rate
    if check is not None and found.effect > 0:
        holds &= check.effect >= STABLE * found.effect
    if estimate is not None:
        holds &= bool(np.sign(found.effect) * estimate.effect > ONE_SIDED * estimate.error)
    verdict = "unclear" if not holds else "drops_more" if found.effect < 0 else "stays_more"
    return Judged(one, verdict, q, check, matched)


def interval(effect: float, error: float) -> tuple[float, float]:
    """95 %, normal, within what a difference of shares can be; NaN without an estimate."""
    from scipy.stats import norm

    reach = float(norm.ppf(0.5 + CONFIDENCE / 2)) * error
    low, high = np.clip([effect - reach, effect + reach], -1.0, 1.0)
    return float(low), float(high)
