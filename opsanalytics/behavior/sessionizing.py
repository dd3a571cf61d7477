"""Where one session ends and the next begins: the one place that says so.

Funnels that count sessions, friction, session reports and paths all cut by pauses here. A pause as long as
the gap belongs to the session; only a longer one ends it (as behavioural tools for DuckDB and ClickHouse do;
Amplitude and GA4 count alike to the second).
"""

from datetime import timedelta

import numpy as np
import numpy.typing as npt
import polars as pl

from opsanalytics.behavior.periods import period_number
from opsanalytics.behavior.rows import Int64, window_microseconds
from opsanalytics.lake.tables import UTC_TIME


def session_number(ts: pl.Expr, gap: timedelta) -> pl.Expr:
    """Number of the session, from 0, of a person's events in order of time; use it `.over("person")`."""
    pause = ts.cast(UTC_TIME).diff() > gap
    return pause.fill_null(False).cast(pl.Int64).cum_sum()


def after_pause(ts: Int64, first_of_person: npt.NDArray[np.bool_], gap: timedelta) -> npt.NDArray[np.bool_]:
    """Whether each event begins a session, as `session_number` has it, of rows sorted by person and time.

    In: `ts` in microseconds; `first_of_person`, whether the row is the first of its person.
    """
    begins = first_of_person.copy()
    begins[1:] |= np.diff(ts) > window_microseconds(gap)
    return begins


def local_days(ts: pl.Series, timezone: str) -> npt.NDArray[np.int32]:
    """Numbers of the local days of UTC time stamps: two that differ have a midnight between them."""
    return ts.to_frame("ts").select(period_number(pl.col("ts"), "day", timezone=timezone))["ts"].to_numpy()


def firsts(offsets: Int64) -> npt.NDArray[np.bool_]:
    """Whether each row is the first of its group; `offsets` as in `PersonRows`, no group empty."""
    begins = np.zeros(int(offsets[-1]), np.bool_)
    begins[offsets[:-1]] = True
    return begins
