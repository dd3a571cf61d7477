"""Day after day, whatever arrives: marts of behavior are those of a computation from nothing."""

import tempfile
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from opsanalytics.analysis.marts import (
    cohort_marts,
    funnel_marts,
    lifecycle_marts,
    path_marts,
    retention_marts,
    session_marts,
    stickiness_marts,
    trends_marts,
    usage_interval_marts,
)
from opsanalytics.behavior import index_build, index_columns, index_store
from opsanalytics.behavior.index_build import IndexFullError
from opsanalytics.identity.persons import rebuild
from opsanalytics.lake import events, id_changes
from opsanalytics.lake.paths import Home
from opsanalytics_tests.analysis.world import FIRST, World
from opsanalytics_tests.samples import write_events

INDEXED = (
    funnel_marts,
    retention_marts,
    lifecycle_marts,
    stickiness_marts,
    usage_interval_marts,
    trends_marts,
)
"""Steps that read no event of a day that stayed as it was."""
STEPS = (*INDEXED, session_marts, path_marts, cohort_marts)
ACTIVITY = """
[[lifecycles]]
name = "buyers"
events = ["purchase"]
period = "day"
new = "person"

[[stickiness]]
name = "weekly"
sources = ["app"]

[[usage_intervals]]
name = "days"
events = [{ event = "sign_up", where = [{ property = "platform", value = "p1" }] }, "other"]

[[trends]]
name = "sales"
period = "day"
series = ["purchase", { event = "sign_up", measure = "persons" }]
formulas = ["A / B"]
"""
DEFINITIONS = (
    ACTIVITY
    + """
[[funnels]]
name = "strictly"
window = "3d"
order = "strict"
steps = ["sign_up", "purchase"]

[[funnels]]
name = "not_helped"
window = "3d"
steps = [{ event = "sign_up", occurrence = "first" }, "purchase"]
exclusions = [{ event = "other", from_step = 1, to_step = 2 }]

[[retentions]]
name = "often"
start = "sign_up"
returning = ["purchase", "other"]
period = "week"
clock = "rolling"
minimum = 2

[[trends]]
name = "accounts"
entity = "platform"
series = ["other"]

[sessions]
gap = "1h"
period = "day"

[[paths]]
name = "after_sign_up"
start = "sign_up"
min_persons = 1

[[cohorts]]
name = "people"
where = { did = "purchase" }
"""
)
NAMES = ["sign_up", "purchase", "other"]
OVERLAPS = [
    "",
    '[[overlaps]]\nprefer = ["app", "web"]\n',
    '[[overlaps]]\nprefer = ["web", "app"]\nper = "person_day"\nevents = ["purchase"]\n',
]


def refresh(world: World) -> Mapping[str, bytes]:
    world.land()
    scope = world.scope()
    for step in STEPS:
        step(scope)
    return world.marts()


def fresh(world: World) -> Mapping[str, bytes]:
    with tempfile.TemporaryDirectory() as folder:
        return refresh(World(Path(folder), world.events, world.said, world.as_of, world.words))


