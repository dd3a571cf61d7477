"""Which persons at a step are alike: same platform, same time, as likely to pass by what was known before.

What was known before the step (platform, segments, activity, how fast the person came so far, hour, weekday,
time) is summed up in one number, the chance to pass, by a logistic model that also knows what people met, so
that meeting trouble does not make a person look less likely to pass. Groups are made of platform, that number
and time. Source: Hansen (2008), The prognostic analogue of the propensity score, Biometrika 95: persons of
equal prognosis are comparable whatever it is made of; one score serves all signals of a step.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import polars as pl
from numpy.typing import NDArray

from opsanalytics.behavior.population import Population

Floats: TypeAlias = NDArray[np.float64]
Labels: TypeAlias = NDArray[np.int64]

GROUP_SIZE = 50
"""Persons a group should have on average."""
MOST_BINS, MOST_PERIODS = 10, 6
MEASURES = ("before", "days", "age", "took")
FITTED = 100_000
"""Persons the model of passing is fitted to, evenly over time; more do not make it better."""
MOST_VALUES = 8
"""Values of a segment told apart; the rest is one."""
PENALTY = 1.0
"""Of the squared coefficients of standardised columns: a prior that keeps rare values from running away."""


@dataclass(frozen=True)
class Likeness:
    """Groups of `Population.persons`, in its order, from fine to coarse."""

    fine: Labels
    """Platform, chance to pass, time."""
    coarse: Labels
    """Platform and chance to pass."""
    words: str
    """What makes persons alike, for people."""


def known_before(
    population: Population, events: pl.DataFrame, properties: Mapping[str, pl.Expr]
) -> pl.DataFrame:
    """What was known of each person on reaching the step, in the order of `population.persons`.

    Args:
        population: who reached the step.
        events: prepared events (see `signals.prepare`), sorted by person and time.
        properties: segments by name; of each the latest value up to the step counts.

    Returns columns before (events), days (with events), age (hours since the first event), took (hours from
    entry to the step) and one for each segment, as text.
    """
    chosen = events.select("person", "ts", *(value.alias(name) for name, value in properties.items()))
    known = (
        chosen.join(population.persons.select("person", "reached"), on="person", maintain_order="left")
        .filter(pl.col("ts") <= pl.col("reached"))
        .group_by("person")
        .agg(
            *(pl.col(name).drop_nulls().last() for name in properties),
            before=(pl.col("ts") < pl.col("reached")).sum(),
            days=pl.col("ts").dt.truncate("1d").n_unique(),
            first=pl.col("ts").min(),
        )
    )
    hours = pl.col("reached") - pl.col("first")
    took = pl.col("reached") - (pl.col("ends") - population.funnel.window)
    return population.persons.join(known, on="person", how="left", maintain_order="left").select(
        pl.col("before").fill_null(0),
        pl.col("days").fill_null(1),
        *(pl.col(name).fill_null("(none)") for name in properties),
        age=hours.dt.total_seconds(fractional=True).fill_null(0.0) / 3600,
        took=took.dt.total_seconds(fractional=True).fill_null(0.0).clip(0.0) / 3600,
    )


def likeness(population: Population, known: pl.DataFrame, met: NDArray[np.bool_]) -> Likeness:
    """Groups of persons who are alike.

    Args:
        population: who reached the step.
        known: as `known_before` gives it.
        met: a row a person, a column a signal.
    """
    persons = population.persons
    if persons.is_empty():
        nobody = np.empty(0, np.int64)
        return Likeness(nobody, nobody, "nobody")
    # A property that nobody has, or all the same, tells nobody apart.
    segments = [name for name in known.columns if name not in MEASURES and known[name].n_unique() > 1]
    platform = persons["platform"].rank("dense").to_numpy().astype(np.int64) - 1
    count, platforms = len(platform), int(platform.max(initial=0)) + 1
    bins = int(np.clip(count // (platforms * GROUP_SIZE), 1, MOST_BINS))
    periods = int(np.clip(count // (platforms * bins * GROUP_SIZE), 1, MOST_PERIODS))
    prognosis = _prognosis(_columns(population, known, segments, platform), persons, met)
    # Bins within platforms; of equal chances none comes first.
    rank = pl.DataFrame({"platform": platform, "chance": prognosis.round(9)}).select(
        ((pl.col("chance").rank("average").over("platform") - 0.5) / pl.len().over("platform") * bins)
        .floor()
        .clip(0, bins - 1)
        .cast(pl.Int64)
    )
    place = rank.to_series().to_numpy()
    period = np.arange(count) * periods // max(1, count)
    coarse = platform * bins + place
    named = ", ".join([*segments, "activity before", "speed so far", "hour, weekday and time"])
    return Likeness(
        fine=coarse * periods + period,
        coarse=coarse,
        words=f"platform ({platforms}), likelihood to go on by {named} ({bins} groups)"
        + (f", time ({periods} periods)" if periods > 1 else ""),
    )


def _columns(
    population: Population, known: pl.DataFrame, segments: Sequence[str], platform: Labels
) -> Floats:
    """Standardised columns of the model."""
    persons = population.persons
    logs = np.column_stack([np.log1p(known[name].to_numpy()) for name in MEASURES])
    time = np.linspace(-1.0, 1.0, len(platform))
    weekday = persons["reached"].dt.weekday().to_numpy()
    clock = persons["reached"].dt.hour().to_numpy() * (2 * np.pi / 24)
    parts = [
        logs,
        logs**2,
        np.column_stack([np.cos(clock), np.sin(clock), np.cos(2 * clock), np.sin(2 * clock)]),
        np.column_stack([time, time**2, time**3, np.cos(3 * time), np.sin(3 * time), np.sin(6 * time)]),
        *(weekday == day for day in range(1, 8)),
        *(platform == number for number in range(int(platform.max(initial=0)) + 1)),
    ]
    for name in segments:
        values = known[name].value_counts().sort(["count", name], descending=[True, False])[name]
        parts += [(known[name] == value).to_numpy() for value in values.head(MOST_VALUES)]
    made = np.column_stack([np.asarray(part, np.float64) for part in parts])
    spread = made.std(axis=0)
    kept = spread > 1e-9
    standard: Floats = (made[:, kept] - made[:, kept].mean(axis=0)) / spread[kept]
    return standard


def _prognosis(columns: Floats, persons: pl.DataFrame, met: NDArray[np.bool_]) -> Floats:
    """Logit of passing, had nothing been met; 0 for all where everybody or nobody passed."""
    from sklearn.linear_model import LogisticRegression

    passed = persons["passed_at"].is_not_null().to_numpy()
    chosen = np.arange(0, len(passed), max(1, -(-len(passed) // FITTED)))
    if not 0 < passed[chosen].sum() < len(chosen):
        return np.zeros(len(passed))
    model = LogisticRegression(C=1 / PENALTY, solver="newton-cholesky")
    model.fit(np.hstack([columns[chosen], met[chosen]]), passed[chosen])
    logit: Floats = columns @ model.coef_[0][: columns.shape[1]]
    return logit
