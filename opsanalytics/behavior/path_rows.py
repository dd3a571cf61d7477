"""From events to paths: runs of equal events, anchors, and the labels before or after them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import polars as pl

from opsanalytics.behavior.conditions import Match, Step
from opsanalytics.behavior.filters import property_text
from opsanalytics.behavior.funnel import funnel
from opsanalytics.behavior.journey_spec import Paths
from opsanalytics.behavior.periods import microseconds, time_range
from opsanalytics.behavior.rows import (
    Events,
    Int32,
    Int64,
    LeftOut,
    matching_rows,
    window_microseconds,
)
from opsanalytics.behavior.sessionizing import after_pause
from opsanalytics.behavior.spec import Funnel
from opsanalytics.behavior.urls import url_path

Flags: TypeAlias = npt.NDArray[np.bool_]
COUNTED, START, END, LEFT_OUT = 1, 2, 4, 8
"""Bits of `mask`; a funnel's anchors are START."""
OTHER, ENDED, BEGAN = "(other)", "(end)", "(start)"
"""Reserved: a label that reads so in the data is shown in quotation marks."""
NOTHING = -1
"""In place of a label's code: the path is over."""


@dataclass(frozen=True, eq=False)
class PathRows:
    """Paths, one a row, of anchors whose paths can no longer grow."""

    labels: list[str]
    """Labels by code, sorted."""
    codes: Int32
    """By path and level; level 0 is the anchor, NOTHING after the last event."""
    stops: Int64
    """By path: the level of the last event, where that is the definition's `end`; else -1."""
    ts: Int64
    """By path and level, microseconds; meaningless where there is no event."""
    person: Int64
    """By path: a number for the person."""
    anchors: int
    """Mature anchors; more than paths where paths must reach `end`."""
    open_anchors: int
    left_out: LeftOut


@dataclass(frozen=True, eq=False)
class _Runs:
    """Runs of equal events (single events without `collapse`), by person and time."""

    person: Int64
    session: Int64
    ts: Int64
    code: Int32
    mask: Int32


def path_rows(
    events: Events,
    definition: Paths,
    *,
    as_of: datetime,
    first: date | None,
    last: date | None,
    timezone: str,
) -> PathRows:
    """The paths of a definition whose funnel, if any, is not only named.

    Raises:
        EventsError, PropertyError, ValueError: see `paths.paths`.
    """
    matching, waiting = _matching(events, definition, as_of=as_of, first=first, last=last, timezone=timezone)
    named = matching.drop_nulls(["person", "ts"])
    left_out = LeftOut(
        matching["person"].null_count(), matching.filter(pl.col("person").is_not_null())["ts"].null_count()
    )
    labels = named["label"].unique().sort().to_list()
    runs = _runs(named, labels, definition)
    anchors = _anchors(runs, definition, time_range(first, last, timezone))
    mature = np.ones(len(anchors), np.bool_)
    if not definition.backwards:
        horizon = window_microseconds(definition.gap) * (definition.steps + 1)
        if definition.window is not None:
            horizon = min(horizon, window_microseconds(definition.window))
        mature = runs.ts[anchors] <= microseconds(as_of) - horizon
    ripe = anchors[mature]
    codes, ts = _followed(runs, ripe, definition)
    stops = np.full(len(ripe), -1, np.int64)
    person = runs.person[ripe]
    if definition.start is not None and definition.end is not None:
        stops = _reached(runs, ripe, codes)
        kept = stops > 0
        codes, ts, stops, person = codes[kept], ts[kept], stops[kept], person[kept]
        codes[np.arange(codes.shape[1]) > stops[:, None]] = NOTHING
    return PathRows(
        labels=labels,
        codes=codes,
        stops=stops,
        ts=ts,
        person=person,
        anchors=len(ripe),
        open_anchors=int((~mature).sum()) + waiting,
        left_out=left_out,
    )


def _matching(
    events: Events,
    definition: Paths,
    *,
    as_of: datetime,
    first: date | None,
    last: date | None,
    timezone: str,
) -> tuple[pl.DataFrame, int]:
    """`person`, `ts`, `mask`, `label` of the events of paths, and the funnel's open attempts."""
    columns = events.lazy().collect_schema().names()
    groups: list[Sequence[Step | Match]] = [
        definition.events,
        _starts(definition),
        () if definition.end is None else (definition.end,),
        [Match(event=name) for name in definition.without],
    ]
    matching = matching_rows(
        events,
        groups,
        as_of=as_of,
        sources=definition.sources,
        extra={"label": _label(definition, columns)},
    )
    mask = pl.col("mask")
    waiting = 0
    if isinstance(definition.funnel, Funnel):
        result = funnel(events, definition.funnel, as_of=as_of, first=first, last=last, timezone=timezone)
        made = f"ts_{definition.step}"
        chosen = result.persons_at(definition.step, dropped=definition.outcome == "dropped")
        if definition.outcome == "continued":
            chosen = chosen.filter(pl.col("step_reached") > definition.step)
        waiting = result.persons_at(definition.step, still_open=True).height
        at = chosen.select("person", pl.col(made).alias("ts"))
        # Only events of the step can be anchors, and they are few: the others need no join.
        serving = matching.filter(mask & START != 0)
        anchors = serving.join(at, on=["person", "ts"], how="semi")
        others = serving.join(at, on=["person", "ts"], how="anti", nulls_equal=False).with_columns(
            (mask - START).cast(pl.Int32).alias("mask")
        )
        matching = pl.concat([matching.filter(mask & START == 0), anchors, others])
    counted = (mask & COUNTED != 0) & (mask & LEFT_OUT == 0)
    return matching.filter(counted | (mask & (START | END) != 0)), waiting


