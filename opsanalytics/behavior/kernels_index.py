"""Folds over the day segments of the index, range of persons by range of persons. Compiled by Numba.

A segment's rows are sorted by person, time, code. Branches that depend on the events cannot be predicted and
cost more than the arithmetic, so rows are first chosen without any.
"""

from typing import Any

import numpy as np

from opsanalytics.behavior.kernels_rows import NEVER
from opsanalytics.compilation import compiled, inner

FEW = 32
"""Rows that are sorted by insertion."""


@compiled
def begin_classes(event: Any, first_class: Any, out: Any) -> None:
    """The class of each event before its filters are looked at."""
    for i in range(len(event)):
        out[i] = first_class[event[i]]


@compiled
def add_filter(code: Any, row: Any, passes: Any, event: Any, weight: Any, out: Any) -> None:
    """Add a filter to the classes of one segment: `passes[code[row[i]]]` says whether row i passes."""
    for i in range(len(event)):
        added = weight[event[i]]
        if added and passes[code[row[i]]]:
            out[i] += added


@compiled
def add_person_filter(person: Any, passes: Any, event: Any, weight: Any, out: Any) -> None:
    """Add a filter on persons: `passes` by number, that of nobody last."""
    last = len(passes) - 1
    for i in range(len(event)):
        added = weight[event[i]]
        if added and passes[min(np.int64(person[i]), last)]:
            out[i] += added


@compiled
def latest_values(
    person: Any, ts: Any, known: int, until: int, code: Any, row: Any, place: Any, at: Any, value: Any
) -> None:
    """The latest value of each person up to `until`, of equal times the one that sorts last.

    `place[code[row[i]]]` is where the value of row i sorts, 0 for none; `at` and `value` are by person.
    """
    for i in range(known):
        found = place[code[row[i]]]
        if found == 0 or ts[i] > until:
            continue
        u = person[i]
        if value[u] == 0 or ts[i] > at[u] or (ts[i] == at[u] and found > value[u]):
            at[u] = ts[i]
            value[u] = found


@compiled
def values_at(
    person: Any,
    ts: Any,
    wanted: Any,
    known: int,
    classes: Any,
    code: Any,
    row: Any,
    place: Any,
    who: Any,
    when: Any,
    value: Any,
) -> None:
    """Of each pair of person `who` and time `when`, the value of its wanted rows that sorts first; 0: none.

    Pairs are looked up in one segment, by bisection. Rows with a class that is not `wanted` do not count.
    """
    for k in range(len(who)):
        low = 0
        high = known
        while low < high:
            middle = (low + high) // 2
            if person[middle] < who[k] or (person[middle] == who[k] and ts[middle] < when[k]):
                low = middle + 1
            else:
                high = middle
        best = np.int64(0)
        while low < known and person[low] == who[k] and ts[low] == when[k]:
            if wanted[classes[low]]:
                found = np.int64(place[code[row[low]]])
                if found != 0 and (best == 0 or found < best):
                    best = found
            low += 1
        value[k] = best


@compiled
def choose_steps(
    person: Any,
    ts: Any,
    event: Any,
    begin: int,
    end: int,
    low: int,
    step_of: Any,
    until: int,
    at: int,
    who: Any,
    when: Any,
    step: Any,
) -> int:
    """Append the rows of one segment that serve a step, up to `until`, from place `at` on.

    `step_of` gives the step of an event's code, 0 for none; `who` becomes the person less `low`. Returns the
    next place. One row more than there are is written to.
    """
    n = at
    for i in range(begin, end):
        k = step_of[event[i]]
        who[n] = i
        step[n] = k
        n += k != 0
    to = at
    for x in range(at, n):
        i = who[x]
        t = ts[i]
        if t <= until:
            who[to] = person[i] - low
            when[to] = t
            step[to] = step[x]
            to += 1
    return to


@inner
def _tied(
    step: Any, x: int, y: int, u: int, t: int, window: int, steps: int, may_enter: bool, state: Any
) -> int:
    """Take rows x to y of one person and time into the state; the furthest step they make, 0 for none."""
    furthest = 0
    for s in range(1, steps + 1):
        present = False
        for z in range(x, y):
            present = present or step[z] == s
        if present:
            before = state[u, s - 1]
            if s == 1:
                before = t if may_enter else NEVER
            if t - before <= window:
                state[u, s] = before
                furthest = s
    return furthest


@compiled
def fold_steps(
    who: Any,
    when: Any,
    step: Any,
    size: int,
    window: int,
    steps: int,
    enter_from: int,
    enter_to: int,
    state: Any,
    best: Any,
    first: Any,
    entry: Any,
) -> None:
    """Fold chosen rows, in order of time for each person, into the state of persons.

    Attempts start from `enter_from` to `enter_to`, inclusive. `state[u, k]` is the entry of person u's newest
    attempt that has reached step k, NEVER if none: no older one can get further. `best[u]` is the furthest
    step, `first[u]` the first entry, `entry[u]` that of the attempt that got to the furthest step first. At
    equal times, earlier steps go first, which gets every attempt furthest, since each event serves one step.
    """
    x = 0
    while x < size:
        u = who[x]
        t = when[x]
        y = x + 1
        while y < size and when[y] == t and who[y] == u:
            y += 1
        may_enter = (t >= enter_from) & (t <= enter_to)
        if y == x + 1:
            k = np.int64(step[x])
            before = state[u, k - 1]
            entering = t if may_enter else NEVER
            before = entering if k == 1 else before
            follows = t - before <= window
            old = state[u, k]
            state[u, k] = before if follows else old
            further = follows & (k > best[u])
            furthest = np.int64(best[u])
            best[u] = k if further else furthest
            attempt = entry[u]
            entry[u] = before if further else attempt
            begun = first[u]
            first[u] = t if (k == 1) & may_enter & (begun == NEVER) else begun
        else:
            reached = _tied(step, x, y, u, t, window, steps, may_enter, state)
            if first[u] == NEVER and state[u, 1] == t:
                first[u] = t
            if reached > best[u]:
                best[u] = reached
                entry[u] = state[u, reached]
        x = y


