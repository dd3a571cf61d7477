"""Every signal at every place, measured at one step: who met it, who could have, and what it did."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
import polars as pl
from numpy.typing import NDArray

from opsanalytics.behavior.exposure import compare
from opsanalytics.behavior.population import Population, first_met
from opsanalytics.behavior.statistics import wilson
from opsanalytics.improvement.effects import Effect, crude_effect, joint_effects, partition
from opsanalytics.improvement.friction import Friction
from opsanalytics.improvement.likeness import Likeness, known_before, likeness
from opsanalytics.improvement.places import optional_text
from opsanalytics.improvement.settings import PainPointSettings

Floats: TypeAlias = NDArray[np.float64]
Bools: TypeAlias = NDArray[np.bool_]
Labels: TypeAlias = NDArray[np.int64]

FEWEST = 5
"""With fewer affected persons a candidate is not even watched."""
HARMLESS = "harmless"
"""Name under which harmless events are measured like signals."""
COMPARABLE = 0.8
"""Share of affected persons that others who had the chance must do for, else all others are taken."""

NEARLY_ALL = 0.95


@dataclass(frozen=True)
class Measured:
    """A signal at a place, at a step."""

    signal: str
    place: str
    met: Bools
    """Of each person of the population."""
    seconds: Floats
    """From reaching the step to meeting it; inf for never."""
    label: Labels
    """Group within which each person is compared, -1 for none."""
    effect: Effect
    matched: float | None
    """Time-matched effect, see `behavior.exposure`."""
    matched_high: float | None
    chance_known: bool
    """Whether it was compared with those only who had the chance to meet it."""


@dataclass(frozen=True)
class Step:
    """A step with all that was measured at it."""

    population: Population
    alike: Likeness
    passed: Bools
    converted: Bools
    amount: Floats | None
    """Revenue of who converted, NaN for others; None if the funnel has no value."""
    measured: list[Measured]


def measure(
    population: Population,
    friction: Friction,
    exposures: pl.DataFrame,
    settings: PainPointSettings,
    *,
    amounts: pl.DataFrame | None,
    causes: Sequence[str],
) -> Step:
    """Measure all signals at a step.

    Args:
        population: who reached it.
        friction: what there is to meet, and who had the chance.
        exposures: person, ts, signal, place: those of `friction` that may hinder people, and harmless events.
        settings: thresholds.
        amounts: person, amount.
        causes: signals that may be why somebody does not pass.
    """
    persons = population.persons
    passed = persons["passed_at"].is_not_null().to_numpy()
    rows = persons.select("person", row=pl.int_range(pl.len()))
    found = [
        (str(signal), str(place), part.join(rows, on="person"))
        for (signal, place), part in first_met(population, exposures, settings.exposure_within).group_by(
            "signal", "place", maintain_order=True
        )
        if part.height >= FEWEST
    ]
    reached = persons["reached"].to_numpy()
    met, seconds = [], []
    for _, _, part in found:
        rows_of = part["row"].to_numpy()
        hit, when = np.zeros(len(passed), bool), np.full(len(passed), np.inf)
        hit[rows_of] = True
        when[rows_of] = (part["first_ts"].to_numpy() - reached[rows_of]) / np.timedelta64(1, "s")
        met.append(hit)
        seconds.append(when)
    tested = [at for at, hit in enumerate(met) if hit.sum() >= settings.min_affected]
    columns = friction.events.columns
    known = known_before(
        population,
        friction.events,
        {name: optional_text(name, columns) for name in settings.alike_by or () if name != "platform"},
    )
    together = np.column_stack([met[at] for at in tested]) if tested else np.zeros((len(passed), 0), bool)
    alike = likeness(population, known, together)
    could, told = _chances(population, friction, [(signal, place) for signal, place, _ in found], settings)
    labels = []
    for at, hit in enumerate(met):
        label = partition(hit, could[at] | hit, alike, settings.min_controls)
        others = could[at] & ~hit
        if told[at] and ((label[hit] >= 0).mean() < COMPARABLE or _part_of_passing(others, ~hit, passed)):
            told[at] = False
            label = partition(hit, np.ones(len(hit), bool), alike, settings.min_controls)
        labels.append(label)
    time = (persons["passed_at"] - persons["reached"]).dt.total_microseconds().fill_null(0).to_numpy() / 1e6
    time = np.where(passed, time, np.inf)
    matched = [
        compare(
            time[label >= 0],
            when[label >= 0],
            label[label >= 0],
            min_controls=settings.min_controls,
            systematic_error=0.0,
        )
        for when, label in zip(seconds, labels, strict=True)
    ]
    # What only those meet who stay anyway must not be taken out of the effects of others.
    to_blame = [
        found[at][0] in causes
        and matched[at].matched_high is not None
        and (matched[at].matched_high or 0.0) < 0
        for at in tested
    ]
    joint = joint_effects(
        passed, [met[at] for at in tested], [labels[at] for at in tested], alike.fine, to_blame
    )
    effects = {
        at: replace(found_here, beside=tuple((tested[other], took) for other, took in found_here.beside))
        for at, found_here in zip(tested, joint, strict=True)
    }
    measured = [
        Measured(
            signal,
            place,
            met[at],
            seconds[at],
            labels[at],
            effects.get(
                at,
                Effect(
                    int(met[at].sum()), int(met[at][labels[at] >= 0].sum()), crude_effect(passed, met[at])
                ),
            ),
            matched[at].matched_effect,
            matched[at].matched_high,
            told[at],
        )
        for at, (signal, place, _) in enumerate(found)
    ]
    amount = None
    if amounts is not None:
        amount = (
            persons.select("person")
            .join(amounts, on="person", how="left", maintain_order="left")["amount"]
            .cast(pl.Float64)
            .fill_null(float("nan"))
            .to_numpy()
        )
    return Step(population, alike, passed, persons["converted"].to_numpy(), amount, measured)


def _chances(
    population: Population,
    friction: Friction,
    places: Sequence[tuple[str, str]],
    settings: PainPointSettings,
) -> tuple[list[Bools], list[bool]]:
    """Who had the chance to meet each signal at its place, at the step; and of which this is known."""
    persons = population.persons.select("person", "reached", "passed_at", row=pl.int_range(pl.len()))
    limit = min(settings.exposure_within, population.funnel.window)
    wanted = [signal for signal in friction.chances if any(signal == name for name, _ in places)]
    everybody = np.ones(persons.height, bool)
    if not wanted:
        return [everybody] * len(places), [False] * len(places)
    during = friction.events.join(persons, on="person", maintain_order="left").filter(
        (pl.col("ts") >= pl.col("reached"))
        & (pl.col("ts") - pl.col("reached") <= limit)
        & (pl.col("passed_at").is_null() | (pl.col("ts") < pl.col("passed_at")))
    )
    had = during.select("row", *(friction.chances[signal].alias(signal) for signal in wanted))
    by_place: dict[tuple[str, str], NDArray[np.int64]] = {}
    for signal in wanted:
        grouped = had.select("row", at=signal).drop_nulls().unique().group_by("at").agg("row")
        by_place |= {
            (signal, at): rows.to_numpy() for at, rows in zip(grouped["at"], grouped["row"], strict=True)
        }
    could, told = [], []
    for signal, place in places:
        rows = by_place.get((signal, friction.pages.get(signal, {}).get(place, place)))
        told.append(rows is not None)
        could.append(everybody if rows is None else _mark(persons.height, rows))
    return could, told


def _part_of_passing(had: Bools, others: Bools, passed: Bools) -> bool:
    """Whether what gives the chance is done on the way through, so that nearly all who do it pass."""
    low, _ = wilson([int((had & passed).sum())], [int(had.sum())])
    rest = others & ~had
    return bool(rest.any() and low[0] > NEARLY_ALL and passed[rest].mean() < low[0])


def _mark(size: int, rows: NDArray[np.int64]) -> Bools:
    marked = np.zeros(size, bool)
    marked[rows] = True
    return marked
