"""What must hold for every input, and equality with the plain reference."""

from datetime import datetime, timedelta

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from opsanalytics.behavior.funnel import FunnelResult, funnel
from opsanalytics.behavior.funnel_breakdown import broken_down, funnel_breakdown
from opsanalytics.behavior.segments import Segment
from opsanalytics.behavior.spec import Funnel
from opsanalytics_tests.behavior.examples import LATER, START, at, table
from opsanalytics_tests.behavior.reference import Event, best_chain, chains, funnel_by_person

# Few names and few distinct seconds: many ties, repeats and re-entries.
EVENTS = st.lists(st.tuples(st.sampled_from("ABCX"), st.integers(0, 14).map(at)), max_size=9)
PEOPLE = st.dictionaries(st.sampled_from(["p", "q", "r", "s"]), EVENTS, max_size=4)
FUNNELS = st.builds(
    Funnel,
    name=st.just("f"),
    steps=st.lists(st.sampled_from("ABC"), min_size=2, max_size=4),
    window=st.integers(1, 8).map(lambda seconds: timedelta(seconds=seconds)),
)
EXAMPLES = settings(max_examples=60, deadline=None)


def depths(result: FunnelResult) -> list[tuple[object, ...]]:
    return result.to_polars().select("entered", "persons", "immature_persons").rows()


def best_times(result: FunnelResult) -> dict[tuple[str, bool], list[datetime]]:
    steps = [name for name in result.persons.columns if name[:3] == "ts_"]
    return {
        (row["person"], row["mature"]): [row[name] for name in steps if row[name] is not None]
        for row in result.persons.to_dicts()
    }


@settings(max_examples=400, deadline=None)
@given(people=PEOPLE, definition=FUNNELS, as_of=st.integers(0, 25).map(at), first=st.none() | st.just(START))
def test_equals_the_plain_reference(
    people: dict[str, list[Event]], definition: Funnel, as_of: datetime, first: datetime | None
) -> None:
    day = first.date() if first else None
    expected = {
        (person, mature): chain
        for person, events in people.items()
        for mature, chain in funnel_by_person(events, definition, as_of, first).items()
    }
    assert best_times(funnel(table(people), definition, as_of=as_of, first=day)) == expected


TAGGED = st.lists(
    st.tuples(st.sampled_from(["", "a", "b", "c", "ab", "bc", "ac", "abc"]), st.integers(0, 3).map(at)),
    max_size=7,
)


@EXAMPLES
@given(events=TAGGED)
def test_events_that_match_several_steps_equal_the_plain_reference(
    events: list[tuple[str, datetime]],
) -> None:
    # The same event name in every step; filters decide, so one event may match any set of steps.
    filters = [{"property": "tag", "op": "contains", "value": letter} for letter in "abc"]
    definition = Funnel(name="f", steps=[{"event": "E", "where": one} for one in filters], window="2s")

    class Tag(str):
        __slots__ = ()

        def __eq__(self, other: object) -> bool:
            return str(other) in str(self)

        __hash__ = str.__hash__

    plain = Funnel(name="f", steps=["a", "b", "c"], window="2s")
    tagged = [(Tag(tag), ts) for tag, ts in events]
    entries = [i for i, (tag, _) in enumerate(tagged) if tag == "a"]
    frame = pl.DataFrame(
        {
            "person": ["p"] * len(events),
            "event": ["E"] * len(events),
            "ts": [ts for _, ts in events],
            "tag": [tag for tag, _ in events],
        },
        schema={"person": pl.String, "event": pl.String, "ts": pl.Datetime("us", "UTC"), "tag": pl.String},
    )
    got = best_times(funnel(frame, definition, as_of=LATER)).get(("p", True), [])
    assert got == best_chain(tagged, plain, entries)


def test_the_reference_itself_finds_every_sequence() -> None:
    events = [("A", at(0)), ("B", at(1)), ("B", at(2))]
    definition = Funnel(name="f", steps=["A", "B"], window="1s")
    assert list(chains(events, definition, 0)) == [[at(0)], [at(0), at(1)]]


