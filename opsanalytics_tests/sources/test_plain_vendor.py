"""A vendor that nobody here had in mind, with all faults on: twice fetched, the lake is the truth."""

import json
import random
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, time, timedelta

import pytest

from opsanalytics.lake.events import scan_raw_events
from opsanalytics.lake.paths import Home
from opsanalytics.sources.base import EventSourceSettings, RetrySettings
from opsanalytics_tests.simulators.plain import AMPLITUDE_FAULTS, MIXPANEL_FAULTS, PlainVendor, World
from opsanalytics_tests.sources.support import FIRST, amplitude, mixpanel, run_clean, run_fetch

SEEDS = range(6)
DAYS = 5
PATIENT = RetrySettings(attempts=12, backoff_seconds=0.001, longest_backoff_seconds=0.01)
KINDS = {"mixpanel": (mixpanel, MIXPANEL_FAULTS), "amplitude": (amplitude, AMPLITUDE_FAULTS)}


def fetched(home: Home, kind: str, seed: int, rate: float) -> tuple[World, PlainVendor]:
    make: Callable[..., EventSourceSettings]
    make, faults = KINDS[kind]
    world = World.of(seed, datetime.combine(FIRST, time(), UTC), DAYS)
    vendor = PlainVendor(world, faults, rate, random.Random(seed))
    with vendor.served() as url:
        settings = make(url, read_timeout_seconds=5, retry=PATIENT)
        for day in range(DAYS):  # many requests, so that many faults are met
            run_fetch(settings, home, FIRST + timedelta(days=day), FIRST + timedelta(days=day))
        run_clean(settings, home)
        run_fetch(settings, home, force=True)
        report = run_clean(settings, home)
    assert report.records == report.canonical + report.duplicates + report.quarantined
    return world, vendor


def events_of(home: Home) -> dict[int, tuple[str, str, str, datetime]]:
    found = scan_raw_events(home).select("properties", "user_id", "device_id", "event", "ts").collect()
    rows = [(json.loads(row[0]), *row[1:]) for row in found.iter_rows()]
    assert max(Counter(row[0]["n"] for row in rows).values()) == 1
    assert all(row[0]['q"'] == 2**62 + 1 and row[0]["$b.c"] == "Å\u2028" for row in rows)
    return {row[0]["n"]: row[1:] for row in rows}


def truth_of(world: World) -> dict[int, tuple[str, str, str, datetime]]:
    return {
        event.number: (
            event.user, event.device, event.name,
            event.ts.replace(microsecond=event.ts.microsecond // 1_000 * 1_000),
        )
        for event in world.events
    }  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_without_faults_the_lake_is_the_truth(home: Home, kind: str) -> None:
    world, _ = fetched(home, kind, 100, 0.0)
    assert events_of(home) == truth_of(world)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("kind", KINDS)
def test_with_all_faults_on_the_lake_is_the_truth(home: Home, kind: str, seed: int) -> None:
    world, vendor = fetched(home, kind, seed, 0.6)
    assert events_of(home) == truth_of(world)
    assert vendor.met
