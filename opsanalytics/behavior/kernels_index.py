"""Folds over the day segments of the index, range of persons by range of persons. Compiled by Numba.

Self-contained, as `compilation` says why. A segment's rows are sorted by person, time, code. Branches that
depend on the events cannot be predicted and cost more than the arithmetic, so rows are first chosen without
any.
"""

from typing import Any

import numpy as np

from opsanalytics.behavior.kernels import NEVER
from opsanalytics.compilation import compiled, inner

FEW = 32
"""Rows that are sorted by insertion."""


@compiled
def order_ties(key: Any, order: Any, event: Any) -> None:
    """Of rows in `order` of `key`, put those with equal keys in order of event, then of place."""
    i = 0
    n = len(order)
    while i < n:
        j = i + 1
        while j < n and key[order[j]] == key[order[i]]:
            j += 1
        if j - i > FEW:
            part = np.sort(order[i:j])
            order[i:j] = part[np.argsort(event[part], kind="mergesort")]
        else:
            for k in range(i + 1, j):
                moved = order[k]
                place = k
                while place > i and (
                    event[order[place - 1]] > event[moved]
                    or (event[order[place - 1]] == event[moved] and order[place - 1] > moved)
                ):
                    order[place] = order[place - 1]
                    place -= 1
                order[place] = moved
        i = j


@compiled
def begin_classes(event: Any, first_class: Any, out: Any) -> None:
    """The class of each event before its filters are looked at."""
    for i in range(len(event)):
        out[i] = first_class[event[i]]


@compiled
def add_filter(code: Any, row: Any, passes: Any, event: Any, weight: Any, out: Any) -> None:
    """Add a filter to the classes of one segment: `code[row[i]]` is the value of row i, as `passes` knows it."""
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
        best = 0
        while low < known and person[low] == who[k] and ts[low] == when[k]:
            if wanted[classes[low]]:
                found = np.int64(place[code[row[low]]])
                if found != 0 and (best == 0 or found < best):
                    best = found
            low += 1
        value[k] = best


@inner
def _chosen(event: Any, step_of: Any, begin: int, end: int, at: Any, step: Any) -> int:
    """Put the rows with a step into `at`, their steps into `step`. Returns how many."""
    n = 0
    for i in range(begin, end):
        k = step_of[event[i]]
        at[n] = i
        step[n] = k
        n += k != 0
    return n


@compiled
def fold_counts(
    person: Any,
    ts: Any,
    event: Any,
    begin: int,
    end: int,
    low: int,
    step_of: Any,
    window: int,
    steps: int,
    enter_from: int,
    enter_to: int,
    until: int,
    state: Any,
    best: Any,
    at: Any,
    step: Any,
) -> None:
    """Fold rows `begin` to `end` of one segment into the state of persons.

    `step_of` gives the step of an event's code, 0 for none. Attempts start from `enter_from` to `enter_to`,
    inclusive; rows after `until` do not count. `state[p - low, k]` is the entry of person p's newest attempt
    that has reached step k, NEVER if none; `best[p - low]` the furthest step. At equal times, earlier
    steps go first, which gets every attempt furthest, since each event serves one step only. `at` and `step`
    are room for `end - begin` rows.
    """
    n = _chosen(event, step_of, begin, end, at, step)
    x = 0
    while x < n:
        i = at[x]
        t = ts[i]
        u = np.int64(person[i]) - low
        y = x + 1
        while y < n and ts[at[y]] == t and person[at[y]] == person[i]:
            y += 1
        if y == x + 1:
            k = np.int64(step[x])
            entry = t if (t >= enter_from) & (t <= enter_to) else NEVER
            before = state[u, k - 1]
            before = entry if k == 1 else before
            follows = (t - before <= window) & (t <= until)
            old = state[u, k]
            state[u, k] = before if follows else old
            best[u] = max(np.int64(best[u]), k if follows else 0)
        elif t <= until:
            for k in range(1, steps + 1):
                present = False
                for z in range(x, y):
                    present = present or step[z] == k
                if not present:
                    continue
                before = state[u, k - 1]
                if k == 1:
                    before = t if enter_from <= t <= enter_to else NEVER
                if t - before <= window:
                    state[u, k] = before
                    best[u] = max(np.int64(best[u]), k)
        x = y


@inner
def _reach(
    t: int, k: int, may_enter: bool, window: int, steps: int, times: Any, best: Any, first: Any, made: Any, u: int
) -> None:
    """One event of step k. `times[u]` are the times of the newest attempt that has reached step 1, then those
    of the one that has reached step 2, and so on: step s of the attempt at step k is at k (k - 1) / 2 + s - 1."""
    here = k * (k - 1) // 2
    if k == 1:
        if not may_enter:
            return
        times[u, 0] = t
        if first[u] == NEVER:
            first[u] = t
    else:
        there = here - k + 1
        before = times[u, there]
        if before <= times[u, here] or t - before > window:
            return
        for s in range(k - 1):
            times[u, here + s] = times[u, there + s]
        times[u, here + k - 1] = t
    if k > best[u]:
        best[u] = k
        for s in range(k):
            made[u, s] = times[u, here + s]


@compiled
def fold_times(
    person: Any,
    ts: Any,
    event: Any,
    begin: int,
    end: int,
    low: int,
    step_of: Any,
    window: int,
    steps: int,
    enter_from: int,
    enter_to: int,
    until: int,
    times: Any,
    best: Any,
    first: Any,
    made: Any,
    at: Any,
    step: Any,
) -> None:
    """As `fold_counts`, with times: `first[p - low]` is person p's first entry, `made[p - low]` the times of
    the earliest attempt that got to step `best[p - low]` (of several the one that entered last)."""
    n = _chosen(event, step_of, begin, end, at, step)
    x = 0
    while x < n:
        i = at[x]
        t = ts[i]
        u = np.int64(person[i]) - low
        y = x + 1
        while y < n and ts[at[y]] == t and person[at[y]] == person[i]:
            y += 1
        may_enter = enter_from <= t <= enter_to
        # Who has made the last step needs no more than that; a later entry changes nothing.
        if t <= until and best[u] < steps:
            if y == x + 1:
                _reach(t, step[x], may_enter, window, steps, times, best, first, made, u)
            else:
                for k in range(1, steps + 1):
                    present = False
                    for z in range(x, y):
                        present = present or step[z] == k
                    if present:
                        _reach(t, k, may_enter, window, steps, times, best, first, made, u)
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

    Of rows without a mask only the first after one with a mask, which is enough to tell that another event
    came between; `before[p - low]` says whether person p's last row had a mask. Adds to `count` how many rows
    each person has, and returns the next place.
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
        taken = candidate & ((mask != 0) | before[u])
        before[u] = (mask != 0) if candidate else before[u]
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
                mask[i:j] = np.sort(mask[i:j])
            else:
                for k in range(i + 1, j):
                    moved = mask[k]
                    place = k
                    while place > i and mask[place - 1] > moved:
                        mask[place] = mask[place - 1]
                        place -= 1
                    mask[place] = moved
            i = j
