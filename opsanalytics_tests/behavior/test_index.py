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

from opsanalytics.behavior import index_build
from opsanalytics.behavior.funnel import funnel
from opsanalytics.behavior.index import BehaviorIndex, open_index
from opsanalytics.behavior.index_funnel import indexed_counts, indexed_funnel
from opsanalytics.behavior.index_store import IndexFullError, refresh_index
from opsanalytics.behavior.semantics import PRESETS
from opsanalytics.behavior.spec import Funnel
from opsanalytics.lake.events import scan_events
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


def test_a_day_that_changes_while_it_is_read_is_built_again(
    lake: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = index_build.scan_raw_events

    def changing(home: Home, **days: Any) -> pl.LazyFrame:
        frame = read(home, **days).collect()
        write(home, [("u2", "B", START + 26 * HOUR)])
        return frame.lazy()

    monkeypatch.setattr(index_build, "scan_raw_events", changing)
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
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.lists(EVENT, max_size=25),
    steps=st.sampled_from([["A", "B", "C"], ["A", "B"], ["A", "A"], ["A", ["B", "C"]]]),
    change=st.sampled_from(
        [
            {},
            {"order": "any"},
            {"order": "strict"},
            {"exclusions": [{"event": "X"}]},
            {"counting": "attempts"},
            {"date_range": "all_steps"},
        ]
    ),
    as_of=st.integers(0, 50).map(lambda n: START + n * 3 * HOUR),
    first=st.none() | st.just(date(2024, 1, 2)),
    last=st.none() | st.just(date(2024, 1, 4)),
)
def test_index_and_events_give_the_same(
    tmp_path_factory: pytest.TempPathFactory,
    rows: list[Row],
    steps: list[Any],
    change: dict[str, Any],
    as_of: datetime,
    first: date | None,
    last: date | None,
) -> None:
    home = Home(tmp_path_factory.mktemp("lake"))
    identify(home, PEOPLE)
    write(home, rows)
    index = open_index(home)
    definition = Funnel(**({"name": "f", "steps": steps, "window": "36h"} | change))
    asked: dict[str, Any] = {"as_of": as_of, "first": first, "last": last, "timezone": "Europe/Berlin"}
    presets = [name for name in PRESETS if name != "clickhouse" or not change]
    for preset in presets:
        theirs = funnel(scan_events(home), definition, preset=preset, **asked)
        ours = indexed_funnel(index, definition, preset=preset, **asked)
        assert ours.persons.equals(theirs.persons)
        assert ours.left_out == theirs.left_out
        expected = theirs.to_polars().select("step", "persons", "immature_persons")
        assert indexed_counts(index, definition, preset=preset, **asked).equals(expected)


def test_columns_that_the_index_needs_are_in_the_lake() -> None:
    assert {"ts", "source", "event"} <= set(EVENTS.names)
