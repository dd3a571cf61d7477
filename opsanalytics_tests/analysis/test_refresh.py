"""A mart is computed when something it depends on changed, left alone otherwise, and never stale."""

import tempfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from opsanalytics.analysis import program, scope
from opsanalytics.analysis.backlog import log_for
from opsanalytics.feedback import decisions as themes
from opsanalytics.improvement.decision_log import decide
from opsanalytics.improvement.tables import BACKLOG, BACKLOG_HISTORY
from opsanalytics.lake.marts import read_mart
from opsanalytics_tests.analysis.world import AS_OF, STEPS, World, populated


@pytest.fixture
def world(tmp_path: Path) -> World:
    made = populated(tmp_path)
    made.refresh()
    return made


def computed(world: World) -> dict[str, tuple[str, ...]]:
    """Parts that the next run computes, by step; only steps that compute any."""
    return {name: done.computed for name, done in world.refresh().items() if done.computed}


def fresh(world: World) -> dict[str, bytes]:
    """The marts that a computation from nothing gives."""
    with tempfile.TemporaryDirectory() as folder:
        other = World(Path(folder), world.events, world.said, world.as_of, world.words)
        other.refresh()
        return other.marts()


def test_nothing_is_computed_when_nothing_changed(world: World) -> None:
    before = {path: path.stat().st_mtime_ns for path in world.home.marts.iterdir()}
    assert computed(world) == {}
    assert {path: path.stat().st_mtime_ns for path in world.home.marts.iterdir()} == before


def test_a_late_event_computes_what_reads_its_source(world: World) -> None:
    world.happens("late", 1, "purchase", source="web", user_id="u4", distinct_id="u4")
    done = world.refresh()
    assert done["funnels"].computed == ("buy",)
    assert done["funnels"].kept == ("buy_in_app",)
    assert done["funnels"].because == ("events of web",)
    assert done["themes"].computed == ()
    assert done["definitions"].computed == ()
    (day,) = done["funnels"].days.to_dicts()
    assert (day["source"], str(day["day"]), day["what changed"]) == ("web", "2026-09-08", "events")
    assert day["events now"] == day["events before"] + 1
    assert done["funnels"].rows_changed["funnel_steps"] > 0
    assert world.marts() == fresh(world)


def test_the_same_events_in_another_delivery_compute_nothing(world: World) -> None:
    for row in world.events.values():
        row["ingest_run"] = "another@0123456789ab"
    assert computed(world) == {}


def test_an_event_after_the_complete_data_computes_nothing(world: World) -> None:
    world.happens("today", 5, user_id="u1", distinct_id="u1")
    assert computed(world) == {}


def test_a_merge_computes_what_counts_the_persons_of_its_days(world: World) -> None:
    before = world.marts()
    # The sign-in itself comes after the complete data: no day that is read has another event.
    world.happens("merge", 6, "sign_in", user_id="u2", device_id="d1", distinct_id="u2")
    done = world.refresh()
    assert done["funnels"].computed == ("buy",)
    assert done["funnels"].days["what changed"].to_list() == ["whose events they are"]
    assert world.marts()["funnel_steps.parquet"] != before["funnel_steps.parquet"]
    assert world.marts() == fresh(world)


def test_a_device_that_turns_out_to_be_somebody_else_computes_again(world: World) -> None:
    world.happens("merge", 6, "sign_in", user_id="u2", device_id="d1", distinct_id="u2")
    world.refresh()
    world.happens("earlier", 5, "sign_in", user_id="u4", device_id="d1", distinct_id="u4")
    assert computed(world)["funnels"] == ("buy",)
    assert world.marts() == fresh(world)


def test_another_definition_computes_that_definition_alone(world: World) -> None:
    world.words["window"] = "1h"
    done = world.refresh()
    assert done["funnels"].computed == ("buy",)
    assert done["retention"].computed == ()
    assert done["definitions"].computed
    assert world.marts() == fresh(world)


def test_another_time_zone_computes_everything_that_has_days(world: World) -> None:
    world.words["project"] = 'timezone = "Asia/Tokyo"'
    assert {"funnels", "retention", "improvement"} <= computed(world).keys()
    assert world.marts() == fresh(world)


def test_later_complete_data_computes_everything_that_is_as_of(world: World) -> None:
    world.as_of = datetime(2026, 9, 13, tzinfo=UTC)
    assert computed(world).keys() == STEPS.keys() - {"definitions"}
    assert world.marts() == fresh(world)


def test_feedback_computes_themes_and_the_backlog_alone(world: World) -> None:
    world.says("f2", 2, "Purchase fails with an error.", user_id="u3")
    assert computed(world).keys() == {"themes", "improvement", "backlog"}


def test_a_decision_computes_the_backlog_alone(world: World) -> None:
    decide(world.home, AS_OF, "ann", lambda _: [("PP-12345678", "accept", {})])
    # What was taken on is to be verified; any other decision is the backlog's alone.
    assert computed(world).keys() == {"verification", "backlog"}
    decide(world.home, AS_OF, "ann", lambda _: [("PP-12345678", "assign", {"owner": "Ann"})])
    assert computed(world).keys() == {"backlog"}
    assert computed(world) == {}
    backlog, history = read_mart(world.home, BACKLOG), read_mart(world.home, BACKLOG_HISTORY)
    assert backlog.filter(pl.col("item_id") == "PP-12345678")["state"].to_list() == ["accepted"]
    assert history["action"].to_list() == ["accept", "assign", "seen"]


