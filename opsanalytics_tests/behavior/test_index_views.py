"""A part of the index is the index of a part of the events."""

from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from opsanalytics.behavior.funnel import funnel
from opsanalytics.behavior.funnel_trend import funnel_trend
from opsanalytics.behavior.index import BehaviorIndex, open_index
from opsanalytics.behavior.index_funnel import indexed_funnel
from opsanalytics.behavior.index_retention import indexed_retention
from opsanalytics.behavior.index_trend import indexed_trend
from opsanalytics.behavior.index_views import index_counted_once
from opsanalytics.behavior.overlaps import Overlap, counted_once
from opsanalytics.behavior.retention import retention
from opsanalytics.behavior.spec import Funnel, Retention
from opsanalytics.lake.events import scan_events
from opsanalytics.lake.files import write_parquet
from opsanalytics.lake.paths import Home
from opsanalytics.lake.schemas import PERSONS
from opsanalytics_tests.behavior.test_index import Row, write
from opsanalytics_tests.samples import frame, person

START = datetime(2026, 3, 26, tzinfo=UTC)
LATER = datetime(2026, 6, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
SOURCES = ["web", "app", "server"]
PEOPLE = {"u1": "p", "u2": "q", "u3": "r"}

EVENT = st.tuples(
    st.sampled_from(["u1", "u2", "u3", ""]),
    st.sampled_from(["S", "R", "T"]),
    st.integers(0, 30).map(lambda n: START + n * 6 * HOUR),
)
OVERLAP = st.builds(
    Overlap,
    prefer=st.permutations(SOURCES).map(lambda names: tuple(names[:2])) | st.permutations(SOURCES).map(tuple),
    events=st.sampled_from([None, ("S",), ("S", "R")]),
    per=st.sampled_from(["day", "person_day"]),
)
FUNNELS = [
    Funnel(name="f", steps=["S", "R"], window="36h"),
    Funnel(name="f", steps=["S", "R", "T"], window="36h", order="strict"),
    Funnel(
        name="f",
        steps=["S", {"event": "R", "where": [{"property": "event_id", "op": "regex", "value": "[02468]$"}]}],
        window="3d",
    ),
    Funnel(name="f", steps=["S", "R"], window="3d", counting="sessions", session_gap="1d"),
]
RETENTION = Retention(start="S", returning=["R", "T"], period="day", periods=3)


def lake(folder: Any, events: dict[str, list[Row]]) -> Home:
    home = Home(folder)
    rows = [person("user", one, name, source) for source in SOURCES for one, name in PEOPLE.items()]
    write_parquet(home.identity / "persons.parquet", frame(PERSONS, rows))
    for source, found in events.items():
        write(home, found, source)
    return home


def same(index: BehaviorIndex, events: pl.LazyFrame, as_of: datetime, zone: str = "Europe/Berlin") -> None:
    """The index answers as the events do, in every way that it can be asked."""
    for definition in FUNNELS:
        ours = indexed_funnel(index, definition, as_of=as_of, timezone=zone)
        theirs = funnel(events, definition, as_of=as_of, timezone=zone)
        assert ours.to_polars().equals(theirs.to_polars())
        assert ours.left_out == theirs.left_out
    for definition in FUNNELS[:3]:
        limits: dict[str, Any] = {"as_of": as_of, "timezone": zone, "period": "day"}
        assert indexed_trend(index, definition, **limits).equals(funnel_trend(events, definition, **limits))
    kept = indexed_retention(index, RETENTION, as_of=as_of, timezone=zone)
    assert kept.cells.equals(retention(events, RETENTION, as_of=as_of, timezone=zone).cells)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    events=st.fixed_dictionaries({source: st.lists(EVENT, max_size=10) for source in SOURCES}),
    overlaps=st.lists(OVERLAP, max_size=2),
    sources=st.sampled_from([None, ("web", "app"), ("app",), ("web", "server")]),
    moment=st.integers(0, 34).map(lambda n: START + n * 6 * HOUR),
    earlier=st.sampled_from([timedelta(), timedelta(microseconds=1), 12 * HOUR]),
)
def test_what_counts_once_before_a_moment(
    tmp_path_factory: pytest.TempPathFactory,
    events: dict[str, list[Row]],
    overlaps: list[Overlap],
    sources: Any,
    moment: datetime,
    earlier: timedelta,
) -> None:
    home = lake(tmp_path_factory.mktemp("lake"), events)
    index = open_index(home).before(moment)
    index = index_counted_once(index, overlaps, sources=sources)
    table = scan_events(home).filter(pl.col("ts") < moment).collect().lazy()
    same(index, counted_once(table, overlaps, sources=sources), moment - earlier)


def test_days_that_lose_nothing_stay_mapped(tmp_path: Any) -> None:
    home = lake(tmp_path, {"web": [("u1", "S", START), ("u1", "S", START + 24 * HOUR)]})
    write(home, [("u2", "S", START + 25 * HOUR)], "app")
    whole = open_index(home)
    overlap = Overlap(prefer=("web", "app"))
    part = index_counted_once(whole.before(LATER), [overlap])
    assert part.segments[0] is whole.segments[0]
    assert [len(one.ts) for one in part.segments] == [1, 1]
    assert index_counted_once(whole, [overlap], sources=["app"]).segments == whole.segments