def _starts(definition: Paths) -> Sequence[Step]:
    if isinstance(definition.funnel, Funnel):
        steps = definition.funnel.steps
        return steps if definition.funnel.order == "any" else steps[definition.step - 1 : definition.step]
    return () if definition.start is None else (definition.start,)


def _label(definition: Paths, columns: Sequence[str]) -> pl.Expr:
    name = pl.col("event")
    label = name
    if definition.by is not None:
        value = property_text(definition.by, columns)
        label = pl.coalesce(url_path(value) if definition.urls else value, name)
    for group in reversed(definition.groups):
        fits = pl.coalesce(_ungrouped(definition, columns), name).str.contains(group.regex)
        label = pl.when(fits).then(pl.lit(group.shown)).otherwise(label)
    label = label.fill_null("")
    return pl.when(label.is_in([OTHER, ENDED, BEGAN])).then(pl.format('"{}"', label)).otherwise(label)


def _ungrouped(definition: Paths, columns: Sequence[str]) -> pl.Expr:
    """What the patterns of groups are compared with."""
    if definition.by is None:
        return pl.col("event")
    value = property_text(definition.by, columns)
    return url_path(value) if definition.urls else value


def _runs(named: pl.DataFrame, labels: list[str], definition: Paths) -> _Runs:
    mask = pl.col("mask")
    anchor_rank = 2 if definition.backwards else 0
    rank = pl.when(mask & START != 0).then(anchor_rank).when(mask & END != 0).then(2).otherwise(1)
    # Whose number is whose does not matter, so persons need no order of their own.
    persons = named.select("person").unique().with_row_index("number")
    rows = (
        named.join(persons, on="person", how="left")
        .select(
            "number",
            "ts",
            rank.cast(pl.Int8).alias("rank"),
            pl.col("label").cast(pl.Enum(labels)).to_physical().cast(pl.Int32),
            "mask",
        )
        .sort("number", "ts", "rank", "label", "mask")
    )
    ts = rows["ts"].to_physical().to_numpy()
    code, flags = rows["label"].to_numpy(), rows["mask"].to_numpy()
    new_person = (rows["number"] != rows["number"].shift()).fill_null(value=True).to_numpy()
    if not len(ts):
        nothing = np.empty(0, np.int64)
        return _Runs(nothing, nothing, nothing, nothing.astype(np.int32), nothing.astype(np.int32))
    begins = after_pause(ts, new_person, definition.gap)
    person, session = np.cumsum(new_person) - 1, np.cumsum(begins) - 1
    if not definition.collapse:
        return _Runs(person, session, ts, code, flags)
    begins[1:] |= code[1:] != code[:-1]
    at = np.flatnonzero(begins)
    return _Runs(person[at], session[at], ts[at], code[at], np.bitwise_or.reduceat(flags, at))


def _anchors(runs: _Runs, definition: Paths, span: tuple[int, int]) -> Int64:
    if definition.funnel is not None or definition.start is not None:
        chosen = runs.mask & START != 0
        if definition.funnel is not None and len(chosen):
            # Another event of the step at the very same time is the same moment.
            same = (runs.person[1:] == runs.person[:-1]) & (runs.ts[1:] == runs.ts[:-1])
            chosen[1:] &= ~(same & chosen[:-1])
    elif definition.end is not None:
        chosen = runs.mask & END != 0
    else:
        chosen = np.diff(runs.session, prepend=-1) != 0
    if definition.funnel is None:
        chosen &= (runs.ts >= span[0]) & (runs.ts <= span[1])
    anchors = np.flatnonzero(chosen)
    if definition.occurrence == "first":
        anchors = anchors[np.diff(runs.person[anchors], prepend=-1) != 0]
    return anchors


def _followed(runs: _Runs, anchors: Int64, definition: Paths) -> tuple[Int32, Int64]:
    """Codes and times by path and level."""
    codes = np.full((len(anchors), definition.steps + 1), NOTHING, np.int32)
    ts = np.zeros(codes.shape, np.int64)
    for level in range(definition.steps + 1):
        at = anchors + (-level if definition.backwards else level)
        inside = (at >= 0) & (at < len(runs.ts))
        at = np.where(inside, at, 0)
        if not len(at):
            break
        inside &= runs.session[at] == runs.session[anchors]
        if definition.window is not None:
            inside &= np.abs(runs.ts[at] - runs.ts[anchors]) <= window_microseconds(definition.window)
        codes[inside, level] = runs.code[at[inside]]
        ts[inside, level] = runs.ts[at[inside]]
    return codes, ts


def _reached(runs: _Runs, anchors: Int64, codes: Int32) -> Int64:
    """The first level after the anchor with an `end` event; -1 if there is none."""
    stops = np.full(len(anchors), -1, np.int64)
    for level in range(codes.shape[1] - 1, 0, -1):
        here = np.flatnonzero(codes[:, level] != NOTHING)
        here = here[runs.mask[anchors[here] + level] & END != 0]
        stops[here] = level
    return stops
