"""Who reached a step, what they had been doing before, and which of them are comparable."""

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
    """Mature entrants who reached a step.

    `persons`: person, reached, passed_at (null: never), converted, platform, stratum.
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
    activity = events.select(
        "person", "ts", "platform", before=pl.int_range(pl.len(), dtype=pl.Int64).over("person")
    )
    steps = len(entrants.definition.steps)
    return [_population(entrants, step, steps, activity) for step in range(1, steps)]


def _population(entrants: FunnelPersons, step: int, steps: int, activity: pl.DataFrame) -> Population:
    reached = (
        entrants.persons.filter(pl.col("step_reached") >= step)
        .select(
            "person",
            reached=pl.col(f"ts_{step}").cast(UTC_TIME),
            passed_at=pl.when(pl.col("step_reached") > step).then(f"ts_{step + 1}").cast(UTC_TIME),
            converted=pl.col("step_reached") >= steps,
        )
        .sort("reached", "person")
    )
    # Rank among the person's events of the first event at the moment of reaching: what came before it.
    known = (
        reached.join(activity, on="person", how="left")
        .filter(pl.col("ts").is_null() | (pl.col("ts") <= pl.col("reached")))
        .group_by("person")
        .agg(
            activity=(pl.col("ts") < pl.col("reached")).sum(),
            platform=pl.col("platform").drop_nulls().last(),
        )
    )
    persons = reached.join(known, on="person", how="left", maintain_order="left").with_columns(
        pl.col("activity").fill_null(0), pl.col("platform").fill_null("(unknown)")
    )
    # Which of many people with equal activity comes first must not decide: ranks are averaged.
    tercile = ((pl.col("activity").rank("average") - 0.5) / pl.len() * 3).floor().clip(0, 2)
    platforms = persons["platform"].n_unique()
    groups = persons.with_columns(tercile=tercile).select("platform", "tercile").n_unique()
    periods = int(np.clip(persons.height // max(1, groups * STRATUM_SIZE), 1, MAX_PERIODS))
    period = (pl.int_range(pl.len()) * periods // pl.len()).clip(0, periods - 1)
    persons = persons.with_columns(
        stratum=pl.struct("platform", tercile.alias("tercile"), period.alias("period"))
        .rank("dense")
        .cast(pl.Int64)
        if not persons.is_empty()
        else pl.lit(0, pl.Int64)
    )
    parts = [f"platform ({platforms})", "activity before the step (terciles)", f"time ({periods} periods)"]
    return Population(
        entrants.definition,
        step,
        persons.select("person", "reached", "passed_at", "converted", "platform", "stratum"),
        ", ".join(parts),
    )


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