@compiled
def fold_reached(
    who: Any,
    when: Any,
    step: Any,
    size: int,
    window: int,
    steps: int,
    enter_from: int,
    enter_to: int,
    state: Any,
    best: Any,
) -> None:
    """As `fold_steps`, for those who only want to know how far each person got: a third of the memory."""
    x = 0
    while x < size:
        u = who[x]
        t = when[x]
        y = x + 1
        while y < size and when[y] == t and who[y] == u:
            y += 1
        may_enter = (t >= enter_from) & (t <= enter_to)
        if y == x + 1:
            k = np.int64(step[x])
            before = state[u, k - 1]
            entering = t if may_enter else NEVER
            before = entering if k == 1 else before
            old = state[u, k]
            state[u, k] = before if t - before <= window else old
        else:
            _tied(step, x, y, u, t, window, steps, may_enter, state)
        x = y
    for u in range(len(best)):
        reached = steps
        while reached and state[u, reached] == NEVER:
            reached -= 1
        best[u] = reached


@compiled
def follow_steps(
    who: Any, when: Any, step: Any, size: int, best: Any, entry: Any, depth: Any, made: Any
) -> None:
    """The times of the attempts that `fold_steps` chose: `made[k - 1, u]` becomes that of step k, from step 1
    at `entry[u]` on the earliest event of each next step. `depth`, by person, starts from 0."""
    x = 0
    while x < size:
        u = who[x]
        t = when[x]
        y = x + 1
        while y < size and when[y] == t and who[y] == u:
            y += 1
        d = int(depth[u])
        if d < best[u] and t >= entry[u]:
            # Of equal times any order is allowed, so that as many steps are made as there are.
            going = True
            while going and d < best[u]:
                going = False
                for z in range(x, y):
                    if step[z] == d + 1:
                        going = True
                if going:
                    made[d, u] = t
                    d += 1
            depth[u] = d
        x = y


@compiled
def choose_rows(
    person: Any,
    ts: Any,
    event: Any,
    begin: int,
    end: int,
    low: int,
    wanted: Any,
    mask_of: Any,
    since: int,
    until: int,
    before: Any,
    count: Any,
    at: int,
    out_person: Any,
    out_ts: Any,
    out_mask: Any,
) -> int:
    """Append rows with a wanted code and a time from `since` to `until`, inclusive, from place `at` on.

    Of rows without a mask only the first that is later than one with a mask, and those at its very time:
    enough to tell that another event came between, at a time of its own or not. `before[p - low]` is the time
    of person p's last row with a mask, NEVER once a later row followed. Adds to `count` how many rows each
    person has, and returns the next place.
    """
    n = at
    for i in range(begin, end):
        code = event[i]
        u = np.int64(person[i]) - low
        t = ts[i]
        mask = mask_of[code]
        out_person[n] = u
        out_ts[n] = t
        out_mask[n] = mask
        candidate = wanted[code] & (t >= since) & (t <= until)
        taken = candidate & ((mask != 0) | (before[u] != NEVER))
        if candidate:
            before[u] = t if mask != 0 or before[u] == t else NEVER
        count[u] += taken
        n += taken
    return n


@compiled
def by_person(person: Any, ts: Any, mask: Any, size: int, place: Any, out_ts: Any, out_mask: Any) -> None:
    """Put `size` rows where `place[person]` says, which moves on; rows of one person keep their order."""
    for i in range(size):
        u = person[i]
        at = place[u]
        out_ts[at] = ts[i]
        out_mask[at] = mask[i]
        place[u] = at + 1


@inner
def _sink(values: Any, begin: int, end: int, root: int) -> None:
    """Put the value at place `root` of a heap where it belongs below it."""
    moved = values[begin + root]
    while 2 * root + 1 < end - begin:
        child = 2 * root + 1
        if begin + child + 1 < end and values[begin + child + 1] > values[begin + child]:
            child += 1
        if values[begin + child] <= moved:
            break
        values[begin + root] = values[begin + child]
        root = child
    values[begin + root] = moved


@inner
def _heap_sort(values: Any, begin: int, end: int) -> None:
    """Sort values[begin:end] in place: `np.sort` takes three seconds to compile."""
    top: Any = np.int64(0)
    for k in range((end - begin) // 2, 0, -1):
        _sink(values, begin, end, k - 1)
    for last in range(end - 1, begin, -1):
        largest = values[begin]
        values[begin] = values[last]
        values[last] = largest
        _sink(values, begin, last, top)


@compiled
def sort_ties(ts: Any, mask: Any, offsets: Any, low: int, high: int) -> None:
    """Put rows of equal time of each person from `low` to `high` in order of mask."""
    for u in range(low, high):
        i = offsets[u]
        while i < offsets[u + 1]:
            j = i + 1
            while j < offsets[u + 1] and ts[j] == ts[i]:
                j += 1
            if j - i > FEW:
                _heap_sort(mask, i, j)
            else:
                for k in range(i + 1, j):
                    moved = mask[k]
                    place = k
                    while place > i and mask[place - 1] > moved:
                        mask[place] = mask[place - 1]
                        place -= 1
                    mask[place] = moved
            i = j
