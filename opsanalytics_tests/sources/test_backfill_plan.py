"""How many requests a long history takes, and the days after it."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta

import polars as pl
import pytest

from opsanalytics.demo.simulator import Limit, VendorSimulator
from opsanalytics.lake.manifests import deliveries
from opsanalytics.lake.paths import Home
from opsanalytics.sources.base import EventSourceSettings
from opsanalytics.sources.fetching import FetchProgress, FetchReport, fetch, in_words
from opsanalytics_tests.simulators.clients import small_events
from opsanalytics_tests.simulators.faulty import FaultSchedule, FaultySimulator, server_error
from opsanalytics_tests.sources.support import (
    ENVIRON,
    amplitude,
    amplitude_project,
    comparable,
    lake_rows,
    mixpanel,
    mixpanel_project,
    run_clean,
    run_fetch,
)

DAYS = 1_100
FIRST = date(2023, 3, 1)
START = datetime(2023, 3, 1, 12, tzinfo=UTC)
LAST = FIRST + timedelta(days=DAYS - 1)
MORNING_AFTER = datetime(2026, 3, 5, 6, tzinfo=UTC)
EVENTS = pl.DataFrame(
    {
        "user_id": ["u"] * DAYS,
        "event": ["Visit"] * DAYS,
        "ts": [START + timedelta(days=day) for day in range(DAYS)],
        "properties": ['{"n":1}'] * DAYS,
    }
)


def backfill(settings: EventSourceSettings, home: Home, states: list[FetchProgress]) -> FetchReport:
    return fetch(settings, home, FIRST, LAST, environ=ENVIRON, now=MORNING_AFTER, progress=states.append)


@pytest.mark.parametrize(
    ("make", "requests"),
    [
        # 7, 14, 28, 56, 112, 224, 365 days, then the rest; what may still change comes apart
        (mixpanel, 9),
        (amplitude, 8),
    ],
)
def test_three_years_take_as_few_requests_as_growing_windows_need(
    home: Home, make: Callable[..., EventSourceSettings], requests: int
) -> None:
    assert LAST + timedelta(days=1) == MORNING_AFTER.date()
    vendors = (mixpanel_project(EVENTS, limits=(Limit(60, 3_600),)), amplitude_project(EVENTS))
    states: list[FetchProgress] = []
    with VendorSimulator(*vendors, clock=lambda: MORNING_AFTER) as simulator:
        settings = make(simulator.url)
        report = backfill(settings, home, states)
        assert simulator.limit_violations == 0
    assert report.requests == requests
    assert states[-1].done > timedelta(days=DAYS - 1)
    run_clean(settings, home)
    truth = comparable(EVENTS)
    assert lake_rows(home, {"n"}) == truth


def test_the_days_after_a_backfill_take_one_request_each(home: Home) -> None:
    clock = [MORNING_AFTER]
    with VendorSimulator(mixpanel_project(EVENTS), clock=lambda: clock[0]) as simulator:
        settings = mixpanel(simulator.url, deep_lookback_days=0)
        backfill(settings, home, [])
        for day in range(1, 8):
            clock[0] = MORNING_AFTER + timedelta(days=day)
            report = run_fetch(settings, home, FIRST, LAST + timedelta(days=day), now=clock[0])
            assert (report.requests, report.deliveries) == (
                1,
                (f"{LAST + timedelta(days=day - 5)}--{LAST + timedelta(days=day)}",),
            )


def test_every_day_gets_a_last_look_when_it_is_a_month_old(home: Home) -> None:
    clock = [MORNING_AFTER]
    asked: list[str] = []
    with VendorSimulator(mixpanel_project(EVENTS), clock=lambda: clock[0]) as simulator:
        settings = mixpanel(simulator.url)
        backfill(settings, home, [])
        for day in range(1, 22):
            clock[0] = MORNING_AFTER + timedelta(days=day)
            report = run_fetch(settings, home, FIRST, LAST + timedelta(days=day), now=clock[0])
            assert report.requests <= 2
            asked += [name for name in report.deliveries if name < "2026-02-20"]
    assert asked == ["2026-01-31--2026-02-06", "2026-02-07--2026-02-13", "2026-02-14--2026-02-20"]


def test_an_import_that_is_three_weeks_late_is_found(home: Home) -> None:
    """Airbyte's and Estuary's look-backs of a few days never see it."""
    begin = LAST - timedelta(days=29)
    events = small_events(120, days=30, start=datetime(begin.year, begin.month, begin.day, tzinfo=UTC))
    project = mixpanel_project(events, late_share=0.5, late_days=21.0)
    clock = [MORNING_AFTER]
    with VendorSimulator(project, clock=lambda: clock[0]) as simulator:
        settings = mixpanel(simulator.url)
        run_fetch(settings, home, begin, LAST, now=MORNING_AFTER)
        missed = events.height - run_clean(settings, home).canonical
        for week in range(1, 7):
            clock[0] = MORNING_AFTER + timedelta(weeks=week)
            run_fetch(settings, home, begin, LAST, now=clock[0])
        report = run_clean(settings, home)
    assert missed > 10
    assert lake_rows(home) == comparable(events)
    assert sum(after - before for before, after in report.days.values()) == missed


def test_a_long_window_goes_on_where_it_was_halved(home: Home) -> None:
    faults = FaultSchedule().on("amplitude", [5, 6], server_error(504))
    with FaultySimulator(amplitude_project(EVENTS), faults=faults, clock=lambda: MORNING_AFTER) as simulator:
        report = backfill(amplitude(simulator.url), home, [])
    assert [manifest.delivery for manifest in deliveries(home, "app")] == list(report.deliveries)
    assert report.requests == 19


def test_progress_says_how_long_it_will_take(home: Home) -> None:
    states: list[FetchProgress] = []
    with VendorSimulator(mixpanel_project(EVENTS), clock=lambda: MORNING_AFTER) as simulator:
        backfill(mixpanel(simulator.url), home, states)
    assert states[-1].remaining == timedelta(0)
    assert states[-1].text.startswith("1,100 of 1,100 days, about 0 s left; ")
    midway = next(state for state in states if timedelta(days=100) < state.done < timedelta(days=1_000))
    assert midway.remaining is not None
    assert midway.remaining > timedelta(0)


def test_spans_are_told_as_people_say_them() -> None:
    spans = [timedelta(seconds=40), timedelta(minutes=12), timedelta(hours=3.5)]
    assert [in_words(span) for span in spans] == ["40 s", "12 min", "3.5 h"]
