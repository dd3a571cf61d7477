"""The raw material of a verdict: who reached the step on which day, and what came of it.

Units are attempts, one after the other, each with its own day: which day a unit belongs to and what it is
worth is settled as soon as its time is over, so later data does not move it. (A person's best attempt, which
funnels show, may still be a later one.) Maturity: a unit counts once `horizon` has passed since it reached
the step, and a day counts once all its units do.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl

from opsanalytics.behavior.filters import PROPERTIES, property_text
from opsanalytics.behavior.funnel import funnel
from opsanalytics.behavior.spec import Funnel
from opsanalytics.improvement.verification.arms import Metric, Split

OTHERS = "other"
AFFECTED, UNAFFECTED = "affected", "unaffected"


@dataclass(frozen=True)
class Attempts:
    """Attempts at a funnel: `person`, `ts_1`, `ts_2`, ... (UTC; null: not reached), and, if the funnel has a
    value, `value`: what the last step was worth."""

    definition: Funnel
    rows: pl.DataFrame
    as_of: datetime


def attempts(events: pl.LazyFrame, definition: Funnel, *, as_of: datetime) -> Attempts:
    """All attempts that began before `as_of`, mature or not."""
    if definition.counting == "persons" and definition.reentry and not definition.hold:
        definition = definition.model_copy(update={"counting": "attempts"})
    found = funnel(events, definition, as_of=as_of).persons
    steps = len(definition.steps)
    worth = (
        [pl.col(f"value_{steps}").fill_null(0.0).alias("value")] if f"value_{steps}" in found.columns else []
    )
    rows = found.select("person", *(f"ts_{k}" for k in range(1, steps + 1)), *worth)
    return Attempts(definition, rows.sort("ts_1", "person"), as_of)


def usual_horizon(tried: Attempts, step: int, metric: Metric, *, until: datetime) -> int:
    """Whole days within which 95 % of those pass who do, of those who reach the step before `until`; at most
    the funnel's window.

    A shorter horizon than the window gives a verdict sooner: of those who pass within minutes, nobody needs
    to be waited for for a fortnight.
    """
    window = max(1, -(-tried.definition.window // timedelta(days=1)))
    if metric != "pass":
        return window
    taken = _outcome(tried, step, metric).filter(pl.col("at").is_not_null() & (pl.col("reached") < until))
    if taken.height < 2:
        return window
    days = (taken["at"] - taken["reached"]).dt.total_seconds().to_numpy() / 86_400
    return int(min(window, max(1, np.ceil(np.quantile(days, 0.95)))))


def observe(
    tried: Attempts,
    step: int,
    metric: Metric,
    horizon: int,
    *,
    zone: ZoneInfo,
    first: date | None = None,
) -> pl.DataFrame:
    """Units that reached `step` and whose time is over, on days that are over for everybody.

    Args:
        tried: as `attempts` gives it.
        step: from 1.
        metric: `pass` (the next step), `conversion` (the last one), `revenue` (what the last one was worth).
        horizon: days after reaching the step within which it counts.
        zone: of days.
        first: first day that counts.

    Returns person, reached (UTC), day (of `zone`), y (0 or 1, or the worth); sorted by reached, person.
    """
    last = last_complete_day(tried.as_of, horizon, zone)
    units = _outcome(tried, step, metric).with_columns(
        day=pl.col("reached").dt.convert_time_zone(zone.key).dt.date()
    )
    units = units.filter(pl.col("day") <= last)
    if first is not None:
        units = units.filter(pl.col("day") >= first)
    in_time = (pl.col("at") - pl.col("reached") <= timedelta(days=horizon)).fill_null(value=False)
    y = pl.when(in_time).then("worth").otherwise(0.0)
    return units.select("person", "reached", "day", y=y).sort("reached", "person")


def last_complete_day(as_of: datetime, horizon: int, zone: ZoneInfo) -> date:
    """The last day of `zone` all of whose units have had `horizon` days before `as_of`."""
    return (as_of - timedelta(days=horizon)).astimezone(zone).date() - timedelta(days=1)


def complete_on(day: date, horizon: int) -> date:
    """The day on which data that is complete up to its beginning has all of `day`."""
    return day + timedelta(days=horizon + 1)


def _outcome(tried: Attempts, step: int, metric: Metric) -> pl.DataFrame:
    """person, reached, at (when it succeeded; null: never), worth."""
    steps = len(tried.definition.steps)
    following = range(step + 1, steps + 1) if metric == "pass" else [steps]
    worth = pl.col("value") if metric == "revenue" else pl.lit(1.0)
    return tried.rows.filter(pl.col(f"ts_{step}").is_not_null()).select(
        "person",
        reached=f"ts_{step}",
        at=pl.min_horizontal(f"ts_{k}" for k in following),
        worth=worth.cast(pl.Float64),
    )


def with_traits(units: pl.DataFrame, events: pl.LazyFrame, names: Sequence[str]) -> pl.DataFrame:
    """Units with columns of what was last known of the person on reaching the step; null: nothing was.

    Args:
        units: person, reached.
        events: person, ts, and columns or properties called `names`; one that there is not is left out.
    """
    columns = events.collect_schema().names()
    known = [name for name in names if name in columns or PROPERTIES in columns]
    if not known:
        return units
    traits = {name: f"trait {name}" for name in known}
    told = events.filter(pl.col("ts").is_not_null()).select(
        "person", "ts", *(property_text(name, columns).alias(trait) for name, trait in traits.items())
    )
    own = units.with_columns(units["reached"].alias("ts"))
    # Nearly always the event that reached the step says it; only who is left is looked up before it.
    at_once = _one_a_moment(told.join(own.lazy(), on=["person", "ts"], how="semi"), traits).collect()
    found = own.join(at_once, on=["person", "ts"], how="left", maintain_order="left").drop("ts")
    empty = pl.any_horizontal(pl.col(trait).is_null() for trait in traits.values())
    left = found.filter(empty).select("person").unique()
    if left.height:
        before = (
            _one_a_moment(told.join(left.lazy(), on="person", how="semi"), traits)
            .sort("person", "ts")
            .with_columns(pl.col(trait).forward_fill().over("person") for trait in traits.values())
            .sort("ts")
            .collect()
        )
        order = found.select("person", "reached").with_row_index("_unit").sort("reached")
        looked = order.join_asof(
            before, left_on="reached", right_on="ts", by="person", strategy="backward", check_sortedness=False
        ).sort("_unit")
        found = found.with_columns(pl.coalesce(trait, looked[trait]) for trait in traits.values())
    return found.select(*units.columns, *(pl.col(trait).alias(name) for name, trait in traits.items()))


def _one_a_moment(told: pl.LazyFrame, traits: Mapping[str, str]) -> pl.LazyFrame:
    """One row a person and time; of several values at once the last in the alphabet counts."""
    return told.group_by("person", "ts").agg(pl.col(trait).max() for trait in traits.values())


def design_effect(units: pl.DataFrame) -> float:
    """How much larger the variance of a mean is than that of so many independent units, as one person has
    several: squares of the persons' sums of residuals over those of the units (Kish 1965), at least 1.

    Args:
        units: person, y, and arm, if there are several: residuals are to the mean of the arm.
    """
    if units.is_empty() or units["person"].n_unique() == units.height:
        return 1.0
    mean = pl.col("y").mean().over("arm") if "arm" in units.columns else pl.col("y").mean()
    apart = units.select("person", apart=pl.col("y") - mean)
    each = float((apart["apart"] ** 2).sum())
    together = float((apart.group_by("person").agg(pl.col("apart").sum())["apart"] ** 2).sum())
    return max(1.0, together / each) if each > 0 else 1.0


def with_arms(units: pl.DataFrame, split: Split) -> pl.DataFrame:
    """Units with the column `arm`: affected, unaffected or other."""
    value = pl.col(split.by)
    return units.with_columns(
        arm=pl.when(value.is_in(list(split.affected)))
        .then(pl.lit(AFFECTED))
        .when(value.is_in(list(split.unaffected)))
        .then(pl.lit(UNAFFECTED))
        .otherwise(pl.lit(OTHERS))
    )
