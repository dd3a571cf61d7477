"""Periods of the rows of the index: when in a UTC day the local period changes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
import numpy.typing as npt
import polars as pl

from opsanalytics.behavior.calendars import Calendar
from opsanalytics.behavior.periods import day_start
from opsanalytics.lake.tables import UTC_TIME

DAY = 86_400
STEP = 60
"""Seconds between two looks. No clock change lets a local day last less than this."""
STEADY_STEP = 3_600
"""The same on a day without clock change: no period is shorter, and none changes twice within."""


@dataclass(frozen=True, eq=False)
class DayPeriods:
    """From `edges[i]` to the next edge (microseconds since 1970, UTC) the period has the place `slots[i]` in
    the ascending `numbers` of all periods."""

    edges: npt.NDArray[np.int64]
    slots: npt.NDArray[np.int64]


def periods_of_days(
    days: Sequence[date], calendar: Calendar
) -> tuple[npt.NDArray[np.int32], list[DayPeriods]]:
    """The numbers of all periods that these UTC days lie in, ascending; and when they change, day by day."""
    if not days:
        return np.empty(0, np.int32), []
    begins = np.array([day_start(day, "UTC") // 1_000_000 for day in days], np.int64)
    steady = _steady(begins, calendar.timezone)
    found: dict[int, tuple[npt.NDArray[np.int64], npt.NDArray[np.int32]]] = {}
    for step, places in ((STEADY_STEP, np.flatnonzero(steady)), (STEP, np.flatnonzero(~steady))):
        if len(places):
            found |= dict(zip(places.tolist(), _changes(begins[places], step, calendar.number), strict=True))
    numbers = np.unique(np.concatenate([own for _, own in found.values()]))
    by_day = [found[place] for place in range(len(days))]
    return numbers, [
        DayPeriods(edges, np.searchsorted(numbers, own).astype(np.int64)) for edges, own in by_day
    ]


def _steady(begins: npt.NDArray[np.int64], timezone: str) -> npt.NDArray[np.bool_]:
    """Whether the clocks of a zone do not change in the days that begin at these seconds."""
    looks = begins[:, None] + np.arange(0, DAY + STEADY_STEP, STEADY_STEP, dtype=np.int64)
    local = pl.Series("ts", looks.ravel() * 1_000_000).cast(UTC_TIME).dt.convert_time_zone(timezone)
    steady = np.ones(len(begins), np.bool_)
    for offset in (local.dt.base_utc_offset(), local.dt.dst_offset()):
        seconds = offset.dt.total_seconds().to_numpy().reshape(looks.shape)
        steady &= (seconds == seconds[:, :1]).all(axis=1)
    return steady


def _changes(
    begins: npt.NDArray[np.int64], step: int, number: Callable[[pl.Expr], pl.Expr]
) -> list[tuple[npt.NDArray[np.int64], npt.NDArray[np.int32]]]:
    """By day the times from which a number counts (microseconds), and the numbers; looked at every `step`
    seconds."""
    looks = begins[:, None] + np.arange(0, DAY + step, step, dtype=np.int64)
    looks[:, -1] = begins + DAY - 1
    found = _numbers(looks.ravel(), number).reshape(looks.shape)
    row, column = np.nonzero(found[:, 1:] != found[:, :-1])
    before, after = looks[row, column], looks[row, column + 1]
    was = found[row, column]
    # Every zone's offsets are whole seconds.
    while (after - before > 1).any():
        middle = (before + after) // 2
        same = _numbers(middle, number) == was
        before, after = np.where(same, middle, before), np.where(same, after, middle)
    changed = np.split(np.arange(len(row)), np.searchsorted(row, np.arange(1, len(begins))))
    return [
        (
            np.concatenate([begins[i : i + 1], after[places]]) * 1_000_000,
            np.concatenate([found[i, :1], found[i, column[places] + 1]]),
        )
        for i, places in enumerate(changed)
    ]


def _numbers(seconds: npt.NDArray[np.int64], number: Callable[[pl.Expr], pl.Expr]) -> npt.NDArray[np.int32]:
    ts = pl.Series("ts", seconds * 1_000_000).cast(UTC_TIME).to_frame()
    return ts.select(number(pl.col("ts"))).to_series().to_numpy()
