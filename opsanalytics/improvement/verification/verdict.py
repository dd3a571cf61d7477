"""Whether a fix worked, as its plan says: looks, verdicts, and the watch afterwards.

Immature units count nowhere, the day of shipping neither. Between looks nothing is said: looking at every
day's numbers would call a third of all fixes that do nothing a success or a failure within weeks.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from math import pi
from typing import Literal

from opsanalytics.improvement.verification.heard import (
    HeardOutlook,
    heard_baseline,
    heard_change,
    heard_outlook,
    heard_stretches,
)
from opsanalytics.improvement.verification.measure import (
    Baseline,
    Change,
    Panel,
    Stretch,
    baseline,
    measure,
    stretches,
)
from opsanalytics.improvement.verification.observed import complete_on
from opsanalytics.improvement.verification.plan import Plan
from opsanalytics.improvement.verification.power import Outlook, outlook

Outcome = Literal[
    "planned", "verifying", "worked", "did_not_work", "harmed", "regressed", "inconclusive", "withheld",
    "not_measured",
]  # fmt: skip
FINAL = ("worked", "did_not_work", "harmed", "regressed")
"""Outcomes that change where an item stands, if nobody has decided."""
SPOKEN: Mapping[str, str] = {
    "planned": "planned",
    "verifying": "not enough data yet",
    "worked": "worked",
    "did_not_work": "did not work",
    "harmed": "harmed",
    "regressed": "worked, then fell back",
    "inconclusive": "inconclusive",
    "withheld": "withheld",
    "not_measured": "not measured",
}
YEAR = 365
LEAST_KEPT = 0.5
"""A fix has fallen back if less than this share of its change is left."""


@dataclass(frozen=True)
class Verdict:
    """What can be said as of a moment."""

    outcome: Outcome
    reason: str
    look: int = 0
    """Number of the look the numbers are of, from 1; 0: none yet."""
    look_days: int = 0
    days_after: int = 0
    """Whole days after shipping all of whose units are mature."""
    change: Change | None = None
    baseline: Baseline | None = None
    since: date | None = None
    """Day on which the outcome could be known."""
    next_look: date | None = None
    """Day on which data that is complete up to its beginning decides more."""
    more_days: int | None = None
    """Days after the last look that it would take to see the expected change."""
    watched: int = 0
    """Stretches after the verdict that were looked at."""
    fall: float | None = None
    """How far the change fell back in the stretch that decided it, or in the last one."""


@dataclass(frozen=True)
class _Ways:
    baseline: Callable[[Panel, int], Baseline]
    measure: Callable[..., Change]
    stretches: Callable[[Panel, int, int, int, Baseline], list[Stretch]]


_BY_METHOD = {
    "gap": _Ways(baseline, measure, stretches),
    "heard": _Ways(heard_baseline, heard_change, lambda *asked: heard_stretches(*asked[:4])),
}


def judge(plan: Plan, panel: Panel, shipped: date, last_day: date) -> Verdict:
    """Apply a plan.

    Args:
        plan: with a method.
        panel: daily counts of its arms; days after `last_day` are not looked at.
        shipped: day of shipping.
        last_day: the last day all of whose units are mature.
    """
    start, last = shipped.toordinal(), last_day.toordinal()
    seen = panel.until(last)
    days_after = max(0, last - start)
    looks = [(number, days) for number, days in enumerate(plan.looks, 1) if days <= days_after]
    ahead = next((days for days in plan.looks if days > days_after), None)
    coming = None if ahead is None else complete_on(shipped + timedelta(days=ahead), plan.horizon_days)
    days_before = int((seen.day < start).sum())
    by = _BY_METHOD["heard" if plan.method == "heard" else "gap"]
    if days_before < plan.baseline_days:
        reason = (
            f"only {days_before} days before shipping, and {plan.baseline_days} are needed to tell a fix "
            "from arms that were drifting apart anyway"
        )
        return Verdict("inconclusive", reason, days_after=days_after)
    if not looks:
        known = by.baseline(seen, start)
        return Verdict(
            "verifying",
            f"{days_after} of {plan.looks[0]} days after shipping are complete",
            days_after=days_after,
            baseline=known,
            next_look=coming,
        )
    known = by.baseline(seen, start)
    found: Change | None = None
    for number, days in looks:
        final = number == len(plan.looks)
        found = by.measure(seen.until(start + days), start, known, alpha=plan.level)
        outcome, reason = _decided(plan, found, final=final)
        if outcome is None:
            continue
        since = complete_on(shipped + timedelta(days=days), plan.horizon_days)
        verdict = Verdict(outcome, reason, number, days, days_after, found, known, since)
        return _watched(verdict, plan, seen, shipped) if outcome == "worked" else verdict
    number, days = looks[-1]
    if coming is not None:
        reason = f"after {days} days the interval still holds both zero and what was expected"
        return Verdict("verifying", reason, number, days, days_after, found, known, next_look=coming)
    if known.drifting and plan.method == "heard":
        reason = (
            "people were already writing more or less of it before shipping, and what remains after allowing "
            "for it decides nothing"
        )
    elif known.drifting:
        reason = (
            "the arms were already drifting apart before shipping, and what remains after allowing for it "
            "decides nothing"
        )
    else:
        reason = f"after all {len(plan.looks)} looks the interval holds both zero and what was expected"
    since = complete_on(shipped + timedelta(days=days), plan.horizon_days)
    more = _more_days(plan, seen, start, days)
    if more is None and not known.drifting:
        reason += "; with so few people it would take more than another year"
    return Verdict("inconclusive", reason, number, days, days_after, found, known, since, more_days=more)


def _decided(plan: Plan, found: Change, *, final: bool) -> tuple[Outcome | None, str]:
    if found.low > 0:
        return "worked", _against_expected(plan, found)
    if found.high < 0:
        return "harmed", "the affected do worse than before, and not by chance"
    if final and found.high < plan.target:
        return "did_not_work", "no change beyond chance, and what was expected is ruled out"
    if not final and -plan.target / 2 < found.low and found.high < plan.target / 2:
        return "did_not_work", "no change beyond chance, and even half of what was expected is ruled out"
    return None, ""


def _against_expected(plan: Plan, found: Change) -> str:
    if plan.expected is None:
        return "beyond chance"
    low = plan.expected_low if plan.expected_low is not None else plan.expected
    high = plan.expected_high if plan.expected_high is not None else plan.expected
    if found.high < low:
        return "beyond chance, but smaller than predicted"
    if found.low > high:
        return "beyond chance, and larger than predicted"
    return "beyond chance, and in line with the prediction"


def _more_days(plan: Plan, panel: Panel, start: int, days: int) -> int | None:
    """Days beyond the last look until the expected change would be seen; None: more than a year."""
    if not plan.target:
        return None
    ahead: Outlook | HeardOutlook
    if plan.method == "heard":
        ahead = heard_outlook(panel, level=plan.level, shipped=start)
    else:
        ahead = outlook(panel.before(start), level=plan.level)
    needed = ahead.days_for(plan.target, plan.power, days + YEAR)
    return None if needed is None else max(1, needed - days)


def _watched(verdict: Verdict, plan: Plan, panel: Panel, shipped: date) -> Verdict:
    """The watch over a fix that worked: each stretch is tested at 6 / (pi k)^2 of the error rate, so that
    any number of stretches together keep it. A fix has fallen back if its change shrank beyond chance, is no
    longer beyond chance itself, and less than half of it is left: the numbers that first convinced were a
    little lucky, so some shrinking is no news."""
    start = shipped.toordinal()
    known, change = verdict.baseline, verdict.change
    if known is None or change is None:
        return verdict
    verified = start + verdict.look_days
    by = _BY_METHOD["heard" if plan.method == "heard" else "gap"]
    seen = by.stretches(panel, start, verified, plan.watch_days, known)
    for number, stretch in enumerate(seen, 1):
        # One-sided: a fix that does better still has not fallen back.
        level = 2 * plan.error_rate * 6 / (pi * number) ** 2
        fell = stretch.fall.interval(level)[0] > 0
        still = stretch.change.interval(level)[0] > 0
        left = stretch.change.change
        if fell and not still and left < LEAST_KEPT * change.change:
            end = shipped + timedelta(days=verdict.look_days + number * plan.watch_days)
            return Verdict(
                "regressed",
                f"worked at first ({verdict.reason}); in the {plan.watch_days} days to {end} "
                f"{max(0.0, left / change.change):.0%} of it was left".replace("%", " %"),
                verdict.look,
                verdict.look_days,
                verdict.days_after,
                change,
                known,
                complete_on(end, plan.horizon_days),
                watched=number,
                fall=stretch.fall.change,
            )
    ahead = shipped + timedelta(days=verdict.look_days + (len(seen) + 1) * plan.watch_days)
    return Verdict(
        "worked",
        verdict.reason,
        verdict.look,
        verdict.look_days,
        verdict.days_after,
        change,
        known,
        verdict.since,
        next_look=complete_on(ahead, plan.horizon_days),
        watched=len(seen),
        fall=seen[-1].fall.change if seen else None,
    )
