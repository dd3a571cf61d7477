"""A 4-step, 7-day ordered funnel from Parquet: this project's engine against DuckDB SQL.

    python benchmarks/funnel_vs_duckdb.py [--events 2000000] [--runs 3]

Both run in this process on the same generated file with the same number of threads, and must give the
same counts. Times are the best of the runs; memory is the highest growth of the process during a side's
runs. The first call of the engine in a fresh installation compiles its kernels and is shown apart.
"""

import argparse
import os
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import polars as pl

from opsanalytics.behavior.funnel import funnel
from opsanalytics.behavior.spec import Funnel

STEPS = ["page_view", "product_view", "add_to_cart", "purchase"]
OTHERS = ["search", "login", "logout", "settings", "invite", "help", "error_shown", "scroll"]
SHARES = [0.25, 0.12, 0.05, 0.02, *([0.07] * 8)]
START = datetime(2026, 1, 1, tzinfo=UTC)
DAYS = 90
DEFINITION = Funnel(name="purchase", steps=STEPS, window="7d")
AS_OF = START + timedelta(days=DAYS)

# The entry of the newest attempt that has reached each step, one nested window a step. Within equal
# times rows are in the order of the steps, so that tied events count in any order of arrival.
SQL = """
with matched as (
    select person, ts, list_position($steps, event) as step
    from read_parquet($path) where event in (select unnest($steps)) and ts <= $as_of),
s1 as (select *, max(case when step = 1 and ts + $window <= $as_of then ts end) over w as e1 from matched
       window w as (partition by person order by ts, step rows unbounded preceding)),
s2 as (select *, max(case when step = 2 and ts - e1 <= $window then e1 end) over w as e2 from s1
       window w as (partition by person order by ts, step rows unbounded preceding)),
s3 as (select *, max(case when step = 3 and ts - e2 <= $window then e2 end) over w as e3 from s2
       window w as (partition by person order by ts, step rows unbounded preceding)),
reached as (select person, max(case when step = 4 and ts - e3 <= $window then 4 when e3 is not null then 3
                                    when e2 is not null then 2 when e1 is not null then 1 end) as depth
            from s3 group by person)
select count(*) filter (depth >= k) from range(1, 5) steps(k), reached group by k order by k
"""


class Peak(AbstractContextManager["Peak"]):
    """Highest resident memory above that at the start, MB."""

    def __enter__(self) -> "Peak":
        self.megabytes = 0.0
        self._base = self._resident()
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._done.wait(0.01):
            self.megabytes = max(self.megabytes, self._resident() - self._base)

    @staticmethod
    def _resident() -> float:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def generate(path: Path, events: int) -> None:
    """Events of events/40 persons in order of time, whole seconds (so that some tie), from a fixed seed."""
    random = np.random.default_rng(7)
    person = random.integers(0, max(events // 40, 1), events)
    second = np.sort(random.integers(0, DAYS * 86_400, events))
    shares = np.array(SHARES) / sum(SHARES)
    code = random.choice(len(shares), events, p=shares)
    pl.select(
        person=pl.Series(person).cast(pl.String),
        event=pl.Series([*STEPS, *OTHERS]).gather(code),
        ts=pl.lit(START) + pl.duration(seconds=pl.Series(second)),
    ).write_parquet(path)


def ours(path: Path) -> list[int]:
    return funnel(pl.scan_parquet(path), DEFINITION, as_of=AS_OF).to_polars()["persons"].to_list()


def theirs(path: Path) -> list[int]:
    with duckdb.connect(config={"threads": pl.thread_pool_size()}) as connection:
        connection.sql("set timezone = 'UTC'")
        parameters: dict[str, Any] = {
            "path": str(path),
            "steps": STEPS,
            "window": DEFINITION.window,
            "as_of": AS_OF,
        }
        return [row[0] for row in connection.sql(SQL, params=parameters).fetchall()]


def timed(side: Callable[[Path], list[int]], path: Path, runs: int) -> tuple[list[int], float, float]:
    """Counts, best seconds, peak MB."""
    best = float("inf")
    with Peak() as peak:
        for _ in range(runs):
            begun = time.perf_counter()
            counts = side(path)
            best = min(best, time.perf_counter() - begun)
    return counts, best, peak.megabytes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--events", type=int, default=2_000_000)
    parser.add_argument("--runs", type=int, default=3)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "events.parquet"
        generate(path, arguments.events)
        _, first_call, _ = timed(ours, path, 1)
        our_counts, our_seconds, our_memory = timed(ours, path, arguments.runs)
        their_counts, their_seconds, their_memory = timed(theirs, path, arguments.runs)
    if our_counts != their_counts:
        raise SystemExit(f"counts differ: ours {our_counts}, DuckDB {their_counts}")
    print(f"{arguments.events:,} events, {pl.thread_pool_size()} threads, persons by step {our_counts}")
    print(f"opsanalytics {our_seconds:7.3f} s {our_memory:7.0f} MB (first call {first_call:.3f} s)")
    print(f"DuckDB       {their_seconds:7.3f} s {their_memory:7.0f} MB")
    print(f"DuckDB takes {their_seconds / our_seconds:.1f} times as long")


if __name__ == "__main__":
    main()
