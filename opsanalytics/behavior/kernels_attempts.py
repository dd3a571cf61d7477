"""Attempts one by one, for everything beyond the plain ordered funnel. Compiled by Numba.

Self-contained, as `compilation` says why. Times are microseconds; rows of one person lie together, in order
of time and, at equal times, of mask. `mask` has a bit a step (bit 0 is step 1) and above these a bit an
exclusion. Each attempt is followed by itself, through lists of the rows that match each bit, so a
person's cost grows with entries times steps, not with the square of the events.
"""

from typing import Any

import numpy as np

from opsanalytics.behavior.kernels import NEVER
from opsanalytics.compilation import compiled, inner

ORDERED, STRICT, ANY = 0, 1, 2
FURTHEST, FIRST_ENTRY, EARLIEST_ENTRY, EARLIEST_OF_COMPLETION = 0, 1, 2, 3
VANISHED = -1
"""Furthest step of a person whose furthest attempts were all excluded."""


@inner
def _list_rows(mask: Any, begin: int, end: int, bits: int, flat: Any, start: Any) -> Any:
    """Rows by bit: those of bit s are flat[start[s]:start[s + 1]]. Returns `flat`, a larger one if needed."""
    for s in range(bits + 1):
        start[s] = 0
    for i in range(begin, end):
        left = mask[i]
        s = 0
        while left and s < bits:
            start[s + 1] += left & 1
            left >>= 1
            s += 1
    for s in range(bits):
        start[s + 1] += start[s]
    if start[bits] > len(flat):
        flat = np.empty(2 * start[bits], np.int64)
    fill = start.copy()
    for i in range(begin, end):
        left = mask[i]
        s = 0
        while left and s < bits:
            if left & 1:
                flat[fill[s]] = i
                fill[s] += 1
            left >>= 1
            s += 1
    return flat


@inner
def _at_or_after(ts: Any, flat: Any, low: int, high: int, bound: int) -> int:
    """First position in flat[low:high] whose row is not before `bound`."""
    while low < high:
        middle = (low + high) // 2
        if ts[flat[middle]] < bound:
            low = middle + 1
        else:
            high = middle
    return low


@inner
def _give(root: int, pool: Any, size: int, owner: Any, held: Any, came: Any, queue: Any) -> bool:
    """Give step `root` an event of the pool, moving other steps to other events if that helps.

    An augmenting path in the bipartite graph of steps and events, breadth first.
    """
    for c in range(size):
        came[c] = -1
    queue[0] = root
    head = 0
    tail = 1
    while head < tail:
        s = queue[head]
        head += 1
        for c in range(size):
            if came[c] == -1 and (pool[c] >> (s - 1)) & 1:
                came[c] = s
                if owner[c] == 0:
                    free = c
                    while True:
                        taker = came[free]
                        given_up = held[taker]
                        owner[free] = taker
                        held[taker] = free
                        if taker == root:
                            return True
                        free = given_up
                queue[tail] = owner[c]
                tail += 1
    return False


@inner
def _run(mask: Any, begin: int, end: int, a: int, steps: int, after: Any, rows: Any, scratch: Any) -> int:
    """How far an attempt at step `a` gets with rows of one time, each serving one step.

    Writes the rows of the steps from a + 1 on into `rows`. Steps with a shortest time need a later event.
    """
    pool, at, owner, came, held, queue, supply = scratch
    for s in range(steps + 1):
        supply[s] = 0
    size = 0
    # A step that `steps` events could serve always finds one left, so more of them change nothing.
    for i in range(begin, end):
        wanted = False
        for s in range(a + 1, steps + 1):
            if (mask[i] >> (s - 1)) & 1 and supply[s] < steps:
                wanted = True
        if wanted:
            for s in range(a + 1, steps + 1):
                supply[s] += (mask[i] >> (s - 1)) & 1
            pool[size] = mask[i]
            at[size] = i
            owner[size] = 0
            size += 1
    for s in range(steps + 1):
        held[s] = -1
    b = a
    while b < steps and (b == a or after[b + 1] == 0):
        if not _give(b + 1, pool, size, owner, held, came, queue):
            break
        b += 1
    for s in range(a + 1, b + 1):
        rows[s] = at[held[s]]
    return b


@inner
def _unused(flat: Any, p: int, high: int, depth: int, times: Any, rows: Any) -> int:
    """First position in flat[p:high] whose row serves none of the steps made."""
    while p < high:
        free = True
        for done in range(1, depth + 1):
            if times[done] != NEVER and rows[done] == flat[p]:
                free = False
        if free:
            break
        p += 1
    return p


