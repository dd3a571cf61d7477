"""Sessions: how many, how long, how full, and how many bounced."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from opsanalytics.behavior.conditions import Match, Step
from opsanalytics.behavior.filters import property_text
from opsanalytics.behavior.journey_spec import Sessions
from opsanalytics.behavior.marts import mart_rows, nullable, with_provenance
from opsanalytics.behavior.periods import (
    Weekday,
    microseconds,
    period_first_day,
    period_number,
    period_of,
    weekday_number,
    zone,
)
from opsanalytics.behavior.rows import (
    Events,
    Int64,
    LeftOut,
    PersonRows,
    check_as_of,
    matching_rows,
    person_rows,
    window_microseconds,
)
from opsanalytics.behavior.sessionizing import after_pause, firsts, local_days
from opsanalytics.behavior.statistics import median_interval, wilson
from opsanalytics.behavior.subjects import of_members
from opsanalytics.behavior.tables import PROVENANCE
from opsanalytics.behavior.tables_journeys import SESSIONS
from opsanalytics.lake.tables import UTC_TIME

COUNTED, START, END, ENGAGING = 1, 2, 4, 8
"""Bits of `mask`."""
FLAGS = 15
OWN = [name for name in SESSIONS.names if name not in {column.name for column in PROVENANCE}]
RANK = 16
"""Multiplied with 0 for a start, 2 for an end, 1 for others: the order of equal times."""


@dataclass(frozen=True, eq=False)
class SessionsResult:
    """Sessions that were over at `as_of`, one by one and by period."""

    definition: Sessions
    as_of: datetime
    sessions: pl.DataFrame
    """`person`, `session` (from 1 in order of time, or the value of the definition's `session_property`),
    `start_ts`, `end_ts` (first and last event, UTC), `events`, `bounced`, `over` (no later event could
    belong to it); sorted by person and start."""
    table: pl.DataFrame
    """The columns of SESSIONS without `quality`."""
    outside: int
    """Events that belong to no session."""
    left_out: LeftOut
    """Matching events without person or time, which count nowhere."""

    def to_polars(self) -> pl.DataFrame:
        return self.table

    def mart_rows(self, *, quality: str) -> pl.DataFrame:
        """Rows of the mart SESSIONS; `quality` is the state of the checks upstream."""
        return mart_rows(SESSIONS, [self.table], quality=quality)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        rows = self.table.drop("sessions", "definition_id", "as_of")
        return {
            "definition": self.definition.model_dump(mode="json"),
            "definition_id": self.definition.definition_id,
            "as_of": self.as_of.isoformat(),
            "periods": rows.with_columns(pl.col("period_start").cast(pl.String)).to_dicts(),
            "outside": self.outside,
            "left_out": {
                "without_person": self.left_out.without_person,
                "without_time": self.left_out.without_time,
            },
        }

    def __repr__(self) -> str:
        head = f"{self.definition.label} by {self.as_of.isoformat(timespec='minutes')}"
        return "\n".join([head, *(_line(row) for row in self.table.to_dicts())])


def sessions(
    events: Events,
    definition: Sessions,
    *,
    as_of: datetime,
    timezone: str = "UTC",
    week_start: Weekday = "monday",
) -> SessionsResult:
    """Cut events into sessions and count them.

    Rates are over sessions, and those of one person hang together, so the intervals are too narrow to
    some degree where few persons make many sessions.

    Args:
        events: see `rows.Events`.
        definition: what a session is; its docstring has the rules.
        as_of: events up to here are complete; later ones are not looked at. Needs a time zone.
        timezone: IANA zone of midnight and of the periods.
        week_start: first day of a week.

    Raises:
        EventsError, PropertyError: the events cannot answer the definition; nothing was read.
        ValueError: `as_of`, `timezone` or `week_start` is wrong.
    """
    as_of = check_as_of(as_of)
    zone(timezone)
    weekday_number(week_start)
    steps = (*definition.events, *definition.start, *definition.end, *definition.engaging)
    events = of_members(events, definition.among, steps, as_of=as_of, timezone=timezone)
    rows, unnamed = _rows(events, definition, as_of)
    found, outside = _cut(rows, definition, as_of=as_of, timezone=timezone)
    number = period_number(pl.col("start_ts"), definition.period, timezone=timezone, week_start=week_start)
    numbered = found.with_columns(number.alias("period"))
    first_free = as_of + timedelta(microseconds=1)
    unfinished = period_of(first_free, definition.period, timezone=timezone, week_start=week_start)
    first_day = period_first_day(pl.col("period"), definition.period, week_start=week_start)
    table = _table(numbered, definition, unfinished).with_columns(first_day.alias("period_start"))
    return SessionsResult(
        definition=definition,
        as_of=as_of,
        sessions=found,
        table=with_provenance(table.select(OWN), definition, as_of),
        outside=outside + unnamed,
        left_out=rows.left_out,
    )


def _rows(events: Events, definition: Sessions, as_of: datetime) -> tuple[PersonRows, int]:
    """Events by person (and value of the session's property), and how many lack that value."""
    groups: list[list[Step | Match]] = [
        list(group) for group in (definition.events, definition.start, definition.end, definition.engaging)
    ]
    extra, by = {}, []
    if definition.session_property is not None:
        columns = events.lazy().collect_schema().names()
        extra, by = {"session": property_text(definition.session_property, columns)}, ["session"]
    matching = matching_rows(events, groups, as_of=as_of, sources=definition.sources, extra=extra)
    mask = pl.col("mask")
    rank = pl.when(mask & START != 0).then(0).when(mask & END != 0).then(2).otherwise(1)
    ranked = matching.filter(mask & (COUNTED | START | END) != 0).with_columns(
        (mask + RANK * rank).cast(pl.Int32).alias("mask")
    )
    unnamed = 0
    if by:
        unnamed = ranked.filter(pl.col("session").is_null(), pl.col("person").is_not_null()).height
    return person_rows(ranked, by=by, ties_by_mask=True), unnamed


def _cut(
    rows: PersonRows, definition: Sessions, *, as_of: datetime, timezone: str
) -> tuple[pl.DataFrame, int]:
    """One row a session, and the number of events in none."""
    flags = rows.mask & FLAGS
    first = firsts(rows.offsets)
    by_property = definition.session_property is not None
    days = local_days(rows.times(), timezone) if definition.midnight else None
    begins = first.copy() if by_property else after_pause(rows.ts, first, definition.gap)
    if not by_property and len(first):
        begins |= flags & START != 0
        begins[1:] |= flags[:-1] & END != 0
        if days is not None:
            begins[1:] |= days[1:] != days[:-1]
    at = np.flatnonzero(begins)
    stops = np.append(at[1:], len(begins)) if len(at) else at
    last = stops - 1
    person = rows.person_of_row()[at]
    events = stops - at
    seconds_us = rows.ts[last] - rows.ts[at]
    engaged = _any(flags & ENGAGING != 0, at)
    if definition.engaged_after is not None:
        engaged |= seconds_us >= window_microseconds(definition.engaged_after)
    # Nothing after `as_of` can still belong to it: another session has begun, or too much time has passed.
    over = rows.ts[last] + window_microseconds(definition.gap) <= microseconds(as_of)
    if not by_property:
        over[:-1] |= person[1:] == person[:-1]
        over |= flags[last] & END != 0
    if days is not None:
        over |= days[last] < period_of(as_of + timedelta(microseconds=1), "day", timezone=timezone)
    frame = pl.DataFrame(
        {
            "person": rows.persons.gather(person),
            "session": rows.keys["session"].gather(person) if by_property else _counter(person),
            "start_ts": pl.Series(rows.ts[at], dtype=pl.Int64).cast(UTC_TIME),
            "end_ts": pl.Series(rows.ts[last], dtype=pl.Int64).cast(UTC_TIME),
            "events": events,
            "bounced": (events <= definition.bounce_events) & ~engaged,
            "over": over,
        }
    )
    outside = 0
    if definition.only_started:
        started = flags[at] & START != 0
        outside = int(events[~started].sum())
        frame = frame.filter(pl.Series(started, dtype=pl.Boolean)).with_columns(
            (pl.int_range(pl.len()).over("person") + 1).alias("session")
        )
    return frame.sort("person", "start_ts", "session"), outside


def _any(flags: npt.NDArray[np.bool_], at: Int64) -> npt.NDArray[np.bool_]:
    """Whether any row of each session is flagged."""
    return np.logical_or.reduceat(flags, at) if len(at) else np.empty(0, np.bool_)


def _counter(person: Int64) -> Int64:
    """1, 2, ... within each run of equal persons."""
    return np.arange(len(person), dtype=np.int64) - np.searchsorted(person, person) + 1


def _table(found: pl.DataFrame, definition: Sessions, unfinished: int) -> pl.DataFrame:
    whole = found.with_columns(pl.lit(None, pl.Int32).alias("period"))
    groups = [whole, *(part for _, part in sorted(found.group_by("period"), key=lambda each: each[0]))]
    rows = [_summary(group, definition, unfinished) for group in groups]
    frame = pl.DataFrame(rows, schema={**dict(SESSIONS.schema), "period": pl.Int32})
    low, high = wilson(frame["bounced"].to_numpy(), frame["n"].to_numpy())
    return frame.with_columns(nullable(low, "bounce_low"), nullable(high, "bounce_high"))


def _summary(group: pl.DataFrame, definition: Sessions, unfinished: int) -> dict[str, Any]:
    over = group.filter("over")
    n, persons, events = over.height, over["person"].n_unique(), int(over["events"].sum())
    seconds = (
        over.select((pl.col("end_ts") - pl.col("start_ts")).dt.total_microseconds()).to_series().to_numpy()
        / 1e6
    )
    low, high = nullable(median_interval(seconds))
    bounced = int(over["bounced"].sum())
    period: Any = group["period"].first() if group.height else None
    return {
        "sessions": definition.name,
        "period": period,
        "n": n,
        "persons": persons,
        "per_person": n / persons if n else None,
        "events": events,
        "events_per_session": events / n if n else None,
        "median_events": over["events"].median(),
        "median_seconds": float(np.median(seconds)) if n else None,
        "median_low": low,
        "median_high": high,
        "mean_seconds": float(np.mean(seconds)) if n else None,
        "p90_seconds": float(np.percentile(seconds, 90)) if n else None,
        "bounced": bounced,
        "bounce_rate": bounced / n if n else None,
        "open_sessions": group.height - n,
        "complete": n == group.height and (period is None or period < unfinished),
        "small": n < definition.min_n,
    }


def _line(row: dict[str, Any]) -> str:
    when = "all" if row["period_start"] is None else f"from {row['period_start']}"
    if not row["n"]:
        return f"  {when}: none is over, {row['open_sessions']} open"
    bounce = f"{row['bounce_rate']:.1%} ({row['bounce_low']:.1%} to {row['bounce_high']:.1%})"
    few = ", few" if row["small"] else ""
    return (
        f"  {when}: {row['n']} of {row['persons']} persons, median {row['median_seconds']:g} s, "
        f"{row['events_per_session']:.1f} events, {bounce} bounced{few}"
    )
