"""The index gives what the events give, and is never older than they are."""

import os
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from opsanalytics.behavior import index_build
from opsanalytics.behavior.folding import PresetError, check_preset
from opsanalytics.behavior.funnel import funnel
from opsanalytics.behavior.funnel_breakdown import breakdown_table, broken_down
from opsanalytics.behavior.funnel_trend import funnel_trend
from opsanalytics.behavior.index import BehaviorIndex, open_index
from opsanalytics.behavior.index_breakdown import indexed_breakdown
from opsanalytics.behavior.index_build import MisplacedEventsError
from opsanalytics.behavior.index_columns import EventsChangedError
from opsanalytics.behavior.index_funnel import foldable, indexed_counts, indexed_funnel
from opsanalytics.behavior.index_store import IndexFullError, refresh_index
from opsanalytics.behavior.index_trend import indexed_trend
from opsanalytics.behavior.segments import Segment
from opsanalytics.behavior.semantics import PRESETS, preset_named
from opsanalytics.behavior.spec import Funnel
from opsanalytics.lake.events import IDENTITY_RULES, scan_events
from opsanalytics.lake.files import write_parquet
from opsanalytics.lake.paths import Home
from opsanalytics.lake.schemas import EVENTS, PERSONS
from opsanalytics_tests.samples import event, frame, person, write_events

START = datetime(2024, 1, 1, tzinfo=UTC)
LATER = datetime(2025, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
ABC = Funnel(name="abc", steps=["A", "B", "C"], window="2d")


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "data")


Row = tuple[str, str, datetime]
"""Id as ingested, event, time."""


def write(home: Home, rows: list[Row], source: str = "web") -> None:
    """Replace all days of a source that have rows."""
    days: dict[date, list[dict[str, Any]]] = {}
    for number, (who, name, ts) in enumerate(rows):
        one = event(str(number), event=name, ts=ts, user_id=who or None, distinct_id=None, source=source)
        days.setdefault(ts.date(), []).append(one)
    for day, found in days.items():
        write_events(home, found, day, source)


def identify(home: Home, mapping: dict[str, str], source: str = "web") -> None:
    rows = [person("user", one, name, source) for one, name in mapping.items()]
    write_parquet(home.identity / "persons.parquet", frame(PERSONS, rows))


PEOPLE = {"u1": "p", "u2": "q", "u3": "r"}
ROWS: list[Row] = [
    ("u1", "A", START),
    ("u1", "B", START + 30 * HOUR),
    ("u1", "C", START + 48 * HOUR),
    ("u2", "A", START + 2 * HOUR),
    ("u2", "other", START + 3 * HOUR),
    ("u3", "B", START + 25 * HOUR),
    ("", "A", START + HOUR),
]


def counts(index: BehaviorIndex, definition: Funnel = ABC, **more: Any) -> list[int]:
    return indexed_counts(index, definition, **({"as_of": LATER} | more))["persons"].to_list()


def from_events(home: Home, definition: Funnel = ABC, **more: Any) -> list[int]:
    found = funnel(scan_events(home), definition, **({"as_of": LATER} | more))
    return found.to_polars()["persons"].to_list()


@pytest.fixture
def lake(home: Home) -> Home:
    identify(home, PEOPLE)
    write(home, ROWS)
    return home


def test_counts_are_those_of_the_events(lake: Home) -> None:
    index = open_index(lake)
    assert counts(index) == from_events(lake) == [2, 1, 1]
    assert index.rows == len(ROWS)


def test_persons_and_times_are_those_of_the_events(lake: Home) -> None:
    ours, theirs = (
        indexed_funnel(open_index(lake), ABC, as_of=LATER),
        funnel(scan_events(lake), ABC, as_of=LATER),
    )
    assert ours.persons.equals(theirs.persons)
    assert ours.left_out == theirs.left_out
    assert ours.left_out.without_person == 1


def test_an_empty_lake_has_an_empty_index(home: Home) -> None:
    assert counts(open_index(home)) == [0, 0, 0]
    assert indexed_funnel(open_index(home), ABC, as_of=LATER).entered == 0


def test_nothing_is_built_twice(lake: Home) -> None:
    assert len(refresh_index(lake).built) == 3
    assert refresh_index(lake).built == ()


