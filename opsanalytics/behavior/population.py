"""Who reached a step, what they had been doing before, and which of them are comparable."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import polars as pl

from opsanalytics.behavior.spec import Funnel
from opsanalytics.lake.tables import UTC_TIME

STRATUM_SIZE = 50
"""Persons a stratum should have on average; decides into how many periods time is divided."""
MAX_PERIODS = 12


@dataclass(frozen=True)
class FunnelPersons:
    """A funnel and how far each person got, by `behavior.funnel`: FunnelResult.definition and .mature."""

    definition: Funnel
    persons: pl.DataFrame
    """One row a mature entrant: person, step_reached, entry_ts, ts_1, ts_2, ... (UTC)."""


@dataclass(frozen=True)
class Population:
    """Mature entrants who made a step.

    `persons`: person, reached, passed_at (the first later step; null: never), ends (of the attempt's
    window), converted, the columns by which strata are made (text), tercile, period, stratum.
    """

    funnel: Funnel
    step: int
    persons: pl.DataFrame
    strata: str
    """What defines a stratum, in words."""

    @property
    def label(self) -> str:
        return self.funnel.steps[self.step - 1].label


def populations(entrants: FunnelPersons, events: pl.DataFrame) -> list[Population]:
    """One population for each step but the last.

    Args:
        entrants: a funnel's mature entrants.
        events: prepared events (see `signals.prepare`), sorted by person and time.
    """
    activity = events.select("person", "ts", "platform")
    return [population(entrants, step, activity) for step in range(1, len(entrants.definition.steps))]


def population(
    entrants: FunnelPersons, step: int, activity: pl.DataFrame, by: Sequence[str] = ("platform",)
) -> Population:
    """Who made one step, in strata of the columns `by`, activity before the step and time.

    Args:
        entrants: a funnel's mature entrants.
        step: number of the step, not the last.
        activity: person, ts (UTC) and the columns `by` (text) of all events, sorted by person and time. A
            person has the latest value up to the step.
    """
    steps = len(entrants.definition.steps)
    passed_at = pl.coalesce(f"ts_{number}" for number in range(step + 1, steps + 1)).cast(UTC_TIME)
    reached = (
        entrants.persons.filter(pl.col(f"ts_{step}").is_not_null())
        .select(
            "person",
            reached=pl.col(f"ts_{step}").cast(UTC_TIME),
            passed_at=pl.when(pl.col("step_reached") > step).then(passed_at),
            ends=pl.col("entry_ts").cast(UTC_TIME) + entrants.definition.window,
            converted=pl.col("step_reached") >= steps,
        )
        .sort("reached", "person")
    )
    known = (
        activity.join(reached.select("person", "reached"), on="person", how="inner", maintain_order="left")
        .filter(pl.col("ts") <= pl.col("reached"))
        .group_by("person")
        .agg(
            (pl.col("ts") < pl.col("reached")).sum().alias("activity"),
            *(pl.col(name).drop_nulls().last() for name in by),
        )
    )
    persons = reached.join(known, on="person", how="left", maintain_order="left").with_columns(
        pl.col("activity").fill_null(0), *(pl.col(name).fill_null("(unknown)") for name in by)
    )
    persons = persons.with_columns(tercile=terciles(pl.col("activity")))
    groups = persons.select(*by, "tercile").n_unique()
    periods = int(np.clip(persons.height // max(1, groups * STRATUM_SIZE), 1, MAX_PERIODS))
    persons = persons.with_columns(period=(pl.int_range(pl.len()) * periods // pl.len()).clip(0, periods - 1))
    parts = [
        *(f"{name} ({persons[name].n_unique()})" for name in by),
        "activity before the step (terciles)",
        f"time ({periods} periods)",
    ]
    return Population(
        entrants.definition,
        step,
        persons.select(
            "person",
            "reached",
            "passed_at",
            "ends",
            "converted",
            *by,
            "tercile",
            "period",
            stratum=strata_of(persons, by),
        ),
        ", ".join(parts),
    )


def terciles(activity: pl.Expr) -> pl.Expr:
    """0, 1 or 2. Which of many people with equal activity comes first must not decide: ranks are averaged."""
    return ((activity.rank("average") - 0.5) / pl.len() * 3).floor().clip(0, 2)


def strata_of(persons: pl.DataFrame, by: Sequence[str]) -> pl.Series:
    """Number of the stratum of each of `Population.persons`, of the columns `by` beside activity and time."""
    if persons.is_empty():
        return pl.Series("stratum", [], dtype=pl.Int64)
    parts = pl.struct(*by, "tercile", "period")
    return persons.select(stratum=parts.rank("dense").cast(pl.Int64)).to_series()


def first_met(population: Population, exposures: pl.DataFrame, within: timedelta) -> pl.DataFrame:
    """Who met which signal at the step: person, signal, place, first_ts.

    At the step means: not before reaching it, before passing it, at most `within` after reaching it.
    """
    return (
        exposures.join(population.persons, on="person", how="inner")
        .filter(
            (pl.col("ts") >= pl.col("reached"))
            & (pl.col("ts") - pl.col("reached") <= within)
            & (pl.col("passed_at").is_null() | (pl.col("ts") < pl.col("passed_at")))
            # The attempt ends with the funnel's window; what happens later did not stop it.
            & (pl.col("ts") - pl.col("reached") <= population.funnel.window)
        )
        .group_by("signal", "place", "person")
        .agg(first_ts=pl.col("ts").min())
        .sort("signal", "place", "person")
    )


def weeks_between(first: datetime, last: datetime) -> float:
    """Weeks from `first` to `last`, at least one: a day's outbreak is not multiplied by seven."""
    return max(1.0, (last - first) / timedelta(weeks=1))
