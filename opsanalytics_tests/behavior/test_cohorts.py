"""Cohorts against a plain reading of their conditions, and funnels and retention narrowed to them."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from opsanalytics.behavior.cohort_spec import Cohort
from opsanalytics.behavior.cohorts import cohort
from opsanalytics.behavior.filters import PropertyError
from opsanalytics.behavior.funnel import funnel
from opsanalytics.behavior.funnel_breakdown import broken_down
from opsanalytics.behavior.references import resolved_cohorts
from opsanalytics.behavior.retention import retention
from opsanalytics.behavior.retention_breakdown import retention_by_value
from opsanalytics.behavior.segments import Segment
from opsanalytics.behavior.spec import Funnel, Retention
from opsanalytics_tests.behavior.examples import LATER, START, at, table

NOW = at(10 * 86_400)
Row = tuple[str, str, datetime, str | None]
SCHEMA = {
    "person": pl.String,
    "event": pl.String,
    "ts": pl.Datetime("us", "UTC"),
    "plan": pl.String,
}
rows = st.lists(
    st.tuples(
        st.sampled_from("pqrs"),
        st.sampled_from("ab"),
        st.integers(0, 22).map(lambda half: at(half * 43_200)),
        st.sampled_from([None, "pro", "free"]),
    ),
    max_size=25,
)
lengths = st.sampled_from([None, "12h", "3d", "7d"])
periods = st.one_of(
    st.fixed_dictionaries({"within": lengths}),
    st.fixed_dictionaries({"before": lengths}),
    st.fixed_dictionaries({"first": st.sampled_from([None, date(2026, 3, 4)])}),
    st.fixed_dictionaries({"last": st.sampled_from([None, date(2026, 3, 6)])}),
)
leaves = st.one_of(
    st.builds(
        lambda event, times, most, period: {
            "did": event,
            "times": times,
            "at_most": None if most is None else times + most,
            **period,
        },
        st.sampled_from(["a", "b", "*"]),
        st.integers(0, 3),
        st.sampled_from([None, 0, 1]),
        periods,
    ),
    st.builds(lambda event, period: {"did_not": event, **period}, st.sampled_from("ab"), periods),
    st.builds(lambda which, period: {"seen": which, **period}, st.sampled_from(["first", "last"]), periods),
    st.sampled_from([{"property": "plan", "value": "pro"}, {"property": "plan", "op": "not_set"}]),
)
conditions = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.builds(lambda each: {"all": each}, st.lists(inner, min_size=1, max_size=2)),
        st.builds(lambda each: {"any": each}, st.lists(inner, min_size=1, max_size=2)),
        st.builds(lambda each: {"not": each}, inner),
    ),
    max_leaves=5,
)


def frame(events: list[Row]) -> pl.DataFrame:
    return pl.DataFrame(events, schema=SCHEMA, orient="row")


def lies_in(ts: datetime, period: dict[str, Any]) -> bool:
    days = {"12h": 0.5, "3d": 3, "7d": 7}
    within, before = (period.get(name) for name in ("within", "before"))
    first, last = (period.get(name) for name in ("first", "last"))
    return (
        (within is None or ts >= NOW - timedelta(days=days[within]))
        and (before is None or ts <= NOW - timedelta(days=days[before]))
        and (first is None or ts.date() >= first)
        and (last is None or ts.date() <= last)
    )


def holds(condition: dict[str, Any], own: list[Row]) -> bool:
    """Whether a condition holds for a person with these events."""
    if "all" in condition:
        return all(holds(each, own) for each in condition["all"])
    if "any" in condition:
        return any(holds(each, own) for each in condition["any"])
    if "not" in condition:
        return not holds(condition["not"], own)
    if "seen" in condition:
        edge = (min if condition["seen"] == "first" else max)(row[2] for row in own)
        return lies_in(edge, condition)
    if "property" in condition:
        values = sorted((row[2], row[3]) for row in own if row[3] is not None)
        latest = values[-1][1] if values else None
        return latest == "pro" if "value" in condition else latest is None
    event = condition.get("did") or condition["did_not"]
    count = sum(event in (row[1], "*") and lies_in(row[2], condition) for row in own)
    if "did_not" in condition:
        return count == 0
    return bool(
        count >= condition["times"] and (condition["at_most"] is None or count <= condition["at_most"])
    )


def members(events: list[Row], where: list[dict[str, Any]]) -> list[str]:
    people: dict[str, list[Row]] = {}
    for row in events:
        if row[2] <= NOW:
            people.setdefault(row[0], []).append(row)
    return sorted(one for one, own in people.items() if all(holds(each, own) for each in where))


@settings(max_examples=120, deadline=None)
@given(rows, st.lists(conditions, min_size=1, max_size=2))
def test_members_are_those_for_whom_the_conditions_hold(
    events: list[Row], where: list[dict[str, Any]]
) -> None:
    result = cohort(frame(events), Cohort(where=where), as_of=NOW)
    assert result.persons.to_list() == members(events, where)
    assert result.asked == len({row[0] for row in events if row[2] <= NOW})


@settings(max_examples=25, deadline=None)
@given(rows, conditions, st.randoms(use_true_random=False))
def test_the_order_of_rows_is_nothing(events: list[Row], where: dict[str, Any], random: Any) -> None:
    shuffled = list(events)
    random.shuffle(shuffled)
    first, second = (cohort(frame(each), Cohort(where=where), as_of=NOW) for each in (events, shuffled))
    assert first.persons.equals(second.persons)
    assert first.to_polars().equals(second.to_polars())


@settings(max_examples=25, deadline=None)
@given(rows, conditions)
def test_a_cohort_and_its_opposite_are_everybody(events: list[Row], where: dict[str, Any]) -> None:
    inside = cohort(frame(events), Cohort(where=where), as_of=NOW)
    outside = cohort(frame(events), Cohort(where={"not": where}), as_of=NOW)
    assert inside.size + outside.size == inside.asked
    assert not set(inside.persons) & set(outside.persons)


PEOPLE = {
    "p": [("a", at(0)), ("a", at(10)), ("b", at(20)), ("b", at(90_000))],
    "q": [("a", at(0)), ("a", at(100_000))],
    "r": [("a", at(5)), ("b", at(7))],
}
TWICE = Cohort(name="twice", where={"did": "a", "times": 2})
BUY = Funnel(steps=["a", "b"], window="1d")


def test_a_funnel_among_a_cohort_is_the_funnel_of_its_members() -> None:
    events = table(PEOPLE)
    among = funnel(events, BUY.model_copy(update={"among": TWICE}), as_of=LATER)
    alone = funnel(events.filter(pl.col("person").is_in(["p", "q"])), BUY, as_of=LATER)
    assert among.persons.equals(alone.persons)
    assert among.definition_id != alone.definition_id


def test_a_breakdown_by_cohort_adds_up() -> None:
    (part,) = broken_down(table(PEOPLE), BUY, [Segment(cohort=TWICE)], as_of=LATER)
    assert part.values() == ["in twice", "not in twice"]
    assert [part.of(value).entered for value in part.values()] == [2, 1]


def test_a_breakdown_among_a_cohort_asks_who_belongs_only_once() -> None:
    narrowed = BUY.model_copy(update={"among": TWICE})
    (part,) = broken_down(table(PEOPLE), narrowed, [Segment(cohort=TWICE)], as_of=LATER)
    assert [part.of(value).entered for value in part.values()] == [2]


def test_retention_among_and_by_a_cohort() -> None:
    asked = Retention(start="a", returning="b", period="day", periods=1)
    events = table(PEOPLE)
    among = retention(events, asked.model_copy(update={"among": TWICE}), as_of=LATER)
    assert among.pooled()["n"].to_list() == [2, 2]
    parts = retention_by_value(events, asked, Segment(cohort=TWICE), as_of=LATER)
    assert {value: one.pooled()["n"][0] for value, one in parts.items()} == {"in twice": 2, "not in twice": 1}


def test_events_without_a_person_are_still_told() -> None:
    events = pl.concat(
        [table(PEOPLE), table({"x": [("a", at(0))]}).with_columns(person=pl.lit(None, pl.String))]
    )
    result = funnel(events, BUY.model_copy(update={"among": TWICE}), as_of=LATER)
    assert result.left_out.without_person == 1


def test_a_cohort_may_be_made_of_others() -> None:
    found = resolved_cohorts([Cohort(name="both", where=[{"cohort": "twice"}, {"did": "b"}]), TWICE])
    assert cohort(table(PEOPLE), found["both"], as_of=LATER).persons.to_list() == ["p"]


def test_cohorts_in_a_circle_are_an_error() -> None:
    first, second = (
        Cohort(name=name, where={"cohort": other}) for name, other in (("one", "two"), ("two", "one"))
    )
    with pytest.raises(ValueError, match="one -> two -> one is a circle"):
        resolved_cohorts([first, second])


def test_a_name_alone_is_an_error_before_anything_is_read() -> None:
    with pytest.raises(ValueError, match="'twice' is only named here"):
        funnel(table(PEOPLE), BUY.model_copy(update={"among": "twice"}), as_of=LATER)


def test_local_days_are_those_of_the_zone() -> None:
    late = table({"p": [("a", datetime(2026, 3, 9, 3, 30, tzinfo=UTC))]})
    where = Cohort(where={"did": "a", "first": "2026-03-09"})
    assert cohort(late, where, as_of=LATER).size == 1
    assert cohort(late, where, as_of=LATER, timezone="America/New_York").size == 0


def test_hostile_values() -> None:
    events = frame(
        [
            ("p", "a", datetime(1901, 1, 1, tzinfo=UTC), None),
            ("p", "a", datetime(2250, 1, 1, tzinfo=UTC), None),
            (None, "a", START, None),  # type: ignore[list-item]
            ("q", "a", None, None),  # type: ignore[list-item]
            *[("r", "a", START, None)] * 2_000,
        ]
    )
    where = Cohort(where=[{"did": "a", "times": 2}, {"seen": "first", "last": "1969-12-31"}])
    result = cohort(events, where, as_of=datetime(2300, 1, 1, tzinfo=UTC))
    assert (result.persons.to_list(), result.asked) == (["p"], 2)
    assert (result.left_out.without_person, result.left_out.without_time) == (1, 1)
    assert cohort(frame([]), where, as_of=LATER).to_polars()["rate"].to_list() == [None]


def test_sources_decide_who_is_asked() -> None:
    events = table(PEOPLE).with_columns(
        source=pl.when(pl.col("person") == "r").then(pl.lit("x")).otherwise(pl.lit("y"))
    )
    nobody = Cohort(where={"did_not": "zzz"}, sources=["x"])
    assert cohort(events, nobody, as_of=LATER).persons.to_list() == ["r"]


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"where": []}, "where"),
        ({"where": {"did": "a", "time": 2}}, "time"),
        ({"where": {"done": "a"}}, "a condition is a table with one of the keys did, did_not"),
        ({"where": {"did": "a", "times": 2, "at_most": 1}}, "at_most"),
        ({"where": {"did": "a", "within": "1d", "before": "2d"}}, "before is longer than within"),
        ({"where": {"property": "plan", "op": "like", "value": "x"}}, "op"),
        ({"where": {"property": "plan", "op": "gt", "value": "x"}}, "compares numbers"),
        ({"where": {"any": [{"seen": "twice"}]}}, "seen"),
    ],
)
def test_a_wrong_definition_names_the_field(wrong: dict[str, Any], field: str) -> None:
    with pytest.raises(ValidationError, match=field):
        Cohort.model_validate(wrong)


def test_a_property_the_events_cannot_have_is_an_error() -> None:
    with pytest.raises(PropertyError, match="plan"):
        cohort(table(PEOPLE), Cohort(where={"property": "plan", "value": "x"}), as_of=LATER)


def test_definitions_survive_json_and_old_ids_stay() -> None:
    rules = Cohort(name="x", where=[{"not": {"any": [{"did": "a", "within": "30d"}, {"cohort": "y"}]}}])
    assert Cohort.model_validate_json(rules.model_dump_json()) == rules
    assert rules.model_copy(update={"name": "z"}).definition_id == rules.definition_id
    assert (
        Funnel(steps=["a"], window="1d", among=None).definition_id
        == Funnel(steps=["a"], window="1d").definition_id
    )
