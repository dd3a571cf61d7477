"""Marts of lifecycle, stickiness, usage interval and trends: as asked by hand, computed only when needed."""

from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest

import opsanalytics
from opsanalytics.analysis.catalogue import published_tables
from opsanalytics.analysis.marts import (
    definition_mart,
    lifecycle_marts,
    stickiness_marts,
    trends_marts,
    usage_interval_marts,
)
from opsanalytics.analysis.refresh import Refreshed
from opsanalytics.config import ConfigError
from opsanalytics.lake.publish import publish
from opsanalytics_tests.analysis.world import World, populated

STEPS = {
    "lifecycle": lifecycle_marts,
    "stickiness": stickiness_marts,
    "usage_interval": usage_interval_marts,
    "trends": trends_marts,
}
CONFIG = """
[[lifecycles]]
name = "everybody"
period = "day"

[[lifecycles]]
name = "app"
period = "day"
sources = ["app"]

[[stickiness]]
name = "weekly"

[[usage_intervals]]
name = "days"

[[trends]]
name = "sales"
period = "day"
series = ["purchase", {{ event = "sign_up", measure = "persons" }}]
formulas = ["A / B"]
""".replace("{{", "{").replace("}}", "}")


@pytest.fixture
def world(tmp_path: Path) -> World:
    world = populated(tmp_path)
    world.words["overlaps"] = CONFIG
    return world


def refreshed(world: World) -> dict[str, Refreshed]:
    world.land()
    scope = world.scope()
    return {name: step(scope) for name, step in STEPS.items()}


def test_marts_are_what_the_api_answers(world: World) -> None:
    done = refreshed(world)
    settings = world.settings
    until = {"as_of": world.as_of}
    everybody = opsanalytics.lifecycle(world.home, settings.lifecycles[0], **until).to_polars()
    rows = done["lifecycle"].frames["lifecycle"].filter(pl.col("definition") == "everybody")
    assert rows.drop("quality").equals(everybody)
    asked = {
        "stickiness": opsanalytics.stickiness(world.home, settings.stickiness[0], **until).to_polars(),
        "usage_interval_pauses": opsanalytics.usage_interval(
            world.home, settings.usage_intervals[0], **until
        ).to_polars(),
        "trends": opsanalytics.trends(world.home, settings.trends[0], **until).to_polars(),
    }
    frames = {name: frame for each in done.values() for name, frame in each.frames.items()}
    for name, expected in asked.items():
        found = frames[name].drop("quality")
        assert found.height
        assert found.sort(pl.all()).equals(expected.select(found.columns).sort(pl.all()))


def test_nothing_changed_computes_nothing(world: World) -> None:
    refreshed(world)
    assert all(each.unchanged for each in refreshed(world).values())


def test_late_data_of_one_source_leaves_the_definitions_of_others_alone(world: World) -> None:
    refreshed(world)
    world.happens("late", 1, source="web", user_id="u99", distinct_id="u99")
    done = refreshed(world)
    assert (done["lifecycle"].computed, done["lifecycle"].kept) == (("everybody",), ("app",))
    assert done["trends"].computed == ("sales",)


def test_a_definition_written_otherwise_is_computed_alone(world: World) -> None:
    refreshed(world)
    world.words["overlaps"] = CONFIG.replace('name = "app"\nperiod = "day"', 'name = "app"\nperiod = "week"')
    assert refreshed(world)["lifecycle"].computed == ("app",)


def test_later_complete_data_makes_the_running_period_complete(world: World) -> None:
    before = refreshed(world)["lifecycle"].frames["lifecycle"].filter(pl.col("definition") == "everybody")
    world.as_of += timedelta(days=1)
    after = refreshed(world)["lifecycle"].frames["lifecycle"].filter(pl.col("definition") == "everybody")
    assert before["dormant"].null_count() == after["dormant"].null_count() == 1
    assert after.height == before.height + 1


def test_the_marts_are_published_with_their_definitions(world: World) -> None:
    refreshed(world)
    definition_mart(world.scope())
    publish(world.home, published_tables(world.home))
    con = opsanalytics.connect(world.home.root)
    told = con.sql("select kind, name from metric_definitions order by all").fetchall()
    assert ("lifecycle", "app") in told
    assert ("usage interval", "days") in told
    (new,) = con.sql("select sum(new) from lifecycle where definition = 'everybody'").fetchall()[0]
    assert new == con.sql("select count(distinct person) from events").fetchall()[0][0]
    for table in ("stickiness", "active_persons", "usage_intervals", "usage_interval_pauses", "trends"):
        assert con.sql(f"select count(*) from {table}").fetchall()[0][0]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ('[[lifecycles]]\nname = "app"\n', "the name 'app' is used twice"),
        ('[[stickiness]]\nname = "x"\nsources = ["none"]\n', "x: sources names"),
        ('[[trends]]\nname = "x"\nseries = ["A"]\nformulas = ["A / B"]\n', "names B; the series are A"),
    ],
)
def test_a_wrong_section_is_told(world: World, wrong: str, message: str) -> None:
    world.words["overlaps"] = CONFIG + "\n" + wrong
    with pytest.raises(ConfigError, match=message):
        _ = world.settings
