"""One attempt of one person, followed as far as it gets, by each order's rules. Compiled by Numba.

`flat` and `start` are the rows by bit of `list_rows`. Each writes the times of the steps into `times`, from
place 1 on, and returns the furthest step.
"""

from typing import Any

import numpy as np

from opsanalytics.behavior.kernels_rows import NEVER, at_or_after, give, place_of, run, unused
from opsanalytics.compilation import inner


@inner
def follow(
    ts: Any,
    flat: Any,
    start: Any,
    entry: int,
    window: int,
    steps: int,
    grace: int,
    unique: bool,
    optional: Any,
    after: Any,
    times: Any,
    rows: Any,
) -> int:
    """An ordered attempt, each step its earliest event that is still unused (if `unique`)."""
    last = ts[entry] + window
    times[1] = ts[entry]
    rows[1] = entry
    depth: Any = np.int64(1)
    previous = times[1]
    while depth < steps:
        step = 0
        found = -1
        s = depth + 1
        while True:
            bound = previous + after[s] if after[s] else previous - grace
            high = start[s]
            p = at_or_after(ts, flat, start[s - 1], high, bound)
            if unique:
                p = unused(flat, p, high, depth, times, rows)
            if p < high and ts[flat[p]] <= last and (found < 0 or ts[flat[p]] < ts[found]):
                step = s
                found = flat[p]
            elif p < high and flat[p] == found:
                # The event would serve an optional step and this one, which has it if no other is there.
                p = unused(flat, p + 1, high, depth, times, rows)
                if p == high or ts[flat[p]] > ts[found]:
                    step = s
            if not optional[s]:
                break
            s += 1
        if found < 0:
            break
        for skipped in range(depth + 1, step):
            times[skipped] = NEVER
        previous = ts[found]
        times[step] = max(previous, times[depth])
        rows[step] = found
        depth = step
    return int(depth)


@inner
def follow_tied(
    ts: Any,
    mask: Any,
    flat: Any,
    start: Any,
    entry: int,
    end: int,
    window: int,
    steps: int,
    after: Any,
    times: Any,
    rows: Any,
    scratch: Any,
) -> int:
    """An ordered attempt where events may match several steps: equal times are shared out to get furthest."""
    t = ts[entry]
    last = t + window
    i = entry
    depth = 0
    while depth < steps:
        j = i
        while j < end and ts[j] == ts[i]:
            j += 1
        reached = run(mask, i, j, depth, steps, after, rows, scratch)
        for s in range(depth + 1, reached + 1):
            times[s] = ts[i]
        depth = reached
        if depth == steps:
            break
        bound = max(ts[i] + 1, times[depth] + after[depth + 1])
        p = at_or_after(ts, flat, start[depth], start[depth + 1], bound)
        if p == start[depth + 1] or ts[flat[p]] > last:
            break
        i = flat[p]
        while ts[i - 1] == ts[i]:
            i -= 1
    return depth


@inner
def follow_strict(
    ts: Any,
    mask: Any,
    entry: int,
    end: int,
    window: int,
    steps: int,
    ties: bool,
    repeats: bool,
    after: Any,
    times: Any,
    rows: Any,
    scratch: Any,
) -> int:
    """A strict attempt: the steps are neighbours among all events of the person.

    At the time of the entry other events may come before it, at the time of the furthest step after it.
    Writes the time of the event that ended the attempt, or the end of its window, after those of the steps.
    """
    last = ts[entry] + window
    first_end = entry
    while first_end < end and ts[first_end] == ts[entry]:
        first_end += 1
    depth: Any = np.int64(0)
    here = run(mask, entry, first_end, depth, steps, after, rows, scratch)
    trial = np.empty(steps + 1, np.int64)
    trial_rows = np.empty(steps + 1, np.int64)
    best = 0
    for begun in range(1, here + 1):
        for s in range(1, begun + 1):
            trial[s] = ts[entry]
            trial_rows[s] = rows[s]
        depth = begun
        i = first_end
        while depth < steps and i < end and ts[i] <= last:
            j = i
            while j < end and ts[j] == ts[i]:
                j += 1
            reached = run(mask, i, j, depth, steps, after, trial_rows, scratch)
            if reached == depth:
                mixed = False
                for k in range(i + 1, j):
                    mixed = mixed or mask[k] != mask[i]
                if (repeats and j == i + 1 and (mask[i] >> (depth - 1)) & 1) or (ties and mixed):
                    i = j
                    continue
                break
            for s in range(depth + 1, reached + 1):
                trial[s] = ts[i]
            alone = reached - depth == j - i
            depth = reached
            i = j
            if not (alone or ties):
                break
        if depth > best or (depth == best and trial[depth] < times[depth]):
            best = depth
            for s in range(1, depth + 1):
                times[s] = trial[s]
                rows[s] = trial_rows[s]
            times[steps + 1] = min(last, ts[i]) if i < end else last
    return best


