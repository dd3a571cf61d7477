"""Lifecycle, stickiness, usage interval and trends from the behavior index, against the events of the lake.

    python benchmarks/activity_index.py [--events 2000000] [--runs 3]

The lake of `daily_refresh.py`. Both sides answer the same definitions, in turns, and must give the same rows.
The index is there already, as it is when marts are computed; the events are read from Parquet with their
persons joined. The ratio is of the least CPU time of each side.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
from daily_refresh import generate
from funnel_vs_duckdb import Peak

from opsanalytics.behavior.activity_spec import Lifecycle, Stickiness, UsageInterval
from opsanalytics.behavior.index import open_index
from opsanalytics.behavior.lifecycle import lifecycle
from opsanalytics.behavior.stickiness import stickiness
from opsanalytics.behavior.trends import trends
from opsanalytics.behavior.trends_spec import Trends
from opsanalytics.behavior.usage_interval import usage_interval
from opsanalytics.identity.persons import rebuild
from opsanalytics.lake.events import scan_events
from opsanalytics.lake.paths import Home

PRO = {"event": "page_view", "where": [{"property": "plan", "value": "pro"}]}
REPORTS: dict[str, Callable[[Any], pl.DataFrame]] = {}
LIMITS: dict[str, Any] = {"as_of": datetime(2026, 4, 2, tzinfo=UTC), "timezone": "Europe/Berlin"}


def report(name: str, answer: Callable[[Any], pl.DataFrame]) -> None:
    REPORTS[name] = answer


report("lifecycle", lambda data: lifecycle(data, Lifecycle(), **LIMITS).periods)
report(
    "lifecycle, buyers by day",
    lambda data: (
        lifecycle(data, Lifecycle(events=["purchase"], period="day", new="person"), **LIMITS).periods
    ),
)
report("lifecycle, filter", lambda data: lifecycle(data, Lifecycle(events=[PRO]), **LIMITS).periods)
report("stickiness", lambda data: stickiness(data, Stickiness(), **LIMITS).cells)
report("usage interval", lambda data: usage_interval(data, UsageInterval(), **LIMITS).summary)
report(
    "trends",
    lambda data: (
        trends(
            data,
            Trends(
                series=["page_view", {"event": "page_view", "measure": "persons"}, "purchase"],
                formulas=["C / A"],
            ),
            **LIMITS,
        ).rows
    ),
)
report(
    "trends, sum of a property",
    lambda data: (
        trends(data, Trends(series=[{"event": "purchase", "measure": "sum", "property": "n"}]), **LIMITS).rows
    ),
)


def timed(answer: Callable[[Any], pl.DataFrame], data: Any) -> tuple[pl.DataFrame, float, float, float]:
    """Rows, seconds of the clock and of the CPU, megabytes."""
    with Peak() as peak:
        wall, cpu = time.perf_counter(), time.process_time()
        rows = answer(data)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    return rows, wall, cpu, peak.megabytes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--events", type=int, default=2_000_000)
    parser.add_argument("--runs", type=int, default=3)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        home = Home(Path(name) / "data")
        generate(home, arguments.events)
        rebuild(home, ["web"])
        index, events = open_index(home), scan_events(home)
        for title, answer in REPORTS.items():
            answer(index)  # compiles, and makes the columns of properties
            sides: dict[str, list[tuple[pl.DataFrame, float, float, float]]] = {"index": [], "events": []}
            for _ in range(arguments.runs):
                sides["index"].append(timed(answer, index))
                sides["events"].append(timed(answer, events))
            if any(not one[0].equals(sides["index"][0][0]) for side in sides.values() for one in side):
                raise SystemExit(f"{title}: the two sides differ")
            cpu = {side: min(one[2] for one in runs) for side, runs in sides.items()}
            told = ", ".join(
                f"{side} {min(one[1] for one in runs):.3f} s wall {cpu[side]:.3f} s CPU "
                f"{max(one[3] for one in runs):.0f} MB"
                for side, runs in sides.items()
            )
            print(f"{title}: {told}: {cpu['events'] / cpu['index']:.1f} times", flush=True)


if __name__ == "__main__":
    main()
