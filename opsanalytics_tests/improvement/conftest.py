import pytest

from opsanalytics.feedback.themes import Themes
from opsanalytics.improvement.analysis import Improvement
from opsanalytics_tests.improvement.world import World, analyse, make_world


@pytest.fixture(scope="session")
def world() -> World:
    return make_world()


@pytest.fixture(scope="session")
def analysed(world: World) -> tuple[Themes, Improvement]:
    return analyse(world.events, world.feedback)


@pytest.fixture(scope="session")
def found(analysed: tuple[Themes, Improvement]) -> Improvement:
    return analysed[1]
