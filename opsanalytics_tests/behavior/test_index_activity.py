"""Lifecycle, stickiness, usage interval and trends from the index are those from the events."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from opsanalytics.behavior.activity_spec import Lifecycle, Stickiness, UsageInterval
from opsanalytics.behavior.index import BehaviorIndex, NotIndexedError, open_index
from opsanalytics.behavior.lifecycle import lifecycle
from opsanalytics.behavior.periods import WEEKDAYS
from opsanalytics.behavior.segments import Segment
from opsanalytics.behavior.stickiness import stickiness
from opsanalytics.behavior.trends import trends
from opsanalytics.behavior.trends_spec import Trends
from opsanalytics.behavior.usage_interval import usage_interval
from opsanalytics.lake.events import scan_events
from opsanalytics.lake.paths import Home
from opsanalytics_tests.behavior.test_index import Row, identify, write
from opsanalytics_tests.behavior.test_index_retention import EVEN, EVENT, HOUR, START, ZONES

# Names do not come in the order of the numbers that the index gives.
PEOPLE = {f"u{number}": f"p{number * 37 % 90}" for number in range(100)}
EVENTS = st.sampled_from(
    [
        ["*"],
        ["S"],
        ["S", "Q"],
        [{"event": "R", "where": [EVEN]}],
        ["Q", {"event": "R", "where": [EVEN | {"of": "person"}]}],
    ]
)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "data")


SOURCES = st.sampled_from([None, ("web",), ("app",), ("web", "app")])
PERIODS = st.sampled_from(["hour", "day", "week", "month"])
LIFECYCLES = st.builds(
    Lifecycle, events=EVENTS, sources=SOURCES, period=PERIODS, new=st.sampled_from(["activity", "person"])
)
STICKINESS = st.builds(
    lambda units, **fields: Stickiness(unit=units[0], period=units[1], **fields),
    units=st.sampled_from([("hour", "day"), ("day", "week"), ("day", "month"), ("week", "range")]),
    events=EVENTS,
    sources=SOURCES,
    minimum=st.sampled_from([1, 1, 2, 3]),
)
INTERVALS = st.builds(UsageInterval, events=EVENTS, sources=SOURCES, unit=PERIODS)
SERIES = st.sampled_from(
    [
        {"event": "S"},
        {"event": "*", "measure": "persons"},
        {"event": {"event": "R", "where": [EVEN]}, "measure": "per_person"},
        {"event": {"event": "S", "also": [{"event": "Q"}]}, "measure": "persons"},
        {"event": "S", "measure": "sum", "property": "event_id"},
        {"event": "R", "measure": "average", "property": "event_id"},
        {"event": "*", "measure": "median", "property": "event_id"},
    ]
)
TRENDS = st.builds(
    Trends,
    series=st.lists(SERIES, min_size=2, max_size=3),
    formulas=st.sampled_from([(), ("A / B",)]),
    period=PERIODS,
    sources=SOURCES,
    compare=st.sampled_from([None, 1, 3]),
)
ASKED: dict[str, Any] = {
    "web": st.lists(EVENT, max_size=25),
    "app": st.lists(EVENT, max_size=6),
    "zone": st.sampled_from([*ZONES, "America/Scoresbysund"]),
    "week_start": st.sampled_from(WEEKDAYS),
    "as_of": st.integers(-1, 80).map(lambda n: START + n * 4 * HOUR),
    "days": st.sampled_from([(None, None), (3, None), (None, 4), (2, 6)]),
}


def asked(home: Home, fields: dict[str, Any]) -> tuple[BehaviorIndex, Any, dict[str, Any]]:
    identify(home, PEOPLE)
    write(home, fields["web"])
    write(home, fields["app"], source="app")
    first, last = (None if n is None else START.date() + timedelta(days=n) for n in fields["days"])
    limits = {
        "as_of": fields["as_of"],
        "first": first,
        "last": last,
        "timezone": fields["zone"],
        "week_start": fields["week_start"],
    }
    return open_index(home), scan_events(home), limits


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    definition=LIFECYCLES,
    preset=st.sampled_from(["opsanalytics", "posthog"]),
    fields=st.fixed_dictionaries(ASKED),
)
def test_lifecycles_are_the_same(
    tmp_path_factory: pytest.TempPathFactory, definition: Lifecycle, preset: Any, fields: dict[str, Any]
) -> None:
    index, events, limits = asked(Home(tmp_path_factory.mktemp("lake")), fields)
    ours = lifecycle(index, definition, preset=preset, **limits)
    theirs = lifecycle(events, definition, preset=preset, **limits)
    assert ours.periods.equals(theirs.periods)
    assert_frame_equal(ours.states, theirs.states)
    assert ours.left_out == theirs.left_out


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    definition=STICKINESS,
    preset=st.sampled_from(["opsanalytics", "posthog"]),
    fields=st.fixed_dictionaries(ASKED),
)
def test_stickiness_is_the_same(
    tmp_path_factory: pytest.TempPathFactory, definition: Stickiness, preset: Any, fields: dict[str, Any]
) -> None:
    index, events, limits = asked(Home(tmp_path_factory.mktemp("lake")), fields)
    if preset == "posthog" and definition.unit == "week":
        definition = definition.model_copy(update={"unit": "day"})
    ours = stickiness(index, definition, preset=preset, **limits)
    theirs = stickiness(events, definition, preset=preset, **limits)
    assert ours.cells.equals(theirs.cells)
    assert ours.days.equals(theirs.days)
    assert ours.left_out == theirs.left_out


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(definition=INTERVALS, fields=st.fixed_dictionaries(ASKED))
def test_usage_intervals_are_the_same(
    tmp_path_factory: pytest.TempPathFactory, definition: UsageInterval, fields: dict[str, Any]
) -> None:
    index, events, limits = asked(Home(tmp_path_factory.mktemp("lake")), fields)
    ours, theirs = (usage_interval(history, definition, **limits) for history in (index, events))
    assert ours.summary.equals(theirs.summary)
    assert ours.pauses.equals(theirs.pauses)
    assert_frame_equal(ours.persons, theirs.persons)
    assert ours.left_out == theirs.left_out


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    definition=TRENDS,
    breakdown=st.sampled_from([None, None, Segment("event_id", limit=2), Segment("platform")]),
    preset=st.sampled_from(["opsanalytics", "posthog"]),
    fields=st.fixed_dictionaries(ASKED),
)
def test_trends_are_the_same(
    tmp_path_factory: pytest.TempPathFactory,
    definition: Trends,
    breakdown: Segment | None,
    preset: Any,
    fields: dict[str, Any],
) -> None:
    index, events, limits = asked(Home(tmp_path_factory.mktemp("lake")), fields)
    ours = trends(index, definition, breakdown=breakdown, preset=preset, **limits)
    theirs = trends(events, definition, breakdown=breakdown, preset=preset, **limits)
    assert ours.rows.equals(theirs.rows)
    assert ours.left_out == theirs.left_out


def test_intervals_of_many_persons_are_the_same(home: Home) -> None:
    """From ten persons on a cell has intervals: draws go by the order of names."""
    identify(home, PEOPLE)
    rows: list[Row] = [
        (f"u{number}", "S", START + HOUR * (number * step % 500)) for number in range(100) for step in (7, 31)
    ]
    write(home, rows)
    definition = Trends(series=["S", {"event": "S", "measure": "per_person"}], formulas=["A / B"])
    as_of = datetime(2026, 6, 1, tzinfo=UTC)
    ours, theirs = (
        trends(each, definition, as_of=as_of).rows for each in (open_index(home), scan_events(home))
    )
    assert ours["number_low"].drop_nulls().len() > 0
    assert ours.equals(theirs)


def test_what_the_index_cannot_tell_is_refused(home: Home) -> None:
    identify(home, PEOPLE)
    write(home, [("u1", "S", START)])
    index, as_of = open_index(home), START + HOUR
    with pytest.raises(NotIndexedError, match="entities or first events"):
        lifecycle(index, Lifecycle(entity="account"), as_of=as_of)
    with pytest.raises(NotIndexedError, match="entities or first events"):
        usage_interval(index, UsageInterval(events=[{"event": "S", "occurrence": "first"}]), as_of=as_of)
    for breakdown in (Segment("plan", of="person"), Segment(("plan", "platform"))):
        with pytest.raises(NotIndexedError, match="one property"):
            trends(index, Trends(series=["S"]), breakdown=breakdown, as_of=as_of)