@EXAMPLES
@given(people=PEOPLE, definition=FUNNELS, seed=st.integers(0, 9))
def test_the_order_of_rows_changes_nothing(
    people: dict[str, list[Event]], definition: Funnel, seed: int
) -> None:
    events = table(people)
    shuffled = events.sample(fraction=1.0, shuffle=True, seed=seed)
    as_of = at(9)
    assert funnel(shuffled, definition, as_of=as_of).persons.equals(
        funnel(events, definition, as_of=as_of).persons
    )


@EXAMPLES
@given(people=PEOPLE, definition=FUNNELS)
def test_other_names_for_persons_change_no_count(people: dict[str, list[Event]], definition: Funnel) -> None:
    renamed = dict(zip(["z", "y", "x", "w"], people.values(), strict=False))
    as_of = at(9)
    assert depths(funnel(table(renamed), definition, as_of=as_of)) == depths(
        funnel(table(people), definition, as_of=as_of)
    )


@EXAMPLES
@given(people=PEOPLE, definition=FUNNELS, longer=st.integers(1, 5))
def test_a_wider_window_never_lowers_a_count(
    people: dict[str, list[Event]], definition: Funnel, longer: int
) -> None:
    wider = definition.model_copy(update={"window": definition.window + timedelta(seconds=longer)})
    narrow, wide = (funnel(table(people), one, as_of=LATER).to_polars() for one in (definition, wider))
    assert (wide["persons"] >= narrow["persons"]).all()


@EXAMPLES
@given(people=PEOPLE, definition=FUNNELS, noise=EVENTS)
def test_unrelated_events_change_nothing(
    people: dict[str, list[Event]], definition: Funnel, noise: list[Event]
) -> None:
    noisy = {person: [*events, *(("other", ts) for _, ts in noise)] for person, events in people.items()}
    assert funnel(table(noisy), definition, as_of=at(9)).persons.equals(
        funnel(table(people), definition, as_of=at(9)).persons
    )


@EXAMPLES
@given(people=PEOPLE, definition=FUNNELS)
def test_splitting_by_a_property_of_persons_adds_up(
    people: dict[str, list[Event]], definition: Funnel
) -> None:
    events = table(people).with_columns(
        group=pl.col("person").replace_strict({"p": "1", "q": "1"}, default=None)
    )
    whole = funnel(events, definition, as_of=at(12)).to_polars().filter(pl.col("entered") > 0)
    parts = funnel_breakdown(events, definition, segment="group", as_of=at(12))
    sums = parts.group_by("step").agg(pl.col("entered", "persons").sum()).sort("step")
    assert sums.rows() == whole.select("step", "entered", "persons").rows()
    # A property of persons splits the persons, so each value is the funnel of its persons alone.
    for value, members in (("1", ["p", "q"]), ("(none)", ["r", "s"])):
        alone = funnel(events.filter(pl.col("person").is_in(members)), definition, as_of=at(12)).to_polars()
        shown = parts.filter(pl.col("value") == value)
        if shown.height:
            assert shown["persons"].to_list() == alone["persons"].to_list()


@EXAMPLES
@given(people=PEOPLE, definition=FUNNELS, as_of=st.integers(0, 20).map(at))
def test_mature_figures_are_the_funnel_of_mature_entries(
    people: dict[str, list[Event]], definition: Funnel, as_of: datetime
) -> None:
    # What happens later never changes a mature result.
    result = best_times(funnel(table(people), definition, as_of=as_of))
    in_the_end = {
        (person, True): funnel_by_person(
            [(n, t) for n, t in events if n != definition.steps[0].event or t + definition.window <= as_of],
            definition,
            LATER,
        ).get(True, [])
        for person, events in people.items()
    }
    if len({step.event for step in definition.steps}) == len(definition.steps):
        mature = {key: chain for key, chain in result.items() if key[1]}
        assert mature == {key: chain for key, chain in in_the_end.items() if chain}


@EXAMPLES
@given(people=PEOPLE, definition=FUNNELS, as_of=st.integers(0, 20).map(at))
def test_so_far_is_the_funnel_over_all_attempts(
    people: dict[str, list[Event]], definition: Funnel, as_of: datetime
) -> None:
    known = {person: [one for one in events if one[1] <= as_of] for person, events in people.items()}
    whole = funnel(table(known), definition, as_of=LATER).to_polars()
    so_far = funnel(table(people), definition, as_of=as_of).so_far()
    assert so_far["persons"].to_list() == whole["persons"].to_list()


