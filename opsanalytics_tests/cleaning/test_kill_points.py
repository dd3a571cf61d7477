"""Faults and kills in random order, then one undisturbed run: the lake is the truth, and nothing is left.

A kill inside the process is a `BaseException` out of the call that was about to change the disk, and
every such call after it fails too, so that no `finally` tidies up what a dead process would leave.
`test_kill.py` does the same with SIGKILL, for what only a real death shows.
"""

import contextlib
import os
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from opsanalytics.cleaning.retired import retire
from opsanalytics.lake.manifests import deliveries
from opsanalytics.lake.paths import Home
from opsanalytics.quality.reconciliation import build_ledger, unreconciled
from opsanalytics.sources.base import EventSourceSettings
from opsanalytics.sources.errors import SourceError
from opsanalytics.sources.fetching import missing_days
from opsanalytics_tests.simulators.clients import small_events
from opsanalytics_tests.simulators.faulty import (
    Fault,
    FaultSchedule,
    FaultySimulator,
    broken_line,
    corrupt_zip,
    cut,
    gzip_cut,
    non_utf8_line,
    rekeyed,
    repeated_lines,
    resent,
    server_error,
    skewed_devices,
    terminated_early,
    too_many_requests,
    too_many_rows,
    wrong_length,
)
from opsanalytics_tests.sources.support import (
    FIRST,
    LAST,
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

EVENTS = small_events(150)
MUCH_LATER = datetime(2026, 6, 1, tzinfo=UTC)


class Killed(BaseException):
    """The process is dead from here on."""


@dataclass
class Mortal:
    """Lets the process die at the `last`th change of the disk."""

    last: int
    changes: int = 0
    dead: bool = field(default=False)

    def before(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def change(*arguments: Any, **options: Any) -> Any:
            self.changes += 1
            if self.dead or self.changes >= self.last:
                self.dead = True
                raise Killed
            return original(*arguments, **options)

        return change


@contextlib.contextmanager
def dying(last: int) -> Iterator[Mortal]:
    """Inside, the `last`th replace, removal, sync or removal of a folder does not happen, nor any later."""
    mortal = Mortal(last)
    with contextlib.ExitStack() as stack:
        for name in ("replace", "unlink", "fsync", "rmdir"):
            stack.enter_context(mock.patch.object(os, name, mortal.before(getattr(os, name))))
        yield mortal


both = [
    cut(0.3), cut(0.7, with_length=False), cut(0), server_error(500), server_error(504), wrong_length(50),
    too_many_requests(0), too_many_requests(None), broken_line(1), non_utf8_line(0),
]  # fmt: skip
FAULTS: dict[str, list[Fault]] = {
    "mixpanel": [
        *both, gzip_cut(), terminated_early(0.5), terminated_early(0.0, newline=True), too_many_rows(20),
        repeated_lines(), rekeyed(lambda name: f"merged-{name}"),
    ],
    "amplitude": [*both, corrupt_zip(), resent(), skewed_devices(timedelta(hours=9))],
}  # fmt: skip
steps = st.lists(
    st.one_of(
        st.tuples(st.just("run"), st.integers(0, 4), st.integers(0, 4), st.integers(0, 40)),
        st.tuples(st.just("kill in fetch"), st.integers(1, 12), st.integers(0, 4), st.integers(0, 40)),
        st.tuples(st.just("kill in clean"), st.integers(1, 40), st.integers(0, 4), st.integers(0, 40)),
    ),
    min_size=1,
    max_size=4,
)


def leftovers(home: Home) -> list[str]:
    """What a dead process may leave and a finished run may not. (Notes on who holds a lock do no harm.)"""
    return [name for name in tree(home.root) if name.endswith(".tmp")]


@pytest.mark.slow
@pytest.mark.parametrize("vendor", ["mixpanel", "amplitude"])
@settings(max_examples=15, deadline=None)
@given(steps=steps, data=st.data())
def test_any_schedule_of_faults_and_kills_ends_in_the_truth(
    vendor: str, steps: list[tuple[str, int, int, int]], data: st.DataObject
) -> None:
    drawn = st.dictionaries(st.integers(1, 10), st.sampled_from(FAULTS[vendor]), max_size=5)
    schedule = FaultSchedule()
    for number, fault in data.draw(drawn).items():
        schedule.on(vendor, number, fault)
    clock = [MUCH_LATER]
    project: Any = (
        mixpanel_project(EVENTS, duplicate_share=0.1, late_share=0.2, late_days=10.0)
        if vendor == "mixpanel"
        else amplitude_project(EVENTS, late_share=0.2)
    )
    with (
        tempfile.TemporaryDirectory() as folder,
        FaultySimulator(project, faults=schedule, clock=lambda: clock[0]) as simulator,
    ):
        home = Home(Path(folder))
        source: EventSourceSettings = (mixpanel if vendor == "mixpanel" else amplitude)(simulator.url)
        now = datetime(2026, 3, 2, tzinfo=UTC)
        for what, number, length, hours in steps:
            now += timedelta(hours=hours)
            clock[0] = now
            begin = FIRST + timedelta(days=number % 5)
            with contextlib.suppress(Killed, SourceError):
                with dying(number) if what == "kill in fetch" else contextlib.nullcontext():
                    run_fetch(source, home, begin, min(LAST, begin + timedelta(days=length)), now=now)
                with dying(number) if what == "kill in clean" else contextlib.nullcontext():
                    run_clean(source, home)
        # uploads may lie two days after the events
        clock[0] = MUCH_LATER
        schedule.planned.clear()
        last = LAST + timedelta(days=3)
        run_fetch(source, home, FIRST, last, now=MUCH_LATER, force=True)
        run_clean(source, home)
        assert lake_rows(home) == comparable(EVENTS)
        assert unreconciled(build_ledger(home, [source]), deliveries(home, source.name)).is_empty()
        assert missing_days(source, home, FIRST, last) == []
        assert simulator.limit_violations == 0
        assert leftovers(home) == []
        before = tree(home.lake)
        assert run_clean(source, home).days == {}
        assert tree(home.lake) == before


@pytest.mark.parametrize("make", [mixpanel, amplitude])
def test_a_run_killed_at_each_change_of_the_disk_is_healed_by_the_next(
    tmp_path: Path, make: Callable[..., EventSourceSettings]
) -> None:
    """Every point of a whole run once: fetch, clean, and cleaning again after a source was removed."""
    vendors = (mixpanel_project(EVENTS, duplicate_share=0.1), amplitude_project(EVENTS))
    with FaultySimulator(*vendors, clock=lambda: MUCH_LATER) as simulator:
        source = make(simulator.url)

        def work(home: Home) -> None:
            run_fetch(source, home, FIRST, LAST, now=MUCH_LATER)
            run_clean(source, home)

        whole = Home(tmp_path / "whole")
        with dying(1_000_000) as counted:
            work(whole)
        expected = tree(whole.landing) | tree(whole.lake)
        home = Home(tmp_path / "killed")
        for last in range(1, counted.changes + 1):
            with contextlib.suppress(Killed), dying(last):
                work(home)
            if last % 7 == 0:
                with contextlib.suppress(Killed), dying(last):
                    retire(home, [])
        work(home)
    assert leftovers(home) == []
    found = tree(home.landing) | tree(home.lake)
    assert sorted(found) == sorted(expected)
    assert [name for name in found if found[name] != expected[name]] == []
