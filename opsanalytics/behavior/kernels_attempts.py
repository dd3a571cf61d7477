"""Attempts one by one, for everything beyond the plain ordered funnel. Compiled by Numba.

Times are microseconds; rows of one person lie together, in order
of time and, at equal times, of mask. `mask` has a bit a step (bit 0 is step 1) and above these a bit an
exclusion. Each attempt is followed by itself, through lists of the rows that match each bit, so a
person's cost grows with entries times steps, not with the square of the events.
"""

from typing import Any

import numpy as np

from opsanalytics.behavior.kernels_follow import (
    first_of_each,
    follow,
    follow_any,
    follow_strict,
    follow_tied,
    reach,
)
from opsanalytics.behavior.kernels_rows import NEVER, at_or_after, list_rows
from opsanalytics.compilation import compiled, inner

ORDERED, STRICT, ANY = 0, 1, 2
FURTHEST, FIRST_ENTRY, EARLIEST_ENTRY, EARLIEST_OF_COMPLETION = 0, 1, 2, 3
VANISHED = -1
"""Furthest step of a person whose furthest attempts were all excluded."""


@inner
def excluded_at(
    ts: Any, flat: Any, start: Any, steps: int, spans: Any, depth: int, last: int, grace: int, times: Any
) -> int:
    """Time of the first event that excludes an attempt; NEVER if none does.

    `spans[e]` are the steps (from, to) of exclusion e.
    """
    first = NEVER
    for e in range(len(spans)):
        a = spans[e, 0]
        b = spans[e, 1]
        if depth < a:
            continue
        while times[a] == NEVER:
            a -= 1
        while b <= depth and times[b] == NEVER:
            b += 1
        p = at_or_after(ts, flat, start[steps + e], start[steps + e + 1], times[a] + grace + 1)
        if p == start[steps + e + 1]:
            continue
        x = ts[flat[p]]
        if (x < times[b] - grace if b <= depth else x <= last) and (first == NEVER or x < first):
            first = x
    return first


