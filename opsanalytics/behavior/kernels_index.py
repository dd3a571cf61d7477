"""The plain ordered fold over the day segments of the index. Compiled by Numba.

Self-contained, as `compilation` says why.
"""

from typing import Any

import numpy as np

from opsanalytics.compilation import compiled

FEW = 32
"""Rows that are sorted by insertion."""


@compiled
def fold_segment(
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
) -> None:
    """Fold rows `begin` to `end` of one segment, sorted by person and time, into the state of persons.

    `step_of` gives the step of an event's code, 0 for none. Attempts start from `enter_from` to `enter_to`,
    inclusive; rows after `until` do not count. `state[p - low, k]` is the entry of person p's newest attempt
    that has reached step k, NEVER if none; `best[p - low]` the furthest step. At equal times, earlier
    steps go first, which gets every attempt furthest, since each event serves one step only.
    """
    i = begin
    while i < end:
        k = step_of[event[i]]
        if k == 0:
            i += 1
            continue
        p = person[i]
        t = ts[i]
        j = i + 1
        tied = False
        while j < end and ts[j] == t and person[j] == p:
            other = step_of[event[j]]
            tied = tied or (other != 0 and other != k)
            j += 1
        if t > until:
            i = j
            continue
        u = p - low
        wanted = 1 if tied else k
        while wanted <= (steps if tied else k):
            present = not tied
            if tied:
                for row in range(i, j):
                    present = present or step_of[event[row]] == wanted
            if present:
                if wanted == 1:
                    if enter_from <= t <= enter_to:
                        state[u, 1] = t
                        if best[u] < 1:
                            best[u] = 1
                elif t - state[u, wanted - 1] <= window:
                    state[u, wanted] = state[u, wanted - 1]
                    if best[u] < wanted:
                        best[u] = wanted
            wanted += 1
        i = j


@compiled
def count_rows(
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
) -> None:
    """Add how many rows of each person `take_rows` takes.

    Rows with a wanted code and a time from `since` to `until`, inclusive; of rows without a mask only the
    first after one with a mask, which is enough to tell that another event came between.
    """
    for i in range(begin, end):
        if wanted[event[i]] and since <= ts[i] <= until:
            u = person[i] - low
            matched = mask_of[event[i]] != 0
            if matched or before[u]:
                count[u] += 1
            before[u] = matched


@compiled
def take_rows(
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
    place: Any,
    out_ts: Any,
    out_mask: Any,
) -> None:
    """Put the rows that `count_rows` counts where `place[p - low]` says, and move that on."""
    for i in range(begin, end):
        if wanted[event[i]] and since <= ts[i] <= until:
            u = person[i] - low
            mask = mask_of[event[i]]
            if mask or before[u]:
                out_ts[place[u]] = ts[i]
                out_mask[place[u]] = mask
                place[u] += 1
            before[u] = mask != 0


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
