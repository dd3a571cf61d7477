"""Random windows, faults, late data and repeats: the lake equals the truth and the ledger reconciles."""

import json
import tempfile
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

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
    non_utf8_line,
    server_error,
    terminated_early,
    too_many_requests,
)
from opsanalytics_tests.sources.support import (
    FIRST,
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

EVENTS = small_events(200)
DAYS = 8
LAST = FIRST + timedelta(days=DAYS - 1)
MUCH_LATER = datetime(2026, 6, 1, tzinfo=UTC)

shared_faults = st.sampled_from(
    [
        cut(0.3), cut(0.7, with_length=False), cut(0), server_error(500), server_error(504),
        too_many_requests(0), too_many_requests(None), broken_line(1), non_utf8_line(0),
    ]
)  # fmt: skip
faults = {
    "mixpanel": shared_faults | st.sampled_from([terminated_early(0.5), terminated_early(0.0, newline=True)]),
    "amplitude": shared_faults | st.just(corrupt_zip()),
}
steps = st.lists(
    st.tuples(
        st.integers(0, DAYS - 1), st.integers(0, DAYS - 1), st.integers(0, 30), st.booleans(), st.booleans()
    ),
    max_size=4,
)


def reconciles(home: Home, source: EventSourceSettings) -> pl.DataFrame:
    return unreconciled(build_ledger(home, [source]), deliveries(home, source.name))


@pytest.mark.slow
@pytest.mark.parametrize("vendor", ["mixpanel", "amplitude"])
@settings(max_examples=25, deadline=None)
@given(steps=steps, data=st.data())
def test_any_schedule_ends_in_the_truth(vendor: str, steps: list[Any], data: st.DataObject) -> None:
    schedule = FaultSchedule()
    chosen: dict[int, Fault] = data.draw(st.dictionaries(st.integers(1, 12), faults[vendor], max_size=6))
    for number, fault in chosen.items():
        schedule.on(vendor, number, fault)
    clock = [MUCH_LATER]
    project: Any = (
        mixpanel_project(EVENTS, duplicate_share=0.1, late_share=0.2)
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
        for first, length, hours, force, cleaned in steps:
            now += timedelta(hours=hours)
            clock[0] = now
            begin = FIRST + timedelta(days=first)
            try:
                run_fetch(
                    source, home, begin, min(LAST, begin + timedelta(days=length)), now=now, force=force
                )
            except SourceError:
                continue  # a window that found no complete answer: nothing may have landed of it
            if cleaned:
                run_clean(source, home)
                assert reconciles(home, source).is_empty()
        clock[0] = MUCH_LATER
        simulator.faults.planned.clear()
        run_fetch(source, home, FIRST, LAST, now=MUCH_LATER)
        run_clean(source, home)
        assert lake_rows(home) == comparable(EVENTS)
        assert reconciles(home, source).is_empty()
        assert missing_days(source, home, FIRST, LAST) == []
        before = tree(home.lake)
        assert run_clean(source, home).days == {}
        assert tree(home.lake) == before


def test_late_events_change_just_their_days(home: Home) -> None:
    """A later fetch brings what came late; the report says which days changed and by how much."""
    now = datetime(2026, 3, 6, tzinfo=UTC)
    clock = [now]
    project = mixpanel_project(EVENTS, late_share=0.3)
    with FaultySimulator(project, clock=lambda: clock[0]) as simulator:
        source = mixpanel(simulator.url)
        run_fetch(source, home, FIRST, LAST, now=now)
        first = run_clean(source, home)
        clock[0] = now + timedelta(days=3)
        run_fetch(source, home, now.date() - timedelta(days=5), now.date() - timedelta(days=1), now=clock[0])
        second = run_clean(source, home)
    assert lake_rows(home) == comparable(EVENTS)
    assert first.canonical < second.canonical == EVENTS.height
    assert sum(after - before for before, after in second.days.values()) == second.canonical - first.canonical
    assert all(isinstance(day, date) for day in second.days)


def test_no_event_is_lost_between_adjacent_windows(home: Home) -> None:
    """Airbyte 45068, PostHog 46625: events of the last second of a day came twice or not at all."""
    edges = [
        datetime(2026, 3, 1, 23, 59, 59, 999_000, UTC), datetime(2026, 3, 2, tzinfo=UTC),
        datetime(2026, 3, 1, 22, 59, 59, 999_000, UTC), datetime(2026, 3, 1, 23, tzinfo=UTC),
    ]  # fmt: skip
    events = pl.DataFrame(
        {
            "user_id": ["u"] * 4,
            "event": ["Edge"] * 4,
            "ts": edges,
            "properties": [json.dumps({"n": n}) for n in range(4)],
        }
    )
    vendors = (mixpanel_project(events), amplitude_project(events))
    with FaultySimulator(*vendors, clock=lambda: MUCH_LATER) as simulator:
        for source in (mixpanel(simulator.url), amplitude(simulator.url)):
            alone = Home(home.root / source.name)
            for day in (0, 1):
                run_fetch(
                    source, alone, FIRST + timedelta(days=day), FIRST + timedelta(days=day), now=MUCH_LATER
                )
            assert run_clean(source, alone).duplicates == 0
            assert lake_rows(alone) == comparable(events)
