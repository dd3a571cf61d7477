"""Funnels: the rules of `Funnel`, evaluated exactly, as this project or as another tool counts."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
from functools import cached_property
from typing import Any

import numpy as np
import polars as pl

from opsanalytics.behavior.attempts import best_attempts
from opsanalytics.behavior.folding import check_preset
from opsanalytics.behavior.funnel_rows import check_range, entry_rows, funnel_rows
from opsanalytics.behavior.marts import mart_rows, nullable, with_provenance
from opsanalytics.behavior.periods import zone
from opsanalytics.behavior.rows import Events, Int64, LeftOut, check_as_of
from opsanalytics.behavior.semantics import OPSANALYTICS, Semantics, preset_named
from opsanalytics.behavior.spec import Funnel
from opsanalytics.behavior.statistics import Floats, median_interval, wilson
from opsanalytics.behavior.tables import FUNNEL_STEPS
from opsanalytics.behavior.values import VALUE, numeric, with_values


@dataclass(frozen=True, eq=False)
class FunnelResult:
    """A funnel over mature attempts, with the open ones apart (see `attempts` for what these are)."""

    definition: Funnel
    as_of: datetime
    attempts: pl.DataFrame
    """`persons` before its names are known: `person` may be a number, and the order another one."""
    left_out: LeftOut
    """Matching events without person or time, which count nowhere."""
    semantics: Semantics = OPSANALYTICS
    names: Callable[[pl.DataFrame], pl.DataFrame] | None = None
    """From `attempts` to `persons`, where these differ: names are looked up only when asked for."""

    @cached_property
    def persons(self) -> pl.DataFrame:
        """`person`, `mature`, `step_reached`, `entry_ts`, `ts_1`, `ts_2`, ...: a person's best attempt.

        One row a person with mature attempts, one a person with open attempts, so some have both. Where the
        funnel counts attempts or sessions, one row each, told apart by `unit`. With `order = "any"` ts_k is
        the time of the k-th distinct step. Where the definition has a `value`, also `value_1`, `value_2`, ...
        """
        return self.attempts if self.names is None else self.names(self.attempts)

    @property
    def definition_id(self) -> str:
        """The definition's, or with a preset a hash of it and the preset's switches."""
        return self.semantics.identified(self.definition.definition_id)

    @property
    def mature(self) -> pl.DataFrame:
        """The rows of `persons` that the rates are made of, one a person."""
        return self.persons.filter("mature")

    @property
    def entered(self) -> int:
        return int(self.attempts["mature"].sum())

    @property
    def conversion(self) -> float | None:
        """Share of mature entrants that reached the last step; None if nobody entered."""
        steps = len(self.definition.steps)
        mature = self.attempts.filter("mature")
        return mature.select((pl.col("step_reached") >= steps).mean()).item()  # type: ignore[no-any-return]

    def so_far(self) -> pl.DataFrame:
        """`step`, `persons`: distinct persons at each step over mature and open attempts together.

        What tools show that count open attempts as they stand; it still grows for the last entrants.
        """
        units = ["person", *(["unit"] if "unit" in self.attempts.columns else [])]
        made = pl.col("^ts_[0-9]+$").is_not_null()
        best = self.attempts.select(*units, made).group_by(units).agg(pl.exclude(units).any())
        return pl.DataFrame(
            {"step": _numbers(self.definition), "persons": best.select(pl.exclude(units).sum()).row(0)},
            schema={"step": pl.Int32, "persons": pl.Int64},
        )

    def to_polars(self) -> pl.DataFrame:
        """One row a step: the columns of FUNNEL_STEPS without `quality`."""
        definition = self.definition
        mature = self.attempts.filter("mature")
        entered = np.full(len(definition.steps), mature.height)
        persons = _made(mature, definition)
        previous = _previous(persons, definition)
        open_persons = _made(self.attempts.filter(~pl.col("mature")), definition)
        rate_low, rate_high = wilson(persons, entered)
        step_low, step_high = wilson(persons, previous)
        # Sorted, so that sums of fractions do not depend on the order of persons.
        times = [gaps(self, k).drop_nulls().sort().to_numpy() / 1e6 for k in _numbers(definition)]
        medians = [median_interval(seconds) for seconds in times]
        frame = pl.DataFrame(
            {
                "funnel": [definition.name] * len(definition.steps),
                "step": pl.Series(_numbers(definition), dtype=pl.Int32),
                "step_name": step_labels(definition),
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
        return with_provenance(frame, definition, self.as_of).with_columns(
            pl.lit(self.definition_id).alias("definition_id")
        )

    def mart_rows(self, *, quality: str) -> pl.DataFrame:
        """Rows of the mart FUNNEL_STEPS; `quality` is the state of the checks upstream."""
        return mart_rows(FUNNEL_STEPS, [self.to_polars()], quality=quality)

    def persons_at(self, step: int, *, dropped: bool = False, still_open: bool = False) -> pl.DataFrame:
        """The rows of `persons` that made a step, or with `dropped` made it but nothing after it.

        Of the mature attempts, or with `still_open` of the others. Who left out the optional steps after
        `step` and made a later one has not dropped.

        Raises:
            ValueError: there is no such step, or `dropped` at the last one, where nobody does.
        """
        steps = len(self.definition.steps)
        if not 1 <= step <= steps:
            raise ValueError(f"step: {step} is not one of the {steps} steps")
        if dropped and step == steps:
            raise ValueError(f"step: nobody drops out after step {step}, the last")
        made = self.persons.filter(pl.col("mature") != still_open, pl.col(f"ts_{step}").is_not_null())
        return made.filter(pl.col("step_reached") == step) if dropped else made

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return {
            "definition": self.definition.model_dump(mode="json"),
            "definition_id": self.definition_id,
            "preset": self.semantics.name,
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
    preset: str | Semantics = OPSANALYTICS,
) -> FunnelResult:
    """Evaluate a funnel.

    Args:
        events: see `rows.Events`.
        definition: what to count; its docstring has the rules.
        as_of: events up to here are complete; later ones are not looked at. Needs a time zone.
        first, last: local days, or times with a zone, that limit entries (not conversions, unless the
            definition's or preset's `date_range` says so), inclusive; all if not given.
        timezone: IANA zone of `first` and `last`.
        preset: whose way of counting, by name (see `semantics.PRESETS`), or the switches themselves.

    Raises:
        EventsError, PropertyError: the events cannot answer the definition; nothing was read.
        ValueError: `as_of`, `first`, `last`, `timezone` or `preset` is wrong.
        PresetError: the preset's tool cannot express the definition.
    """
    as_of = check_as_of(as_of)
    check_range(first, last)
    zone(timezone)
    semantics = preset_named(preset)
    check_preset(definition, semantics)
    extra = None
    if definition.value is not None:
        extra = {VALUE: numeric(definition.value, events.lazy().collect_schema().names())}
    found = funnel_rows(
        events,
        definition,
        semantics,
        as_of=as_of,
        first=first,
        last=last,
        timezone=timezone,
        extra=extra,
    )
    entries = entry_rows(found.rows, definition, first=first, last=last, timezone=timezone)
    persons = best_attempts(found.rows, definition, entries, as_of=as_of, semantics=semantics)
    if definition.value is not None:
        persons = with_values(persons, found.matching, definition)
    return FunnelResult(
        definition=definition,
        as_of=as_of,
        attempts=persons,
        left_out=found.rows.left_out,
        semantics=semantics,
    )


def _numbers(definition: Funnel) -> list[int]:
    return list(range(1, len(definition.steps) + 1))


def step_labels(definition: Funnel) -> list[str]:
    if definition.order != "any":
        return [step.label for step in definition.steps]
    return [f"{k} of {len(definition.steps)} steps" for k in _numbers(definition)]


def _made(persons: pl.DataFrame, definition: Funnel) -> Int64:
    """How many of `persons` made each step."""
    return np.array([persons[f"ts_{k}"].count() for k in _numbers(definition)], np.int64)


def _previous(persons: Int64, definition: Funnel) -> Int64:
    """How many made the step before; of optional steps the last one before that is none."""
    previous = persons.copy()
    for k, step in enumerate(definition.steps[:-1]):
        previous[k + 1] = previous[k] if step.optional else persons[k]
    return previous


def _shares(part: Int64, whole: Int64) -> pl.Series:
    return nullable(np.divide(part, whole, out=np.full(len(part), np.nan), where=whole > 0))


def gaps(result: FunnelResult, step: int) -> pl.Series:
    """Microseconds from the step made before of every mature attempt; null where there is no such time."""
    mature = result.attempts.filter("mature")
    if step == 1:
        return pl.repeat(None, mature.height, dtype=pl.Int64, eager=True)
    before = pl.coalesce(f"ts_{k}" for k in range(step - 1, 0, -1))
    gap = (pl.col(f"ts_{step}") - before).dt.total_microseconds()
    if not result.semantics.zero_gaps:
        gap = pl.when(gap > 0).then(gap)
    return mature.select(gap.alias("gap")).to_series()


def _or_nan(statistic: Callable[[Floats], Any], seconds: Floats) -> float:
    return float(statistic(seconds)) if len(seconds) else float("nan")


def _p90(seconds: Floats) -> Any:
    return np.percentile(seconds, 90)


def _line(row: dict[str, Any]) -> str:
    rate = "-" if row["rate"] is None else f"{row['rate']:.1%}"
    interval = "" if row["rate"] is None else f" ({row['rate_low']:.1%} to {row['rate_high']:.1%})"
    return f"  {row['step']}. {row['step_name']}: {row['persons']} of {row['entered']}, {rate}{interval}"
