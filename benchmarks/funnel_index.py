"""A 4-step, 7-day funnel of a lake, through its behavior index: against embedded ClickHouse.

    python benchmarks/funnel_index.py [--events 2000000] [--persons 50000] [--runs 5]

A lake of one file a day is generated, indexed and asked. The other side has the same events in a MergeTree
table of its own, sorted by person and time, loaded and warm, and reads the same Parquet; both run in this
process with as many threads and must give the same counts. Then kinds of funnels against the plain one, all
with persons, times, rates and medians. Wall times are the best of the runs, runs of both sides in turn.
Without chdb only this side is measured.
"""

import argparse
import importlib.util
import tempfile
import time
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import polars as pl
from funnel_vs_duckdb import AS_OF, DEFINITION, START, STEPS
from lakes import generate

import opsanalytics
from opsanalytics.behavior.index import open_index
from opsanalytics.behavior.index_funnel import indexed_counts, indexed_funnel
from opsanalytics.behavior.index_store import refresh_index
from opsanalytics.behavior.spec import Funnel
from opsanalytics.lake.paths import Home

THREADS = pl.thread_pool_size()
Side = Callable[[], Any]


def in_turn(runs: int, sides: dict[str, Side]) -> dict[str, float]:
    """Best wall seconds of each side, after one run that does not count."""
    best = dict.fromkeys(sides, float("inf"))
    for run in range(runs + 1):
        for name, side in sides.items():
            begun = time.perf_counter()
            side()
            if run:
                best[name] = min(best[name], time.perf_counter() - begun)
    return best


def clickhouse(home: Home, folder: Path) -> tuple[Side, Side]:
    """The funnel on the MergeTree table, and on the lake's Parquet."""
    from chdb.session import Session

    session = Session(str(folder / "chdb"))
    session.query("create database bench")
    session.query(
        "create table bench.events (person UInt32, ts DateTime('UTC'), event LowCardinality(String)) "
        "engine = MergeTree order by (person, ts)"
    )
    parquet = f"file('{home.events}/day=*/*.parquet', Parquet)"
    session.query(f"insert into bench.events select toUInt32(user_id), toDateTime(ts), event from {parquet}")
    session.query("optimize table bench.events final")
    window = int(DEFINITION.window.total_seconds())
    conditions = ", ".join(f"event = '{step}'" for step in STEPS)
    counts = ", ".join(f"countIf(level >= {k})" for k in range(1, len(STEPS) + 1))

    def side(table: str, person: str, ts: str) -> Side:
        query = (
            f"select {counts} from (select {person} as person, windowFunnel({window})({ts}, {conditions}) "
            f"as level from {table} group by person) settings max_threads = {THREADS}"
        )
        return lambda: [int(count) for count in str(session.query(query, "CSV")).strip().split(",")]

    return side("bench.events", "person", "ts"), side(parquet, "user_id", "toDateTime(ts)")


def changed(**change: Any) -> Funnel:
    return Funnel(**(DEFINITION.model_dump() | change))


def against_clickhouse(home: Home, folder: Path, runs: int, build: float) -> None:
    index = open_index(home)

    def ours() -> list[int]:
        return indexed_counts(index, DEFINITION, as_of=AS_OF, preset="clickhouse")["persons"].to_list()

    merge_tree, parquet = clickhouse(home, folder)
    begun = time.perf_counter()
    counts = parquet()
    cold = time.perf_counter() - begun
    if not ours() == merge_tree() == counts:
        raise SystemExit(f"counts differ: ours {ours()}, MergeTree {merge_tree()}, Parquet {counts}")
    print(f"persons by step {counts}, the same on all sides")
    best = in_turn(runs, {"index, counts": ours, "chdb, MergeTree": merge_tree})
    best |= in_turn(1, {"chdb, Parquet": parquet})
    own = best["index, counts"]
    for name, seconds in best.items():
        print(f"{name:32}{seconds:8.3f} s, {seconds / own:5.1f} times")
    total = build + own
    print(f"{'from Parquet, index built':32}{total:8.3f} s; chdb {cold:.3f} s, {cold / total:.2f} times")


def kinds_of_funnels(home: Home, runs: int) -> None:
    index = open_index(home)
    where = [STEPS[0], {"event": STEPS[1], "where": {"plan": "pro"}}, *STEPS[2:]]
    filtered = changed(steps=where)

    def whole(definition: Funnel) -> Side:
        return lambda: indexed_funnel(index, definition, as_of=AS_OF).to_polars()

    def broken() -> Any:
        return opsanalytics.funnel(
            home, DEFINITION, as_of=AS_OF, breakdown=opsanalytics.Segment("country", limit=20)
        ).breakdown()

    sides = {
        "plain": whole(DEFINITION),
        "plain, counts only": lambda: indexed_counts(index, DEFINITION, as_of=AS_OF),
        "plain, opsanalytics.funnel(home)": lambda: opsanalytics.funnel(
            home, DEFINITION, as_of=AS_OF
        ).to_polars(),
        "strict": whole(changed(order="strict")),
        "any order": whole(changed(order="any")),
        "exclusion": whole(changed(exclusions=({"event": "logout"},))),
        "filter": whole(filtered),
        "breakdown, 20 values": broken,
    }
    begun = time.perf_counter()
    sides["filter"]()
    print(f"{'filter, for the first time':34}{time.perf_counter() - begun:8.3f} s")
    best = in_turn(runs, sides)
    for name, seconds in best.items():
        print(
            f"{name:34}{seconds:8.3f} s, {seconds / best['plain']:5.2f} times plain, "
            f"{seconds / best['plain, counts only']:5.1f} times counts"
        )
    result = opsanalytics.funnel(home, DEFINITION, as_of=AS_OF)
    begun = time.perf_counter()
    result.bootstrap(1_000)
    print(f"{'1,000 bootstrap replicates':34}{time.perf_counter() - begun:8.3f} s")


def refreshed(home: Home) -> float:
    """Seconds to build what is out of date; prints what that was."""
    begun = time.perf_counter()
    built = refresh_index(home)
    seconds = time.perf_counter() - begun
    speed = built.rows / seconds / 1e6
    print(
        f"{len(built.built):3} days, {built.rows:,} events indexed in {seconds:.2f} s, {speed:.1f} M a second"
    )
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--events", type=int, default=2_000_000)
    parser.add_argument("--persons", type=int, default=50_000)
    parser.add_argument("--runs", type=int, default=5)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        small, home = Home(folder / "small"), Home(folder / "data")
        generate(small, 90_000, 1_000)
        indexed_counts(open_index(small), DEFINITION, as_of=AS_OF)  # compiled, imported
        generate(home, arguments.events, arguments.persons)
        print(f"{arguments.events:,} events, {arguments.persons:,} persons, {THREADS} threads")
        build = refreshed(home)
        last: date = (START + timedelta(days=89)).date()
        home.events_file("web", last).touch()
        refreshed(home)
        begun = time.perf_counter()
        open_index(home)
        print(f"nothing to build, opened in {time.perf_counter() - begun:.3f} s")
        kinds_of_funnels(home, arguments.runs)
        if importlib.util.find_spec("chdb"):
            against_clickhouse(home, folder, arguments.runs, build)
        else:
            print("chdb is not installed: nothing to compare with")


if __name__ == "__main__":
    main()
