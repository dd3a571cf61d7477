"""Which events a funnel looks at, and by what they are kept apart: values held constant, sessions."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta

import numpy as np
import polars as pl

from opsanalytics.behavior.filters import property_text
from opsanalytics.behavior.folding import is_plain
from opsanalytics.behavior.periods import day_start
from opsanalytics.behavior.rows import Events, Int64, PersonRows, matching_rows, person_rows
from opsanalytics.behavior.semantics import Semantics
from opsanalytics.behavior.spec import Funnel
from opsanalytics.lake.tables import UTC_TIME


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
    # The plain fold does not care about the order of equal times.
    by_mask = not is_plain(definition, semantics)
    return FunnelRows(matching, person_rows(matching, by=list(apart), ties_by_mask=by_mask))


def entering(definition: Funnel) -> int:
    """Bits of `mask` that start an attempt."""
    return (1 << len(definition.steps)) - 1 if definition.order == "any" else 1


def entry_rows(
    rows: PersonRows, definition: Funnel, *, first: date | None, last: date | None, timezone: str
) -> Int64:
    """Numbers of the rows that may start an attempt, in the local days `first` to `last`, inclusive."""
    chosen = (rows.mask & entering(definition)) != 0
    if first is not None:
        chosen &= rows.ts >= day_start(first, timezone)
    if last is not None:
        chosen &= rows.ts < day_start(last + timedelta(days=1), timezone)
    return np.flatnonzero(chosen)


def _between(first: date | None, last: date | None, timezone: str) -> pl.Expr | None:
    ts = pl.col("ts").dt.epoch("us")
    inside = pl.lit(True)
    if first is not None:
        inside &= ts >= day_start(first, timezone)
    if last is not None:
        inside &= ts < day_start(last + timedelta(days=1), timezone)
    return None if first is None and last is None else inside


def _session(definition: Funnel, columns: list[str]) -> pl.Expr:
    if definition.session_property is not None:
        return property_text(definition.session_property, columns)
    ts = pl.col("ts").cast(UTC_TIME)
    pause = ts.diff() > definition.session_gap
    return pause.fill_null(False).cast(pl.Int64).cum_sum().over("person", order_by="ts")