def test_a_page_of_an_earlier_week_takes_in_decisions_of_its_time_alone(world: World) -> None:
    for days in (-2, 2):
        made_at = AS_OF + timedelta(days=days)
        decide(world.home, made_at, "ann", lambda _: [("PP-12345678", "assign", {"owner": "Ann"})])
    known = [len(log_for(world.scope().until(AS_OF - timedelta(days=days))).decisions) for days in (0, 6, 8)]
    assert known == [2, 2, 1]
    assert world.marts() == fresh(world)


def test_another_program_computes_everything(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scope, "program_version", lambda: "another")
    assert computed(world).keys() == STEPS.keys() - {"definitions"}


def test_the_program_is_the_same_until_its_code_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "behavior").mkdir()
    code = tmp_path / "behavior" / "funnel.py"
    code.write_text("ONE = 1\n")
    monkeypatch.setattr(program.opsanalytics, "__file__", str(tmp_path / "__init__.py"))
    versions = []
    for text in ("ONE = 1\n", "ONE = 1\n", "ONE = 2\n"):
        code.write_text(text)
        versions.append(program.program_version.__wrapped__())
    assert versions[0] == versions[1] != versions[2]


@pytest.mark.parametrize("spoil", [Path.unlink, lambda path: path.write_bytes(b"half")])
def test_a_mart_that_is_not_as_it_was_written_is_computed(
    world: World, spoil: Callable[[Path], object]
) -> None:
    spoil(world.home.marts / "funnel_trend.parquet")
    assert computed(world) == {"funnels": ("buy", "buy_in_app")}
    assert world.marts() == fresh(world)


def test_marts_of_nothing_are_written_again_when_they_are_gone(world: World) -> None:
    bare = world.scope().only(funnels=[])
    STEPS["funnels"](bare)
    (world.home.marts / "funnel_trend.parquet").unlink()
    done = STEPS["funnels"](bare)
    assert done.because == ("its files are not as they were written",)
    assert done.frames["funnel_trend"].is_empty()


def test_a_record_that_cannot_be_read_computes_again(world: World) -> None:
    (world.home.fingerprints / "steps" / "retention.json").write_text('{"parts": 3}')
    assert computed(world).keys() == {"retention"}


def test_a_funnel_that_is_gone_leaves_no_rows(tmp_path: Path) -> None:
    world = populated(tmp_path)
    scope_of_both = world.refresh() and world.scope()
    only_app = [each for each in scope_of_both.settings.funnels if each.name == "buy_in_app"]
    done = STEPS["funnels"](scope_of_both.only(funnels=only_app))
    assert done.computed == ()
    assert done.because == ("buy is gone",)
    assert set(done.frames["funnel_steps"]["funnel"]) == {"buy_in_app"}


CHANGES = st.sampled_from(
    ["event", "merge", "remove", "feedback", "window", "overlap", "spoil", "later", "nothing"]
)


@given(st.lists(st.tuples(CHANGES, st.integers(0, 11)), min_size=1, max_size=3))
@settings(max_examples=4, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_whatever_changes_the_marts_are_those_of_a_fresh_computation(
    changes: list[tuple[str, int]],
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        world = populated(Path(folder))
        world.refresh()
        for place, (change, number) in enumerate(changes):
            apply(world, change, number, place)
            world.refresh()
        assert world.marts() == fresh(world)


def apply(world: World, change: str, number: int, place: int) -> None:
    source = "app" if number % 2 else "web"
    user = {"user_id": f"u{number}", "distinct_id": f"u{number}"}
    if change == "event":
        world.happens(f"x{place}", number % 5, "purchase", source=source, **user)
    elif change == "merge":
        world.happens(f"x{place}", number % 7, "sign_in", source="web", device_id="d1", **user)
    elif change == "remove":
        world.events.pop(f"s{number}", None)
    elif change == "feedback":
        world.says(f"x{place}", number % 6, "The purchase fails.", user_id=f"u{number}")
    elif change == "window":
        world.words["window"] = f"{number + 1}h"
    elif change == "overlap":
        world.words["overlaps"] = '[[overlaps]]\nprefer = ["app", "web"]\n' if number % 2 else ""
    elif change == "spoil":
        sorted(world.home.marts.glob("*.parquet"))[number % 5].unlink()
    elif change == "later":
        world.as_of = datetime(2026, 9, 12 + number % 2, tzinfo=UTC)


def test_a_decision_about_a_theme_computes_themes_and_what_rests_on_them(world: World) -> None:
    themes.decide(
        world.home, themes.ThemeDecision("pin", "TH-1"), at=datetime(2026, 9, 13, tzinfo=UTC), by="ada"
    )
    done = world.refresh()
    assert done["themes"].because == ("decisions about themes",)
    assert done["improvement"].because == ("decisions about themes",)
    assert done["funnels"].computed == ()
