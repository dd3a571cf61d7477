"""The rules of strict, unordered, limited and excluded funnels written plainly, one person at a time.

Events are (letters, second): an event matches every step and exclusion whose letter it has.
"""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

Event = tuple[str, int]
Made = list[tuple[int, int]]
"""(step, second) of every step of an attempt that was made."""


@dataclass(frozen=True)
class Rules:
    steps: str
    window: int
    order: str = "ordered"
    optional: frozenset[int] = frozenset()
    after: dict[int, int] = field(default_factory=dict)
    within: dict[int, int] = field(default_factory=dict)
    exclusions: Sequence[tuple[str, int, int]] = ()
    """Letter, from step, to step."""
    drop_off: bool = False
    grace: int = 0


def sequences(
    events: Sequence[Event], rules: Rules, entry: int, *, needed_first: bool = False
) -> Iterator[Made]:
    """Every sequence of distinct events from an entry event; an optional step may be left out.

    With `needed_first` an event serves no optional step if a step after it needs that very event.
    """
    begun = events[entry][1]

    def needed_later(step: int, event: int, before: int, used: list[int]) -> bool:
        ts = events[event][1]
        while step in rules.optional:
            step += 1
            letter = rules.steps[step - 1]
            low = before + rules.after.get(step, -rules.grace)
            free = [
                i for i, (those, at) in enumerate(events) if i not in used and at == ts and letter in those
            ]
            if free == [event] and low <= ts:
                return True
        return False

    def extend(made: Made, used: list[int]) -> Iterator[Made]:
        yield made
        step, before = made[-1]
        for following in range(step + 1, len(rules.steps) + 1):
            low = before + rules.after.get(following, -rules.grace)
            high = min(begun + rules.window, before + rules.within.get(following, 10**18))
            for i, (letters, ts) in enumerate(events):
                serves = i not in used and rules.steps[following - 1] in letters and low <= ts <= high
                if serves and not (needed_first and needed_later(following, i, before, used)):
                    yield from extend([*made, (following, ts)], [*used, i])
            if following not in rules.optional:
                break

    yield from extend([(1, begun)], [entry])


def greedy(events: Sequence[Event], rules: Rules, begun: int) -> Made:
    """Each next step at its earliest event; where several events tie, those that lead furthest."""
    never = (10**18, 0)
    entries = [i for i, (letters, ts) in enumerate(events) if ts == begun and rules.steps[0] in letters]
    found = [made for entry in entries for made in sequences(events, rules, entry, needed_first=True)]
    return min(found, key=lambda made: [*((ts, step) for step, ts in made), never])


def strict(events: Sequence[Event], rules: Rules, begun: int) -> Made:
    """The furthest run of neighbouring events over every order of events with equal times."""
    times = sorted({ts for _, ts in events})
    groups = [[letters for letters, ts in events if ts == one] for one in times]
    best: Made = []
    for arranged in itertools.product(*(itertools.permutations(group) for group in groups)):
        line = [(letters, ts) for ts, group in zip(times, arranged, strict=True) for letters in group]
        for i, (_, ts) in enumerate(line):
            if ts != begun:
                continue
            made: Made = []
            for step, (letters, at) in enumerate(line[i : i + len(rules.steps)], 1):
                if rules.steps[step - 1] not in letters or at > begun + rules.window:
                    break
                made.append((step, at))
            if made and (not best or (-len(made), made[-1][1]) < (-len(best), best[-1][1])):
                best = made
    return best


def matching(masks: Sequence[str], steps: str) -> int:
    """How many steps can be given an event of their own."""
    if not steps:
        return 0
    without = matching(masks, steps[1:])
    served = [
        1 + matching([*masks[:i], *masks[i + 1 :]], steps[1:])
        for i, letters in enumerate(masks)
        if steps[0] in letters
    ]
    return max([without, *served])


