"""The behavior index without what counts twice, where sources overlap.

Days that lose no row stay mapped as they are; of the others the rows that stay are copied.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import polars as pl

from opsanalytics.behavior.index import BehaviorIndex, Segment
from opsanalytics.behavior.overlaps import Overlap

Rows = npt.NDArray[np.bool_]
NO_RANK = np.uint8(255)


def index_counted_once(
    index: BehaviorIndex, overlaps: Sequence[Overlap], *, sources: Sequence[str] | None = None
) -> BehaviorIndex:
    """As `overlaps.counted_once` on the events of the index."""
    for overlap in overlaps:
        names = overlap.among(sources)
        if len(names) > 1:
            index = _restricted(index, _keeping(index, overlap, names))
    return index


def _keeping(
    index: BehaviorIndex, overlap: Overlap, sources: Sequence[str]
) -> Callable[[Segment], Rows | None]:
    """Which rows of a day no better source has."""
    event_names = sorted({event for _, event in index.codes})
    name_of = np.array([event_names.index(event) for _, event in index.codes], np.int64)
    rank_of = np.array(
        [
            sources.index(source)
            if source in sources and (overlap.events is None or event in overlap.events)
            else NO_RANK
            for source, event in index.codes
        ],
        np.uint8,
    )

    def by_day(segment: Segment) -> Rows | None:
        present = np.flatnonzero(np.bincount(segment.event, minlength=len(index.codes)))
        best = np.full(len(event_names), NO_RANK)
        np.minimum.at(best, name_of[present], rank_of[present])
        kept = (rank_of == NO_RANK) | (rank_of == best[name_of])
        return None if kept[present].all() else kept[segment.event]

    def by_person(segment: Segment) -> Rows | None:
        ranks = rank_of[segment.event]
        if len(np.unique(ranks[ranks != NO_RANK])) < 2:
            return None
        known = segment.known
        rows = pl.DataFrame(
            {"person": segment.person[:known], "name": name_of[segment.event[:known]], "rank": ranks[:known]}
        )
        best = rows.select(pl.col("rank").min().over("person", "name")).to_series().to_numpy()
        kept = np.ones(len(ranks), np.bool_)
        kept[:known] = (ranks[:known] == NO_RANK) | (ranks[:known] == best)
        return kept

    return by_day if overlap.per == "day" else by_person


def _restricted(index: BehaviorIndex, keeping: Callable[[Segment], Rows | None]) -> BehaviorIndex:
    """Only rows that are kept; None stands for all. What the index leaves out decides nothing."""
    segments = []
    for segment in index.segments:
        known = _chosen(segment, None if segment.last <= index.until else segment.ts <= index.until)
        segments.append(_chosen(known, keeping(known)))
    return replace(index, segments=tuple(segments))


def _chosen(segment: Segment, kept: Rows | None) -> Segment:
    if kept is None:
        return segment
    ts = segment.ts[kept]
    return replace(
        segment,
        person=segment.person[kept],
        ts=ts,
        event=segment.event[kept],
        row=segment.row[kept],
        known=int(kept[: segment.known].sum()),
        first=int(ts.min()) if len(ts) else 0,
        last=int(ts.max()) if len(ts) else -1,
    )
