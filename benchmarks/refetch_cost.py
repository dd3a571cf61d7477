"""What a run costs that finds everything up to date, on a home with three years of landed days.

    python benchmarks/refetch_cost.py [--days 1100] [--events-a-day 50]

Serves a generated history, lands it once day by day (the worst case: one delivery a day), cleans it,
and then times each step of a run over one day and over all days in which nothing changed. Aim: less
than a second beyond the start of the process. Checks that no byte of landing and lake changed.
"""

import argparse
import os
import resource
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl
import requests

from opsanalytics.cleaning.events import clean_events
from opsanalytics.cleaning.retired import retire
from opsanalytics.demo.simulator import AmplitudeProject, MixpanelProject, VendorSimulator
from opsanalytics.identity.persons import rebuild
from opsanalytics.lake.manifests import deliveries
from opsanalytics.lake.paths import Home
from opsanalytics.quality.clock import clock_finding
from opsanalytics.quality.reconciliation import build_ledger, unreconciled
from opsanalytics.sources.amplitude import AmplitudeSettings
from opsanalytics.sources.base import EventSourceSettings
from opsanalytics.sources.fetching import fetch
from opsanalytics.sources.mixpanel import MixpanelSettings
from opsanalytics.sources.window_landing import WindowLander, project_hash
from opsanalytics.sources.windows import DAY, Window, midnight

FIRST = date(2023, 1, 1)
ENVIRON = {
    "MIXPANEL_USERNAME": "demo-service-account",
    "MIXPANEL_SECRET": "demo-secret",
    "AMPLITUDE_API_KEY": "demo-api-key",
    "AMPLITUDE_SECRET_KEY": "demo-secret-key",
}
LIMITS = {"requests_per_second": 1_000, "requests_per_hour": 100_000}


def history(days: int, a_day: int) -> pl.DataFrame:
    """Events evenly over the days, of a tenth as many users."""
    start = datetime(FIRST.year, FIRST.month, FIRST.day, tzinfo=UTC)
    rows = days * a_day
    return pl.DataFrame(
        {
            "user_id": [f"u{number % (rows // 10)}" for number in range(rows)],
            "event": [f"Event {number % 20}" for number in range(rows)],
            "ts": [start + number * timedelta(days=days) / rows for number in range(rows)],
            "properties": ['{"plan":"pro","n":1}'] * rows,
        }
    )


def stamps(home: Home) -> dict[str, tuple[int, int]]:
    """Data files with size and time of writing; manifests are renewed at each fetch."""
    return {
        str(path): (path.stat().st_size, path.stat().st_mtime_ns)
        for folder in (home.landing, home.lake)
        for path in folder.rglob("*.*")
        if path.is_file() and path.name != "manifest.json"
    }


def timed(name: str, work: Callable[[], object]) -> float:
    begin = time.perf_counter()
    found = work()
    seconds = time.perf_counter() - begin
    print(f"  {name:<44} {seconds:7.3f} s   {found}")
    return seconds


def measure(settings: EventSourceSettings, days: int, root: Path) -> None:
    home = Home(root / settings.name)
    last = FIRST + timedelta(days=days - 1)
    now = datetime(last.year, last.month, last.day, tzinfo=UTC) + timedelta(days=60)

    def pull(first: date, end: date) -> str:
        report = fetch(settings, home, first, end, environ=ENVIRON, now=now)
        return f"{report.requests} requests, {report.skipped.days} days settled"

    begin = time.perf_counter()
    with requests.Session() as session:
        lander = WindowLander(
            settings,
            home,
            ENVIRON,
            now,
            session,
            project=project_hash(settings, ENVIRON),
            tell=lambda _: None,
            sent=lambda: None,
        )
        for offset in range(days):
            start = midnight(FIRST + timedelta(days=offset))
            lander.land(Window(start, start + DAY))
    clean_events(settings, home, {})
    rebuild(home, [settings.name], {settings.name: settings.identity_rules})
    print(f"{settings.name}: {days} deliveries landed and cleaned in {time.perf_counter() - begin:.0f} s")
    before = stamps(home)
    steps: list[tuple[str, Callable[[], object]]] = [
        ("fetch, the last day", lambda: pull(last, last)),
        ("fetch, all days", lambda: pull(FIRST, last)),
        ("take out removed sources", lambda: len(retire(home, [settings.name]))),
        ("clean", lambda: f"{len(clean_events(settings, home, {}).days)} days changed"),
        (
            "persons",
            lambda: rebuild(home, [settings.name], {settings.name: settings.identity_rules}).changed,
        ),
        ("check the clock", lambda: clock_finding(home, settings)),
        (
            "ledger",
            lambda: unreconciled(build_ledger(home, [settings]), deliveries(home, settings.name)).height,
        ),
    ]
    total = sum(timed(name, work) for name, work in steps)
    assert stamps(home) == before, "a run without news changed files"
    print(f"  {'together':<44} {total:7.3f} s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--days", type=int, default=1_100)
    parser.add_argument("--events-a-day", type=int, default=50)
    options = parser.parse_args()
    events = history(options.days, options.events_a_day)
    vendors = (MixpanelProject(events, limits=()), AmplitudeProject(events, late_share=0.0))
    with tempfile.TemporaryDirectory() as folder, VendorSimulator(*vendors) as simulator:
        sources = (
            MixpanelSettings(name="web", project_id="1000001", base_url=simulator.url, **LIMITS),
            AmplitudeSettings(name="app", base_url=simulator.url, **LIMITS),
        )
        for source in sources:
            measure(source, options.days, Path(folder))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"peak memory {peak:.0f} MB (vendors included), {os.cpu_count()} CPUs")


if __name__ == "__main__":
    main()
