"""A page is written again when something it shows changed, and left alone otherwise."""

from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from opsanalytics.analysis.report import refresh_page
from opsanalytics.lake.day_changes import note_day_changes
from opsanalytics.quality.results import CheckOutcome, record
from opsanalytics_tests.analysis.world import World, populated

WEEKS = (date(2026, 9, 7), date(2026, 9, 14))
NOTICED = datetime(2026, 9, 22, 5, tzinfo=UTC)


@pytest.fixture
def world(tmp_path: Path) -> World:
    made = populated(tmp_path)
    made.as_of = datetime(2026, 9, 21, tzinfo=UTC)
    made.happens("w2", 8, user_id="u1", distinct_id="u1")
    made.refresh()
    note_day_changes(made.home, noticed_at=NOTICED)
    pages(made)
    return made


def pages(world: World, *, noticed_at: datetime = NOTICED) -> list[tuple[str, ...]]:
    """Bring both pages up to date; for each, what made it necessary."""
    world.refresh()
    note_day_changes(world.home, noticed_at=noticed_at)
    scope = world.scope()
    (report,) = scope.settings.reports
    return [refresh_page(scope, report, week).because for week in WEEKS]


def text(world: World, week: date) -> str:
    return (world.home.reports / "weekly" / week.isoformat() / "index.html").read_text()


def test_pages_are_left_alone_when_nothing_changed(world: World) -> None:
    assert pages(world) == [(), ()]


def test_an_event_of_the_later_week_leaves_the_earlier_page_alone(world: World) -> None:
    world.happens("more", 9, user_id="new", distinct_id="new")
    first, second = pages(world)
    assert first == ()
    assert second == ("events of web",)


def test_a_late_event_writes_both_pages_and_says_what_changed(world: World) -> None:
    world.happens("late", 1, user_id="u4", distinct_id="u4", ingest_run="late@0123456789ab")
    first, second = pages(world)
    assert "events of web" in first
    assert "events of web" in second
    for week in WEEKS:
        assert "1 day that an earlier report may have counted has other events now" in text(world, week)
        assert "delivery late" in text(world, week)


def test_pages_are_those_of_a_computation_from_nothing(world: World, tmp_path: Path) -> None:
    world.happens("late", 1, user_id="u4", distinct_id="u4")
    pages(world)
    updated = [text(world, week) for week in WEEKS]
    for path in (world.home.fingerprints / "steps").iterdir():
        path.unlink()
    assert all("first time" in because for because in pages(world))
    assert [text(world, week) for week in WEEKS] == updated


def test_feedback_of_the_later_week_leaves_the_earlier_page_alone(world: World) -> None:
    world.says("f9", 9, "The purchase fails.", user_id="u1")
    first, second = pages(world)
    assert (first, second) == ((), ("feedback",))


def test_a_page_that_was_removed_is_written_again(world: World) -> None:
    (world.home.reports / "weekly" / "2026-09-07" / "index.html").unlink()
    assert pages(world) == [("its files are not as they were written",), ()]


def test_how_much_of_a_whole_source_was_checked_by_today_changes_no_page(world: World) -> None:
    def check(rows: int, *, passed: bool) -> None:
        outcome = CheckOutcome("events", "reconciles", "web", passed, "warning", "It adds up.", rows)
        record(world.home, [outcome], producer="t", checked_at=NOTICED, data_version=f"{rows}")

    check(10, passed=True)
    pages(world)
    check(11, passed=True)
    assert pages(world) == [(), ()]
    check(11, passed=False)
    assert all("quality checks" in because for because in pages(world))
