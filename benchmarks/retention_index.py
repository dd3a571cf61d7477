"""Weekly retention over 12 periods from the behavior index, against embedded ClickHouse.

    python benchmarks/retention_index.py [--events 2000000] [--runs 5] [--lake FOLDER]

A lake of `lakes.py` is generated (kept in FOLDER, and taken from there the next time), indexed, and
loaded into a MergeTree table ordered by person and time. For each question ClickHouse is asked in several
ways, and the fastest counts. Both sides run in this process with the same number of threads, in turn, warm,
and must give the same cells: size of every cohort, returns in every period. Times are the best of the runs.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import polars as pl
from chdb.session import Session
from funnel_vs_duckdb import AS_OF, DAYS, START, Peak
from lakes import generate

from opsanalytics.behavior.index import BehaviorIndex, open_index
from opsanalytics.behavior.index_retention import indexed_retention
from opsanalytics.behavior.retention import retention
from opsanalytics.behavior.spec import Retention
from opsanalytics.lake.events import scan_events
from opsanalytics.lake.paths import Home

PERIODS = 12
THREADS = pl.thread_pool_size()
QUESTIONS = {
    "page_view, then page_view": Retention(start="page_view", returning="page_view", periods=PERIODS),
    "page_view, then purchase": Retention(start="page_view", returning="purchase", periods=PERIODS),
    "page_view, then any event": Retention(start="page_view", returning="*", periods=PERIODS),
}
OURS_ONLY = {
    "recurring cohorts": {"cohort": "recurring"},
    "on or after": {"returns": "on_or_after"},
    "brackets 1, 2, 4": {"brackets": (1, 2, 4)},
    "60 days": {"period": "day", "periods": 60},
    "at least 2 returns": {"minimum": 2},
    "rolling weeks": {"clock": "rolling"},
    "of a filtered event": {"returning": [{"event": "page_view", "where": {"plan": "pro"}}]},
}
SIZE = 1_000
"""In the place of a period: the size of the cohort."""
Cells = dict[tuple[int, int], int]
"""(Monday in days since 1970, period or SIZE) to persons; cells of nobody left out."""
WEEK = "intDiv(toUInt32({}) + 259200, 604800)"
"""Number of the week from Monday, UTC: cheaper than toMonday."""
FIRST_WEEK = (int(START.timestamp()) + 259_200) // 604_800
WEEKS = DAYS // 7 + 2


def queries(definition: Retention) -> dict[str, str]:
    """Ways to ask ClickHouse: `cohort`, `k`, `persons`."""
    start = f"event = '{definition.start.event}'"
    event = definition.returning[0].event
    returns = "1" if event == "*" else f"event = '{event}'"
    rows = "bench.events" if event == "*" else f"(select * from bench.events where {start} or {returns})"
    first, week, own = f"minIf(ts, {start}) as s0", WEEK.format("ts"), WEEK.format("s0")
    counted = (
        f"array join arrayPushBack(ks, {SIZE}) as k where k <= {PERIODS} or k = {SIZE} group by cohort, k"
    )
    per_person = f"from {rows} group by person having countIf({start}) > 0"
    arrays = (
        f"select cohort, k, count() from (select {first}, {own} as cohort, "
        f"arrayDistinct(arrayMap(t -> {WEEK.format('t')} - cohort, "
        f"arrayFilter(t -> t > s0, groupArrayIf(ts, {returns})))) as ks {per_person}) {counted}"
    )
    latest = (
        f"select cohort, k, count() from (select {first}, {own} as cohort, "
        f"maxIfResample({FIRST_WEEK}, {FIRST_WEEK + WEEKS}, 1)(toUInt32(ts), {returns}, {week}) as latest, "
        f"arrayFilter(k -> latest[cohort - {FIRST_WEEK - 1} + k] > toUInt32(s0), "
        f"range({WEEKS} - (cohort - {FIRST_WEEK}))) as ks {per_person}) {counted}"
    )
    two_levels = (
        "select cohort, k, count() from (select min(s) as s0, argMin(w, s) as cohort, "
        "arrayMap(x -> x.1 - cohort, arrayFilter(x -> x.1 >= cohort and x.2 > s0, groupArray((w, r)))) as ks "
        f"from (select person, {week} as w, maxIf(toUInt32(ts), {returns}) as r, countIf({start}) as n, "
        f"if(n > 0, toUInt32(minIf(ts, {start})), 4294967295) as s from {rows} group by person, w) "
        f"group by person having sum(n) > 0) {counted}"
    )
    starts = (
        f"(select person, min(ts) as s0, {own} as cohort from bench.events where {start} group by person)"
    )

    def joined(distinct: str) -> str:
        return (
            f"select cohort, {WEEK.format('e.ts')} - cohort as k, {distinct}(e.person) from "
            f"(select person, ts from bench.events where {returns}) e inner join {starts} f "
            f"on e.person = f.person where e.ts > f.s0 and k <= {PERIODS} group by cohort, k "
            f"union all select cohort, {SIZE}, count() from {starts} group by cohort"
        )

    in_order = ", optimize_aggregation_in_order = 1"
    asked = {
        "arrays": arrays,
        "arrays, in order": arrays + " settings" + in_order[1:],
        "latest by week": latest,
        "latest by week, in order": latest + " settings" + in_order[1:],
        "two levels": two_levels,
        "self-join, groupBitmap": joined("groupBitmap"),
        "self-join, uniqExact": joined("uniqExact"),
    }
    return {
        name: f"{sql}, max_threads = {THREADS}"
        if "settings" in sql
        else f"{sql} settings max_threads = {THREADS}"
        for name, sql in asked.items()
    }


def loaded(home: Home, folder: Path) -> Session:
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
    return session


def their_cells(session: Session, sql: str) -> Cells:
    rows = [line.split(",") for line in str(session.query(sql, "CSV")).splitlines()]
    return {(int(cohort) * 7 - 3, int(k)): int(persons) for cohort, k, persons in rows}


def our_cells(cells: pl.DataFrame) -> Cells:
    """Of a result; periods after its end are not there, as they are not in the events."""
    rows = cells.drop_nulls("cohort").select(pl.col("cohort").to_physical(), "period", "n", "returned").rows()
    found = {(cohort, period): returned for cohort, period, _, returned in rows if returned}
    return found | {(cohort, SIZE): n for cohort, _, n, _ in rows}


def best(runs: int, side: Callable[[], object]) -> float:
    seconds = []
    for _ in range(runs):
        begun = time.perf_counter()
        side()
        seconds.append(time.perf_counter() - begun)
    return min(seconds)


def compare(index: BehaviorIndex, session: Session, name: str, definition: Retention, runs: int) -> None:
    def ours() -> pl.DataFrame:
        return indexed_retention(index, definition, as_of=AS_OF).cells

    expected = our_cells(ours())
    with Peak() as peak:
        mine = best(runs, ours)
    ways = queries(definition)
    times = {}
    for way, sql in ways.items():
        if their_cells(session, sql) != expected:
            raise SystemExit(f"{name}: cells differ from those of ClickHouse, {way}")
        times[way] = best(1 if len(ways) > 1 else runs, lambda sql=sql: session.query(sql, "CSV"))
    fastest = min(times, key=lambda way: times[way])
    with Peak() as their_peak:
        theirs = min(times[fastest], best(runs, lambda: session.query(ways[fastest], "CSV")))
    # Again, so that neither side has the quieter moments.
    mine = min(mine, best(runs, ours))
    print(f"{name}: {len(expected)} cells, the same on both sides")
    print(f"  {'index':28}{mine:8.3f} s {peak.megabytes:6.0f} MB")
    for way, seconds in sorted(times.items(), key=lambda item: item[1]):
        if way == fastest:
            print(
                f"  {way:28}{theirs:8.3f} s {their_peak.megabytes:6.0f} MB, {theirs / mine:.1f} times as long"
            )
        else:
            print(f"  {way:28}{seconds:8.3f} s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--events", type=int, default=2_000_000)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--lake", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        home = Home((arguments.lake or folder) / "data")
        if not home.events.exists():
            generate(home, arguments.events, max(arguments.events // 40, 1))
        index = open_index(home)
        print(
            f"{index.rows:,} events, {len(index.persons):,} persons, {len(index.days)} days, "
            f"{THREADS} threads"
        )
        session = loaded(home, folder)
        for question, definition in QUESTIONS.items():
            compare(index, session, question, definition, arguments.runs)
        plain = QUESTIONS["page_view, then page_view"]
        for label, change in OURS_ONLY.items():
            definition = Retention.model_validate(plain.model_dump() | change)
            cells = indexed_retention(index, definition, as_of=AS_OF).cells  # makes a filter's column
            seconds = best(arguments.runs, lambda: indexed_retention(index, definition, as_of=AS_OF))  # noqa: B023
            print(f"{label:30}{seconds:8.3f} s", end="")
            if index.rows <= 2_000_000:
                same = retention(scan_events(home), definition, as_of=AS_OF).cells.equals(cells)
                print(", as on the events" if same else ", DIFFERENT on the events", end="")
            print()


if __name__ == "__main__":
    main()
