"""Periods of the rows of the index: when in a UTC day the local period changes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
import numpy.typing as npt
import polars as pl

from opsanalytics.behavior.periods import day_start
from opsanalytics.lake.tables import UTC_TIME

DAY = 86_400
STEP = 60
"""Seconds between two looks. No clock change lets a local day last less than this."""


@dataclass(frozen=True, eq=False)
class DayPeriods:
    """From `edges[i]` to the next edge (microseconds since 1970, UTC) the period has the place `slots[i]` in
    the ascending `numbers` of all periods."""

    edges: npt.NDArray[np.int64]
    slots: npt.NDArray[np.int64]


def periods_of_days(
    days: Sequence[date], number: Callable[[pl.Expr], pl.Expr]
) -> tuple[npt.NDArray[np.int32], list[DayPeriods]]:
    """The numbers of all periods that these UTC days lie in, ascending; and when they change, day by day.

    `number` gives the number of the period of every time stamp; see `periods.period_number`.
    """
    if not days:
        return np.empty(0, np.int32), []
    begins = np.array([day_start(day, "UTC") // 1_000_000 for day in days], np.int64)
    looks = begins[:, None] + np.arange(0, DAY + STEP, STEP, dtype=np.int64)
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
    numbers = np.unique(found)
    changed = np.split(np.arange(len(row)), np.searchsorted(row, np.arange(1, len(days))))
    by_day = []
    for i, places in enumerate(changed):
        edges = np.concatenate([begins[i : i + 1], after[places]]) * 1_000_000
        own = np.concatenate([found[i, :1], found[i, column[places] + 1]])
        by_day.append(DayPeriods(edges, np.searchsorted(numbers, own).astype(np.int64)))
    return numbers, by_day


def _numbers(seconds: npt.NDArray[np.int64], number: Callable[[pl.Expr], pl.Expr]) -> npt.NDArray[np.int32]:
    ts = pl.Series("ts", seconds * 1_000_000).cast(UTC_TIME).to_frame()
    return ts.select(number(pl.col("ts"))).to_series().to_numpy()