ORDERED = st.sampled_from(["ordered", "any"])


@EXAMPLES
@given(people=PEOPLE, definition=FUNNELS, seed=st.integers(0, 99))
def test_merging_persons_equals_relabelling_their_events(
    people: dict[str, list[Event]], definition: Funnel, seed: int
) -> None:
    # Two ids of one person, given as such or as a property that says whom an event belongs to.
    merged = {"p": "pq", "q": "pq"}
    ids = table(people)
    belongs = ids.with_columns(owner=pl.col("person").replace(merged)).sample(
        fraction=1.0, shuffle=True, seed=seed
    )
    relabelled = ids.with_columns(pl.col("person").replace(merged))
    by_owner = definition.model_copy(update={"entity": "owner"})
    assert funnel(belongs, by_owner, as_of=at(9)).persons.equals(
        funnel(relabelled, definition, as_of=at(9)).persons
    )


@EXAMPLES
@given(people=PEOPLE, definition=FUNNELS, order=ORDERED, longer=st.integers(1, 5))
def test_a_wider_window_never_lowers_a_count_in_any_order(
    people: dict[str, list[Event]], definition: Funnel, order: str, longer: int
) -> None:
    narrow = definition.model_copy(update={"order": order})
    wide = narrow.model_copy(update={"window": definition.window + timedelta(seconds=longer)})
    fewer, more = (funnel(table(people), one, as_of=LATER).to_polars() for one in (narrow, wide))
    assert (more["persons"] >= fewer["persons"]).all()


@EXAMPLES
@given(people=PEOPLE, definition=FUNNELS, noise=EVENTS)
def test_an_unrelated_event_changes_only_strict_funnels(
    people: dict[str, list[Event]], definition: Funnel, noise: list[Event]
) -> None:
    noisy = {person: [*events, *(("other", ts) for _, ts in noise)] for person, events in people.items()}
    for order in ("ordered", "any", "strict"):
        asked = definition.model_copy(update={"order": order})
        before, after = (funnel(table(one), asked, as_of=LATER).to_polars() for one in (people, noisy))
        if order == "strict":
            assert (after["persons"] <= before["persons"]).all()
        else:
            assert after.equals(before)


def test_an_event_between_ends_a_strict_attempt() -> None:
    strict = Funnel(name="f", steps=["A", "B"], window="9s", order="strict")
    people = {"p": [("A", at(0)), ("other", at(1)), ("B", at(2))]}
    assert funnel(table(people), strict, as_of=LATER).to_polars()["persons"].to_list() == [1, 0]


@EXAMPLES
@given(people=PEOPLE, definition=FUNNELS, as_of=st.integers(0, 20).map(at))
def test_values_of_all_events_each_are_the_funnel_of_their_events(
    people: dict[str, list[Event]], definition: Funnel, as_of: datetime
) -> None:
    events = table(people).with_columns(tag=pl.col("ts").dt.second() % 3)
    (part,) = broken_down(events, definition, [Segment("tag", attribution="all")], as_of=as_of)
    for value in part.values():
        alone = funnel(events.filter(pl.col("tag") == int(value)), definition, as_of=as_of)
        assert depths(part.of(value)) == depths(alone)


@EXAMPLES
@given(people=PEOPLE, definition=FUNNELS)
def test_values_of_the_first_step_each_are_the_funnel_of_those_entries(
    people: dict[str, list[Event]], definition: Funnel
) -> None:
    entry = definition.steps[0].event
    events = table(people).with_columns(tag=pl.col("ts").dt.second() % 3)
    if any(step.event == entry for step in definition.steps[1:]):
        return
    (part,) = broken_down(events, definition, [Segment("tag", attribution="step", step=1)], as_of=LATER)
    for value in part.values():
        own = events.filter((pl.col("event") != entry) | (pl.col("tag") == int(value)))
        assert depths(part.of(value)) == depths(funnel(own, definition, as_of=LATER))
