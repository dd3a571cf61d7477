"""ClickHouse's `windowFunnel` and its modes, for the preset `clickhouse`. Compiled by Numba.

The function sees pairs (time, condition) of a person in order of
time, then of condition; a row makes a pair with every condition that it meets.
"""

from typing import Any

import numpy as np

from opsanalytics.behavior.kernels_rows import NEVER
from opsanalytics.compilation import compiled, inner

STRICT_ORDER, STRICT_DEDUPLICATION, STRICT_INCREASE, STRICT_ONCE, ALLOW_REENTRY = 1, 2, 4, 8, 16


@inner
def _scan(
    ts: Any, mask: Any, begin: int, end: int, window: int, steps: int, modes: int, found: Any, times: Any
) -> int:
    """Highest level without `strict_once`; writes the times of its first completion into `found`.

    `times[k]` are the times of the sequence that holds level k; `times[k, 0]` is NEVER where none does.
    """
    times[:] = NEVER
    level = 0
    i = begin
    while i < end:
        j = i
        while j < end and ts[j] == ts[i]:
            j += 1
        t = ts[i]
        for k in range(0 if modes & STRICT_ORDER else 1, steps + 1):
            for row in range(i, j):
                if k == 0:
                    if mask[row] == 0 and level > 0:
                        return level
                    continue
                if not (mask[row] >> (k - 1)) & 1:
                    continue
                if k > 1:
                    if modes & STRICT_DEDUPLICATION and times[k, 0] != NEVER:
                        return level
                    if times[k - 1, 0] == NEVER:
                        if modes & STRICT_ORDER and level > 0 and not modes & ALLOW_REENTRY:
                            return level
                        continue
                    if t - times[k - 1, 1] > window or (modes & STRICT_INCREASE and times[k - 1, k - 1] >= t):
                        continue
                    times[k, :k] = times[k - 1, :k]
                times[k, 0] = 0
                times[k, k] = t
                if k > level:
                    level = k
                    found[:k] = times[k, 1 : k + 1]
                    if level == steps:
                        return level
        i = j
    return level


@inner
def _scan_once(
    ts: Any, mask: Any, begin: int, end: int, window: int, steps: int, modes: int, found: Any
) -> int:
    """Highest level with `strict_once`: every sequence is kept, and a row serves one of its levels only.

    Where no row meets two conditions, rows of one time and condition make the same sequences as the first.
    """
    shared = False
    for row in range(begin, end):
        shared = shared or (mask[row] & (mask[row] - 1)) != 0
    row_of = np.empty(64, np.int64)
    before = np.empty(64, np.int64)
    first = np.empty(64, np.int64)
    nodes = 0
    held = np.empty((steps + 1, 16), np.int64)
    count = np.zeros(steps + 1, np.int64)
    level = 0
    i = begin
    while i < end:
        j = i
        while j < end and ts[j] == ts[i]:
            j += 1
        t = ts[i]
        for k in range(0 if modes & STRICT_ORDER else 1, steps + 1):
            served = False
            for row in range(i, j):
                if k == 0:
                    if mask[row] == 0 and level > 0:
                        return level
                    continue
                if not (mask[row] >> (k - 1)) & 1:
                    continue
                if k > 1:
                    if modes & STRICT_DEDUPLICATION and count[k]:
                        return level
                    if not count[k - 1]:
                        if modes & STRICT_ORDER and level > 0 and not modes & ALLOW_REENTRY:
                            return level
                        continue
                if served and not shared:
                    continue
                served = True
                kept = 0
                size = count[k - 1] if k > 1 else 1
                alive = size
                for n in range(size):
                    one = held[k - 1, n] if k > 1 else -1
                    if k > 1:
                        in_time = t - first[one] <= window
                        if not in_time and alive > 1:
                            alive -= 1
                            continue
                        held[k - 1, kept] = one
                        kept += 1
                        used = one
                        while in_time and used >= 0:
                            in_time = row_of[used] != row
                            used = before[used]
                        if not in_time or (modes & STRICT_INCREASE and ts[row_of[one]] >= t):
                            continue
                    if nodes == len(row_of):
                        row_of = np.append(row_of, row_of)
                        before = np.append(before, before)
                        first = np.append(first, first)
                    row_of[nodes] = row
                    before[nodes] = one
                    first[nodes] = t if k == 1 else first[one]
                    if count[k] == held.shape[1]:
                        held = np.concatenate((held, held), axis=1)
                    held[k, count[k]] = nodes
                    count[k] += 1
                    nodes += 1
                    if k > level:
                        level = k
                        node = nodes - 1
                        for s in range(k, 0, -1):
                            found[s - 1] = ts[row_of[node]]
                            node = before[node]
                        if level == steps:
                            return level
                if k > 1:
                    count[k - 1] = kept
        i = j
    return level


@compiled
def fold_window_funnel(
    ts: Any,
    mask: Any,
    begins: Any,
    ends: Any,
    window: int,
    steps: int,
    modes: int,
    reached: Any,
    step_times: Any,
) -> None:
    """One result a unit: the level of the rows begins[u] to ends[u], and the times of its first sequence."""
    times = np.empty((steps + 1, steps + 1), np.int64)
    for u in range(len(begins)):
        if modes & STRICT_ONCE:
            reached[u] = _scan_once(ts, mask, begins[u], ends[u], window, steps, modes, step_times[u])
        else:
            reached[u] = _scan(ts, mask, begins[u], ends[u], window, steps, modes, step_times[u], times)
