"""Breakdowns from the behavior index."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import date, datetime
from typing import Any

import numpy as np
import polars as pl

from opsanalytics.behavior.funnel import FunnelResult
from opsanalytics.behavior.funnel_breakdown import Broken, check_segments, limited
from opsanalytics.behavior.funnel_rows import entering
from opsanalytics.behavior.index import BehaviorIndex, NotIndexedError
from opsanalytics.behavior.index_build import DAY, EPOCH
from opsanalytics.behavior.index_coding import coding_of
from opsanalytics.behavior.index_funnel import class_codes, foldable, indexed_funnel
from opsanalytics.behavior.index_projection import projected_breakdown
from opsanalytics.behavior.periods import microseconds
from opsanalytics.behavior.segments import Segment, labelled
from opsanalytics.behavior.semantics import OPSANALYTICS, Semantics, preset_named
from opsanalytics.behavior.spec import Funnel


def indexed_breakdown(
    index: BehaviorIndex,
    definition: Funnel,
    segments: Sequence[Segment],
    *,
    as_of: datetime,
    first: date | None = None,
    last: date | None = None,
    timezone: str = "UTC",
    preset: str | Semantics = OPSANALYTICS,
    known: FunnelResult | None = None,
) -> list[Broken]:
    """As `funnel_breakdown.broken_down` on the lake's events, by all the same rules. `known` is the funnel
    with the same arguments, if it was asked for already.

    Raises:
        NotIndexedError: a segment is a cohort, or as `indexed_funnel`.
        EventsChangedError, ValueError, PropertyError, PresetError: as `indexed_funnel`.
    """
    check_segments(segments, definition)
    if any(one.cohorts() for one in segments):
        raise NotIndexedError("the index knows no cohorts; break down the events of the lake")
    limits: dict[str, Any] = {"first": first, "last": last, "timezone": timezone, "preset": preset}
    semantics = preset_named(preset)
    plain = foldable(definition) and all(
        one.attributed(semantics) == "entry" and one.of == "event" and len(one.names()) == 1
        for one in segments
    )
    if not plain:
        return projected_breakdown(index, definition, segments, as_of=as_of, **limits)
    # Only if it is of this very index its attempts are by these numbers of persons.
    same = known is not None and known.names == index.named
    whole = known if known and same else indexed_funnel(index, definition, as_of=as_of, **limits)
    return [
        Broken(one, whole, limited(_of_entries(index, whole, one.names()[0]), one), disjoint=True)
        for one in segments
    ]


def _of_entries(index: BehaviorIndex, whole: FunnelResult, name: str) -> pl.DataFrame:
    """Attempts with the `value` of their first entry; of equal times the label that sorts first."""
    from opsanalytics.behavior.kernels_index import values_at

    attempts = whole.attempts
    coding = coding_of(whole.definition, index.codes)
    enters = (coding.masks & entering(whole.definition)) != 0
    who = attempts["person"].to_numpy()
    when = attempts["first_entry_ts"].to_physical().to_numpy()
    # The days of the entries, each looked up by itself.
    number = when // DAY
    entered = set(np.unique(number).tolist())
    days = [one for one in index.segments if (one.day - EPOCH).days in entered]
    codes = class_codes(index, coding, days, until=min(microseconds(whole.as_of), index.until))
    column = index.property_of(name, days)
    labels = column.values.to_frame("value").select(labelled(pl.col("value"))).to_series()
    # Null is first and stays so; the labels of reserved words sort elsewhere than their values.
    rank = np.zeros(len(labels), np.uint32)
    order = np.argsort(labels[1:].rank("ordinal").to_numpy()) + 1
    rank[order] = np.arange(1, len(labels), dtype=np.uint32)
    by_day = np.argsort(number, kind="stable")
    edges = [(one.day - EPOCH).days for one in days]
    begins = np.searchsorted(number[by_day], edges)
    ends = np.searchsorted(number[by_day], edges, side="right")
    found = np.zeros(len(who), np.int64)

    def looked_up(place: int) -> None:
        segment, rows = days[place], by_day[begins[place] : ends[place]]
        values = np.zeros(len(rows), np.int64)
        columns = (segment.person, segment.ts, enters, segment.known, codes[place], column.days[place].codes)
        values_at(*columns, segment.row, rank[column.places[place]], who[rows], when[rows], values)
        found[rows] = values

    with ThreadPoolExecutor(pl.thread_pool_size()) as pool:
        list(pool.map(looked_up, range(len(days))))
    shown = labels.gather(np.append(0, order)[found])
    return attempts.with_columns(shown.alias("value"))
