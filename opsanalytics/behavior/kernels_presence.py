"""Which persons have what in which period, as sets of bits, and what retention counts of them. By Numba.

A set has a bit a person, 64 to a word: bit `u % 64` of word `u // 64` is person u. Tables of sets are indexed
[period, word], so that the rows of a day, which are sorted by person, write one short stretch of memory.
"""

from typing import Any

import numpy as np

from opsanalytics.compilation import compiled, inner

START, RETURN = 1, 2
"""Bits of `kind_of`: a start event, a return event."""
ONE, SIX = np.uint64(1), np.uint64(6)


@inner
def ones(word: Any) -> Any:
    """Number of bits that are set; LLVM makes one instruction of it."""
    word -= (word >> np.uint64(1)) & np.uint64(0x5555555555555555)
    word = (word & np.uint64(0x3333333333333333)) + ((word >> np.uint64(2)) & np.uint64(0x3333333333333333))
    word = (word + (word >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
    return np.int64((word * np.uint64(0x0101010101010101)) >> np.uint64(56))


@compiled
def mark_rows(
    person: Any,
    ts: Any,
    event: Any,
    begin: int,
    end: int,
    low: int,
    kind_of: Any,
    edges: Any,
    slots: Any,
    until: int,
    timed: bool,
    started: Any,
    returned: Any,
    after: Any,
) -> None:
    """Mark what rows `begin` to `end` of a segment, sorted by person and time, say of persons from `low` on.

    `kind_of` gives the bits of an event's code. From `edges[i]` to `edges[i + 1]` the period has the place
    `slots[i]` in the tables. `started[slot]` and `returned[slot]` become the persons with a start and with a
    return event; `after[slot]` those with a return event later than their first start event of that period.
    Segments must come in order of time. Rows later than `until` do not count. Times are looked at only where
    they matter: if not `timed`, all rows lie in one period and before `until`.
    """
    last = len(edges) - 1
    slot = slots[0]
    here, word = slots[0], np.uint64(0)
    new_person = np.uint32(0)
    new_ts = np.int64(0)
    anybody = False
    if begin == end:
        return
    # The word at hand stays in registers: neighbouring rows are mostly of the same 64 persons.
    starts = started[here, word]
    returns = afters = np.uint64(0)
    for i in range(np.uint64(begin), np.uint64(end)):
        kind = kind_of[event[i]]
        if timed:
            t = ts[i]
            if t > until:
                continue
            place = last
            while place > 0 and edges[place] > t:
                place -= 1
            slot = slots[place]
        u = np.uint64(person[i]) - np.uint64(low)
        if u >> SIX != word or slot != here:
            started[here, word] |= starts
            returned[here, word] |= returns
            after[here, word] |= afters
            here, word = slot, u >> SIX
            starts = started[here, word]
            returns = afters = np.uint64(0)
        at = u & np.uint64(63)
        before = starts >> at & ONE
        start = np.uint64(kind) & ONE
        came = np.uint64(kind) >> ONE & ONE
        returns |= came << at
        starts |= start << at
        # At the time of the start event nobody has come back yet.
        again = before & came
        if again and anybody and person[i] == new_person and ts[i] == new_ts:
            again = np.uint64(0)
        afters |= again << at
        if start > before:
            anybody, new_person, new_ts = True, person[i], ts[i]
    started[here, word] |= starts
    returned[here, word] |= returns
    after[here, word] |= afters


@compiled
def count_cells(
    started: Any,
    returned: Any,
    after: Any,
    numbers: Any,
    first_only: bool,
    column_begins: Any,
    column_ends: Any,
    unbounded: bool,
    whole_zero: bool,
    seen: Any,
    size: Any,
    came: Any,
) -> None:
    """Add up cohorts and returns of the persons in the tables of `mark_rows`.

    `numbers[slot]` is the number of the period, ascending. Column k of the cohort of period p has the periods
    p + `column_begins[k]` to p + `column_ends[k]`, the end not included; column 0 is p itself, of which
    only returns after the start count. With `first_only` a person belongs to the first period with a start.
    Adds to `size[slot]` and `came[slot, column]`. `seen` (no persons) is changed.
    """
    periods, words = started.shape
    columns = len(column_begins)
    place = np.empty(words, np.int64)
    cohort = np.empty(words, np.uint64)
    union = np.empty(words, np.uint64)
    for slot in range(periods):
        some = 0
        for word in range(words):
            own = started[slot, word]
            if first_only:
                own &= ~seen[word]
                seen[word] |= own
            if own:
                place[some] = word
                cohort[some] = own
                union[some] = 0
                some += 1
                size[slot] += ones(own)
        if some == 0:
            continue
        end = periods
        for column in range(columns - 1, -1, -1):
            if not unbounded:
                union[:some] = 0
            if column == 0:
                for i in range(some):
                    union[i] |= cohort[i] if whole_zero else after[slot, place[i]]
            else:
                while end > 0 and numbers[end - 1] >= numbers[slot] + column_ends[column]:
                    end -= 1
                begin = end
                while begin > 0 and numbers[begin - 1] >= numbers[slot] + column_begins[column]:
                    begin -= 1
                for other in range(begin, end):
                    for i in range(some):
                        union[i] |= returned[other, place[i]]
            total = 0
            for i in range(some):
                total += ones(union[i] & cohort[i])
            came[slot, column] += total
