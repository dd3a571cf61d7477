"""Marts of sessions, paths and cohorts: what they hold, and when they are computed again."""

from collections.abc import Mapping
from pathlib import Path

import polars as pl
import pytest

from opsanalytics.analysis.catalogue import published_tables
from opsanalytics.analysis.marts import (
    cohort_marts,
    definition_mart,
    funnel_marts,
    path_marts,
    session_marts,
)
from opsanalytics.analysis.refresh import Refreshed
from opsanalytics.lake.publish import publish
from opsanalytics.notebook import connect
from opsanalytics_tests.analysis.world import World, populated

JOURNEYS = """
[sessions]
gap = "1h"
period = "day"

[[paths]]
name = "after_drop"
funnel = "buy"
min_persons = 1

[[paths]]
name = "in_app"
start = "sign_up"
sources = ["app"]
min_persons = 1

[[cohorts]]
name = "buyers"
where = { did = "purchase" }

[[cohorts]]
name = "lookers"
where = [{ did = "sign_up" }, { not = { cohort = "buyers" } }]

[[funnels]]
name = "of_buyers_in_app"
window = "1d"
sources = ["app"]
among = "buyers"
steps = ["sign_up", "purchase"]

[[segments]]
name = "bought"
cohort = "buyers"
"""


@pytest.fixture
def world(tmp_path: Path) -> World:
    made = populated(tmp_path)
    made.words["overlaps"] = JOURNEYS
    return made


def refresh(world: World) -> Mapping[str, Refreshed]:
    world.land()
    scope = world.scope()
    return {
        "sessions": session_marts(scope),
        "paths": path_marts(scope),
        "cohorts": cohort_marts(scope),
        "funnels": funnel_marts(scope),
        "definitions": definition_mart(scope),
    }


def test_what_the_marts_hold(world: World) -> None:
    done = refresh(world)
    cohorts = done["cohorts"].frames["cohorts"]
    assert dict(cohorts.select("cohort", "persons").rows()) == {"buyers": 6, "lookers": 7}
    members = done["cohorts"].frames["cohort_persons"]
    assert members.group_by("cohort").len().sort("cohort").rows() == [("buyers", 6), ("lookers", 7)]
    whole = done["sessions"].frames["sessions"].filter(pl.col("period_start").is_null())
    assert whole["n"].to_list() == [19]
    assert set(done["paths"].frames["paths"]["paths"]) == {"after_drop", "in_app"}
    narrowed = done["funnels"].frames["funnel_steps"].filter(pl.col("funnel") == "of_buyers_in_app")
    assert narrowed["entered"].to_list() == [2, 2]
    by_cohort = done["funnels"].frames["funnel_breakdown"].filter(pl.col("segment") == "bought")
    assert set(by_cohort["value"]) == {"in buyers", "not in buyers"}
    kinds = done["definitions"].frames["metric_definitions"]["kind"]
    assert set(kinds) >= {"sessions", "paths", "cohort"}


def test_nothing_is_computed_when_nothing_changed(world: World) -> None:
    refresh(world)
    assert all(done.unchanged for done in refresh(world).values())


def test_an_event_of_another_source_computes_what_a_cohort_decides(world: World) -> None:
    refresh(world)
    world.happens("late", 1, "purchase", source="web", user_id="u0", distinct_id="u0")
    done = refresh(world)
    assert done["paths"].computed == ("after_drop",)
    assert "of_buyers_in_app" in done["funnels"].computed
    assert done["cohorts"].computed == ("buyers", "lookers")
    later = done["funnels"].frames["funnel_steps"]
    assert later.equals(
        refresh(World(world.folder / "fresh", world.events, words=world.words))["funnels"].frames[
            "funnel_steps"
        ]
    )


def test_another_rule_of_a_cohort_computes_what_names_it(world: World) -> None:
    refresh(world)
    world.words["overlaps"] = JOURNEYS.replace('{ did = "purchase" }', '{ did = "purchase", times = 2 }')
    done = refresh(world)
    assert done["cohorts"].computed == ("buyers", "lookers")
    assert done["sessions"].unchanged
    assert done["paths"].unchanged


def test_they_are_published(world: World) -> None:
    refresh(world)
    publish(world.home, published_tables(world.home))
    con = connect(world.home.root)
    assert con.sql("SELECT persons FROM cohorts WHERE cohort = 'buyers'").fetchall() == [(6,)]
    for table in ("sessions", "paths", "cohort_persons"):
        assert con.table(table).count("*").fetchall() > [(0,)]
