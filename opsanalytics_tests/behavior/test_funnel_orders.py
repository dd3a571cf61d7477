"""Every kind of funnel equals the plain reference on random events with many ties."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from opsanalytics.behavior.funnel import FunnelResult, funnel
from opsanalytics.behavior.semantics import OPSANALYTICS, Semantics
from opsanalytics.behavior.spec import Funnel
from opsanalytics_tests.behavior.examples import LATER, START, at
from opsanalytics_tests.behavior.reference_rules import (
    Event,
    Made,
    Rules,
    counted_attempts,
    furthest_limited,
    result,
)

EXAMPLES = settings(max_examples=200, deadline=None)
SINGLE = st.lists(st.tuples(st.sampled_from("abcxyo"), st.integers(0, 9)), max_size=8)
"""One letter an event: no event serves two steps, unless a step is repeated."""
SHARED = st.lists(
    st.tuples(st.sampled_from(["a", "b", "c", "ab", "bc", "ac", "abc", "x", "bx", "o"]), st.integers(0, 6)),
    max_size=6,
)
APART = st.lists(
    st.tuples(st.sampled_from(["a", "b", "ab", "bc", "abc", "c"]), st.integers(0, 9)),
    max_size=7,
    unique_by=lambda event: event[1],
)
"""Events that match several steps, no two at one time."""
STEPS = st.sampled_from(["ab", "abc", "ba", "cab"])
REPEATS = st.sampled_from(["aa", "aab", "aba", "abb"])
WINDOWS = st.integers(1, 8)
SPANS = st.lists(st.tuples(st.sampled_from("xy"), st.integers(1, 2), st.integers(2, 3)), max_size=2)


def frame(events: Sequence[Event]) -> pl.DataFrame:
    return pl.DataFrame(
        [("p", "E", at(second), letters) for letters, second in events],
        schema={"person": pl.String, "event": pl.String, "ts": pl.Datetime("us", "UTC"), "tag": pl.String},
        orient="row",
    )


def match(letter: str) -> dict[str, Any]:
    return {"event": "E", "where": {"property": "tag", "op": "contains", "value": letter}}


def definition(rules: Rules, **more: Any) -> Funnel:
    steps = []
    for number, letter in enumerate(rules.steps, 1):
        step: dict[str, Any] = match(letter) | {"optional": number in rules.optional}
        for limit, values in (("after", rules.after), ("within", rules.within)):
            if number in values:
                step[limit] = timedelta(seconds=values[number])
        steps.append(step)
    exclusions = [match(one) | {"from_step": a, "to_step": b} for one, a, b in rules.exclusions]
    window = timedelta(seconds=rules.window)
    return Funnel(name="f", steps=steps, window=window, order=rules.order, exclusions=exclusions, **more)  # type: ignore[arg-type]


def evaluated(
    events: Sequence[Event], rules: Rules, semantics: Semantics = OPSANALYTICS, **more: Any
) -> FunnelResult:
    return funnel(frame(events), definition(rules, **more), as_of=LATER, preset=semantics)


def made(row: dict[str, Any], steps: int) -> Made:
    times = {k: row[f"ts_{k}"] for k in range(1, steps + 1)}
    return [(k, int((ts - START).total_seconds())) for k, ts in times.items() if ts is not None]


def best(found: FunnelResult) -> Made:
    rows = found.persons.to_dicts()
    return made(rows[0], len(found.definition.steps)) if rows else []


def spans(chosen: list[tuple[str, int, int]], steps: str) -> list[tuple[str, int, int]]:
    return [(one, a, b) for one, a, b in chosen if a < b <= len(steps)]


@EXAMPLES
@given(events=SINGLE, steps=STEPS, window=WINDOWS, chosen=SPANS, drop_off=st.booleans())
def test_ordered_with_exclusions(
    events: list[Event], steps: str, window: int, chosen: list[Any], drop_off: bool
) -> None:
    rules = Rules(steps, window, exclusions=spans(chosen, steps), drop_off=drop_off)
    semantics = replace(OPSANALYTICS, exclusions="drop_off" if drop_off else "vanish")
    assert best(evaluated(events, rules, semantics)) == result(events, rules)


@EXAMPLES
@given(events=SHARED, steps=STEPS | REPEATS, window=WINDOWS, chosen=SPANS)
def test_ordered_with_events_that_match_several(
    events: list[Event], steps: str, window: int, chosen: list[Any]
) -> None:
    rules = Rules(steps, window, exclusions=spans([*chosen, ("x", 1, 2)], steps))
    assert best(evaluated(events, rules)) == result(events, rules)


@EXAMPLES
@given(events=SINGLE, window=WINDOWS, chosen=SPANS, second=st.booleans(), gap=st.integers(0, 3))
def test_optional_steps_and_shortest_times(
    events: list[Event], window: int, chosen: list[Any], second: bool, gap: int
) -> None:
    steps = "abyc"
    optional = frozenset({2} if second else {2, 3})
    after = {4: gap} if gap else {}
    rules = Rules(steps, window, optional=optional, after=after, exclusions=spans(chosen[:1], steps))
    rules = replace(rules, exclusions=[one for one in rules.exclusions if one[0] == "x"])
    assert best(evaluated(events, rules)) == result(events, rules)


@EXAMPLES
@given(events=SINGLE, steps=STEPS, window=WINDOWS, grace=st.integers(1, 2), chosen=SPANS)
def test_steps_within_the_grace_may_swap(
    events: list[Event], steps: str, window: int, grace: int, chosen: list[Any]
) -> None:
    rules = Rules(steps, window, grace=grace)
    semantics = replace(OPSANALYTICS, grace=timedelta(seconds=grace))
    depth = len(best(evaluated(events, rules, semantics)))
    assert depth == len(result(events, rules))


@EXAMPLES
@given(
    case=st.tuples(SINGLE, STEPS | st.just("abyc")) | st.tuples(APART, STEPS | REPEATS),
    window=WINDOWS,
    within=st.integers(1, 4),
    after=st.integers(0, 2),
    where=st.sampled_from([2, 3, 4]),
    optional=st.booleans(),
)
def test_longest_times_between_steps(
    case: tuple[list[Event], str], window: int, within: int, after: int, where: int, optional: bool
) -> None:
    events, steps = case
    where = min(where, len(steps))
    rules = Rules(
        steps,
        window,
        within={where: within},
        after={where: min(after, within)} if after else {},
        optional=frozenset({2}) if optional and len(steps) > 2 else frozenset(),
    )
    found = best(evaluated(events, rules))
    assert ((*found[-1], found[0][1]) if found else None) == furthest_limited(events, rules)


@EXAMPLES
@given(events=SHARED | SINGLE, steps=STEPS | REPEATS, window=WINDOWS, chosen=SPANS)
def test_strict(events: list[Event], steps: str, window: int, chosen: list[Any]) -> None:
    rules = Rules(steps, window, order="strict", exclusions=spans(chosen, steps))
    expected = result(events, rules)
    found = best(evaluated(events, rules))
    # Several ways to the same step may differ in between; its time and the entry's may not.
    assert [found[-1:], found[:1]] == [expected[-1:], expected[:1]]


@EXAMPLES
@given(events=SHARED | SINGLE, steps=STEPS | REPEATS, window=WINDOWS, chosen=st.booleans())
def test_any_order(events: list[Event], steps: str, window: int, chosen: bool) -> None:
    exclusions = [("x", 1, len(steps))] if chosen else []
    rules = Rules(steps, window, order="any", exclusions=exclusions)
    assert best(evaluated(events, rules)) == result(events, rules)


@EXAMPLES
@given(
    events=SINGLE | SHARED,
    steps=STEPS | REPEATS,
    window=WINDOWS,
    order=st.sampled_from(["ordered", "any"]),
    chosen=SPANS,
)
def test_attempts_one_after_the_other(
    events: list[Event], steps: str, window: int, order: str, chosen: list[Any]
) -> None:
    exclusions = [("x", 1, len(steps))] if order == "any" and chosen else spans(chosen, steps)
    rules = Rules(steps, window, order=order, exclusions=exclusions)
    rows = evaluated(events, rules, counting="attempts").persons.to_dicts()
    assert [made(row, len(steps)) for row in rows] == counted_attempts(events, rules)


@EXAMPLES
@given(events=SHARED, steps=STEPS, window=WINDOWS, order=st.sampled_from(["ordered", "strict", "any"]))
def test_the_order_of_rows_changes_nothing(events: list[Event], steps: str, window: int, order: str) -> None:
    rules = Rules(steps, window, order=order, exclusions=[("x", 1, len(steps))])
    backwards, forwards = (evaluated(list(one), rules).persons for one in (reversed(events), events))
    assert backwards.equals(forwards)


@EXAMPLES
@given(events=SINGLE, steps=STEPS, window=WINDOWS)
def test_the_plain_fold_and_the_fold_of_attempts_agree(events: list[Event], steps: str, window: int) -> None:
    # An exclusion that never happens, so that both are the same funnel.
    plain = Rules(steps, window)
    general = replace(plain, exclusions=[("z", 1, 2)])
    assert evaluated(events, plain).persons.equals(evaluated(events, general).persons)