def test_a_new_day_is_built_alone(lake: Home) -> None:
    refresh_index(lake)
    write(lake, [("u3", "C", START + 80 * HOUR)])
    done = refresh_index(lake)
    assert (done.built, done.rows) == ((date(2024, 1, 4),), 1)


def _replace_day(home: Home) -> None:
    write(home, [("u2", "B", START + 26 * HOUR)])


def _same_size_same_time(home: Home) -> None:
    """Other bytes in the same file, with the length and the time of change put back."""
    path = home.events_file("web", date(2024, 1, 2))
    events = pl.read_parquet(path)
    events.write_parquet(path, compression="uncompressed")
    refresh_index(home)
    old = path.stat()
    swapped = events.with_columns(pl.col("event").replace({"B": "C"}))
    swapped.write_parquet(path, compression="uncompressed")
    assert (path.stat().st_size, path.stat().st_ino) == (old.st_size, old.st_ino)
    os.utime(path, ns=(old.st_atime_ns, old.st_mtime_ns))


def _new_source(home: Home) -> None:
    identify(home, {"u1": "p", "u2": "q", "u3": "r"})
    write(home, [("u2", "B", START + 5 * HOUR)], source="app")


def _source_gone(home: Home) -> None:
    home.events_file("web", date(2024, 1, 2)).unlink()


def _merge(home: Home) -> None:
    identify(home, PEOPLE | {"u3": "q"})


def _split(home: Home) -> None:
    identify(home, {"u1": "p", "u2": "q"})


def _other_rule(home: Home) -> None:
    """The distinct id decides, and nobody has one."""
    (home.identity / IDENTITY_RULES).write_text('{"web": "verbs"}')


def _segment_gone(home: Home) -> None:
    for path in home.index.glob("day=2024-01-02*"):
        path.unlink()


def _segment_damaged(home: Home) -> None:
    for path in home.index.glob("day=2024-01-02*"):
        path.chmod(0o644)
        path.write_bytes(path.read_bytes()[:-8])


def _persons_gone(home: Home) -> None:
    for path in home.index.glob("persons*"):
        path.unlink()


def _manifest_of_another_version(home: Home) -> None:
    path = home.index / "index.json"
    path.write_text(path.read_text().replace('"version": 2', '"version": 1').replace('"A"', '"Z"'))


def _all_gone(home: Home) -> None:
    for path in home.events.glob("day=*/*"):
        path.unlink()


@pytest.mark.parametrize(
    "change",
    [
        _replace_day,
        _same_size_same_time,
        _new_source,
        _source_gone,
        _merge,
        _split,
        _other_rule,
        _segment_gone,
        _segment_damaged,
        _persons_gone,
        _manifest_of_another_version,
        _all_gone,
    ],
)
def test_the_index_is_never_stale(lake: Home, change: Callable[[Home], None]) -> None:
    refresh_index(lake)
    change(lake)
    index = open_index(lake)
    assert counts(index) == from_events(lake)
    theirs = funnel(scan_events(lake), ABC, as_of=LATER)
    assert indexed_funnel(index, ABC, as_of=LATER).persons.equals(theirs.persons)


def test_identities_build_the_days_that_they_concern_alone(lake: Home) -> None:
    refresh_index(lake)
    identify(lake, PEOPLE | {"u3": "q"})
    assert refresh_index(lake).built == (date(2024, 1, 2),)
    identify(lake, PEOPLE | {"u3": "q"})
    assert refresh_index(lake).built == ()
    identify(lake, PEOPLE | {"u3": "q", "new": "s"})
    assert refresh_index(lake).built == (date(2024, 1, 1),)  # which has an event of nobody
    assert counts(open_index(lake)) == from_events(lake)


