"""Retention from the index is that from the events, cell by cell."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from opsanalytics.behavior import index_retention
from opsanalytics.behavior.calendars import Calendar
from opsanalytics.behavior.index import NotIndexedError, open_index
from opsanalytics.behavior.index_periods import periods_of_days
from opsanalytics.behavior.index_retention import indexed_retention
from opsanalytics.behavior.periods import WEEKDAYS
from opsanalytics.behavior.retention import RetentionResult, retention
from opsanalytics.behavior.spec import Retention
from opsanalytics.lake.events import scan_events
from opsanalytics.lake.paths import Home
from opsanalytics.lake.tables import UTC_TIME
from opsanalytics_tests.behavior.test_index import Row, identify, write

START = datetime(2026, 3, 26, tzinfo=UTC)
LATER = datetime(2027, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
ZONES = ["UTC", "Europe/Berlin", "America/New_York", "Asia/Kathmandu", "Pacific/Apia"]
PEOPLE = {f"u{number}": f"p{number % 90}" for number in range(100)}


def same(ours: RetentionResult, theirs: RetentionResult) -> None:
    assert ours.cells.equals(theirs.cells)
    assert ours.left_out == theirs.left_out
    assert (ours.by_hour is None) == (theirs.by_hour is None)
    if ours.by_hour is not None and theirs.by_hour is not None:
        assert ours.by_hour.sort("cohort", "period").equals(theirs.by_hour.sort("cohort", "period"))


def compare(home: Home, definition: Retention, **asked: Any) -> RetentionResult:
    ours = indexed_retention(open_index(home), definition, **asked)
    same(ours, retention(scan_events(home), definition, **asked))
    return ours


EVENT = st.tuples(
    st.sampled_from(["u1", "u2", "u3", "u64", "u95", ""]),
    st.sampled_from(["S", "S", "R", "R", "Q", "other"]),
    # Over the change of clocks in Berlin, with instants shared by many.
    st.integers(0, 60).map(lambda n: START + n * 4 * HOUR),
)
EVEN = {"property": "event_id", "op": "regex", "value": "[02468]$"}
"""Half of the events pass."""
DEFINITIONS = st.builds(
    lambda rolling, **fields: Retention(
        **fields, clock="rolling" if rolling and fields["cohort"] != "recurring" else "calendar"
    ),
    rolling=st.booleans(),
    name=st.just("r"),
    start=st.sampled_from(
        ["S", {"event": "S", "also": [{"event": "Q"}]}, {"event": "S", "where": [EVEN]}],
    ),
    returning=st.sampled_from(
        [
            ["R"],
            ["S"],
            ["R", "S"],
            ["*"],
            [{"event": "R", "where": [EVEN]}, "Q"],
            [{"event": "R", "where": [EVEN | {"of": "person"}]}],
        ]
    ),
    period=st.sampled_from(["hour", "day", "week", "month"]),
    periods=st.integers(1, 5),
    cohort=st.sampled_from(["first", "first_ever", "recurring"]),
    returns=st.sampled_from(["on", "on_or_after"]),
    brackets=st.sampled_from([(), (), (1, 2), (2, 3, 1)]),
    minimum=st.sampled_from([1, 1, 1, 2]),
    zero=st.sampled_from(["returned", "started"]),
    sources=st.sampled_from([None, ("web",), ("app",), ("web", "app")]),
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    web=st.lists(EVENT, max_size=20),
    app=st.lists(EVENT, max_size=6),
    definitions=st.lists(DEFINITIONS, min_size=4, max_size=4),
    zone=st.sampled_from(ZONES),
    week_start=st.sampled_from(WEEKDAYS),
    as_of=st.integers(-1, 80).map(lambda n: START + n * 4 * HOUR),
    max_cohorts=st.none() | st.integers(1, 3),
    preset=st.sampled_from(["opsanalytics", "posthog"]),
)
def test_index_and_events_give_the_same(
    tmp_path_factory: pytest.TempPathFactory,
    web: list[Row],
    app: list[Row],
    definitions: list[Retention],
    zone: str,
    week_start: Any,
    as_of: datetime,
    max_cohorts: int | None,
    preset: Any,
) -> None:
    home = Home(tmp_path_factory.mktemp("lake"))
    identify(home, PEOPLE)
    write(home, web)
    write(home, app, source="app")
    for definition in definitions:
        compare(
            home,
            definition,
            as_of=as_of,
            timezone=zone,
            week_start=week_start,
            max_cohorts=max_cohorts,
            preset=preset,
        )


@pytest.fixture
def lake(tmp_path: Any) -> Home:
    """Ninety persons over a hundred days, seeded."""
    home = Home(tmp_path / "data")
    identify(home, PEOPLE)
    random = np.random.default_rng(5)
    rows = [
        (f"u{who}", name, START + int(hour) * HOUR)
        for who, name, hour in zip(
            random.integers(0, 100, 1_500),
            random.choice(["S", "R", "Q"], 1_500, p=[0.1, 0.3, 0.6]),
            random.integers(0, 100 * 24, 1_500),
            strict=True,
        )
    ]
    write(home, rows)
    return home


@pytest.mark.parametrize("period", ["hour", "day", "week", "month"])
@pytest.mark.parametrize("cohort", ["first", "recurring"])
def test_persons_taken_in_turn_give_what_they_give_at_once(
    lake: Home, monkeypatch: pytest.MonkeyPatch, period: Any, cohort: Any
) -> None:
    definition = Retention(start="S", returning="R", period=period, periods=20, cohort=cohort)
    at_once = compare(lake, definition, as_of=LATER, timezone="Europe/Berlin")
    monkeypatch.setattr(index_retention, "BUDGET", 1)
    same(compare(lake, definition, as_of=LATER, timezone="Europe/Berlin"), at_once)
    assert at_once.pooled()["returned"].sum() > 0


def test_nobody_at_all(tmp_path: Any) -> None:
    compare(Home(tmp_path / "data"), Retention(start="S", returning="R"), as_of=LATER)


def test_events_of_nobody_alone(tmp_path: Any) -> None:
    home = Home(tmp_path / "data")
    write(home, [("", "S", START), ("", "R", START)])
    assert compare(home, Retention(start="S", returning="R"), as_of=LATER).left_out.without_person == 2


def test_events_far_away_in_time(tmp_path: Any) -> None:
    home = Home(tmp_path / "data")
    identify(home, PEOPLE)
    far = [datetime(1901, 12, 13, 20, 45, 52, tzinfo=UTC), START, datetime(2262, 1, 1, tzinfo=UTC)]
    write(home, [("u1", name, ts + n * HOUR) for ts in far for n, name in enumerate("SR")])
    for period in ("hour", "month"):
        definition = Retention(start="S", returning="R", period=period, cohort="recurring")
        compare(home, definition, as_of=datetime(2300, 1, 1, tzinfo=UTC), timezone="Europe/Amsterdam")


def test_a_day_that_goes_on_after_the_next_has_begun(tmp_path: Any) -> None:
    # Until 2011 Newfoundland put its clocks back at a minute past midnight, into the day before.
    home = Home(tmp_path / "data")
    identify(home, PEOPLE)
    midnight = datetime(2006, 10, 29, 2, 30, tzinfo=UTC)
    write(home, [("u1", "S", midnight), ("u1", "R", midnight + HOUR / 4), ("u1", "R", midnight + 3 * HOUR)])
    definition = Retention(start="S", returning="R", period="day", periods=3)
    found = compare(home, definition, as_of=LATER, timezone="America/St_Johns")
    shown = found.cells.drop_nulls("cohort").select("cohort", "period", "returned").rows()
    assert shown == [(date(2006, 10, 29), k, int(k == 0)) for k in range(4)]


@pytest.mark.parametrize(
    "change",
    [
        {"entity": "account"},
        {"value": "revenue"},
        {"among": {"name": "c", "where": {"did": "S"}}},
    ],
)
def test_what_the_index_does_not_hold_is_refused(lake: Home, change: dict[str, Any]) -> None:
    definition = Retention.model_validate({"start": "S", "returning": "R"} | change)
    with pytest.raises(NotIndexedError, match="evaluate it on the events"):
        indexed_retention(open_index(lake), definition, as_of=LATER)


@settings(max_examples=100, deadline=None)
@given(
    day=st.dates(date(1900, 1, 1), date(2199, 12, 31)),
    zone=st.sampled_from([*ZONES, "America/St_Johns", "America/Sao_Paulo", "Africa/Monrovia"]),
    period=st.sampled_from(["hour", "day", "week", "month"]),
    week_start=st.sampled_from(WEEKDAYS),
    within=st.lists(st.integers(0, 86_400_000_000 - 1), min_size=1, max_size=20),
)
def test_periods_of_a_day_are_those_of_its_instants(
    day: date, zone: str, period: Any, week_start: Any, within: list[int]
) -> None:
    calendar = Calendar(period, zone, week_start)
    numbers, (found,) = periods_of_days([day], calendar)
    begins = int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()) * 1_000_000
    edges = [edge + more for edge in found.edges.tolist() for more in (-1, 0)][1:]
    instants = np.array([*(begins + one for one in within), *edges], np.int64)
    expected = pl.select(calendar.number(pl.lit(pl.Series(instants).cast(UTC_TIME)))).to_series().to_list()
    place = np.searchsorted(found.edges, instants, side="right") - 1
    assert numbers[found.slots[place]].tolist() == expected
