"""Killed at any point and run again, the result is that of an undisturbed run, byte for byte."""

import multiprocessing
import random
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from opsanalytics.demo.simulator import VendorSimulator
from opsanalytics.lake.paths import Home
from opsanalytics.sources.base import EventSourceSettings
from opsanalytics_tests.simulators.clients import small_events
from opsanalytics_tests.simulators.faulty import FaultSchedule, FaultySimulator, slow
from opsanalytics_tests.sources.support import (
    FIRST,
    LAST,
    NOON,
    amplitude,
    amplitude_project,
    comparable,
    lake_rows,
    mixpanel,
    mixpanel_project,
    run_clean,
    run_fetch,
    tree,
)

EVENTS = small_events()
CONTEXT = multiprocessing.get_context("spawn")


def work(settings: EventSourceSettings, root: Path) -> None:
    run_fetch(settings, Home(root), FIRST, LAST)
    run_clean(settings, Home(root))


def killed(settings: EventSourceSettings, root: Path, when: Callable[[], bool]) -> bool:
    """Start the work in a process of its own and kill it once `when` is true. Returns whether it was."""
    worker = CONTEXT.Process(target=work, args=(settings, root))
    worker.start()
    while worker.is_alive() and not when():
        time.sleep(0.001)
    worker.kill()
    worker.join()
    return worker.exitcode != 0


def receiving(root: Path) -> int:
    sizes = [path.stat().st_size for path in root.glob("landing/*/.receiving.*") if path.exists()]
    return max(sizes, default=-1)


@pytest.mark.slow
@pytest.mark.parametrize("make", [mixpanel, amplitude])
def test_killed_while_bytes_trickle_in(tmp_path: Path, make: Callable[..., EventSourceSettings]) -> None:
    faults = FaultSchedule().always("mixpanel", slow(512, 0.01)).always("amplitude", slow(2_048, 0.01))
    vendors = (mixpanel_project(EVENTS), amplitude_project(EVENTS))
    with FaultySimulator(*vendors, faults=faults, clock=lambda: NOON) as simulator:
        settings = make(simulator.url)
        undisturbed, disturbed = tmp_path / "one", tmp_path / "two"
        work(settings, undisturbed)
        for bytes_so_far in (0, 1, 8_192):
            assert killed(settings, disturbed, lambda least=bytes_so_far: receiving(disturbed) >= least)
        work(settings, disturbed)
    assert tree(disturbed / "landing") == tree(undisturbed / "landing")
    assert tree(disturbed / "lake") == tree(undisturbed / "lake")
    assert lake_rows(Home(disturbed)) == comparable(EVENTS)


@pytest.mark.slow
def test_killed_at_random_moments(tmp_path: Path) -> None:
    chance = random.Random(7)
    with VendorSimulator(mixpanel_project(EVENTS, duplicate_share=0.2), clock=lambda: NOON) as simulator:
        settings = mixpanel(simulator.url)
        undisturbed, disturbed = tmp_path / "one", tmp_path / "two"
        work(settings, undisturbed)
        begun = tmp_path / "two" / "landing"
        for _ in range(6):
            moment: list[float] = []

            def later(moment: list[float] = moment, pause: float = chance.uniform(0, 0.12)) -> bool:
                if begun.exists() and not moment:
                    moment.append(time.monotonic())
                return bool(moment) and time.monotonic() - moment[0] > pause

            killed(settings, disturbed, later)
        work(settings, disturbed)
    assert tree(disturbed / "landing") == tree(undisturbed / "landing")
    assert tree(disturbed / "lake") == tree(undisturbed / "lake")
