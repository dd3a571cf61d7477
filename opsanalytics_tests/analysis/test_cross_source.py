"""One product with two vendors, through the marts: nobody counts twice, and it is said when they do."""

from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

from opsanalytics.analysis.sources import check_counted_once, comparison_mart
from opsanalytics.config import ConfigError
from opsanalytics.quality.results import latest
from opsanalytics_tests.analysis.world import STEPS, World

NOW = datetime(2026, 9, 22, tzinfo=UTC)
OVERLAP = '[[overlaps]]\nprefer = ["web", "app"]\n'


def sign_ups_and_purchases(world: World, source: str, people: int = 40) -> None:
    """Signed-in people; half of them buy the day after. Each vendor has device ids of its own."""
    for number in range(people):
        ids = {
            "user_id": f"u{number}",
            "distinct_id": f"u{number}",
            "device_id": f"{source}-{number}",
            "source": source,
        }
        world.happens(f"{source}-s{number}", 0, **ids)
        if number % 2:
            world.happens(f"{source}-b{number}", 1, "purchase", **ids)


@pytest.fixture
def doubled(tmp_path: Path) -> World:
    """The same product in both sources: the same users, other devices for people who are not signed in."""
    world = World(tmp_path)
    sign_ups_and_purchases(world, "web")
    sign_ups_and_purchases(world, "app")
    for number in range(40):
        anonymous = {"user_id": None, "distinct_id": None}
        world.happens(f"w{number}", 2, device_id=f"web-x{number}", source="web", **anonymous)
        world.happens(f"a{number}", 2, device_id=f"app-x{number}", source="app", **anonymous)
    return world


def funnel(world: World, name: str = "buy") -> list[tuple[int, int]]:
    """Persons entered and at the step, by step."""
    world.land()
    steps = STEPS["funnels"](world.scope()).frames["funnel_steps"].filter(funnel=name)
    return steps.select("entered", "persons").rows()


def test_a_user_of_two_vendors_is_one_person(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.happens("1", 0, source="web", user_id="u1", device_id="d1")
    world.happens("2", 1, "purchase", source="app", user_id="u1", device_id="d9")
    assert funnel(world) == [(1, 1), (1, 1)]


def test_devices_of_two_vendors_are_two_persons_even_if_they_are_called_alike(tmp_path: Path) -> None:
    world = World(tmp_path)
    for source in ("web", "app"):
        world.happens(source, 0, source=source, user_id=None, distinct_id=None, device_id="d1")
    assert funnel(world)[0] == (2, 2)


def test_without_an_overlap_anonymous_people_count_twice(doubled: World) -> None:
    assert funnel(doubled) == [(120, 120), (120, 20)]


def test_with_an_overlap_everybody_counts_once(doubled: World) -> None:
    doubled.words["overlaps"] = OVERLAP
    assert funnel(doubled) == [(80, 80), (80, 20)]


def test_a_funnel_that_names_its_source_gets_all_of_it(doubled: World) -> None:
    doubled.words["overlaps"] = OVERLAP
    # of "app" alone, with a window of a day: noon to noon is within it
    assert funnel(doubled, "buy_in_app") == [(80, 80), (80, 20)]


def test_a_day_that_the_preferred_source_missed_counts_from_the_other(doubled: World) -> None:
    doubled.words["overlaps"] = OVERLAP
    for number in range(40):
        del doubled.events[f"w{number}"]
    assert funnel(doubled) == [(80, 80), (80, 20)]


def test_the_check_says_with_numbers_who_counts_twice(doubled: World) -> None:
    doubled.land()
    scope = doubled.scope()
    (outcome,) = check_counted_once(scope, comparison(doubled), checked_at=NOW)
    assert not outcome.passed
    assert (outcome.severity, outcome.partition) == ("warning", "web and app")
    assert (outcome.checked, outcome.unexpected) == (100, 60)
    assert outcome.examples[0] == "sign_up: 40 of 80 person-days"
    assert latest(doubled.home)["check"].to_list() == ["counted_once"]


def comparison(world: World) -> pl.DataFrame:
    world.land()
    return comparison_mart(world.scope()).frames["source_comparison"]


def test_the_check_passes_once_the_overlap_is_declared(doubled: World) -> None:
    doubled.words["overlaps"] = OVERLAP
    (outcome,) = check_counted_once(doubled.scope(), comparison(doubled), checked_at=NOW)
    assert outcome.passed


def test_the_check_passes_for_sources_of_other_people(tmp_path: Path) -> None:
    world = World(tmp_path)
    sign_ups_and_purchases(world, "web", 60)
    sign_ups_and_purchases(world, "app", 60)
    for name, row in world.events.items():
        if name.startswith("app"):
            row["user_id"] = f"other-{row['user_id']}"
    frame = comparison(world)
    (outcome,) = check_counted_once(world.scope(), frame, checked_at=NOW)
    assert outcome.passed


def test_an_overlap_of_an_unknown_source_is_a_mistake_in_the_configuration(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.words["overlaps"] = '[[overlaps]]\nprefer = ["web", "desktop"]\n'
    with pytest.raises(ConfigError, match="desktop"):
        _ = world.settings
