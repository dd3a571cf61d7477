"""What must hold of retention for every input."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from opsanalytics.behavior.retention import retention
from opsanalytics.behavior.retention_breakdown import retention_by_value
from opsanalytics.behavior.segments import Segment
from opsanalytics.behavior.spec import Retention
from opsanalytics_tests.behavior.examples import LATER, table
from opsanalytics_tests.behavior.reference import Event

MONDAY = datetime(2026, 3, 2, tzinfo=UTC)
HOUR = timedelta(hours=1)
EVENTS = st.lists(
    st.tuples(st.sampled_from("SRQ"), st.integers(0, 40).map(lambda n: MONDAY + n * 6 * HOUR)), max_size=8
)
PEOPLE = st.dictionaries(st.sampled_from("pqrs"), EVENTS, max_size=4)
DEFINITIONS = st.builds(
    Retention,
    name=st.just("r"),
    start=st.just("S"),
    returning=st.sampled_from([["R"], ["S"], ["R", "Q"]]),
    period=st.sampled_from(["day", "week"]),
    periods=st.integers(1, 4),
    cohort=st.sampled_from(["first", "recurring"]),
    returns=st.sampled_from(["on", "on_or_after"]),
    minimum=st.sampled_from([1, 1, 2]),
)
EXAMPLES = settings(max_examples=80, deadline=None)
ZONE = "Europe/Berlin"
Counts = dict[tuple[Any, int], tuple[int, int]]


def counts(events: pl.DataFrame, definition: Retention, as_of: datetime = LATER) -> Counts:
    """(cohort, period) to n and returned."""
    cells = retention(events, definition, as_of=as_of, timezone=ZONE).cells.drop_nulls("cohort")
    return {
        (cohort, k): (n, came)
        for cohort, k, n, came in cells.select("cohort", "period", "n", "returned").rows()
    }


@EXAMPLES
@given(people=PEOPLE, definition=DEFINITIONS, seed=st.integers(0, 99))
def test_the_order_of_rows_changes_nothing(
    people: Mapping[str, list[Event]], definition: Retention, seed: int
) -> None:
    events = table(people)
    shuffled = events.sample(fraction=1.0, shuffle=True, seed=seed)
    first, second = (retention(one, definition, as_of=MONDAY + 9 * 24 * HOUR) for one in (events, shuffled))
    assert first.cells.equals(second.cells)


@EXAMPLES
@given(people=PEOPLE, definition=DEFINITIONS)
def test_merging_persons_equals_relabelling_their_events(
    people: Mapping[str, list[Event]], definition: Retention
) -> None:
    relabelled = table(people).with_columns(person=pl.col("person").replace({"q": "p", "s": "p"}))
    merged: dict[str, list[Event]] = {}
    for person, events in people.items():
        merged.setdefault("p" if person in "qs" else person, []).extend(events)
    assert counts(relabelled, definition) == counts(table(merged), definition)


@EXAMPLES
@given(people=PEOPLE, definition=DEFINITIONS, noise=EVENTS)
def test_unrelated_events_change_nothing(
    people: Mapping[str, list[Event]], definition: Retention, noise: list[Event]
) -> None:
    noisy = {person: [*events, *(("other", ts) for _, ts in noise)] for person, events in people.items()}
    assert counts(table(noisy), definition) == counts(table(people), definition)


@EXAMPLES
@given(people=PEOPLE, definition=DEFINITIONS, more=EVENTS)
def test_more_returns_never_lower_a_count(
    people: Mapping[str, list[Event]], definition: Retention, more: list[Event]
) -> None:
    definition = definition.model_copy(update={"returning": Retention(start="S", returning="R").returning})
    extra = {person: [*events, *(("R", ts) for _, ts in more)] for person, events in people.items()}
    fewer, after = counts(table(people), definition), counts(table(extra), definition)
    assert fewer.keys() == after.keys()
    assert all(after[cell][0] == n and after[cell][1] >= came for cell, (n, came) in fewer.items())


@EXAMPLES
@given(people=PEOPLE, definition=DEFINITIONS, longer=st.integers(1, 3))
def test_following_for_longer_never_lowers_a_count(
    people: Mapping[str, list[Event]], definition: Retention, longer: int
) -> None:
    further = definition.model_copy(update={"periods": definition.periods + longer})
    short, long = (counts(table(people), one) for one in (definition, further))
    for cell, (n, came) in short.items():
        assert long[cell][0] == n
        assert long[cell][1] == came if definition.returns == "on" else long[cell][1] >= came


@EXAMPLES
@given(people=PEOPLE, definition=DEFINITIONS)
def test_a_return_on_a_period_is_one_on_or_after_it(
    people: Mapping[str, list[Event]], definition: Retention
) -> None:
    on, after = (
        counts(table(people), definition.model_copy(update={"returns": returns}))
        for returns in ("on", "on_or_after")
    )
    assert all(after[cell][0] == n and after[cell][1] >= came for cell, (n, came) in on.items())


@EXAMPLES
@given(people=PEOPLE, definition=DEFINITIONS)
def test_splitting_by_a_property_of_persons_adds_up(
    people: Mapping[str, list[Event]], definition: Retention
) -> None:
    events = table(people).with_columns(
        group=pl.col("person").replace_strict({"p": "1", "q": "1"}, default="2", return_dtype=pl.String)
    )
    parts = retention_by_value(events, definition, Segment("group"), as_of=LATER, timezone=ZONE)
    sums: Counts = {}
    for value, part in parts.items():
        members = events.filter(pl.col("group") == value)
        own = {
            (cohort, k): (n, came)
            for cohort, k, n, came in part.cells.drop_nulls("cohort")
            .select("cohort", "period", "n", "returned")
            .rows()
        }
        assert own == counts(members, definition)
        for cell, (n, came) in own.items():
            before = sums.get(cell, (0, 0))
            sums[cell] = (before[0] + n, before[1] + came)
    assert sums == counts(events, definition)


@EXAMPLES
@given(people=PEOPLE, definition=DEFINITIONS, last=st.booleans())
def test_the_first_or_last_value_tells_a_person_s_group(
    people: Mapping[str, list[Event]], definition: Retention, *, last: bool
) -> None:
    """An event's value is its hour, that of midnight none: plainly, person by person."""
    events = table(people).with_columns(
        group=pl.col("ts")
        .dt.hour()
        .replace_strict(
            {0: None, 6: ""}, default=pl.col("ts").dt.hour().cast(pl.String), return_dtype=pl.String
        )
    )
    segment = Segment("group", attribution="last" if last else "first")
    parts = retention_by_value(events, definition, segment, as_of=LATER, timezone=ZONE)
    serving = {"S", *(step.event for step in definition.returning)}
    groups: dict[str, set[str]] = {}
    for person, own in people.items():
        if any(event == "S" for event, *_ in own):
            valued = sorted(ts for event, ts, *_ in own if event in serving and ts.hour > 6)
            group = str(valued[-1 if last else 0].hour) if valued else "(none)"
            groups.setdefault(group, set()).add(person)
    assert parts.keys() == groups.keys()
    for value, members in groups.items():
        alone = retention(
            events.filter(pl.col("person").is_in(list(members))), definition, as_of=LATER, timezone=ZONE
        )
        assert parts[value].cells.equals(alone.cells)
