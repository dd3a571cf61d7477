"""Rows of one person by what they match, and events of equal time shared out among steps. By Numba."""

from typing import Any

import numpy as np

from opsanalytics.compilation import inner

NEVER = -(1 << 62)
"""Earlier than any time stamp, with room to subtract it from one."""


@inner
def list_rows(mask: Any, begin: int, end: int, bits: int, flat: Any, start: Any) -> Any:
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
def at_or_after(ts: Any, flat: Any, low: int, high: int, bound: int) -> int:
    """First position in flat[low:high] whose row is not before `bound`."""
    while low < high:
        middle = (low + high) // 2
        if ts[flat[middle]] < bound:
            low = middle + 1
        else:
            high = middle
    return low


@inner
def place_of(row: int, flat: Any, low: int, high: int) -> int:
    """Position of a row in flat[low:high]."""
    while low < high:
        middle = (low + high) // 2
        if flat[middle] < row:
            low = middle + 1
        else:
            high = middle
    return low


@inner
def give(root: int, pool: Any, size: int, owner: Any, held: Any, came: Any, queue: Any) -> bool:
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
def run(mask: Any, begin: int, end: int, a: int, steps: int, after: Any, rows: Any, scratch: Any) -> int:
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
        if not give(b + 1, pool, size, owner, held, came, queue):
            break
        b += 1
    for s in range(a + 1, b + 1):
        rows[s] = at[held[s]]
    return b


@inner
def unused(flat: Any, p: int, high: int, depth: int, times: Any, rows: Any) -> int:
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
