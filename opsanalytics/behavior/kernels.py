"""The plain ordered fold, compiled by Numba. Plain arrays in, plain arrays out.

Times are microseconds since 1970 (int64). `mask` has one bit a step: bit 0 is step 1. Rows of one person
lie together, in order of time; rows of equal time may come in any order and give the same result.
"""

from typing import Any

import numpy as np

from opsanalytics.behavior.kernels_rows import NEVER, give
from opsanalytics.compilation import compiled, inner


@inner
def _advance_one(t: int, mask: int, may_enter: bool, window: int, steps: int, entry: Any, times: Any) -> int:
    """Fold one event that shares its time with no other. Returns the furthest step that it served.

    `entry[k]` is the entry time of the newest attempt that has reached step k: no older one can get
    further, since it has less of its window left. `times[k]` are the times of that attempt's steps.
    From the last step to the first, so that the event serves one step only.
    """
    reached = 0
    for k in range(steps, 1, -1):
        if (mask >> (k - 1)) & 1 and entry[k - 1] > entry[k] and t - entry[k - 1] <= window:
            entry[k] = entry[k - 1]
            for s in range(1, k):
                times[k, s] = times[k - 1, s]
            times[k, k] = t
            reached = max(reached, k)
    if mask & 1 and may_enter:
        entry[1] = t
        times[1, 1] = t
        reached = max(reached, 1)
    return reached


@inner
def _advance_tied(
    t: int, masks: Any, may_enter: bool, window: int, steps: int, entry: Any, times: Any
) -> int:
    """Fold events of equal time, taken in the order that gets every attempt furthest.

    An attempt at step a reaches step b if the steps a+1 to b can each be given an event of their own.
    """
    pool = np.empty(steps * steps, np.int32)
    supply = np.zeros(steps + 1, np.int64)
    size = 0
    # A step that `steps` events could serve always finds one left, so more of them change nothing.
    for i in range(len(masks)):
        mask = masks[i]
        wanted = False
        for s in range(1, steps + 1):
            if (mask >> (s - 1)) & 1 and supply[s] < steps:
                wanted = True
        if wanted:
            for s in range(1, steps + 1):
                if (mask >> (s - 1)) & 1:
                    supply[s] += 1
            pool[size] = mask
            size += 1
    owner = np.empty(size, np.int64)
    came = np.empty(size, np.int64)
    held = np.empty(steps + 1, np.int64)
    queue = np.empty(steps + 1, np.int64)
    reached = 0
    # From the furthest attempt to a new one, so that each starts from where it was before this time.
    for a in range(steps - 1, -1, -1):
        start = entry[a] if a > 0 else (t if may_enter else NEVER)
        if start == NEVER or t - start > window or entry[a + 1] >= start:
            continue
        for c in range(size):
            owner[c] = 0
        for s in range(steps + 1):
            held[s] = -1
        b = a
        while b < steps and give(b + 1, pool, size, owner, held, came, queue):
            b += 1
        for k in range(a + 1, b + 1):
            if start > entry[k]:
                entry[k] = start
                for s in range(1, a + 1):
                    times[k, s] = times[a, s]
                for s in range(a + 1, k + 1):
                    times[k, s] = t
                reached = max(reached, k)
    return reached


@compiled
def fold_ordered(
    ts: Any,
    mask: Any,
    floors: Any,
    entries: Any,
    ends: Any,
    last_entry: Any,
    window: int,
    steps: int,
    reached: Any,
    step_times: Any,
) -> None:
    """Ordered funnel, one result a unit: attempts of one person, whose rows are `floors[u]` to `ends[u]`.

    Only the events of step 1 from row `entries[u]` to the time `last_entry[u]` start attempts. Writes the
    furthest step into `reached[u]`, and the times of the earliest such completion (of the latest entry
    that achieves it) into `step_times[u]`.
    """
    entry = np.empty(steps + 1, np.int64)
    times = np.empty((steps + 1, steps + 1), np.int64)
    for u in range(len(entries)):
        for k in range(steps + 1):
            entry[k] = NEVER
        best = 0
        i = entries[u]
        end = ends[u]
        while i > floors[u] and ts[i - 1] == ts[i]:
            i -= 1
        while i < end and best < steps:
            t = ts[i]
            if t - last_entry[u] > window:
                break
            j = i + 1
            while j < end and ts[j] == t:
                j += 1
            may_enter = t <= last_entry[u]
            if j == i + 1:
                got = _advance_one(t, mask[i], may_enter, window, steps, entry, times)
            else:
                got = _advance_tied(t, mask[i:j], may_enter, window, steps, entry, times)
            if got > best:
                best = got
                for s in range(1, best + 1):
                    step_times[u, s - 1] = times[best, s]
            i = j
        reached[u] = best
