"""Marts of drop-off diagnosis: which funnels get one, and when it is computed again."""

from pathlib import Path

import pytest

from opsanalytics.analysis.catalogue import published_tables
from opsanalytics.analysis.marts import definition_mart, diagnosis_marts
from opsanalytics.behavior.tables_diagnosis import DROP_OFF_STEPS
from opsanalytics.config import ConfigError, load_settings
from opsanalytics_tests.analysis.world import World, populated

OWN = """
[[diagnoses]]
name = "why"
funnel = "buy"
step = 1
landmark = "1m"
"""


def test_only_named_funnels_are_diagnosed_if_that_is_wanted(world: World) -> None:
    world.land()
    settings = world.scope().settings
    project = settings.project.model_copy(update={"diagnose": "named"})
    assert settings.model_copy(update={"project": project}).diagnosed == settings.diagnoses == ()


@pytest.fixture
def world(tmp_path: Path) -> World:
    return populated(tmp_path)


def test_every_funnel_has_one_and_those_of_the_configuration_come_first(world: World) -> None:
    world.land()
    assert [each.name for each in world.scope().settings.diagnosed] == ["buy", "buy_in_app"]
    world.words["overlaps"] = OWN
    world.land()
    scope = world.scope()
    assert [each.name for each in scope.settings.diagnosed] == ["why", "buy_in_app"]
    frames = diagnosis_marts(scope).frames
    steps = frames[DROP_OFF_STEPS.name]
    assert steps["diagnosis"].to_list() == ["buy_in_app", "why"]
    assert steps.filter(steps["diagnosis"] == "why")["landmark_seconds"].to_list() == [60.0]
    assert (steps["reached"] > 0).all()
    kinds = definition_mart(scope).frames["metric_definitions"]
    assert kinds.filter(kinds["kind"] == "diagnosis")["name"].to_list() == ["buy_in_app", "why"]
    assert {table.name for table, _ in published_tables(scope.home)} >= set(frames)


def test_only_what_changed_is_computed(world: World) -> None:
    world.land()
    assert diagnosis_marts(world.scope()).computed == ("buy", "buy_in_app")
    assert diagnosis_marts(world.scope()).unchanged
    world.words["overlaps"] = OWN
    world.land()
    assert diagnosis_marts(world.scope()).computed == ("why",)
    world.words["overlaps"] = OWN + '\n[friction]\nerror_events = ["oops"]\n'
    world.land()
    assert set(diagnosis_marts(world.scope()).computed) == {"why", "buy_in_app"}


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ('name = "why"\nfunnel = "by"', "why: funnel names 'by'"),
        ('name = "why"\nfunnel = "buy"\nstep = 2', "why: step: nobody drops out after step 2"),
        ('name = "why"\nfunnel = "buy"\nlandmark = "90d"', "why: landmark: it lies beyond the window"),
    ],
)
def test_a_wrong_diagnosis_is_told_with_its_name(tmp_path: Path, lines: str, message: str) -> None:
    config = tmp_path / "opsanalytics.toml"
    config.write_text(
        '[project]\nname = "Shop"\nstart = 2026-01-01\n'
        '[[funnels]]\nname = "buy"\nsteps = ["a", "b"]\nwindow = "7d"\n'
        f"[[diagnoses]]\n{lines}\n"
    )
    with pytest.raises(ConfigError, match=message):
        load_settings(config)
