"""A pull that is killed at any step and run again leaves, byte for byte, what an undisturbed one leaves."""

import multiprocessing
import os
import random
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests

from opsanalytics.lake.paths import Home
from opsanalytics.sources.paging import ApiFeedbackSourceSettings
from opsanalytics_tests.simulators.faulty import FaultySimulator
from opsanalytics_tests.sources.desks import ENVIRON, KINDS, NOW, TOMORROW, Kind, arrived, run_pull
from opsanalytics_tests.sources.support import tree

CONTEXT = multiprocessing.get_context("spawn")


def stepwise(at_step: Callable[[], None]) -> list[tuple[Any, str, Any]]:
    """Call `at_step` before every request, and before and after whatever changes the disk. Returns what
    was replaced, to put it back.
    """
    replaced = []
    for owner, name in (
        (os, "fsync"),
        (os, "unlink"),
        (os, "rename"),
        (os, "replace"),
        (os, "mkdir"),
        (requests.Session, "send"),
    ):
        original = getattr(owner, name)

        def step(*arguments: Any, original: Callable[..., Any] = original, **named: Any) -> Any:
            at_step()
            result = original(*arguments, **named)
            at_step()
            return result

        setattr(owner, name, step)
        replaced.append((owner, name, original))
    return replaced


def count_steps(work: Callable[[], object]) -> int:
    """How many steps the work has."""
    steps: list[None] = []
    replaced = stepwise(lambda: steps.append(None))
    try:
        work()
    finally:
        for owner, name, original in replaced:
            setattr(owner, name, original)
    return len(steps)


def pull_until(
    settings: ApiFeedbackSourceSettings, root: Path, environ: dict[str, str], day: int, last_step: int
) -> None:
    """Pull in this process, which ends like a `kill -9` at step `last_step`."""
    steps: list[None] = []

    def count() -> None:
        steps.append(None)
        if len(steps) == last_step:
            os.kill(os.getpid(), signal.SIGKILL)

    stepwise(count)
    run_pull(settings, Home(root), now=(NOW, TOMORROW)[day], environ=environ)


def killed(settings: ApiFeedbackSourceSettings, root: Path, day: int, last_step: int) -> bool:
    worker = CONTEXT.Process(target=pull_until, args=(settings, root, ENVIRON, day, last_step))
    worker.start()
    worker.join()
    return worker.exitcode == -signal.SIGKILL


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.vendor)
def test_killed_and_run_again_is_as_undisturbed(tmp_path: Path, kind: Kind) -> None:
    chance = random.Random(kind.vendor)
    desk = kind.make(25)
    undisturbed, disturbed = tmp_path / "one", tmp_path / "two"
    with FaultySimulator(*kind.vendors(desk), clock=lambda: TOMORROW) as simulator:
        settings = kind.settings(simulator.url)
        for day, now in enumerate((NOW, TOMORROW)):
            steps = count_steps(lambda now=now: run_pull(settings, Home(undisturbed), now=now))
            assert killed(settings, disturbed, day, chance.randint(3, steps))
            run_pull(settings, Home(disturbed), now=now)
            kind.change(desk, 7, 300 + day)
            desk.add(400 + day)
        run_pull(settings, Home(undisturbed), now=TOMORROW)
        run_pull(settings, Home(disturbed), now=TOMORROW)
    assert tree(disturbed / "landing") == tree(undisturbed / "landing")
    assert arrived(settings, Home(disturbed)) == desk.truth()


@pytest.mark.slow
def test_killed_again_and_again(tmp_path: Path) -> None:
    kind = KINDS[0]
    desk = kind.make(25)
    undisturbed, disturbed = tmp_path / "one", tmp_path / "two"
    with FaultySimulator(*kind.vendors(desk), clock=lambda: TOMORROW) as simulator:
        settings = kind.settings(simulator.url)
        steps = count_steps(lambda: run_pull(settings, Home(undisturbed)))
        for last_step in (steps // 5, steps // 4, steps // 3):
            assert killed(settings, disturbed, 0, last_step)
        run_pull(settings, Home(disturbed))
    assert tree(disturbed / "landing") == tree(undisturbed / "landing")
