"""Candidates for pain points: every signal at every place, at every step of every funnel."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np
import polars as pl

from opsanalytics.behavior.population import FunnelPersons, Population, populations, weeks_between
from opsanalytics.behavior.statistics import benjamini_hochberg
from opsanalytics.improvement.calibration import (
    Posterior,
    Systematic,
    Z,
    e_value,
    prior_of,
    shrunk,
    systematic_error,
)
from opsanalytics.improvement.effects import Effect
from opsanalytics.improvement.friction import Friction
from opsanalytics.improvement.measuring import HARMLESS, Bools, Measured, Step, measure
from opsanalytics.improvement.settings import PainPointSettings
from opsanalytics.improvement.signals import EXPOSURES, SYMPTOMS, telling
from opsanalytics.improvement.worth import Triple, Worth, lost, lost_revenue, worth_of_passing

TOGETHER = 0.35
"""Signals at one step met by the same persons (phi coefficient above this) may be one problem."""
INSEPARABLE = 0.8
"""Above this no model can tell which of them is to blame."""
WATCH_P = 0.2


@dataclass(frozen=True)
class Candidate:
    """A signal met at a place after reaching a step, and what it did to those who met it."""

    step: Step
    measured: Measured
    met: pl.DataFrame
    """person, first_ts, passed: the affected persons."""
    reach_per_week: float
    weeks: float
    worth: Worth
    stated: bool
    """Whether an effect is stated; if not, the caveats say why."""
    error: float | None = None
    """Standard error of the effect, with what comparisons are off beyond chance."""
    systematic: Systematic | None = None
    p_value: float | None = None
    """One-sided: how likely so harmful an estimate is if there is no harm."""
    q_value: float | None = None
    posterior: Posterior | None = None
    status: str = "watch"
    caveats: tuple[str, ...] = ()
    also: tuple[str, ...] = ()
    """Signals that the same persons met at the step and that have no effect of their own."""

    @property
    def population(self) -> Population:
        return self.step.population

    @property
    def signal(self) -> str:
        return self.measured.signal

    @property
    def place(self) -> str:
        return self.measured.place

    @property
    def found(self) -> Effect:
        return self.measured.effect

    @property
    def reached(self) -> int:
        return self.population.persons.height

    @property
    def overlap(self) -> float:
        """Share of affected persons with comparable unaffected ones."""
        return self.found.compared / self.found.affected

    @property
    def shown_in_time(self) -> bool:
        """Whether it shows harm against persons as long at the step; without any, harm is not shown."""
        high = self.measured.matched_high
        return high is not None and high < 0

    @property
    def interval(self) -> tuple[float, float] | None:
        """95 % interval of the effect; reaches to the upper end of the time-matched 80 % interval where that
        shows less harm."""
        if not self.stated or self.found.effect is None or self.error is None:
            return None
        high = self.found.effect + Z * self.error
        if self.measured.matched_high is not None:
            high = max(high, self.measured.matched_high)
        return max(-1.0, self.found.effect - Z * self.error), min(1.0, high)

    @property
    def lost(self) -> Triple | None:
        """Final conversions lost per week: estimate and the ends of its 95 % interval."""
        if not self.stated or self.posterior is None:
            return None
        return lost(
            self.reach_per_week, self.posterior, self.measured.matched, self.measured.matched_high, self.worth
        )

    @property
    def lost_revenue(self) -> Triple | None:
        """Revenue lost per week, if amounts are known."""
        return None if self.lost is None else lost_revenue(self.lost, self.worth)

    def harm_chance(self, least: float) -> float | None:
        """Chance of an effect of at least `least`, from all estimates together or from the interval alone,
        which has room for the time-matched comparison: the lower."""
        from scipy.stats import norm

        ends = self.interval
        if ends is None or self.posterior is None or self.found.effect is None:
            return None
        above = (ends[1] - self.found.effect) / Z
        own = float(norm.cdf((-least - self.found.effect) / above)) if above > 0 else 1.0
        return min(own, self.posterior.below(-least))

    @property
    def e_values(self) -> tuple[float, float] | None:
        """How strong a hidden cause would have to be to explain the effect, and the end of its interval that
        is nearest to no harm."""
        ends, rate = self.interval, self.found.rate_affected
        if ends is None or rate is None or self.found.rate_others is None:
            return None
        return e_value(rate, self.found.rate_others), e_value(rate, min(1.0, max(0.0, rate - ends[1])))

    @property
    def explained(self) -> bool:
        """Whether it seems harmful alone, and what other signals did explains most of that."""
        found = self.found
        if not self.stated or found.alone is None or found.effect is None or self.error is None:
            return False
        return found.alone < -2 * self.error and found.effect > 0.5 * found.alone

    @property
    def identity(self) -> str:
        """What the item's id is made of. The step where it costs most is evidence, as are segment, rank and
        numbers: it may be another one next week."""
        return f"v2|{self.signal}|{self.place}"

    @property
    def anchor(self) -> str:
        """Tells the candidate from all others."""
        return "|".join(
            ("v1", self.population.funnel.name, str(self.population.step), self.signal, self.place)
        )


def find_candidates(
    funnels: Sequence[FunnelPersons],
    friction: Friction,
    settings: PainPointSettings,
    *,
    as_of: datetime,
) -> list[Candidate]:
    """Findings and what is worth watching, one per signal and place.

    A finding was compared (enough affected persons, enough of them comparable), is harmful with an
    interval that excludes no harm, passes the Benjamini-Hochberg procedure over all candidates compared, is
    likely to be harmful given what effects are like, and has an effect of its own beside all other signals.

    Args:
        funnels: how far each person got.
        friction: what they met.
        settings: thresholds.
        as_of: events up to here are complete, UTC.
    """
    labels = {step.label for funnel in funnels for step in funnel.definition.steps}
    exposures = pl.concat([telling(friction.exposures, labels), _harmless(friction.events, settings)])
    causes = exposures["signal"].unique().to_list()
    steps = [
        measure(
            population,
            friction,
            exposures,
            settings,
            amounts=_amounts(funnel),
            causes=[name for name in causes if name != HARMLESS and name not in SYMPTOMS],
        )
        for funnel in funnels
        for population in populations(funnel, friction.events)
    ]
    systematic = _systematic(steps, settings)
    everything = [
        _candidate(step, each, systematic, settings, as_of)
        for step in steps
        for each in step.measured
        if each.signal != HARMLESS
    ]
    judged = _without_shadows([_judge(one, settings) for one in _weighed(everything)])
    return _one_per_place(judged, settings)


def _harmless(events: pl.DataFrame, settings: PainPointSettings) -> pl.DataFrame:
    """Occurrences of harmless events, as exposures."""
    return (
        events.filter(pl.col("event").is_in(list(settings.harmless)))
        .select("person", "ts", "app_version", signal=pl.lit(HARMLESS), place="event")
        .select(list(EXPOSURES))
    )


def _amounts(funnel: FunnelPersons) -> pl.DataFrame | None:
    """person, amount: revenue of the final step, if the funnel has a value."""
    column = f"value_{len(funnel.definition.steps)}"
    if funnel.definition.value is None or column not in funnel.persons.columns:
        return None
    return funnel.persons.select("person", amount=column)


def _systematic(steps: Sequence[Step], settings: PainPointSettings) -> Systematic:
    known = [
        (each.effect.effect, each.effect.error)
        for step in steps
        for each in step.measured
        if each.signal == HARMLESS
        and each.effect.affected >= settings.min_affected
        and each.effect.effect is not None
        and each.effect.error
    ]
    return systematic_error(
        [effect for effect, _ in known if effect is not None],
        [error for _, error in known if error is not None],
        settings.systematic_error,
    )


def _candidate(
    step: Step, measured: Measured, systematic: Systematic, settings: PainPointSettings, as_of: datetime
) -> Candidate:
    from scipy.stats import norm

    population, found = step.population, measured.effect
    persons = population.persons.filter(measured.met)
    met = persons.select(
        "person",
        first_ts=pl.col("reached")
        + pl.Series((measured.seconds[measured.met] * 1e6).round().astype(np.int64)).cast(pl.Duration("us")),
        passed=pl.col("passed_at").is_not_null(),
    ).sort("person")
    first, last = met.select(pl.col("first_ts").min(), last=pl.col("first_ts").max()).row(0)
    # Later entrants are not mature, so their exposures are not counted.
    weeks = weeks_between(first, max(last, as_of - population.funnel.window))
    refusal = _refusal(found, settings)
    error = None
    p_value = None
    if refusal is None and found.effect is not None and found.error is not None:
        error = float(np.hypot(found.error, systematic.of(found.crude, found.alone)))
        p_value = float(norm.cdf(found.effect / error)) if error > 0 else float(found.effect >= 0)
    return Candidate(
        step=step,
        measured=measured,
        met=met,
        reach_per_week=found.affected / weeks,
        weeks=weeks,
        worth=worth_of_passing(
            step.passed,
            step.converted,
            step.amount,
            measured.met,
            step.alike.coarse,
            last=population.step == len(population.funnel.steps) - 1,
        ),
        stated=refusal is None,
        error=error,
        systematic=systematic,
        p_value=p_value,
        caveats=() if refusal is None else (refusal,),
    )


def _refusal(found: Effect, settings: PainPointSettings) -> str | None:
    """Why no effect is stated, if none is."""
    if found.affected < settings.min_affected:
        return (
            f"only {found.affected} affected persons: too few to compare (at least {settings.min_affected})"
        )
    if found.effect is None or found.compared / found.affected < settings.min_overlap:
        return f"only {found.compared} of {found.affected} affected persons have comparable unaffected ones"
    return None


def _weighed(candidates: Sequence[Candidate]) -> list[Candidate]:
    """With q-values, and effects pulled towards what effects are like, over all candidates compared."""
    q_values = benjamini_hochberg([np.nan if one.p_value is None else one.p_value for one in candidates])
    known = [
        (one.found.effect, one.error)
        for one in candidates
        if one.p_value is not None and one.found.effect is not None and one.error and one.shown_in_time
    ]
    if not known:
        return list(candidates)
    effects, errors = (np.array(part, np.float64) for part in zip(*known, strict=True))
    prior = prior_of(effects, errors)
    return [
        replace(one, q_value=float(q), posterior=shrunk(one.found.effect, one.error, prior))
        if one.p_value is not None and one.found.effect is not None and one.error
        else one
        for one, q in zip(candidates, q_values, strict=True)
    ]


def _judge(candidate: Candidate, settings: PainPointSettings) -> Candidate:
    found, ends = candidate.found, candidate.interval
    if ends is None or found.effect is None:
        return candidate
    caveats = []
    if candidate.overlap < 0.8:
        caveats.append(
            f"partly comparable: {found.compared} of {found.affected} affected persons could be compared"
        )
    if found.crude is not None:
        apart = abs(found.crude - found.effect)
        if found.crude * found.effect < 0:
            caveats.append("the crude comparison points the other way: affected persons differ from others")
        elif apart > 0.5 * abs(found.effect):
            caveats.append(
                "the crude comparison differs by more than half: affected persons differ from others"
            )
    matched = candidate.measured.matched
    if (matched or 0.0) > 0.5 * found.effect:
        stated = "" if matched is None else f" ({matched * 100:+.0f} points)"
        caveats.append(
            f"matched by time at the step the effect is weaker{stated}: part of it may be that people who "
            "stay longer meet more"
        )
    if candidate.signal in SYMPTOMS:
        caveats.append("may be a consequence of failing, not its cause")
    significant = candidate.q_value is not None and candidate.q_value <= settings.false_discovery_rate
    harmful = found.effect <= -settings.min_effect
    likely = (candidate.harm_chance(settings.min_effect) or 0.0) > settings.sure_of_harm
    if harmful and not (significant and likely):
        caveats.append("may be chance")
    # A page that prints an interval beside a finding must not contradict itself.
    excludes_none = ends[1] < 0
    if significant and harmful and not excludes_none:
        caveats.append("the interval reaches no harm")
    finding = significant and likely and candidate.shown_in_time and harmful and excludes_none
    return replace(
        candidate,
        status="finding" if finding else "watch",
        caveats=(*candidate.caveats, *caveats),
    )


def _worth(candidate: Candidate) -> tuple[bool, float, int, str]:
    """For sorting, best first."""
    lost_ = candidate.lost
    return (
        candidate.status != "finding",
        -(lost_[0] if lost_ else 0.0),
        -candidate.found.affected,
        candidate.anchor,
    )


def _named(candidate: Candidate) -> str:
    return f"“{candidate.signal.replace('_', ' ')}” at {candidate.place}"


def _without_shadows(candidates: list[Candidate]) -> list[Candidate]:
    """Join to each finding the signals of the same persons at the same step that add nothing to it.

    Findings that nothing can tell apart are one: the costliest. Others were told apart by their effects
    beside each other; what then has none of its own is mentioned with the finding it comes with.
    """
    ranked = sorted(candidates, key=_worth)
    kept: list[Candidate] = []
    also: dict[str, list[str]] = {}
    result: list[Candidate] = []
    for candidate in ranked:
        near = [
            (phi(candidate.measured.met, other.measured.met), other)
            for other in kept
            if other.step is candidate.step
        ]
        together, other = max(near, key=lambda pair: pair[0], default=(0.0, None))
        shown = candidate
        if other is not None and candidate.status == "finding" and together > INSEPARABLE:
            reason = f"met by the same persons as {_named(other)}: the same problem"
            shown = replace(candidate, status="watch", caveats=(*candidate.caveats, reason))
        elif candidate.status == "finding":
            kept.append(candidate)
        elif other is not None and together > TOGETHER and candidate.explained:
            reason = (
                f"met by the same persons as {_named(other)}, which explains it: alone it seems to cost "
                f"{(candidate.found.alone or 0.0) * 100:+.0f} points"
            )
            shown = replace(candidate, caveats=(*candidate.caveats, reason))
        if shown is not candidate and other is not None:
            also.setdefault(other.anchor, []).append(_named(candidate))
        result.append(shown)
    return [replace(one, also=tuple(also.get(one.anchor, ()))) for one in result]


def phi(one: Bools, other: Bools) -> float:
    """Correlation of having met the one with having met the other, among all who reached the step."""
    n, a, b = len(one), int(one.sum()), int(other.sum())
    both = int((one & other).sum())
    spread = float(a * (n - a)) * float(b * (n - b))
    return (n * both - a * b) / spread**0.5 if spread > 0 else float(a == b == both)


def _one_per_place(candidates: list[Candidate], settings: PainPointSettings) -> list[Candidate]:
    """A signal at a place is one item, shown at the step where it costs most; others are mentioned."""
    groups: dict[tuple[str, str], list[Candidate]] = {}
    for candidate in sorted(candidates, key=_worth):
        groups.setdefault((candidate.signal, candidate.place), []).append(candidate)
    findings, watched = [], []
    for first, *others in groups.values():
        steps = [f"“{other.population.label}” ({other.population.funnel.label})" for other in others]
        note = (f"also met after {', '.join(steps)}; not counted here",) if steps else ()
        shown = replace(first, caveats=(*first.caveats, *note))
        if shown.status == "finding":
            findings.append(shown)
        elif _watchable(shown):
            watched.append(shown)
    watched.sort(key=lambda candidate: (-candidate.found.affected, candidate.anchor))
    return findings + watched[: settings.watch_limit]


def _watchable(candidate: Candidate) -> bool:
    """Harmful as far as one can tell, or not to be told."""
    return candidate.p_value is None or candidate.p_value < WATCH_P
