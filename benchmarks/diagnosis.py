"""Drop-off diagnosis of a 3-step funnel: the whole of it, against plain SQL for its counts of events alone.

    python benchmarks/diagnosis.py [--events 2000000] [--runs 3]

The SQL (DuckDB, same threads, on the same Arrow table) counts for every event name who did it between step
and landmark and how many of these went on: one of the six kinds of comparisons, without strata, intervals,
tests and cross-checks. Persons at the step and the landmark are given to it. Counts must be equal. Times are
the best of the runs, wall and CPU; memory is the highest growth of the process.
"""

import argparse
import os
import time
from datetime import UTC, datetime, timedelta

import duckdb
import numpy as np
import polars as pl
from funnel_vs_duckdb import Peak

from opsanalytics.behavior.diagnosis import DiagnosisResult, diagnose
from opsanalytics.behavior.diagnosis_spec import Diagnosis
from opsanalytics.behavior.spec import Funnel

START = datetime(2026, 1, 1, tzinfo=UTC)
DAYS = 90
NAMES = ["view", "add", "pay", "search", "help", "settings", "error", "scroll", "share", "login", "filter"]
FUNNEL = Funnel(name="buy", steps=["view", "add", "pay"], window="7d")
AS_OF = START + timedelta(days=DAYS)
SQL = """
with at_risk as (
    select * from step where (passed_at is null or passed_at > reached + to_microseconds($landmark))
        and ends > reached + to_microseconds($landmark)),
did as (
    select distinct r.person, e.event, r.passed_at is not null as passed
    from at_risk r join events e on e.person = r.person
        and e.ts > r.reached and e.ts <= r.reached + to_microseconds($landmark) and e.event <> 'pay')
select event, count(*) as n_with, count(*) filter (passed) as passed_with from did group by event
"""


def events(count: int) -> pl.DataFrame:
    """Rows of 1 person in 40 events, with a platform and properties."""
    rng = np.random.default_rng(7)
    persons = count // 40
    person = rng.integers(0, persons, count)
    ts = rng.integers(0, DAYS * 86_400_000_000, count)
    platform = np.array(["web", "ios", "android"])[person % 3]
    plan = np.array(["free", "pro", "team"])[rng.integers(0, 3, count)]
    return pl.DataFrame(
        {
            "person": pl.Series(person).cast(pl.String),
            "event": np.array(NAMES)[rng.integers(0, len(NAMES), count)],
            "ts": pl.Series(ts).cast(pl.Duration("us")) + START,
            "platform": platform,
            "properties": ['{"plan": "' + one + '"}' for one in plan],
        }
    )


def counts(result: DiagnosisResult) -> pl.DataFrame:
    """What both sides must agree on."""
    compared = result.compared.filter(pl.col("kind") == "event")
    return compared.select(event="name", n_with="n_with", passed_with="passed_with").sort("event")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--events", type=int, default=2_000_000)
    parser.add_argument("--runs", type=int, default=3)
    asked = parser.parse_args()
    table = events(asked.events)
    definition = Diagnosis(funnel=FUNNEL, step=1)
    diagnose(table.head(20_000), definition, as_of=AS_OF)  # compiles the kernels
    ours: list[tuple[float, float]] = []
    with Peak() as peak:
        for _ in range(asked.runs):
            began, used = time.perf_counter(), time.process_time()
            result = diagnose(table, definition, as_of=AS_OF)
            ours.append((time.perf_counter() - began, time.process_time() - used))
    made = result.funnel.mature.filter(pl.col("ts_1").is_not_null())
    step = made.select("person", reached="ts_1", passed_at="ts_2", ends=pl.col("entry_ts") + FUNNEL.window)
    connection = duckdb.connect()
    connection.sql(f"set threads = {os.cpu_count()}; set timezone = 'UTC'")
    connection.register("events", table.select("person", "event", "ts").to_arrow())
    connection.register("step", step.to_arrow())
    theirs: list[tuple[float, float]] = []
    with Peak() as sql_peak:
        for _ in range(asked.runs):
            began, used = time.perf_counter(), time.process_time()
            landmark = {"landmark": round((result.landmark_seconds or 0) * 1e6)}
            plain = connection.sql(SQL, params=landmark).pl()
            theirs.append((time.perf_counter() - began, time.process_time() - used))
    both = counts(result)
    expected = plain.sort("event").cast(both.schema)
    if not both.equals(expected):
        raise SystemExit(f"the counts differ:\n{both}\n{expected}")
    print(f"{asked.events:,} events, {result.reached:,} persons at the step, {result.at_risk:,} at risk")
    print(f"{result.compared.height} comparisons, {result.findings.height} findings")
    for name, times, memory in (
        ("diagnosis, whole", ours, peak.megabytes),
        ("SQL, counts of events only", theirs, sql_peak.megabytes),
    ):
        wall, cpu = min(one for one, _ in times), min(one for _, one in times)
        print(f"{name:28} {wall:7.2f} s wall {cpu:7.2f} s CPU {memory:8.0f} MB")
    print(f"ratio {min(ours)[0] / min(theirs)[0]:.1f}")


if __name__ == "__main__":
    main()
