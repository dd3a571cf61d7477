"""The daily refresh of the marts of behaviour: one more day on a 90-day lake, against computing everything.

    python benchmarks/daily_refresh.py [--events 2000000]

The lake has 91 days of events with properties; people come and go, some of them are first seen on a device
and sign in later. Two funnels, a retention and two segments are configured. Timed: everything that a run does
from the lake on for these marts (prints, index, FUNNEL_TABLES, RETENTION_CELLS), with 91 days and nothing
kept from before (`full`), and where the run of 90 days went before (`one more day`). The marts must be the
same, byte by byte. The ratio is of CPU time, since a busy machine stretches the other.
"""

import argparse
import shutil
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from funnel_vs_duckdb import OTHERS, SHARES, STEPS, Peak

from opsanalytics.analysis.marts import funnel_marts, retention_marts
from opsanalytics.analysis.scope import Scope
from opsanalytics.config import load_settings
from opsanalytics.identity.persons import rebuild
from opsanalytics.lake.day_prints import day_prints
from opsanalytics.lake.files import write_parquet
from opsanalytics.lake.paths import Home
from opsanalytics.lake.schemas import EVENTS

START = datetime(2026, 1, 1, tzinfo=UTC)
DAYS = 90
CONFIG = """
[project]
name = "Shop"
start = 2026-01-01
timezone = "Europe/Berlin"

[[sources]]
kind = "mixpanel"
name = "web"
project_id = "1"
username_env = "NONE"
secret_env = "NONE"

[[funnels]]
name = "purchase"
window = "7d"
steps = ["page_view", "product_view", "add_to_cart", "purchase"]

[[funnels]]
name = "help"
window = "1d"
steps = ["page_view", "search", "help"]

[[retentions]]
name = "back"
start = "page_view"
returning = "purchase"
period = "week"
periods = 12

[[segments]]
name = "platform"
property = "platform"

[[segments]]
name = "plan"
property = "plan"
"""


def generate(home: Home, events: int) -> None:
    """91 days from a fixed seed. Most visitors are known, some new; of the newest, 3 in 10 events carry a
    device only, which belongs to them once they sign in."""
    random = np.random.default_rng(7)
    persons = max(events // 40, 1)
    per_day = events // DAYS
    shares = np.array(SHARES) / sum(SHARES)
    for day in range(DAYS + 1):
        known = int(persons * (0.4 + 0.6 * day / DAYS))
        who = random.integers(0, known, per_day)
        fresh = who > known - persons * 0.05
        anonymous = fresh & (random.random(per_day) < 0.3)
        rows = pl.DataFrame({"who": who, "anonymous": anonymous}).select(
            user_id=pl.when(~pl.col("anonymous")).then("u" + pl.col("who").cast(pl.String)),
            device_id="d" + pl.col("who").cast(pl.String),
            event=pl.Series([*STEPS, *OTHERS]).gather(random.choice(len(shares), per_day, p=shares)),
            ts=pl.lit(START + timedelta(days=day))
            + pl.duration(seconds=pl.Series(random.integers(0, 86_400, per_day))),
            platform=pl.Series(["ios", "android", "web"]).gather(random.integers(0, 3, per_day)),
            properties=pl.Series(
                [f'{{"plan": "{plan}", "n": 1}}' for plan in ("free", "pro", "team")]
            ).gather(random.integers(0, 3, per_day)),
            event_id=pl.format("{}-{}", pl.lit(day), pl.int_range(per_day)),
        )
        blank = [pl.lit(None).alias(name) for name in EVENTS.names if name not in rows.columns]
        fixed = {"source": "web", "source_event": "e", "ingest_run": "r@0123456789ab"}
        frame = rows.with_columns(blank).with_columns(
            *(pl.lit(value).alias(name) for name, value in fixed.items()), received_at="ts"
        )
        write_parquet(home.events_file("web", (START + timedelta(days=day)).date()), EVENTS.conform(frame))


def scope_of(folder: Path, days: int) -> Scope:
    settings = load_settings(folder / "opsanalytics.toml")
    moment = START + timedelta(days=days)
    return Scope(settings, moment, day_prints(settings.home)).until(moment)


def refreshed(folder: Path, days: int) -> dict[str, float]:
    """Seconds by step of a run whose lake has so many days."""
    seconds = {}

    def timed(name: str, step: Callable[[], Any]) -> Any:
        begun = time.perf_counter()
        result = step()
        seconds[name] = time.perf_counter() - begun
        return result

    scope = timed("prints", lambda: scope_of(folder, days))
    timed("funnels", lambda: funnel_marts(scope))
    timed("retention", lambda: retention_marts(scope))
    return seconds


def marts(home: Home) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(home.marts.glob("*.parquet"))}


def last_day(home: Home) -> Path:
    day: date = (START + timedelta(days=DAYS)).date()
    return home.events_file("web", day)


def run(name: str, folder: Path, days: int) -> float:
    cpu = time.process_time()
    with Peak() as peak:
        seconds = refreshed(folder, days)
    cpu = time.process_time() - cpu
    total = sum(seconds.values())
    parts = ", ".join(f"{step} {value:.2f}" for step, value in seconds.items())
    print(f"{name:16}{total:8.2f} s wall {cpu:8.2f} s CPU {peak.megabytes:7.0f} MB ({parts})", flush=True)
    return cpu


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--events", type=int, default=2_000_000)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "opsanalytics.toml").write_text(CONFIG)
        home = Home(folder / "data")
        generate(home, arguments.events)
        whole, kept = last_day(home), folder / "last.parquet"
        whole.rename(kept)
        whole.parent.rmdir()
        rebuild(home, ["web"])
        run("90 days", folder, DAYS)
        whole.parent.mkdir()
        shutil.copy(kept, whole)
        rebuild(home, ["web"])
        other = folder / "other"
        shutil.copytree(
            home.root, other / "data", ignore=shutil.ignore_patterns("fingerprints", "index", "marts")
        )
        shutil.copy(folder / "opsanalytics.toml", other)
        daily = run("one more day", folder, DAYS + 1)
        full = run("full", other, DAYS + 1)
        if marts(home) != marts(Home(other / "data")):
            raise SystemExit("the marts differ")
        print(f"the same marts; one more day costs 1/{full / daily:.1f} of the CPU time of everything")


if __name__ == "__main__":
    main()
