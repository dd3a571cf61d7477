"""What a full validation costs: all suites and the profile of one day with a million events.

    python benchmarks/validation_cost.py [--events 1000000] [--properties 20] [--days 1]

Writes a lake of Mixpanel-like events, a tracking plan for all of them, and a suite as a user writes it.
Validation (Great Expectations), with its import counted apart, and the profiles for drift and anomalies
each run in a process of their own, whose highest resident memory is shown.
"""

import argparse
import multiprocessing
import resource
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl

from opsanalytics.lake.files import write_parquet
from opsanalytics.lake.paths import Home
from opsanalytics.lake.schemas import EVENTS
from opsanalytics.quality.settings import QualitySettings

FIRST = date(2026, 3, 1)
NAMES = [f"event_{number:02}" for number in range(22)]
SOURCE = "web"


class Cost(NamedTuple):
    """What one process says."""

    import_seconds: float
    wall_seconds: float
    cpu_seconds: float
    peak_megabytes: float
    base_megabytes: float
    told: str


def settings(properties: int) -> QualitySettings:
    """A plan for every event and property, and three expectations of a user."""
    declared = {
        f"p{number}": {"type": "string", "required": True, "values": [f"v{i}" for i in range(number + 2)]}
        for number in range(properties - 2)
    }
    declared |= {"amount": {"type": "number", "required": True}, "order_id": {"type": "string"}}
    expectations = [
        {"type": "expect_column_values_to_be_in_set", "kwargs": {"column": "platform", "value_set": ["web"]}},
        {"type": "expect_column_values_to_not_be_null", "kwargs": {"column": "properties.p1"}},
        {"type": "expect_table_row_count_to_be_between", "kwargs": {"min_value": 1}},
    ]
    return QualitySettings.model_validate(
        {
            "tracking_plan": {"events": [{"name": name, "properties": declared} for name in NAMES]},
            "suites": [{"table": "events", "expectations": expectations}],
        }
    )


def write_lake(home: Home, events: int, properties: int, days: int) -> None:
    """The same events every time, spread over the days."""
    for offset in range(days):
        day = FIRST + timedelta(days=offset)
        random = np.random.default_rng(offset)
        n = events // days
        texts = {
            f"p{number}": pl.Series([f"v{i}" for i in range(number + 2)]).gather(
                random.integers(0, number + 2, n)
            )
            for number in range(properties - 2)
        }
        amounts = {
            "amount": pl.Series((random.random(n) * 100).round(2)),
            "order_id": pl.Series(random.integers(0, 2**62, n)).cast(pl.String),
        }
        start = datetime(day.year, day.month, day.day, tzinfo=UTC)
        known = pl.DataFrame({**texts, **amounts}).select(
            pl.struct(pl.all()).struct.json_encode().alias("properties")
        )
        number = pl.int_range(n)
        user = pl.format("user-{}", pl.Series(random.integers(0, 200_000, n)))
        frame = known.with_columns(
            event_id=pl.format("{}-{}", pl.lit(day.isoformat()), number),
            source=pl.lit(SOURCE),
            event=pl.Series(NAMES).gather(random.integers(0, len(NAMES), n)),
            ts=pl.lit(start) + pl.duration(milliseconds=number * (86_400_000 // n)),
            user_id=user,
            distinct_id=user,
            platform=pl.lit("web"),
            ingest_run=pl.lit("delivery@0123456789ab"),
        ).with_columns(source_event=pl.col("event"), received_at=pl.col("ts"))
        empty = [
            pl.lit(None, column.dtype).alias(column.name)
            for column in EVENTS.columns
            if column.name not in frame.columns
        ]
        write_parquet(home.events_file(SOURCE, day), EVENTS.conform(frame.with_columns(empty)))


def validate(folder: Path, properties: int) -> Cost:
    """All suites over all days, nothing recorded before."""
    started = time.perf_counter()
    import great_expectations  # noqa: F401

    from opsanalytics.lake.events import event_days
    from opsanalytics.quality.generated import event_rules
    from opsanalytics.quality.validate import validate_events

    imported = time.perf_counter() - started
    base = _peak()
    home, quality = Home(folder), settings(properties)
    wall, cpu = time.perf_counter(), time.process_time()
    outcomes = validate_events(
        home,
        event_days(home),
        sources=[SOURCE],
        checked_at=datetime.now(UTC),
        rules=event_rules(quality),
        plan=quality.tracking_plan,
    )
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    failed = [outcome.check for outcome in outcomes if not outcome.passed]
    if failed:
        raise SystemExit(f"good events failed {failed}")
    return Cost(imported, wall, cpu, _peak(), base, f"{len(outcomes)} results, none failed")


def profile(folder: Path) -> Cost:
    """The profiles of all days."""
    from opsanalytics.quality.profiles import profile_days

    base = _peak()
    wall, cpu = time.perf_counter(), time.process_time()
    rows = profile_days(Home(folder)).height
    return Cost(
        0.0, time.perf_counter() - wall, time.process_time() - cpu, _peak(), base, f"{rows} rows of profile"
    )


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--properties", type=int, default=20)
    parser.add_argument("--days", type=int, default=1)
    options = parser.parse_args()
    spawn = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with ProcessPoolExecutor(1, mp_context=spawn) as pool:
            pool.submit(write_lake, Home(folder), options.events, options.properties, options.days).result()
        with ProcessPoolExecutor(1, mp_context=spawn) as pool:
            validated = pool.submit(validate, folder, options.properties).result()
        with ProcessPoolExecutor(1, mp_context=spawn) as pool:
            profiled = pool.submit(profile, folder).result()
    print(f"{options.events:,} events, {options.properties} properties, {options.days} day(s)")
    print(f"import of Great Expectations: {validated.import_seconds:.1f} s (once a process)")
    for label, cost in (("validation", validated), ("profiles", profiled)):
        print(
            f"{label}: {cost.wall_seconds:.1f} s wall, {cost.cpu_seconds:.1f} s CPU, peak "
            f"{cost.peak_megabytes:,.0f} MiB (of it {cost.base_megabytes:,.0f} before); {cost.told}"
        )


if __name__ == "__main__":
    main()
