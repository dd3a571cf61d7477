"""Which events a funnel looks at, and by what they are kept apart: values held constant, sessions."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime

import numpy as np
import polars as pl

from opsanalytics.behavior.filters import property_text
from opsanalytics.behavior.folding import is_plain
from opsanalytics.behavior.periods import time_range
from opsanalytics.behavior.rows import Events, Int64, PersonRows, matching_rows, person_rows
from opsanalytics.behavior.semantics import Semantics
from opsanalytics.behavior.sessionizing import session_number
from opsanalytics.behavior.spec import Funnel
from opsanalytics.behavior.subjects import prepared


@dataclass(frozen=True, eq=False)
class FunnelRows:
    """What a funnel is folded from."""

    matching: pl.DataFrame
    """`person`, `ts`, `mask` (a bit a step, above these a bit an exclusion) and what the caller added."""
    rows: PersonRows
    """The same by person; by person and session or value held constant, where the funnel asks for it."""


def funnel_rows(
    events: Events,
    definition: Funnel,
    semantics: Semantics,
    *,
    as_of: datetime,
    first: date | None,
    last: date | None,
    timezone: str,
    extra: Mapping[str, pl.Expr] | None = None,
) -> FunnelRows:
    """Events of all steps and exclusions (in strict order all events of the person).

    Raises:
        EventsError, PropertyError: see `matching_rows`.
    """
    events = prepared(events, definition, as_of=as_of, timezone=timezone)
    columns = events.lazy().collect_schema().names()
    apart: dict[str, pl.Expr] = {}
    if definition.counting == "sessions":
        apart["session"] = _session(definition, columns)
    apart |= {f"held_{i}": property_text(name, columns) for i, name in enumerate(definition.hold)}
    among = None
    if (semantics.date_range or definition.date_range) == "all_steps":
        among = _between(first, last, timezone)
    matching = matching_rows(
        events,
        [*([step] for step in definition.steps), *([one] for one in definition.exclusions)],
        as_of=as_of,
        sources=definition.sources,
        extra=extra,
        before=apart,
        among=among,
        keep_all=definition.order == "strict" or "strict_order" in semantics.modes,
    )
    return FunnelRows(matching, _by_person(matching, definition, semantics, list(apart)))


def unit_rows(
    matching: pl.DataFrame, definition: Funnel, semantics: Semantics, found: FunnelRows
) -> PersonRows:
    """Some of the rows of `found`, perhaps with other masks, by person (session, value held constant)."""
    if definition.order != "strict" and "strict_order" not in semantics.modes:
        matching = matching.filter(pl.col("mask") != 0)
    return _by_person(matching, definition, semantics, found.rows.keys.columns)


def _by_person(matching: pl.DataFrame, definition: Funnel, semantics: Semantics, by: list[str]) -> PersonRows:
    # The plain fold does not care about the order of equal times.
    return person_rows(matching, by=by, ties_by_mask=not is_plain(definition, semantics))


def entering(definition: Funnel) -> int:
    """Bits of `mask` that start an attempt."""
    return (1 << len(definition.steps)) - 1 if definition.order == "any" else 1


def entry_rows(
    rows: PersonRows, definition: Funnel, *, first: date | None, last: date | None, timezone: str
) -> Int64:
    """Numbers of the rows that may start an attempt from `first` to `last` (see `time_range`)."""
    since, to = time_range(first, last, timezone)
    chosen = (rows.mask & entering(definition)) != 0
    chosen &= (rows.ts >= since) & (rows.ts <= to)
    entries = np.flatnonzero(chosen)
    if definition.reentry or not len(entries):
        return entries
    person, times = rows.person_of_row()[entries], rows.ts[entries]
    begins = np.flatnonzero(np.diff(person, prepend=-1))
    earliest = np.repeat(times[begins], np.diff(np.append(begins, len(entries))))
    return np.asarray(entries[times == earliest], np.int64)


def check_range(first: date | None, last: date | None) -> None:
    """Raise ValueError unless `first` and `last` are days, or times with a zone, in this order."""
    for name, end in (("first", first), ("last", last)):
        if isinstance(end, datetime) and end.tzinfo is None:
            raise ValueError(
                f"{name}: {end.isoformat()} is a time without a zone; write a day, date(2026, 9, 1), or "
                "datetime(..., tzinfo=UTC)"
            )
    since, to = time_range(first, last, "UTC")
    if to < since:
        raise ValueError(f"last ({last}) lies before first ({first})")


def _between(first: date | None, last: date | None, timezone: str) -> pl.Expr | None:
    if first is None and last is None:
        return None
    return pl.col("ts").dt.epoch("us").is_between(*time_range(first, last, timezone))


def _session(definition: Funnel, columns: list[str]) -> pl.Expr:
    if definition.session_property is not None:
        return property_text(definition.session_property, columns)
    return session_number(pl.col("ts"), definition.session_gap).over("person", order_by="ts")
