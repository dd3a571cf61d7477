"""Usage interval: how long people pause between uses; the rules of `UsageInterval`."""

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import date, datetime
from functools import cached_property
from typing import Any

import numpy as np
import polars as pl

from opsanalytics.behavior.activity import History, uses
from opsanalytics.behavior.activity_spec import UsageInterval
from opsanalytics.behavior.calendars import Calendar, asked_days
from opsanalytics.behavior.marts import nullable, plain_rows, with_provenance
from opsanalytics.behavior.periods import Weekday
from opsanalytics.behavior.rows import LeftOut, check_as_of
from opsanalytics.behavior.statistics import median_interval, quantile_interval, wilson


@dataclass(frozen=True, eq=False)
class UsageIntervalCounts:
    """Persons by the median of their pauses."""

    definition: UsageInterval
    as_of: datetime
    pauses: pl.DataFrame
    """The columns of USAGE_INTERVAL_PAUSES without `quality`, one row a length of pause that occurs."""
    summary: pl.DataFrame
    """The columns of USAGE_INTERVALS without `quality`, one row."""
    left_out: LeftOut
    numbered: pl.DataFrame
    """`persons` before its names are known: `person` may be a number."""
    named: Callable[[pl.DataFrame], pl.DataFrame] | None = None
    """From `numbered` to `persons`, where these differ: names are looked up only when asked for."""

    @cached_property
    def persons(self) -> pl.DataFrame:
        """`person`, `uses`, `median_pause` (null with one use), `open_pause` (units since the last use)."""
        return self.numbered if self.named is None else self.named(self.numbered)

    def to_polars(self) -> pl.DataFrame:
        return self.pauses

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return {
            "definition": self.definition.model_dump(mode="json"),
            "definition_id": self.definition.definition_id,
            "as_of": self.as_of.isoformat(),
            "summary": plain_rows(self.summary)[0],
            "pauses": plain_rows(self.pauses),
            "left_out": asdict(self.left_out),
        }

    def __repr__(self) -> str:
        unit, row = self.definition.unit, self.summary.row(0, named=True)
        head = f"{self.definition.label}: at {self.as_of.isoformat(timespec='minutes')}"
        if not row["n"]:
            return f"{head}\n  nobody with two uses; {row['once']} with one"
        lines = [
            head,
            f"  median pause {row['median']:g} {unit}s{_ends(row, 'median')}, {row['n']} persons with two "
            "uses or more",
            f"  {self.definition.share:.0%} use it again within {row['interval']:g} {unit}s"
            f"{_ends(row, 'interval')}",
            f"  {row['once']} persons with one use, {row['once_open']} of them too lately to tell",
        ]
        return "\n".join(lines)


def _ends(row: dict[str, Any], name: str) -> str:
    low, high = row[f"{name}_low"], row[f"{name}_high"]
    return "" if low is None or high is None else f" ({low:g} to {high:g})"


def usage_interval(
    events: History,
    definition: UsageInterval,
    *,
    as_of: datetime,
    first: date | None = None,
    last: date | None = None,
    timezone: str = "UTC",
    week_start: Weekday = "monday",
) -> UsageIntervalCounts:
    """Distribution of pauses between uses over persons with at least two.

    The pause since the last use is open and no pause yet: it counts nowhere. Pauses longer than the time
    there is data for cannot occur, so that with a short history the interval comes out too short.

    Args:
        events: see `rows.Events`, `activity.History`.
        as_of: events up to here are complete; later ones are not looked at. Needs a time zone.
        first, last: local days to whose units uses are limited.
        timezone, week_start: calendar of the units.

    Raises:
        EventsError, PropertyError: the events cannot answer the definition; nothing was read.
        ValueError: another argument is wrong.
    """
    as_of = check_as_of(as_of)
    asked_days(first, last)
    calendar = Calendar(definition.unit, timezone, week_start)
    found = uses(events, definition, {"unit": calendar}, as_of=as_of)
    units, end = found.units, calendar.of(as_of)
    if first is not None:
        units = units.filter(pl.col("unit") >= calendar.of_day(first))
    if last is not None:
        end = min(end, calendar.of_day(last, last=True))
        units = units.filter(pl.col("unit") <= end)
    persons = (
        units.group_by("person")
        .agg(
            pl.len().cast(pl.Int64).alias("uses"),
            pl.col("unit").sort().diff().drop_nulls().median().alias("median_pause"),
            (end - pl.col("unit").max()).cast(pl.Int64).alias("open_pause"),
        )
        .sort("person")
    )
    medians = persons["median_pause"].drop_nulls().sort().to_numpy()
    pauses = _distribution(medians, definition)
    summary = _summary(persons, medians, definition)
    return UsageIntervalCounts(
        definition=definition,
        as_of=as_of,
        pauses=with_provenance(pauses, definition, as_of),
        summary=with_provenance(summary, definition, as_of),
        left_out=found.left_out,
        numbered=persons,
        named=found.named,
    )


def _distribution(medians: np.ndarray[Any, Any], definition: UsageInterval) -> pl.DataFrame:
    pause, persons = np.unique(np.ceil(medians), return_counts=True)
    within = np.cumsum(persons)
    n = np.full(len(pause), len(medians))
    low, high = wilson(within, n)
    return pl.DataFrame(
        {
            "definition": pl.Series([definition.name] * len(pause), dtype=pl.String),
            "pause": pl.Series(pause, dtype=pl.Float64).cast(pl.Int64),
            "n": pl.Series(n, dtype=pl.Int64),
            "persons": pl.Series(persons, dtype=pl.Int64),
            "within": pl.Series(within, dtype=pl.Int64),
            "share": nullable(within / np.maximum(n, 1)),
            "share_low": nullable(low),
            "share_high": nullable(high),
        }
    )


def _summary(persons: pl.DataFrame, medians: np.ndarray[Any, Any], definition: UsageInterval) -> pl.DataFrame:
    n = len(medians)
    # The least pause within which at least the share lies: an order statistic.
    place = math.ceil(round(definition.share * n, 9)) - 1
    interval = float(medians[place]) if n else float("nan")
    low, high = median_interval(medians)
    ends = quantile_interval(medians, definition.share)
    once = persons.filter(pl.col("uses") == 1)["open_pause"]
    overdue = persons.filter(pl.col("open_pause") > pl.col("median_pause")).height
    return pl.DataFrame(
        {
            "definition": [definition.name],
            "unit": [definition.unit],
            "n": pl.Series([n], dtype=pl.Int64),
            "median": nullable([float(np.median(medians)) if n else float("nan")]),
            "median_low": nullable([low]),
            "median_high": nullable([high]),
            "share": [definition.share],
            "interval": nullable([interval]),
            "interval_low": nullable([ends[0]]),
            "interval_high": nullable([ends[1]]),
            "once": pl.Series([len(once)], dtype=pl.Int64),
            "once_open": pl.Series([int((once < interval).sum()) if n else len(once)], dtype=pl.Int64),
            "overdue": pl.Series([overdue], dtype=pl.Int64),
        }
    )
