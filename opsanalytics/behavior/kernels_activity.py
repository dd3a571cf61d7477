"""Who used the product when, from the day segments of the index. Compiled by Numba.

Self-contained, as `compilation` says why.
"""

from typing import Any

import numpy as np

from opsanalytics.compilation import compiled


@compiled
def choose_uses(
    person: Any,
    ts: Any,
    code: Any,
    begin: int,
    end: int,
    low: int,
    wanted: Any,
    edges: Any,
    slots: Any,
    until: int,
    latest: Any,
    count: Any,
    at: int,
    who: Any,
    slot: Any,
) -> int:
    """Append a person (less `low`) and slot for each use in rows `begin` to `end` of a segment, from place
    `at` on; returns the next place.

    A use is a row with a wanted code and a time up to `until`; from `edges[i]` to `edges[i + 1]` the slot is
    `slots[i]`. Segments come in order of time and slots ascend with it, so that `latest[u]`, the last slot of
    person u (-1: none), tells whether there is one already. Adds to `count[u]`.
    """
    n = at
    last = len(edges) - 1
    for i in range(begin, end):
        if not wanted[code[i]]:
            continue
        t = ts[i]
        if t > until:
            continue
        place = last
        while place > 0 and edges[place] > t:
            place -= 1
        u = np.int64(person[i]) - low
        if latest[u] != slots[place]:
            latest[u] = slots[place]
            who[n] = u
            slot[n] = slots[place]
            count[u] += 1
            n += 1
    return n


@compiled
def uses_by_person(who: Any, slot: Any, size: int, place: Any, out_who: Any, out_slot: Any) -> None:
    """Put `size` uses where `place[who]` says, which moves on; those of one person keep their order."""
    for i in range(size):
        u = who[i]
        out_who[place[u]] = u
        out_slot[place[u]] = slot[i]
        place[u] += 1