def test_properties_are_never_stale(lake: Home) -> None:
    definition = Funnel(name="f", steps=["A", {"event": "B", "where": {"plan": "pro"}}], window="2d")

    def paid(plan: str, who: str = "u1") -> None:
        fields = {
            "event": "B",
            "ts": START + 30 * HOUR,
            "user_id": who,
            "properties": f'{{"plan": "{plan}"}}',
        }
        write_events(lake, [event("b", **fields)], date(2024, 1, 2))

    for change in (
        lambda: paid("pro"),
        lambda: paid("free"),
        lambda: paid("pro", "u2"),
        lambda: identify(lake, PEOPLE | {"u1": "other"}),
        lambda: _source_gone(lake),
    ):
        change()
        asked = {"definition": definition, "as_of": LATER}
        assert counts(open_index(lake), **asked) == from_events(lake, **asked)
    assert not list(lake.index.glob("columns/*/day=2024-01-02.*"))


def test_events_that_change_after_the_index_was_opened_are_not_mixed_with_it(lake: Home) -> None:
    index = open_index(lake)
    _replace_day(lake)
    definition = Funnel(name="f", steps=["A", {"event": "B", "where": {"plan": "pro"}}], window="2d")
    with pytest.raises(EventsChangedError, match="2024-01-02 changed"):
        indexed_funnel(index, definition, as_of=LATER)


def test_an_event_in_the_folder_of_another_day_is_an_error(lake: Home) -> None:
    write_events(lake, [event("x", ts=START)], date(2024, 1, 9))
    with pytest.raises(MisplacedEventsError, match="another UTC day"):
        refresh_index(lake)


def test_filters_that_python_holds_for_equal_are_told_apart(lake: Home) -> None:
    rows = [event(str(n), event="A", ts=START, user_id="u1", properties=text) for n, text in enumerate(FLAGS)]
    write_events(lake, rows, START.date())
    for value in (1, True, 1.0, "1"):
        both = [{"event": "A", "where": {"flag": value}}, {"event": "A", "where": {"flag": True}}]
        definition = Funnel(name="f", steps=both, window="2d")
        assert counts(open_index(lake), definition) == from_events(lake, definition)


FLAGS = ('{"flag": 1}', '{"flag": true}')