HAPPENING = st.tuples(
    st.sampled_from(["user", "user", "device", "sign_in", "nobody"]),
    st.integers(0, 3),
    st.sampled_from(NAMES),
    st.sampled_from(["web", "app"]),
    st.sampled_from([0, 0, 0, 1, 5]),
)
"""Kind of event, who, what, where, and by how many days it is late."""
CHANGE = st.sampled_from(
    ["none", "none", "window", "overlap", "zone", "forget", "source", "correct", "index", "prints"]
)


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    days=st.lists(st.tuples(st.lists(HAPPENING, max_size=5), CHANGE), min_size=3, max_size=5),
)
def test_every_day_gives_what_a_fresh_computation_gives(
    days: list[tuple[list[tuple[str, int, str, str, int]], str]],
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        world = World(Path(folder))
        world.words["overlaps"] = DEFINITIONS
        world.happens("first", 0, user_id="u0", distinct_id="u0")
        for today, (happenings, change) in enumerate(days):
            for number, happening in enumerate(happenings):
                happen(world, f"{today}-{number}", today, *happening)
            alter(world, change, today)
            start = datetime(FIRST.year, FIRST.month, FIRST.day, tzinfo=UTC)
            # Complete to the end of the day, or to the very moment of its events.
            world.as_of = start + timedelta(days=today, hours=12 if today % 3 == 2 else 24)
            assert refresh(world) == fresh(world)


def happen(
    world: World, event_id: str, today: int, kind: str, who: int, name: str, source: str, late: int
) -> None:
    ids: dict[str, str | None] = {"user_id": None, "device_id": None, "distinct_id": None}
    if kind != "nobody":
        ids["device_id"] = f"d{who}"
    if kind in ("user", "sign_in"):
        ids["user_id"] = f"u{who}"
    if kind == "user":
        ids["device_id"] = None
    world.happens(event_id, max(today - late, 0), name, source=source, platform=f"p{(who + late) % 3}", **ids)


def alter(world: World, change: str, today: int) -> None:
    if change == "window":
        world.words["window"] = f"{today + 1}d"
    elif change == "overlap":
        world.words["overlaps"] = OVERLAPS[today % 3] + DEFINITIONS
    elif change == "zone":
        world.words["project"] = f'timezone = "{("UTC", "Asia/Tokyo", "America/New_York")[today % 3]}"'
    elif change == "forget":
        world.events = {key: row for key, row in world.events.items() if row["user_id"] != f"u{today % 4}"}
    elif change == "source":
        world.events = {key: row for key, row in world.events.items() if row["source"] != "app"}
    elif change == "correct":
        for row in list(world.events.values())[: today + 1]:
            row["event"] = NAMES[today % 3]
    elif change == "index":
        for path in world.home.index.glob("*.arrow"):
            path.unlink()
    elif change == "prints":
        for path in world.home.fingerprints.glob("*.parquet"):
            path.unlink()


def test_what_the_index_cannot_hold_is_told_by_the_events(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(tmp_path)
    for number in range(4):
        world.happens(f"s{number}", number, user_id=f"u{number}", distinct_id=f"u{number}")
        world.happens(f"b{number}", number, "purchase", user_id=f"u{number}", distinct_id=f"u{number}")
    expected = fresh(world)

    def full(*_: object) -> None:
        raise IndexFullError("too many names")

    monkeypatch.setattr(index_store, "_read", full)
    assert refresh(world) == expected


def test_a_new_day_reads_no_event_of_the_days_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(tmp_path)
    world.words["overlaps"] = ACTIVITY
    for number in range(4):
        world.happens(f"s{number}", number, user_id=f"u{number}", distinct_id=f"u{number}", platform="p")
    world.as_of = datetime(2026, 9, 11, tzinfo=UTC)
    world.land()
    scope = world.scope()
    for step in INDEXED:
        step(scope)
    world.happens("new", 4, user_id="u9", distinct_id="u9", platform="p")
    world.as_of = datetime(2026, 9, 12, tzinfo=UTC)
    write_events(world.home, [world.events["new"]], date(2026, 9, 11))
    rebuild(world.home, ["web", "app"])
    days: set[date] = set()

    def noted(home: Home, *, first: date | None = None, last: date | None = None) -> pl.LazyFrame:
        days.update(day for day in events.event_days(home) if first is None or first <= day <= (last or day))
        return scan(home, first=first, last=last)

    def noted_index_day(home: Home, day: date) -> list[Path]:
        days.add(day)
        return day_files(home, day)

    scan, day_files = events.scan_raw_events, index_build.day_files
    for module in (events, id_changes):
        monkeypatch.setattr(module, "scan_raw_events", noted)
    for module in (index_build, index_columns):
        monkeypatch.setattr(module, "day_files", noted_index_day)
    scope = world.scope()
    for step in INDEXED:
        step(scope)
    assert days == {date(2026, 9, 11)}
