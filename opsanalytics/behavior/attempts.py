"""Which attempts a person made, and how far the best one got.

Maturity is a property of attempts, decided by the entry's time alone and never by what came of it: an
attempt is mature when its entry time plus the window lies at or before `as_of`. The mature figures are
the funnel over mature attempts, the open figures the same funnel over the others. A person with attempts
of both kinds is in both, each time with the best attempt of that kind. So an open attempt never counts
as a drop-off; a conversion inside an open window shows in the open figures and nowhere else, since
counting it as mature while those who have not converted yet stay out would flatter the rate.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import date, datetime, timedelta

import numpy as np
import numpy.typing as npt
import polars as pl

from opsanalytics.behavior.periods import day_start
from opsanalytics.behavior.rows import Int32, Int64, PersonRows, is_mature, window_microseconds
from opsanalytics.behavior.spec import Funnel
from opsanalytics.lake.tables import UTC_TIME

PARALLEL_FROM = 20_000
"""Units below which threads cost more than they save."""


def check_range(first: date | None, last: date | None) -> None:
    """Raise ValueError unless `first` and `last` are days, in this order."""
    for name, day in (("first", first), ("last", last)):
        if isinstance(day, datetime):
            raise ValueError(f"{name}: {day} is a time; write a day, date(2026, 9, 1)")
    if first is not None and last is not None and last < first:
        raise ValueError(f"last ({last}) lies before first ({first})")


def entry_rows(rows: PersonRows, *, first: date | None, last: date | None, timezone: str) -> Int64:
    """Numbers of the rows that match step 1 and lie in the local days `first` to `last`, inclusive."""
    chosen = (rows.mask & 1) == 1
    if first is not None:
        chosen &= rows.ts >= day_start(first, timezone)
    if last is not None:
        chosen &= rows.ts < day_start(last + timedelta(days=1), timezone)
    return np.flatnonzero(chosen)


def best_attempts(
    rows: PersonRows,
    definition: Funnel,
    entries: Int64,
    *,
    as_of: datetime,
    bucket: Callable[[pl.Series], pl.Series] | None = None,
) -> pl.DataFrame:
    """The best attempt of each person, apart for mature and open attempts and for each bucket.

    In: `entries`, rows whose events may start an attempt; `bucket` gives the bucket of entry times.
    Out: `person`, `bucket` (only if asked for), `mature`, `step_reached` (Int32), `first_entry_ts` (of
    all these attempts), `entry_ts` (of the best), and `ts_1` (the same), `ts_2`, ... (UTC; null from the
    first step not reached). Sorted by person, bucket, time.
    """
    steps = len(definition.steps)
    person = rows.person_of_row()[entries]
    times = rows.ts[entries]
    mature = is_mature(times, definition.window, as_of)
    buckets = bucket(pl.Series("ts", times).cast(UTC_TIME)) if bucket else None
    keys: list[npt.NDArray[np.generic]] = [person, mature]
    if buckets is not None:
        keys.append(buckets.to_numpy())
    starts = _run_starts(keys)
    stops = np.append(starts[1:], len(entries)) if len(starts) else starts
    unit_person = person[starts]
    reached, step_times = _fold(
        rows,
        floors=rows.offsets[unit_person],
        first_rows=entries[starts],
        ends=rows.offsets[unit_person + 1],
        last_entry=times[stops - 1],
        window=window_microseconds(definition.window),
        steps=steps,
    )
    columns = [rows.persons.gather(unit_person).alias("person")]
    if buckets is not None:
        columns.append(buckets.gather(starts).alias("bucket"))
    columns.append(pl.Series("mature", mature[starts], dtype=pl.Boolean))
    columns.append(pl.Series("step_reached", reached, dtype=pl.Int32))
    columns.append(pl.Series("first_entry_ts", times[starts]).cast(UTC_TIME))
    frame = pl.DataFrame(columns)
    by_step = {
        f"ts_{k}": pl.when(pl.col("step_reached") >= k)
        .then(pl.Series(step_times[:, k - 1], dtype=pl.Int64))
        .cast(UTC_TIME)
        for k in range(1, steps + 1)
    }
    return frame.with_columns(**by_step).select(*frame.columns, pl.col("ts_1").alias("entry_ts"), *by_step)


def _run_starts(keys: list[npt.NDArray[np.generic]]) -> Int64:
    """Where any of the keys differs from the row before."""
    if not len(keys[0]):
        return np.empty(0, np.int64)
    changed = np.ones(len(keys[0]), np.bool_)
    changed[1:] = False
    for key in keys:
        changed[1:] |= key[1:] != key[:-1]
    return np.flatnonzero(changed)


def _fold(
    rows: PersonRows,
    *,
    floors: Int64,
    first_rows: Int64,
    ends: Int64,
    last_entry: Int64,
    window: int,
    steps: int,
) -> tuple[Int32, Int64]:
    units = len(floors)
    reached = np.zeros(units, np.int32)
    step_times = np.zeros((units, steps), np.int64)
    if not units:
        return reached, step_times
    from opsanalytics.behavior.kernels import fold_ordered

    def part(lo: int, hi: int) -> None:
        fold_ordered(
            rows.ts,
            rows.mask,
            floors[lo:hi],
            first_rows[lo:hi],
            ends[lo:hi],
            last_entry[lo:hi],
            window,
            steps,
            reached[lo:hi],
            step_times[lo:hi],
        )

    parts = pl.thread_pool_size() if units >= PARALLEL_FROM else 1
    bounds = np.linspace(0, units, parts + 1, dtype=np.int64).tolist()
    with ThreadPoolExecutor(parts) as pool:
        list(pool.map(part, bounds[:-1], bounds[1:]))
    return reached, step_times
