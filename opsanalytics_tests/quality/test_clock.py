"""A project whose zone is set wrong is found by its data."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from opsanalytics.demo.simulator import VendorSimulator
from opsanalytics.lake.paths import Home
from opsanalytics.quality.clock import clock_finding, judged, usual_lag
from opsanalytics_tests.simulators.clients import small_events
from opsanalytics_tests.sources.support import NOON, mixpanel, mixpanel_project, run_clean, run_fetch

START = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.mark.parametrize("zone", ["America/Los_Angeles", "Asia/Kolkata", "Europe/Berlin"])
def test_a_project_in_local_time_that_is_read_as_utc_is_found(tmp_path: Path, zone: str) -> None:
    home = Home(tmp_path)
    with VendorSimulator(mixpanel_project(small_events(), zone=zone), clock=lambda: NOON) as simulator:
        settings = mixpanel(simulator.url)
        run_fetch(settings, home)
        run_clean(settings, home)
    found = clock_finding(home, settings)
    assert found is not None
    assert found.offsets == (datetime(2026, 3, 3, tzinfo=ZoneInfo(zone)).utcoffset(),)
    assert "product: project_timezone = 'UTC' is probably wrong" in str(found)


def test_a_project_in_utc_that_is_read_as_local_is_found(tmp_path: Path) -> None:
    home = Home(tmp_path)
    with VendorSimulator(mixpanel_project(small_events()), clock=lambda: NOON) as simulator:
        settings = mixpanel(simulator.url, project_timezone="America/New_York")
        run_fetch(settings, home)
        run_clean(settings, home)
    found = clock_finding(home, settings)
    assert found is not None
    assert found.offsets == (timedelta(0),)


@pytest.mark.parametrize("zone", ["UTC", "Australia/Eucla"])
def test_a_right_setting_is_not_reported(tmp_path: Path, zone: str) -> None:
    home = Home(tmp_path)
    project = mixpanel_project(small_events(), zone=zone, late_share=0.3)
    with VendorSimulator(project, clock=lambda: NOON) as simulator:
        settings = mixpanel(simulator.url, project_timezone=zone)
        run_fetch(settings, home)
        run_clean(settings, home)
    assert clock_finding(home, settings) is None


def test_setting_the_zone_right_afterwards_heals(tmp_path: Path) -> None:
    home = Home(tmp_path)
    project = mixpanel_project(small_events(), zone="Europe/Berlin")
    with VendorSimulator(project, clock=lambda: NOON) as simulator:
        wrong = mixpanel(simulator.url, lookback_days=0)
        run_fetch(wrong, home)
        run_clean(wrong, home)
        right = mixpanel(simulator.url, lookback_days=0, project_timezone="Europe/Berlin")
        run_fetch(right, home)
        assert all("T" not in entry.query["from_date"] for entry in simulator.log)
        run_clean(right, home)
    assert clock_finding(home, right) is None


def test_zones_that_fit_summer_and_winter_are_named() -> None:
    days = [date(2026, 1, 15), date(2026, 7, 15)]
    berlin = ZoneInfo("Europe/Berlin")
    lags = {
        day: -(datetime(day.year, day.month, 15, tzinfo=berlin).utcoffset() or timedelta(0)) for day in days
    }
    found = judged("web", "project_timezone", ZoneInfo("UTC"), lags)
    assert found is not None
    assert "Europe/Berlin" in found.zones or found.zones[0].startswith("Europe/")
    assert all(
        datetime(day.year, day.month, 15, tzinfo=ZoneInfo(zone)).utcoffset() == -lags[day]
        for zone in found.zones
        for day in days
    )


def test_imports_of_the_night_before_are_no_time_zone() -> None:
    """One file a night: every event is late by another time."""
    events = pl.DataFrame(
        {
            "ts": [START + timedelta(minutes=10 * n) for n in range(140)],
            "received_at": [START + timedelta(days=1, hours=3)] * 140,
        }
    )
    assert usual_lag(events) is None


@given(st.lists(st.integers(0, 240), min_size=20, max_size=60))
def test_live_events_never_raise_a_doubt(seconds: list[int]) -> None:
    events = pl.DataFrame(
        {
            "ts": [START + timedelta(minutes=n) for n in range(len(seconds))],
            "received_at": [START + timedelta(minutes=n, seconds=lag) for n, lag in enumerate(seconds)],
        }
    )
    assert usual_lag(events) == timedelta(0)
