"""Candidates for pain points: every signal at every place, at every step of every funnel."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np
import polars as pl

from opsanalytics.behavior.exposure import Comparison, compare
from opsanalytics.behavior.population import Population, first_met, weeks_between
from opsanalytics.behavior.statistics import benjamini_hochberg
from opsanalytics.improvement.settings import PainPointSettings
from opsanalytics.improvement.signals import OTHER, OUTCOMES, SYMPTOMS

FEWEST = 5
"""With fewer affected persons a candidate is not even watched."""
TOGETHER = 0.35
"""Signals at one step met by the same persons (phi coefficient above this) are one problem."""
WATCH_P = 0.2


@dataclass(frozen=True)
class Candidate:
    """A signal met at a place after reaching a step, and what it did to those who met it."""

    population: Population
    signal: str
    place: str
    met: pl.DataFrame
    """person, first_ts, passed: the affected persons."""
    comparison: Comparison
    reach_per_week: float
    pass_value: float
    """Chance of final conversion once the step is passed (Jeffreys estimate)."""
    pass_value_error: float
    q_value: float | None = None
    status: str = "watch"
    caveats: tuple[str, ...] = ()

    @property
    def reached(self) -> int:
        return self.population.persons.height

    @property
    def lost(self) -> tuple[float, float, float] | None:
        """Final conversions lost per week: estimate and the ends of its 95 % interval.

        Reach times harm times chance of converting after the step. The interval joins the relative
        errors of harm and chance (delta method); reach is as observed.
        """
        found = self.comparison
        if found.effect is None or found.effect_low is None or found.effect_high is None:
            return None
        harm, value, ratio = -found.effect, self.pass_value, self.pass_value_error / self.pass_value
        estimate = harm * value
        least, most = -found.effect_high * value, -found.effect_low * value
        spread = 1.959964 * estimate * ratio
        ends = (
            estimate,
            estimate - float(np.hypot(estimate - least, spread)),
            estimate + float(np.hypot(most - estimate, spread)),
        )
        weekly = [self.reach_per_week * max(0.0, end) for end in ends]
        return weekly[0], weekly[1], weekly[2]

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
    steps: Sequence[Population],
    exposures: pl.DataFrame,
    settings: PainPointSettings,
    *,
    as_of: datetime,
) -> list[Candidate]:
    """Findings and what is worth watching, one per signal and place.

    A finding was compared (enough affected persons, enough of them comparable), is harmful with an
    interval that excludes no harm, passes the Benjamini-Hochberg procedure over all candidates compared,
    and is not the shadow of another.

    Args:
        steps: who reached which step.
        exposures: person, ts, signal, place.
        settings: thresholds.
        as_of: events up to here are complete, UTC.
    """
    labels = {step.label for population in steps for step in population.funnel.steps}
    # Trying a step again is not passing it, said twice; only an event that somebody named as a sign of
    # trouble can stand for itself.
    symptom = pl.col("signal").is_in(list(SYMPTOMS)) & ~(
        (pl.col("signal") == "repeated_attempt") & ~pl.col("place").is_in(list(labels))
    )
    usable = exposures.filter(~symptom & ~pl.col("signal").is_in(list(OUTCOMES)) & (pl.col("place") != OTHER))
    everything = [
        _candidate(population, str(signal), str(place), rows, settings, as_of)
        for population in steps
        for (signal, place), rows in first_met(population, usable, settings.exposure_within).group_by(
            "signal", "place", maintain_order=True
        )
    ]
    everything = [candidate for candidate in everything if candidate.comparison.affected >= FEWEST]
    tested = [_refusal(candidate, settings) is None for candidate in everything]
    p_values = [
        candidate.comparison.p_value if test and candidate.comparison.p_value is not None else np.nan
        for candidate, test in zip(everything, tested, strict=True)
    ]
    q_values = benjamini_hochberg(p_values)
    judged = [
        _judge(candidate, None if np.isnan(q) else float(q), settings)
        for candidate, q in zip(everything, q_values, strict=True)
    ]
    return _one_per_place(_without_shadows(judged), settings)


def _candidate(
    population: Population,
    signal: str,
    place: str,
    rows: pl.DataFrame,
    settings: PainPointSettings,
    as_of: datetime,
) -> Candidate:
    persons = population.persons.join(
        rows.select("person", "first_ts"), on="person", how="left", maintain_order="left"
    )
    comparison = compare(
        _seconds(persons, "passed_at"),
        _seconds(persons, "first_ts"),
        persons["stratum"].to_numpy(),
        min_controls=settings.min_controls,
        systematic_error=settings.systematic_error,
    )
    met = persons.drop_nulls("first_ts").select(
        "person", "first_ts", passed=pl.col("passed_at").is_not_null()
    )
    first, last = met.select(pl.col("first_ts").min(), last=pl.col("first_ts").max()).row(0)
    # Later entrants are not mature, so their exposures are not counted.
    observed_until = max(last, as_of - population.funnel.window)
    passed = persons.filter(pl.col("passed_at").is_not_null())
    won = passed.filter("converted").height + 0.5
    lost = passed.height + 1.0 - won
    total = won + lost
    return Candidate(
        population=population,
        signal=signal,
        place=place,
        met=met.sort("person"),
        comparison=comparison,
        reach_per_week=comparison.affected / weeks_between(first, observed_until),
        pass_value=float(won / total),
        pass_value_error=float(np.sqrt(won * lost / (total**2 * (total + 1)))),
    )


def _seconds(persons: pl.DataFrame, column: str) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    elapsed = (pl.col(column) - pl.col("reached")).dt.total_microseconds() / 1e6
    return persons.select(elapsed.fill_null(float("inf"))).to_series().to_numpy()


def _refusal(candidate: Candidate, settings: PainPointSettings) -> str | None:
    """Why no effect is stated, if none is."""
    found = candidate.comparison
    if found.affected < settings.min_affected:
        return (
            f"only {found.affected} affected persons: too few to compare (at least {settings.min_affected})"
        )
    if found.effect is None or found.overlap is None or found.overlap < settings.min_overlap:
        return f"only {found.compared} of {found.affected} affected persons have comparable unaffected ones"
    return None


def _judge(candidate: Candidate, q_value: float | None, settings: PainPointSettings) -> Candidate:
    refusal = _refusal(candidate, settings)
    if refusal is not None:
        nothing = candidate.comparison.without_effect()
        return replace(candidate, comparison=nothing, caveats=(refusal,))
    found = candidate.comparison
    caveats = []
    if found.overlap is not None and found.overlap < 0.8:
        caveats.append(
            f"partly comparable: {found.compared} of {found.affected} affected persons could be compared"
        )
    if found.effect is not None and found.crude_effect is not None:
        apart = abs(found.crude_effect - found.effect)
        if found.crude_effect * found.effect < 0:
            caveats.append("the crude comparison points the other way: affected persons differ from others")
        elif apart > 0.5 * abs(found.effect):
            caveats.append(
                "the crude comparison differs by more than half: affected persons differ from others"
            )
    if found.effect is not None and (found.matched_effect or 0.0) > 0.5 * found.effect:
        stated = "" if found.matched_effect is None else f" ({found.matched_effect * 100:+.0f} points)"
        caveats.append(
            f"matched by time at the step the effect is weaker{stated}: part of it may be that people who "
            "stay longer meet more"
        )
    if candidate.signal in SYMPTOMS:
        caveats.append("may be a consequence of failing, not its cause")
    significant = q_value is not None and q_value <= settings.false_discovery_rate
    harmful = found.effect is not None and found.effect <= -settings.min_effect
    if harmful and not significant:
        caveats.append("may be chance")
    # Without a time-matched estimate (nobody was left to compare with) harm is not shown in both ways.
    significant = significant and found.matched_high is not None and found.matched_high < 0
    # A page that prints an interval beside a finding must not contradict itself.
    excludes_none = found.effect_high is not None and found.effect_high < 0
    if significant and harmful and not excludes_none:
        caveats.append("the interval reaches no harm")
    finding = significant and harmful and excludes_none
    return replace(
        candidate, q_value=q_value, status="finding" if finding else "watch", caveats=tuple(caveats)
    )


def _worth(candidate: Candidate) -> tuple[bool, float, int, str]:
    """For sorting, best first."""
    lost = candidate.lost
    return (
        candidate.status != "finding",
        -(lost[0] if lost else 0.0),
        -candidate.comparison.affected,
        candidate.anchor,
    )


def _without_shadows(candidates: list[Candidate]) -> list[Candidate]:
    """Turn findings into watched ones where the same persons met a costlier finding at the same step."""
    kept: list[Candidate] = []
    result: list[Candidate] = []
    for candidate in sorted(candidates, key=_worth):
        shown = candidate
        if candidate.status == "finding":
            for other in kept:
                if other.population is candidate.population and _phi(candidate, other) > TOGETHER:
                    name = f"“{other.signal.replace('_', ' ')}” at {other.place}"
                    reason = f"met by the same persons as {name}: probably the same problem"
                    shown = replace(candidate, status="watch", caveats=(*candidate.caveats, reason))
                    break
            else:
                kept.append(candidate)
        result.append(shown)
    return result


def _phi(one: Candidate, other: Candidate) -> float:
    """Correlation of having met the one with having met the other, among all who reached the step."""
    n, a, b = one.reached, one.met.height, other.met.height
    both = one.met.join(other.met, on="person", how="semi").height
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
    watched.sort(key=lambda candidate: (-candidate.comparison.affected, candidate.anchor))
    return findings + watched[: settings.watch_limit]


def _watchable(candidate: Candidate) -> bool:
    """Harmful as far as one can tell, or not to be told."""
    found = candidate.comparison
    return found.effect is None or (found.p_value is not None and found.p_value < WATCH_P)
