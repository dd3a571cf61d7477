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
from opsanalytics_tests.simulators.faulty import FaultSchedule, FaultySimulator, silent
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
SILENCE_SECONDS = 600


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


def receiving(root: Path) -> bool:
    return any(root.glob("landing/*/.receiving.*"))


@pytest.mark.slow
@pytest.mark.parametrize("make", [mixpanel, amplitude])
def test_killed_while_bytes_trickle_in(tmp_path: Path, make: Callable[..., EventSourceSettings]) -> None:
    vendors = (mixpanel_project(EVENTS), amplitude_project(EVENTS))
    faults = FaultSchedule()
    with FaultySimulator(*vendors, faults=faults, clock=lambda: NOON) as simulator:
        settings = make(simulator.url)
        undisturbed, disturbed = tmp_path / "one", tmp_path / "two"
        work(settings, undisturbed)
        # The vendor falls silent after so many bytes, so the kill always comes before the end.
        for sent in (1, 12_000):
            faults.always(settings.kind, silent(SILENCE_SECONDS, at=sent))
            assert killed(settings, disturbed, lambda: receiving(disturbed))
        faults.standing.clear()
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
