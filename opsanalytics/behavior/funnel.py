"""Ordered funnels: the rules of `Funnel`, evaluated exactly."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import numpy as np
import polars as pl

from opsanalytics.behavior.attempts import best_attempts, check_range, entry_rows
from opsanalytics.behavior.marts import mart_rows, nullable, with_provenance
from opsanalytics.behavior.periods import zone
from opsanalytics.behavior.rows import Events, Int64, LeftOut, check_as_of, matching_rows, person_rows
from opsanalytics.behavior.spec import Funnel
from opsanalytics.behavior.statistics import Floats, median_interval, wilson
from opsanalytics.behavior.tables import FUNNEL_STEPS


@dataclass(frozen=True, eq=False)
class FunnelResult:
    """A funnel over mature attempts, with the open ones apart (see `attempts` for what these are)."""

    definition: Funnel
    as_of: datetime
    persons: pl.DataFrame
    """`person`, `mature`, `step_reached`, `entry_ts`, `ts_1`, `ts_2`, ...: a person's best attempt.
    One row a person with mature attempts, one a person with open attempts, so some have both."""
    left_out: LeftOut
    """Matching events without person or time, which count nowhere."""

    @property
    def mature(self) -> pl.DataFrame:
        """The rows of `persons` that the rates are made of, one a person."""
        return self.persons.filter("mature")

    @property
    def entered(self) -> int:
        return self.mature.height

    @property
    def conversion(self) -> float | None:
        """Share of mature entrants that reached the last step; None if nobody entered."""
        steps = len(self.definition.steps)
        return self.mature.select((pl.col("step_reached") >= steps).mean()).item()  # type: ignore[no-any-return]

    def so_far(self) -> pl.DataFrame:
        """`step`, `persons`: distinct persons at each step over mature and open attempts together.

        What tools show that count open attempts as they stand; it still grows for the last entrants.
        """
        best = self.persons.group_by("person").agg(pl.col("step_reached").max())["step_reached"]
        return pl.DataFrame(
            {"step": _numbers(self.definition), "persons": _reached(best, self.definition)},
            schema={"step": pl.Int32, "persons": pl.Int64},
        )

    def to_polars(self) -> pl.DataFrame:
        """One row a step: the columns of FUNNEL_STEPS without `quality`."""
        definition = self.definition
        mature = self.mature
        entered = np.full(len(definition.steps), mature.height)
        persons = _reached(mature["step_reached"], definition)
        previous = np.concatenate([entered[:1], persons[:-1]])
        open_persons = _reached(self.persons.filter(~pl.col("mature"))["step_reached"], definition)
        rate_low, rate_high = wilson(persons, entered)
        step_low, step_high = wilson(persons, previous)
        times = [_times(mature, k) for k in _numbers(definition)]
        medians = [median_interval(seconds) for seconds in times]
        frame = pl.DataFrame(
            {
                "funnel": [definition.name] * len(definition.steps),
                "step": pl.Series(_numbers(definition), dtype=pl.Int32),
                "step_name": [step.label for step in definition.steps],
                "entered": entered,
                "persons": persons,
                "previous": previous,
                "rate": _shares(persons, entered),
                "rate_low": nullable(rate_low),
                "rate_high": nullable(rate_high),
                "step_rate": _shares(persons, previous),
                "step_rate_low": nullable(step_low),
                "step_rate_high": nullable(step_high),
                "immature_entered": np.full(len(definition.steps), open_persons[0]),
                "immature_persons": open_persons,
                "median_seconds": nullable([_or_nan(np.median, seconds) for seconds in times]),
                "median_low": nullable([low for low, _ in medians]),
                "median_high": nullable([high for _, high in medians]),
                "mean_seconds": nullable([_or_nan(np.mean, seconds) for seconds in times]),
                "p90_seconds": nullable([_or_nan(_p90, seconds) for seconds in times]),
            }
        )
        return with_provenance(frame, definition, self.as_of)

    def mart_rows(self, *, quality: str) -> pl.DataFrame:
        """Rows of the mart FUNNEL_STEPS; `quality` is the state of the checks upstream."""
        return mart_rows(FUNNEL_STEPS, [self.to_polars()], quality=quality)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return {
            "definition": self.definition.model_dump(mode="json"),
            "definition_id": self.definition.definition_id,
            "as_of": self.as_of.isoformat(),
            "steps": self.to_polars().drop("funnel", "definition_id", "as_of").to_dicts(),
            "left_out": {
                "without_person": self.left_out.without_person,
                "without_time": self.left_out.without_time,
            },
        }

    def __repr__(self) -> str:
        rows = self.to_polars().to_dicts()
        open_ = rows[0]["immature_entered"]
        head = (
            f"{self.definition.label}: {self.entered} entered by "
            f"{self.as_of.isoformat(timespec='minutes')}, {open_} with an open window"
        )
        return "\n".join([head, *(_line(row) for row in rows)])


def funnel(
    events: Events,
    definition: Funnel,
    *,
    as_of: datetime,
    first: date | None = None,
    last: date | None = None,
    timezone: str = "UTC",
) -> FunnelResult:
    """Evaluate an ordered funnel.

    Args:
        events: see `rows.Events`.
        definition: what to count; its docstring has the rules.
        as_of: events up to here are complete; later ones are not looked at. Needs a time zone.
        first, last: local days that limit entries (not conversions), inclusive; all if not given.
        timezone: IANA zone of `first` and `last`.

    Raises:
        EventsError, PropertyError: the events cannot answer the definition; nothing was read.
        ValueError: `as_of`, `first`, `last` or `timezone` is wrong.
    """
    as_of = check_as_of(as_of)
    check_range(first, last)
    zone(timezone)
    groups = [[step] for step in definition.steps]
    rows = person_rows(matching_rows(events, groups, as_of=as_of, sources=definition.sources))
    entries = entry_rows(rows, first=first, last=last, timezone=timezone)
    persons = best_attempts(rows, definition, entries, as_of=as_of)
    return FunnelResult(definition=definition, as_of=as_of, persons=persons, left_out=rows.left_out)


def _numbers(definition: Funnel) -> list[int]:
    return list(range(1, len(definition.steps) + 1))


def _reached(depth: pl.Series, definition: Funnel) -> Int64:
    """How many of `depth` are at least 1, 2, ... steps deep."""
    exactly = np.bincount(depth.to_numpy(), minlength=len(definition.steps) + 1)
    return np.cumsum(exactly[::-1])[::-1][1:].astype(np.int64)


def _shares(part: Int64, whole: Int64) -> pl.Series:
    return nullable(np.divide(part, whole, out=np.full(len(part), np.nan), where=whole > 0))


def _times(mature: pl.DataFrame, step: int) -> Floats:
    """Seconds from the previous step of everybody who reached this one; empty for step 1."""
    if step == 1:
        return np.empty(0)
    done = mature.filter(pl.col("step_reached") >= step)
    gap = pl.col(f"ts_{step}") - pl.col(f"ts_{step - 1}")
    return (done.select(gap.dt.total_microseconds()).to_series().to_numpy() / 1e6).astype(np.float64)


def _or_nan(statistic: Callable[[Floats], Any], seconds: Floats) -> float:
    return float(statistic(seconds)) if len(seconds) else float("nan")


def _p90(seconds: Floats) -> Any:
    return np.percentile(seconds, 90)


def _line(row: dict[str, Any]) -> str:
    rate = "-" if row["rate"] is None else f"{row['rate']:.1%}"
    interval = "" if row["rate"] is None else f" ({row['rate_low']:.1%} to {row['rate_high']:.1%})"
    return f"  {row['step']}. {row['step_name']}: {row['persons']} of {row['entered']}, {rate}{interval}"
