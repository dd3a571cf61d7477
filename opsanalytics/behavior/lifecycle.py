"""Lifecycle: who is new, returning, resurrected or dormant; the rules of `Lifecycle`, evaluated exactly."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import date, datetime
from functools import cached_property
from typing import Any, Literal

import numpy as np
import polars as pl

from opsanalytics.behavior.activity import History, Uses, uses
from opsanalytics.behavior.activity_spec import Lifecycle
from opsanalytics.behavior.calendars import Calendar, asked_days
from opsanalytics.behavior.marts import nullable, plain_rows, with_provenance
from opsanalytics.behavior.periods import Weekday
from opsanalytics.behavior.rows import LeftOut, check_as_of
from opsanalytics.behavior.statistics import count_ratio, wilson

STATES = ("new", "returning", "resurrected", "dormant")
SHOWN = 12
"""Periods in the words of a result."""
LifecyclePreset = Literal["opsanalytics", "posthog", "amplitude"]
PRESETS: tuple[LifecyclePreset, ...] = ("opsanalytics", "posthog", "amplitude")


@dataclass(frozen=True, eq=False)
class LifecycleCounts:
    """States by period."""

    definition: Lifecycle
    as_of: datetime
    periods: pl.DataFrame
    """The columns of LIFECYCLE without `quality`, one row a period, the running one last."""
    left_out: LeftOut
    numbered: pl.DataFrame
    """`states` before its names are known: `person` may be a number."""
    named: Callable[[pl.DataFrame], pl.DataFrame] | None = None
    """From `numbered` to `states`, where these differ: names are looked up only when asked for."""

    @cached_property
    def states(self) -> pl.DataFrame:
        """`starts_at`, `person`, `state` of everybody who has one, `dormant` in periods that are over only
        (with `posthog` in the running one too)."""
        ordered = self.numbered.sort("starts_at", "person")
        return ordered if self.named is None else self.named(ordered)

    def to_polars(self) -> pl.DataFrame:
        return self.periods

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return {
            "definition": self.definition.model_dump(mode="json"),
            "definition_id": self.definition.definition_id,
            "as_of": self.as_of.isoformat(),
            "periods": plain_rows(self.periods),
            "left_out": asdict(self.left_out),
        }

    def __repr__(self) -> str:
        moment = self.as_of.isoformat(timespec="minutes")
        last = f"the last {SHOWN} " if self.periods.height > SHOWN else ""
        lines = [f"{self.definition.label}: {last}{self.definition.period}s at {moment}"]
        for row in self.periods.tail(SHOWN).to_dicts():
            dormant = "not known yet" if row["dormant"] is None else row["dormant"]
            mark = "" if row["complete"] else " (not complete)"
            kept = (
                ""
                if row["return_rate"] is None
                else f", {row['return_rate']:.1%} of {row['previous']} came back "
                f"({row['return_rate_low']:.1%} to {row['return_rate_high']:.1%})"
            )
            when = row["period_start"] if self.definition.period != "hour" else row["starts_at"]
            lines.append(
                f"  {when}{mark}: new {row['new']}, returning {row['returning']}, "
                f"resurrected {row['resurrected']}, dormant {dormant}{kept}"
            )
        return "\n".join(lines)


def lifecycle(
    events: History,
    definition: Lifecycle,
    *,
    as_of: datetime,
    first: date | None = None,
    last: date | None = None,
    timezone: str = "UTC",
    week_start: Weekday = "monday",
    preset: LifecyclePreset = "opsanalytics",
) -> LifecycleCounts:
    """Evaluate a lifecycle by local calendar periods.

    Rows: every period from the first with a use (or that of `first`) to the one that holds `as_of` (or
    `last`), also those with nobody. The running period shows what came so far; who of the period before is
    dormant in it, and the rates, are null until it is over.

    Args:
        events: see `rows.Events`, `activity.History`. "New" means first in here: give all of history.
        as_of: events up to here are complete; later ones are not looked at. Needs a time zone.
        first, last: local days whose periods are shown; what came before still decides who is new.
        timezone, week_start: calendar of the periods.
        preset: `posthog` and `amplitude` take the first event of whatever name for `new`; `posthog` counts
            dormant persons in the running period too.

    Raises:
        EventsError, PropertyError: the events cannot answer the definition; nothing was read.
        ValueError: another argument is wrong.
    """
    as_of = check_as_of(as_of)
    asked_days(first, last)
    if preset not in PRESETS:
        raise ValueError(f"preset: {preset!r} is not one of {', '.join(PRESETS)}")
    if preset != "opsanalytics":
        definition = definition.model_copy(update={"new": "person"})
    calendar = Calendar(definition.period, timezone, week_start)
    found = uses(events, definition, {"period": calendar}, as_of=as_of, with_began=definition.new == "person")
    states = _states(found)
    running = calendar.of(as_of)
    known_first: Any = states["period"].min()
    begin = known_first if first is None else calendar.of_day(first)
    end = running if last is None else min(running, calendar.of_day(last, last=True))
    begin = end + 1 if begin is None else begin
    starts = calendar.starts(calendar.between(begin, end), as_of, found.data_from)
    over = calendar.unfinished(as_of)
    states = states.filter((pl.col("state") != "dormant") | (pl.col("period") < over) | (preset == "posthog"))
    known = (pl.col("period") < over) if preset != "posthog" else pl.lit(True)
    table = _counted(starts, states).with_columns(pl.when(known).then("dormant").alias("dormant"))
    return LifecycleCounts(
        definition=definition,
        as_of=as_of,
        periods=with_provenance(_with_rates(table, definition, known), definition, as_of),
        left_out=found.left_out,
        numbered=starts.select("period", "starts_at")
        .join(states, on="period", how="inner")
        .select("starts_at", "person", "state"),
        named=found.named,
    )


def _states(found: Uses) -> pl.DataFrame:
    """`person`, `period`, `state`: one row a person and period, active or dormant."""
    person = pl.col("period").over("person")
    before = pl.col("period").shift(1).over("person")
    units = found.units
    if found.began is not None:
        units = units.join(found.began, on="person", how="left")
    else:
        units = units.with_columns(person.min().over("person").alias("began"))
    active = units.with_columns(
        pl.when(pl.col("period") == pl.col("began"))
        .then(pl.lit("new"))
        .when(before == pl.col("period") - 1)
        .then(pl.lit("returning"))
        .otherwise(pl.lit("resurrected"))
        .alias("state"),
        pl.col("period").shift(-1).over("person").alias("next"),
    )
    dormant = active.filter(pl.col("next").is_null() | (pl.col("next") > pl.col("period") + 1)).select(
        "person", pl.col("period") + 1, pl.lit("dormant").alias("state")
    )
    return pl.concat([active.select("person", "period", "state"), dormant])


def _counted(starts: pl.DataFrame, states: pl.DataFrame) -> pl.DataFrame:
    counts = states.group_by("period").agg(
        *((pl.col("state") == state).sum().cast(pl.Int64).alias(state) for state in STATES)
    )
    active = pl.col("new") + pl.col("returning") + pl.col("resurrected")
    before = counts.select(pl.col("period") + 1, active.alias("previous"))
    return (
        starts.join(counts, on="period", how="left", maintain_order="left")
        .join(before, on="period", how="left", maintain_order="left")
        .with_columns(pl.col(*STATES, "previous").fill_null(0))
        .with_columns(active.alias("active"))
    )


def _with_rates(table: pl.DataFrame, definition: Lifecycle, known: pl.Expr) -> pl.DataFrame:
    low, high = wilson(table["returning"].to_numpy(), table["previous"].to_numpy())
    gained = (table["new"] + table["resurrected"]).to_numpy()
    lost = table["dormant"].fill_null(0).to_numpy()
    pulse_low, pulse_high = count_ratio(gained, lost)
    with np.errstate(divide="ignore", invalid="ignore"):
        pulse = np.where(lost > 0, gained / lost, np.nan)
    rates = [
        (pl.col("returning") / pl.col("previous")).fill_nan(None).alias("return_rate"),
        nullable(low, "return_rate_low"),
        nullable(high, "return_rate_high"),
        nullable(pulse, "pulse"),
        nullable(np.where(lost > 0, pulse_low, np.nan), "pulse_low"),
        nullable(np.where(lost > 0, pulse_high, np.nan), "pulse_high"),
    ]
    names = ["return_rate", "return_rate_low", "return_rate_high", "pulse", "pulse_low", "pulse_high"]
    return table.with_columns(rates).select(
        pl.lit(definition.name).alias("definition"),
        "period_start",
        "starts_at",
        "active",
        *STATES,
        "previous",
        *(pl.when(known).then(name).alias(name) for name in names),
        "complete",
    )