def unordered(events: Sequence[Event], rules: Rules, begun: int) -> Made:
    """The k-th distinct step is made when k steps can be served."""
    end = begun + rules.window
    bad = [ts for letters, ts in events if ts > begun and any(one[0] in letters for one in rules.exclusions)]
    end = min([end, *bad])
    made: Made = []
    for ts in sorted({ts for _, ts in events if begun <= ts <= end}):
        masks = [letters for letters, at in events if begun <= at <= ts]
        made += [(k, ts) for k in range(len(made) + 1, matching(masks, rules.steps) + 1)]
    return made


def excluded_at(events: Sequence[Event], rules: Rules, begun: int, made: Made) -> int | None:
    """When the first excluded event counts, if one does."""
    end = begun + rules.window
    if rules.order == "any":
        letters_of = {one[0] for one in rules.exclusions}
        bad = [ts for letters, ts in events if begun < ts <= end and letters_of & set(letters)]
        return min(bad) if bad and len(made) < len(rules.steps) else None
    furthest, reached = made[-1]
    if rules.order == "strict" and furthest < len(rules.steps):
        # What comes after the event that ended the attempt has nothing to do with it.
        end = min([end, *(ts for _, ts in events if ts > reached)])
    hits = []
    for letter, a, b in rules.exclusions:
        if furthest < a:
            continue
        low = max(ts for step, ts in made if step <= a)
        later = [ts for step, ts in made if step >= b]
        for letters, ts in events:
            before_end = ts < later[0] - rules.grace if later else ts <= end
            if letter in letters and low + rules.grace < ts and before_end:
                hits.append(ts)
    return min(hits, default=None)


def attempt(events: Sequence[Event], rules: Rules, begun: int) -> Made:
    follow = {"ordered": greedy, "strict": strict, "any": unordered}
    return follow[rules.order](events, rules, begun)


def entry_times(events: Sequence[Event], rules: Rules) -> list[int]:
    wanted = rules.steps if rules.order == "any" else rules.steps[0]
    return sorted({ts for letters, ts in events if set(wanted) & set(letters)})


def result(events: Sequence[Event], rules: Rules) -> Made:
    """A person's best attempt; empty if there is none or the furthest (any order: all) are excluded."""
    clean: list[Made] = []
    furthest = 0
    for begun in entry_times(events, rules):
        made = attempt(events, rules, begun)
        bad = excluded_at(events, rules, begun, made)
        if rules.order != "any":
            furthest = max(furthest, made[-1][0])
        if bad is None:
            clean.append(made)
        elif rules.drop_off:
            clean.append([one for one in made if one[1] <= bad])
    best = min(clean, key=lambda made: (-made[-1][0], made[-1][1], -made[0][1]), default=[])
    return best if rules.drop_off or (best and best[-1][0] >= furthest) else []


def furthest_limited(events: Sequence[Event], rules: Rules) -> tuple[int, int, int] | None:
    """Furthest step, its time and the entry's, over every sequence at all."""
    found = [
        made
        for i, (letters, _) in enumerate(events)
        if rules.steps[0] in letters
        for made in sequences(events, rules, i)
    ]
    best = min(found, key=lambda made: (-made[-1][0], made[-1][1], -made[0][1]), default=None)
    return None if best is None else (best[-1][0], best[-1][1], best[0][1])


def counted_attempts(events: Sequence[Event], rules: Rules) -> list[Made]:
    """Attempts one after the other; excluded ones do not count, though they take their time."""
    counted = []
    free = -(10**18)
    one_each = all(len(set(letters) & set(rules.steps)) <= 1 for letters, _ in events)
    one_each = one_each and len(set(rules.steps)) == len(rules.steps)
    for begun in entry_times(events, rules):
        if begun < free:
            continue
        made = attempt(events, rules, begun)
        bad = excluded_at(events, rules, begun, made)
        if bad is not None:
            free = bad
            continue
        counted.append(made)
        step, ts = made[-1]
        if step == len(rules.steps):
            free = max(begun + 1, ts if one_each and rules.order == "ordered" else ts + 1)
        elif rules.order == "strict":
            free = ts + 1
        else:
            free = begun + rules.window + 1
    return counted
