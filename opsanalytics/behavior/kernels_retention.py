"""Retention by columns of periods, with rolling clocks and minimum occurrences. Compiled by Numba."""

from typing import Any

import numpy as np

from opsanalytics.compilation import compiled

START, RETURN, SAME_NAME = 1, 2, 4
"""Bits of `kind`: a start event, a return event, an event named like the start event."""
FIRST, FIRST_EVER, RECURRING = 0, 1, 2


@compiled
def fold_columns(
    ts: Any,
    kind: Any,
    period: Any,
    begins: Any,
    ends: Any,
    cohorts: Any,
    cohort: int,
    length: int,
    column_of: Any,
    columns: int,
    minimum: int,
    in_one_period: bool,
    unbounded: bool,
    whole_zero: bool,
    amount: Any,
    size: Any,
    latest: Any,
    returned: Any,
    valued: Any,
    total: Any,
) -> None:
    """Count cohorts and returns over persons (rows begins[u] to ends[u], in order of time).

    `cohorts` are the sorted numbers of all periods with a start
    event; `column_of[k]` is the column of period k. With `length` above 0, microseconds, periods roll from
    the start event. Adds to `size[c]` and `returned[c, column]`; `latest[c]` becomes the last start.
    `minimum` returns must come in a column, with `in_one_period` in one of its periods.
    `amount` is a number a row, NaN for none, or empty: those of return events, and with `whole_zero` of the
    start events of column 0, are added to `total[c, column]` and counted in `valued[c, column]`.
    """
    last = len(column_of) - 1
    seen = np.empty(columns, np.int64)
    for u in range(len(begins)):
        i = begins[u]
        end = ends[u]
        if cohort == FIRST_EVER:
            while i < end and not kind[i] & SAME_NAME:
                i += 1
            first = i
            while i < end and ts[i] == ts[first] and not kind[i] & START:
                i += 1
            if i == end or ts[i] != ts[first]:
                continue
        while i < end:
            if not kind[i] & START:
                i += 1
                continue
            own = period[i]
            started = ts[i]
            c = np.searchsorted(cohorts, own)
            size[c] += 1
            latest[c] = max(latest[c], started)
            seen[:] = 0
            running, run = -1, 0
            for j in range(i, end):
                k = (ts[j] - started) // length if length > 0 else period[j] - own
                if k > last:
                    break
                if k < 0:
                    # Where clocks are put back over midnight: the day before the cohort's, once more.
                    continue
                column = column_of[k]
                returns = kind[j] & RETURN and ts[j] > started
                if returns and in_one_period:
                    run = run + 1 if k == running else 1
                    running = k
                    seen[column] = max(seen[column], run)
                elif returns:
                    seen[column] += 1
                counts = returns or (whole_zero and column == 0 and kind[j] & START)
                if counts and len(amount) > 0 and not np.isnan(amount[j]):
                    valued[c, column] += 1
                    total[c, column] += amount[j]
            came = False
            for column in range(columns - 1, -1, -1):
                enough = seen[column] >= (minimum if column > 0 else 1)
                came = enough or (came and unbounded)
                if came or (column == 0 and whole_zero):
                    returned[c, column] += 1
            if cohort != RECURRING:
                break
            while i < end and period[i] == own:
                i += 1