@compiled
def fold_attempts(
    ts: Any,
    mask: Any,
    floors: Any,
    entries: Any,
    ends: Any,
    last_entry: Any,
    window: int,
    steps: int,
    order: int,
    choice: int,
    grace: int,
    unique: bool,
    vanish: bool,
    ties: bool,
    repeats: bool,
    sequence: bool,
    optional: Any,
    within: Any,
    after: Any,
    spans: Any,
    unit: Any,
    reached: Any,
    step_times: Any,
) -> int:
    """Evaluate units: attempts of one person, whose rows are floors[u] to ends[u].

    Attempts start from row entries[u] to the time last_entry[u]. One result a unit, in `reached` (VANISHED,
    or the furthest step) and `step_times` (NEVER: step left out), `unit` its number; with `sequence`
    one a counted attempt, where the next attempt starts after the end of the one before. Returns how many.
    """
    bits = steps + len(spans)
    flat = np.empty(1024, np.int64)
    start = np.zeros(bits + 1, np.int64)
    cursor = np.zeros(steps, np.int64)
    times = np.full(steps + 2, NEVER, np.int64)
    rows = np.empty(steps + 1, np.int64)
    best_times = np.empty(steps + 1, np.int64)
    following = np.empty(0, np.int64)
    parent = np.empty(0, np.int64)
    visited = np.empty(0, np.int64)
    cells = steps * steps + 1
    scratch = (
        np.empty(cells, np.int32),
        np.empty(cells, np.int64),
        np.empty(cells, np.int64),
        np.empty(steps + 1, np.int64),
        np.empty(cells, np.int64),
        np.empty(steps + 1, np.int64),
        np.empty(steps + 1, np.int64),
    )
    limited = False
    skipping = False
    limits = np.empty(steps + 1, np.int64)
    # Whether an attempt gets as far as one that enters later, up to the next step 2 and without exclusions.
    later_is_better = order == ORDERED and not sequence and choice == FURTHEST and grace == 0
    met = np.zeros(len(spans), np.int64)
    for s in range(2, steps + 1):
        later_is_better = later_is_better and within[s] < 0 and after[s] == 0 and not optional[s]
        limited = limited or within[s] >= 0
        skipping = skipping or optional[s]
        limits[s] = within[s] if within[s] >= 0 else window
    entering = 1 if order != ANY else (1 << steps) - 1
    stepping = (1 << steps) - 1
    written = 0
    overlap = False
    for u in range(len(entries)):
        if u == 0 or floors[u] != floors[u - 1] or ends[u] != ends[u - 1]:
            # Strict attempts look at neighbours alone.
            if order != STRICT or len(spans):
                flat = list_rows(mask, floors[u], ends[u], bits, flat, start)
            for s in range(steps):
                cursor[s] = start[s]
            for e in range(len(spans)):
                met[e] = start[steps + e]
            overlap = False
            for i in range(floors[u], ends[u]):
                own = mask[i] & stepping
                overlap = overlap or (own & (own - 1)) != 0
        if limited:
            total = start[steps] + 1
            if total > len(parent):
                following = np.empty(2 * total, np.int64)
                parent = np.empty(2 * total, np.int64)
                visited = np.empty(2 * total, np.int64)
            for p in range(total):
                following[p] = p
        best = 0
        furthest = 0
        free_from = NEVER
        group = -1
        end = ends[u]
        backwards = limited and not sequence and choice != FIRST_ENTRY
        first = entries[u]
        stop = first
        while stop < end and ts[stop] <= last_entry[u]:
            stop += 1
        i = stop - 1 if backwards else first
        while first <= i < stop:
            j = i
            if backwards:
                i -= 1
            else:
                i += 1
                # Of equal times without overlap one entry is as good as another.
                if order == ANY or not overlap or (grace == 0 and unique and not skipping and not limited):
                    while i < stop and ts[i] == ts[j] and (mask[j] & entering) != 0:
                        i += 1
            if (mask[j] & entering) == 0 or ts[j] < free_from:
                continue
            t = ts[j]
            done = not sequence and best == steps and not backwards
            if done and (choice == EARLIEST_ENTRY or t > best_times[steps] + grace):
                break
            last = t + window
            if group < 0 or ts[group] != t:
                group = j
                while group > floors[u] and ts[group - 1] == t:
                    group -= 1
            x = NEVER
            repeated = False
            if order == STRICT and repeats and not sequence and choice == FURTHEST and j + 1 < stop:
                # The next event is a later entry, and this attempt would overlook it as a repeat: it gets as
                # far and no later, so that following this one too would square the cost of long runs.
                repeated = mask[j + 1] & 3 == 1 and j == group and ts[j + 1] > t
                repeated = repeated and (j + 2 == end or ts[j + 2] > ts[j + 1]) and ts[j + 1] <= last
                if repeated and best > 0:
                    continue
            if later_is_better and not overlap and j + 1 < stop and mask[j + 1] == 1 and ts[j + 1] > t:
                # The next event is a later entry, whose attempt has the same steps: as far and no later,
                # unless an exclusion tells them apart.
                repeated = j + 2 == end or ts[j + 2] > ts[j + 1]
                for e in range(len(spans)):
                    p = met[e]
                    while p < start[steps + e + 1] and ts[flat[p]] <= t:
                        p += 1
                    met[e] = p
                    repeated = repeated and (p == start[steps + e + 1] or ts[flat[p]] > ts[j + 1] + window)
                if repeated and best > 0:
                    continue
            # The next event is no step 2, and neither shares its time with others: nothing to follow.
            lone = j == group and (
                j + 1 == end
                or (ts[j + 1] > t and mask[j + 1] & 2 == 0 and (j + 2 == end or ts[j + 2] > ts[j + 1]))
            )
            alone = repeated or (order == STRICT and not repeats and lone)
            alone = alone and (order == ORDERED or len(spans) == 0)
            if order == ANY:
                for e in range(len(spans)):
                    p = at_or_after(ts, flat, start[steps + e], start[steps + e + 1], t + 1)
                    if p < start[steps + e + 1] and (x == NEVER or ts[flat[p]] < x):
                        x = ts[flat[p]]
                if x != NEVER:
                    last = min(last, x)
                if overlap and unique:
                    depth = follow_any(ts, mask, flat, start, group, last, steps, times, scratch)
                else:
                    depth = first_of_each(ts, flat, start, cursor, t, last, steps, times)
            elif alone:
                depth = 1
                times[1] = t
            elif order == STRICT:
                depth = follow_strict(
                    ts, mask, group, end, window, steps, ties, repeats, after, times, rows, scratch
                )
            elif limited:
                depth, size = reach(
                    ts,
                    flat,
                    start,
                    j,
                    window,
                    steps,
                    optional,
                    limits,
                    after,
                    following,
                    parent,
                    visited,
                    times,
                    rows,
                )
                if not backwards:
                    for p in range(size):
                        following[visited[p]] = visited[p]
            elif overlap and unique and grace == 0 and not skipping:
                depth = follow_tied(
                    ts, mask, flat, start, group, end, window, steps, after, times, rows, scratch
                )
            else:
                depth = follow(
                    ts,
                    flat,
                    start,
                    j,
                    window,
                    steps,
                    grace,
                    unique and overlap,
                    optional,
                    after,
                    times,
                    rows,
                )
            if order != ANY and len(spans):
                upto = last
                if order == STRICT and depth < steps:
                    upto = times[steps + 1]
                x = excluded_at(ts, flat, start, steps, spans, depth, upto, grace, times)
                if x != NEVER:
                    furthest = max(furthest, depth)
                    if not vanish:
                        while times[depth] == NEVER or times[depth] > x:
                            depth -= 1
            excluded = x != NEVER and order != ANY
            # Unordered: an attempt that an exclusion met before it was complete is thrown away.
            thrown = order == ANY and vanish and depth < steps and x != NEVER and x <= t + window
            if sequence:
                if excluded or (order == ANY and x != NEVER and depth < steps and x <= t + window):
                    free_from = x
                elif depth == steps:
                    free_from = times[steps] + (1 if overlap or order != ORDERED else 0)
                elif order == STRICT:
                    free_from = times[depth] + 1
                else:
                    free_from = last + 1
                free_from = max(free_from, t + 1)
                if not thrown and not (excluded and vanish):
                    unit[written] = u
                    reached[written] = depth
                    for s in range(1, depth + 1):
                        step_times[written, s - 1] = times[s]
                    written += 1
                continue
            if not thrown and not (excluded and vanish):
                better = depth > best
                if depth == best and choice != EARLIEST_ENTRY:
                    better = times[depth] < best_times[depth] or (
                        times[depth] == best_times[depth]
                        and t >= best_times[1]
                        and choice != EARLIEST_OF_COMPLETION
                    )
                if better:
                    best = depth
                    for s in range(1, depth + 1):
                        best_times[s] = times[s]
            if choice == FIRST_ENTRY:
                break
        if not sequence:
            unit[written] = u
            reached[written] = VANISHED if vanish and furthest > best else best
            if reached[written] > 0:
                for s in range(1, best + 1):
                    step_times[written, s - 1] = best_times[s]
            written += 1
    return written
