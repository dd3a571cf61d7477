"""A 4-step, 7-day funnel from the behavior index: against embedded ClickHouse, or DuckDB where it is missing.

    python benchmarks/funnel_index.py [--events 2000000] [--runs 5]

A lake of one file a day is generated, indexed and folded. The other side has the same events in a table
of its own, sorted by person and time, loaded and warm; both run in this process with two threads and must
give the same counts. Times are the best of the runs; memory is the highest growth during a side's runs.
"""

import argparse
import importlib.util
import tempfile
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import polars as pl
from funnel_vs_duckdb import AS_OF, DAYS, DEFINITION, OTHERS, SHARES, START, STEPS, Peak

from opsanalytics.behavior.index import open_index
from opsanalytics.behavior.index_store import refresh_index
from opsanalytics.lake.files import write_parquet
from opsanalytics.lake.paths import Home
from opsanalytics.lake.schemas import EVENTS, PERSONS

THREADS = pl.thread_pool_size()
ORDERS: dict[str, dict[str, Any]] = {
    "strict": {"order": "strict"},
    "any order": {"order": "any"},
    "exclusion": {"exclusions": ({"event": "logout"},)},
}


def generate(home: Home, events: int) -> None:
    """Events of events/40 persons in whole seconds, from a fixed seed; ids are mapped to persons."""
    random = np.random.default_rng(7)
    persons = max(events // 40, 1)
    shares = np.array(SHARES) / sum(SHARES)
    per_day = events // DAYS
    for day in range(DAYS):
        rows = pl.select(
            user_id=pl.Series(random.integers(0, persons, per_day)).cast(pl.String),
            event=pl.Series([*STEPS, *OTHERS]).gather(random.choice(len(shares), per_day, p=shares)),
            ts=pl.lit(START + timedelta(days=day))
            + pl.duration(seconds=pl.Series(random.integers(0, 86_400, per_day))),
        )
        blank = [pl.lit(None).alias(name) for name in EVENTS.names if name not in rows.columns]
        fixed = {"event_id": "e", "source": "web", "source_event": "e", "properties": "{}", "ingest_run": "r"}
        frame = rows.with_columns(blank).with_columns(
            *(pl.lit(value).alias(name) for name, value in fixed.items()), received_at="ts"
        )
        date = (START + timedelta(days=day)).date()
        write_parquet(home.events_file("web", date), EVENTS.conform(frame))
    ids = pl.Series("id", range(persons)).cast(pl.String).to_frame()
    mapping = ids.select(
        pl.lit("web").alias("source"),
        pl.lit("user").alias("id_kind"),
        "id",
        ("p" + pl.col("id")).alias("person"),
        pl.lit("user_id").alias("rule"),
        pl.lit(START).alias("since"),
    )
    write_parquet(home.identity / "persons.parquet", PERSONS.conform(mapping))


def best_of(runs: int, side: Callable[[], list[int]]) -> tuple[list[int], float, float]:
    """Counts, best seconds, peak MB."""
    best = float("inf")
    with Peak() as peak:
        for _ in range(runs):
            begun = time.perf_counter()
            counts = side()
            best = min(best, time.perf_counter() - begun)
    return counts, best, peak.megabytes


def clickhouse(home: Home, folder: Path) -> Callable[[], list[int]]:
    from chdb.session import Session

    session = Session(str(folder / "chdb"))
    session.query("create database bench")
    session.query(
        "create table bench.events (person UInt32, ts DateTime('UTC'), event LowCardinality(String)) "
        "engine = MergeTree order by (person, ts)"
    )
    session.query(
        "insert into bench.events select toUInt32(user_id), toDateTime(ts), event "
        f"from file('{home.events}/day=*/*.parquet', Parquet)"
    )
    session.query("optimize table bench.events final")
    window = int(DEFINITION.window.total_seconds())
    conditions = ", ".join(f"event = '{step}'" for step in STEPS)
    counts = ", ".join(f"countIf(level >= {k})" for k in range(1, len(STEPS) + 1))
    query = (
        f"select {counts} from (select person, windowFunnel({window})(ts, {conditions}) as level "
        f"from bench.events group by person) settings max_threads = {THREADS}"
    )

    def run() -> list[int]:
        return [int(count) for count in str(session.query(query, "CSV")).strip().split(",")]

    return run


def duck(home: Home) -> Callable[[], list[int]]:
    connection = duckdb.connect(config={"threads": THREADS})
    connection.sql(
        "create table events as select user_id::uinteger as person, epoch_us(ts) as ts, event "
        f"from read_parquet('{home.events}/day=*/*.parquet') order by person, ts"
    )
    window = int(DEFINITION.window / timedelta(microseconds=1))
    nested = "select person, ts, list_position($steps, event) as step from events where event in $steps"
    entry = "ts"
    for k in range(1, len(STEPS)):
        fits = "step = 1" if k == 1 else f"step = {k} and ts - {entry} <= {window}"
        nested = (
            f"select *, max(case when {fits} then {entry} end) over "
            f"(partition by person order by ts, step rows unbounded preceding) as e{k} from ({nested})"
        )
        entry = f"e{k}"
    last = len(STEPS)
    reached = ", ".join(f"count(distinct person) filter (e{k} is not null)" for k in range(1, last))
    done = f"count(distinct person) filter (step = {last} and ts - {entry} <= {window})"
    query = f"select {reached}, {done} from ({nested})"

    def run() -> list[int]:
        row = connection.sql(query, params={"steps": STEPS}).fetchone()
        return list(row or ())

    return run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--events", type=int, default=2_000_000)
    parser.add_argument("--runs", type=int, default=5)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        home = Home(folder / "data")
        generate(home, arguments.events)
        begun = time.perf_counter()
        built = refresh_index(home)
        seconds = time.perf_counter() - begun
        print(f"{built.rows:,} events, {len(built.built)} days, {THREADS} threads")
        print(f"index built in {seconds:.2f} s, {built.rows / seconds / 1e6:.1f} M events a second")
        begun = time.perf_counter()
        index = open_index(home)
        print(f"index checked and opened in {time.perf_counter() - begun:.3f} s")

        def ours() -> list[int]:
            counts = index.funnel_counts(DEFINITION, as_of=AS_OF, preset="clickhouse")
            return counts["persons"].to_list()

        ours()
        our_counts, our_seconds, our_memory = best_of(arguments.runs, ours)
        if importlib.util.find_spec("chdb"):
            rival, side = "chdb MergeTree", clickhouse(home, folder)
        else:
            rival, side = "DuckDB table", duck(home)
        side()
        their_counts, their_seconds, their_memory = best_of(arguments.runs, side)
        if our_counts != their_counts:
            raise SystemExit(f"counts differ: ours {our_counts}, {rival} {their_counts}")
        print(f"persons by step {our_counts}, the same on both sides")
        print(f"{'index, counts':16}{our_seconds:8.3f} s {our_memory:6.0f} MB")
        print(f"{rival:16}{their_seconds:8.3f} s {their_memory:6.0f} MB")
        print(f"{rival} takes {their_seconds / our_seconds:.1f} times as long")
        plain, _ = measured(index, DEFINITION, arguments.runs)
        print(f"{'ordered, persons and times':28}{plain:8.3f} s")
        for label, change in ORDERS.items():
            definition = DEFINITION.__class__(**(DEFINITION.model_dump() | change))
            seconds, _ = measured(index, definition, arguments.runs)
            print(f"{label:28}{seconds:8.3f} s, {seconds / plain:.1f} times")


def measured(index: Any, definition: Any, runs: int) -> tuple[float, float]:
    """Best seconds and peak MB of a whole result from the index."""

    def side() -> list[int]:
        found: list[int] = [index.funnel(definition, as_of=AS_OF).entered]
        return found

    side()
    _, seconds, memory = best_of(runs, side)
    return seconds, memory


if __name__ == "__main__":
    main()