def test_a_day_that_changes_while_it_is_read_is_built_again(
    lake: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = index_build.EventFiles

    def changing(paths: list[Path]) -> index_build.EventFiles:
        files = opened(paths)
        write(lake, [("u2", "B", START + 26 * HOUR)])
        return files

    monkeypatch.setattr(index_build, "EventFiles", changing)
    refresh_index(lake)
    monkeypatch.undo()
    assert counts(open_index(lake)) == from_events(lake)


def test_an_index_that_was_opened_keeps_its_numbers(lake: Home) -> None:
    index = open_index(lake)
    before = counts(index)
    _all_gone(lake)
    refresh_index(lake)
    assert counts(index) == before


def test_only_what_the_manifest_names_is_kept(lake: Home) -> None:
    refresh_index(lake)
    _replace_day(lake)
    refresh_index(lake)
    assert len(list(lake.index.glob("day=*"))) == 3
    assert len(list(lake.index.glob("persons*"))) == 1


def test_numbers_do_not_depend_on_how_the_index_came_to_be(lake: Home) -> None:
    first = indexed_funnel(open_index(lake), ABC, as_of=LATER).persons
    for path in lake.index.iterdir():
        path.unlink()
    write(lake, [("u9", "A", START - 24 * HOUR)])
    refresh_index(lake)
    lake.events_file("web", date(2023, 12, 31)).unlink()
    assert indexed_funnel(open_index(lake), ABC, as_of=LATER).persons.equals(first)


def test_sources_are_told_apart(lake: Home) -> None:
    identify(lake, PEOPLE)
    rows = [person("user", one, name) for one, name in PEOPLE.items()]
    rows += [person("user", one, name, "app") for one, name in PEOPLE.items()]
    write_parquet(lake.identity / "persons.parquet", frame(PERSONS, rows))
    write(lake, [("u2", "B", START + 5 * HOUR)], source="app")
    index = open_index(lake)
    for sources in (["web"], ["app"], ["web", "app"], None):
        definition = ABC.model_copy(update={"sources": None if sources is None else tuple(sources)})
        assert counts(index, definition) == from_events(lake, definition)


def test_too_many_names_are_refused(lake: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index_build, "MOST_CODES", 3)
    with pytest.raises(IndexFullError, match="4 pairs of source and event name"):
        refresh_index(lake)


EVENT = st.tuples(
    st.sampled_from(["u1", "u2", "u3", "u4", ""]),
    st.sampled_from(["A", "B", "C", "X", "other"]),
    st.integers(0, 40).map(lambda n: START + n * 3 * HOUR),
    st.sampled_from(
        ["{}", '{"plan": "pro"}', '{"plan": "free"}', '{"plan": "(none)", "n": 2}', '{"n": 1.5}']
    ),
    st.sampled_from([None, "DE", "FR", ""]),
    st.sampled_from(["web", "app"]),
)
PRO = {"property": "plan", "value": "pro"}
CHANGES: list[dict[str, Any]] = [
    {},
    {"order": "any"},
    {"order": "strict"},
    {"exclusions": [{"event": "X"}]},
    {"counting": "attempts"},
    {"date_range": "all_steps"},
    {"reentry": False},
    {"sources": ["app"]},
    {"sources": ["app"], "order": "strict"},
    {"steps": ["A", {"event": "B", "where": PRO}]},
    {"steps": [{"event": "*", "where": {"property": "country", "op": "set"}}, "B"]},
    {"steps": ["A", {"event": "B", "where": [PRO, {"property": "n", "op": "not_set"}], "also": ["C"]}]},
    {"steps": [{"event": "A", "where": {"n": 1.5}}, {"event": "A", "where": {"n": [1, 2]}}, "C"]},
    {
        "steps": ["A", "B"],
        "exclusions": [{"event": "X", "where": {"property": "plan", "op": "ne", "value": "x"}}],
    },
    {"steps": ["A", {"event": "B", "where": PRO | {"of": "person"}}]},
    {"steps": [{"event": "A", "where": {"property": "country", "op": "not_set", "of": "person"}}, "B"]},
    {"steps": ["A", {"event": "B", "occurrence": "first"}]},
    {"steps": ["A", {"event": "B", "where": PRO, "occurrence": "first_ever"}]},
    {"steps": ["A", {"event": "B", "optional": True}, "C"]},
    {"steps": ["A", {"event": "B", "within": "20h"}, "C"]},
    {"hold": "country"},
    {"hold": ["plan", "country"], "order": "any"},
    {"counting": "sessions", "session_gap": "4h"},
    {"counting": "sessions", "session_property": "country"},
    {"entity": "country"},
    {"entity": "plan", "steps": ["A", {"event": "B", "where": {"n": 2}}]},
    {"value": "n"},
    {"among": {"name": "few", "where": [{"did": "X"}]}},
    {"among": {"name": "few", "where": [{"did": "X"}]}, "hold": "plan"},
]
"""Everything that a definition can ask for."""
SEGMENTS = [
    [Segment("country")],
    [Segment("plan", limit=1), Segment("country", limit=1)],
    [Segment("plan", attribution="last")],
    [Segment("country", attribution="all", limit=1)],
    [Segment("plan", attribution="step", step=2)],
    [Segment(("plan", "country"))],
    [Segment("plan", of="person")],
]


def everything(home: Home, rows: list[tuple[str, str, datetime, str, str | None, str]]) -> None:
    identify_both(home, PEOPLE)
    days: dict[tuple[date, str], list[dict[str, Any]]] = {}
    for number, (who, name, ts, properties, country, source) in enumerate(rows):
        more = {"properties": properties, "country": country, "source": source}
        one = event(str(number), event=name, ts=ts, user_id=who or None, distinct_id=None, **more)
        days.setdefault((ts.date(), source), []).append(one)
    for (day, source), found in days.items():
        write_events(home, found, day, source)


def identify_both(home: Home, mapping: dict[str, str]) -> None:
    rows = [person("user", one, name, source) for one, name in mapping.items() for source in ("web", "app")]
    write_parquet(home.identity / "persons.parquet", frame(PERSONS, rows))


ASKED: dict[str, Any] = {
    "rows": st.lists(EVENT, max_size=25),
    "steps": st.sampled_from([["A", "B", "C"], ["A", "B"], ["A", "A"], ["A", ["B", "C"]]]),
    "change": st.sampled_from(CHANGES),
    "as_of": st.integers(0, 50).map(lambda n: START + n * 3 * HOUR),
    "first": st.none() | st.just(date(2024, 1, 2)),
    "last": st.none() | st.just(date(2024, 1, 4)),
}


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(**ASKED)
def test_index_and_events_give_the_same(
    tmp_path_factory: pytest.TempPathFactory,
    rows: list[Any],
    steps: list[Any],
    change: dict[str, Any],
    as_of: datetime,
    first: date | None,
    last: date | None,
) -> None:
    home = Home(tmp_path_factory.mktemp("lake"))
    everything(home, rows)
    index = open_index(home)
    definition = Funnel(**({"name": "f", "steps": steps, "window": "36h"} | change))
    asked: dict[str, Any] = {"as_of": as_of, "first": first, "last": last, "timezone": "Europe/Berlin"}
    for preset in PRESETS:
        try:
            check_preset(definition, preset_named(preset))
        except PresetError:
            continue
        theirs = funnel(scan_events(home), definition, preset=preset, **asked)
        ours = indexed_funnel(index, definition, preset=preset, **asked)
        assert_frame_equal(ours.persons, theirs.persons)
        assert ours.left_out == theirs.left_out
        assert ours.to_polars().equals(theirs.to_polars())
        expected = theirs.to_polars().select("step", "persons", "immature_persons")
        assert indexed_counts(index, definition, preset=preset, **asked).equals(expected)
    before = scan_events(home).filter(pl.col("ts") < as_of)
    assert_frame_equal(
        indexed_funnel(index.before(as_of), definition, **asked).persons,
        funnel(before, definition, **asked).persons,
    )


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(segments=st.sampled_from(SEGMENTS), preset=st.sampled_from(["opsanalytics", "posthog"]), **ASKED)
def test_breakdowns_of_index_and_events_are_the_same(
    tmp_path_factory: pytest.TempPathFactory,
    rows: list[Any],
    steps: list[Any],
    change: dict[str, Any],
    as_of: datetime,
    first: date | None,
    last: date | None,
    segments: list[Segment],
    preset: str,
) -> None:
    home = Home(tmp_path_factory.mktemp("lake"))
    everything(home, rows)
    definition = Funnel(**({"name": "f", "steps": steps, "window": "36h"} | change))
    asked: dict[str, Any] = {"as_of": as_of, "first": first, "last": last, "preset": preset}
    theirs = broken_down(scan_events(home), definition, segments, **asked)
    ours = indexed_breakdown(open_index(home), definition, segments, **asked)
    semantics = preset_named(preset)
    for found, expected in zip(ours, theirs, strict=True):
        assert found.values() == expected.values()
        for value in expected.values():
            own, other = found.of(value), expected.of(value)
            assert_frame_equal(own.persons, other.persons)
    if foldable(definition):
        trend = funnel_trend(scan_events(home), definition, period="day", **asked)
        assert indexed_trend(open_index(home), definition, period="day", **asked).equals(trend)
    table = breakdown_table(ours, definition, as_of=as_of, semantics=semantics)
    assert table.equals(breakdown_table(theirs, definition, as_of=as_of, semantics=semantics))


def test_columns_that_the_index_needs_are_in_the_lake() -> None:
    assert {"ts", "source", "event"} <= set(EVENTS.names)


@pytest.mark.parametrize("preset", PRESETS)
def test_what_comes_between_strict_steps_may_share_the_time_of_the_first(home: Home, preset: str) -> None:
    """Tools that overlook such an instant must still see what comes between later."""
    order = "ordered" if preset == "clickhouse" else "strict"
    strict = Funnel(name="ab", steps=["A", "B"], window="1d", order=order)
    minutes = {"u1": "A0 x0 x30 x30 B60", "u2": "A0 x0 B60", "u3": "A0 x0 A50 x60 B60"}
    identify(home, PEOPLE)
    write(
        home,
        [
            (who, word[0], START + int(word[1:]) * HOUR / 60)
            for who, words in minutes.items()
            for word in words.split()
        ],
    )
    modes = f"{preset}:strict_order" if preset == "clickhouse" else preset
    asked: dict[str, Any] = {"as_of": LATER, "preset": modes}
    from_index = indexed_funnel(open_index(home), strict, **asked).to_polars()
    assert_frame_equal(from_index, funnel(scan_events(home), strict, **asked).to_polars())