@inner
def first_of_each(
    ts: Any, flat: Any, start: Any, cursor: Any, t: int, last: int, steps: int, times: Any
) -> int:
    """Distinct steps from t to `last`, inclusive, in order of time, where no event matches two.

    `cursor[s]` is a position in the rows of bit s before which no row is as late as t; it only moves on.
    """
    found = 0
    for s in range(steps):
        while cursor[s] < start[s + 1] and ts[flat[cursor[s]]] < t:
            cursor[s] += 1
        if cursor[s] == start[s + 1]:
            continue
        made = ts[flat[cursor[s]]]
        if made > last:
            continue
        k = found
        while k > 0 and times[k] > made:
            times[k + 1] = times[k]
            k -= 1
        times[k + 1] = made
        found += 1
    return found


@inner
def follow_any(
    ts: Any,
    mask: Any,
    flat: Any,
    start: Any,
    entry: int,
    last: int,
    steps: int,
    times: Any,
    scratch: Any,
) -> int:
    """Distinct steps between the entry and `last`, inclusive, in the order in which they are first made."""
    t = ts[entry]
    found = 0
    size = 0
    candidates = np.empty(steps * steps, np.int64)
    for s in range(1, steps + 1):
        p = at_or_after(ts, flat, start[s - 1], start[s], t)
        # Later events than the first `steps` of a step are never needed: that many steps take one each.
        for i in range(p, min(start[s], p + steps)):
            if ts[flat[i]] > last:
                break
            k = size
            while k > 0 and candidates[k - 1] > flat[i]:
                candidates[k] = candidates[k - 1]
                k -= 1
            candidates[k] = flat[i]
            size += 1
    pool, _, owner, came, held, queue, _ = scratch
    for s in range(steps + 1):
        held[s] = -1
    count = 0
    for c in range(size):
        if c and candidates[c] == candidates[c - 1]:
            continue
        pool[count] = mask[candidates[c]]
        owner[count] = 0
        count += 1
        for s in range(1, steps + 1):
            if held[s] < 0 and give(s, pool, count, owner, held, came, queue):
                found += 1
                times[found] = ts[candidates[c]]
                break
    return found


@inner
def unvisited(following: Any, p: int) -> int:
    """First position from p on that no attempt has visited."""
    root = p
    while following[root] != root:
        root = following[root]
    while following[p] != root:
        further = following[p]
        following[p] = root
        p = further
    return root


@inner
def reach(
    ts: Any,
    flat: Any,
    start: Any,
    entry: int,
    window: int,
    steps: int,
    optional: Any,
    within: Any,
    after: Any,
    following: Any,
    parent: Any,
    visited: Any,
    times: Any,
    rows: Any,
) -> tuple[int, int]:
    """The furthest sequence from an entry in which each step keeps its shortest and longest time.

    A position visited by an attempt that entered later is not visited again: it led that attempt at
    least as far. Where several events of one time each match several steps, a sequence that needs them
    shared out in one way only may be missed. Returns the furthest step and how many were visited.
    """
    last = ts[entry] + window
    begin = np.zeros(steps + 2, np.int64)
    root = place_of(entry, flat, start[0], start[1])
    parent[root] = root
    visited[0] = root
    size = 1
    begin[2] = 1
    depth = 1
    best = root
    for v in range(2, steps + 1):
        u = v - 1
        while True:
            for i in range(begin[u], begin[u + 1]):
                p = visited[i]
                t = ts[flat[p]]
                high = start[v]
                to = min(last, t + within[v])
                q = unvisited(following, at_or_after(ts, flat, start[v - 1], high, t + after[v]))
                while q < high and ts[flat[q]] <= to:
                    used = p
                    while flat[used] != flat[q] and parent[used] != used:
                        used = parent[used]
                    if flat[used] == flat[q]:
                        q = unvisited(following, q + 1)
                        continue
                    parent[q] = p
                    following[q] = q + 1
                    visited[size] = q
                    size += 1
                    if v > depth or ts[flat[q]] < ts[flat[best]]:
                        depth = v
                        best = q
                    q = unvisited(following, q)
            if u == 1 or not optional[u]:
                break
            u -= 1
        begin[v + 1] = size
    for k in range(1, depth + 1):
        times[k] = NEVER
    s = depth
    p = best
    while True:
        times[s] = ts[flat[p]]
        rows[s] = flat[p]
        if parent[p] == p:
            break
        p = parent[p]
        while p < start[s - 1]:
            s -= 1
    return depth, size