@inner
def _follow(
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
    depth = 1
    previous = times[1]
    while depth < steps:
        step = 0
        found = -1
        s = depth + 1
        while True:
            bound = previous + after[s] if after[s] else previous - grace
            high = start[s]
            p = _at_or_after(ts, flat, start[s - 1], high, bound)
            if unique:
                p = _unused(flat, p, high, depth, times, rows)
            if p < high and ts[flat[p]] <= last and (found < 0 or ts[flat[p]] < ts[found]):
                step = s
                found = flat[p]
            elif p < high and flat[p] == found:
                # The event would serve an optional step and this one, which has it if no other is there.
                p = _unused(flat, p + 1, high, depth, times, rows)
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
    return depth


@inner
def _follow_tied(
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
        reached = _run(mask, i, j, depth, steps, after, rows, scratch)
        for s in range(depth + 1, reached + 1):
            times[s] = ts[i]
        depth = reached
        if depth == steps:
            break
        bound = max(ts[i] + 1, times[depth] + after[depth + 1])
        p = _at_or_after(ts, flat, start[depth], start[depth + 1], bound)
        if p == start[depth + 1] or ts[flat[p]] > last:
            break
        i = flat[p]
        while ts[i - 1] == ts[i]:
            i -= 1
    return depth


@inner
def _follow_strict(
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
    here = _run(mask, entry, first_end, 0, steps, after, rows, scratch)
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
            reached = _run(mask, i, j, depth, steps, after, trial_rows, scratch)
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
def _first_of_each(
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
def _follow_any(
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
        p = _at_or_after(ts, flat, start[s - 1], start[s], t)
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
            if held[s] < 0 and _give(s, pool, count, owner, held, came, queue):
                found += 1
                times[found] = ts[candidates[c]]
                break
    return found


@inner
def _excluded_at(
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
        p = _at_or_after(ts, flat, start[steps + e], start[steps + e + 1], times[a] + grace + 1)
        if p == start[steps + e + 1]:
            continue
        x = ts[flat[p]]
        if (x < times[b] - grace if b <= depth else x <= last) and (first == NEVER or x < first):
            first = x
    return first


@inner
def _unvisited(following: Any, p: int) -> int:
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
def _reach(
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
    root = start[0] + np.searchsorted(flat[start[0] : start[1]], entry)
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
                q = _unvisited(following, _at_or_after(ts, flat, start[v - 1], high, t + after[v]))
                while q < high and ts[flat[q]] <= to:
                    used = p
                    while flat[used] != flat[q] and parent[used] != used:
                        used = parent[used]
                    if flat[used] == flat[q]:
                        q = _unvisited(following, q + 1)
                        continue
                    parent[q] = p
                    following[q] = q + 1
                    visited[size] = q
                    size += 1
                    if v > depth or ts[flat[q]] < ts[flat[best]]:
                        depth = v
                        best = q
                    q = _unvisited(following, q)
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
    for s in range(2, steps + 1):
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
                flat = _list_rows(mask, floors[u], ends[u], bits, flat, start)
            for s in range(steps):
                cursor[s] = start[s]
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
            # The next event is no step 2, and neither shares its time with others: nothing to follow.
            lone = j == group and (
                j + 1 == end
                or (ts[j + 1] > t and mask[j + 1] & 2 == 0 and (j + 2 == end or ts[j + 2] > ts[j + 1]))
            )
            if order == ANY:
                for e in range(len(spans)):
                    p = _at_or_after(ts, flat, start[steps + e], start[steps + e + 1], t + 1)
                    if p < start[steps + e + 1] and (x == NEVER or ts[flat[p]] < x):
                        x = ts[flat[p]]
                if x != NEVER:
                    last = min(last, x)
                if overlap and unique:
                    depth = _follow_any(ts, mask, flat, start, group, last, steps, times, scratch)
                else:
                    depth = _first_of_each(ts, flat, start, cursor, t, last, steps, times)
            elif len(spans) == 0 and (repeated or (order == STRICT and not repeats and lone)):
                depth = 1
                times[1] = t
            elif order == STRICT:
                depth = _follow_strict(
                    ts, mask, group, end, window, steps, ties, repeats, after, times, rows, scratch
                )
            elif limited:
                depth, size = _reach(
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
                depth = _follow_tied(
                    ts, mask, flat, start, group, end, window, steps, after, times, rows, scratch
                )
            else:
                depth = _follow(
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
                x = _excluded_at(ts, flat, start, steps, spans, depth, upto, grace, times)
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
