"""Landed gzip JSONL to canonical Parquet: events a second, next to plain gunzip of the same files.

    python benchmarks/cleaning_throughput.py [--events 1000000] [--days 5] [--dlt PYTHON]

Generates Mixpanel export lines with 20 properties (1 in 100 comes twice, one line a file is broken) and
lands them as the source does. Cleaning runs in a process of its own, whose highest resident memory is
shown; gunzip runs two at a time. DuckDB reads the same JSONL and must find the same events as the lake.
`--days 1` puts everything into one file and one day. `--dlt` names the Python of an environment that has
`dlt[duckdb]`: it loads the first file into DuckDB, and must have as many rows as the file has whole lines.
"""

import argparse
import gzip
import json
import multiprocessing
import os
import resource
import subprocess
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import duckdb
import numpy as np
import polars as pl

from opsanalytics.cleaning.events import clean_events
from opsanalytics.lake.paths import Home
from opsanalytics.sources.landing import commit, receive, temporary_file
from opsanalytics.sources.mixpanel import MixpanelSettings

SOURCE = MixpanelSettings(name="product", project_id="1000001")
FIRST = date(2026, 3, 1)
CHUNK_EVENTS = 100_000
READ_BYTES = 1024 * 1024

FOUND = """
select event, day, count(*) as events, sum(order_id::hugeint) as ids, sum(length(city)) as letters
from (select event, day, order_id, city from {source}) group by all order by all
"""
LANDED = """(
    select distinct on (json->>'$.properties."$insert_id"') json->>'$.event' as event,
        make_timestamp(((json->>'$.properties.time')::bigint) * 1000)::date as day,
        json->>'$.properties.order_id' as order_id, json->>'$.properties."$city"' as city
    from read_csv($path, columns = {'json': 'varchar'}, delim = '\\x01', quote = '', escape = '',
                  header = false, auto_detect = false, max_line_size = 100000)
    where json_valid(json))"""
LAKE = """(
    select source_event as event, ts::date as day, properties->>'$.order_id' as order_id,
        properties->>'$."$city"' as city
    from read_parquet($path))"""


class Cleaned(NamedTuple):
    """What the cleaning process says."""

    seconds: float
    again_seconds: float
    records: int
    canonical: int
    duplicates: int
    quarantined: int
    peak_megabytes: float
    cpu_seconds: float


def lines(day: date, first: int, events: int) -> bytes:
    """Export lines of one day, from a fixed seed."""
    random = np.random.default_rng([first, day.toordinal()])
    start = int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp() * 1_000)
    time_ms = start + random.integers(0, 86_400_000, events)
    number = pl.Series(np.arange(first, first + events))
    user = pl.format("user-{}", pl.Series(random.integers(0, 200_000, events)))
    device = pl.Series(random.integers(0, 2**62, events)).cast(pl.String)

    def one_of(*values: str) -> pl.Series:
        return pl.Series(values).gather(random.integers(0, len(values), events))

    properties = pl.struct(
        pl.Series("time", time_ms),
        user.alias("distinct_id"),
        pl.format("{}-{}", number, device).alias("$insert_id"),
        user.alias("$user_id"),
        device.alias("$device_id"),
        pl.Series("$mp_api_timestamp_ms", time_ms + 1_500),
        pl.Series("mp_processing_time_ms", time_ms + 2_000),
        pl.lit("web").alias("mp_lib"),
        one_of("DE", "US", "FR", "JP").alias("mp_country_code"),
        one_of("Windows", "Mac OS X", "Linux").alias("$os"),
        one_of("Chrome", "Firefox", "Safari").alias("$browser"),
        pl.Series("$browser_version", random.integers(100, 130, events)),
        one_of("Köln", "東京", "New York", "São Paulo").alias("$city"),
        one_of("A", "B", "C").alias("$region"),
        pl.format("https://shop.example/p/{}?q=1", pl.Series(random.integers(0, 9_999, events))).alias(
            "$current_url"
        ),
        pl.lit(1080).alias("$screen_height"),
        pl.lit(1920).alias("$screen_width"),
        one_of("free", "pro", "team").alias("plan"),
        pl.Series("amount", random.integers(0, 10**6, events) / 100),
        (number + 2**53).alias("order_id"),
    )
    event = one_of("page_view", "search", "add_to_cart", "purchase")
    written = pl.select(pl.struct(event.alias("event"), properties.alias("properties")).struct.json_encode())
    texts = written.to_series()
    return "\n".join([*texts.to_list(), *texts.head(events // 100).to_list(), ""]).encode()


def land(home: Home, day: date, first: int, events: int) -> None:
    """One delivery of one day."""
    with temporary_file(home, SOURCE.name) as (file, path):
        body = path.with_name(".generated.tmp")
        with gzip.open(body, "wb", compresslevel=6) as written:
            written.write(b'{"event":"broken\n')
            for begin in range(0, events, CHUNK_EVENTS):
                written.write(lines(day, first + begin, min(CHUNK_EVENTS, events - begin)))
        with body.open("rb") as content:
            received = receive(
                iter(lambda: content.read(READ_BYTES), b""), file, path, body="jsonl", gzipped=True,
                expected_bytes=body.stat().st_size, framed=True, believed=None, progress=int,
            )  # fmt: skip
        body.unlink()
        commit(
            home, source=SOURCE.name, kind=SOURCE.kind, delivery=f"{day}--{day}", first_day=day, last_day=day,
            covers=None, request={}, status=200, attempts=1, fetched_at=datetime(2026, 6, 1, tzinfo=UTC),
            received=received,
        )  # fmt: skip


def clean(root: Path) -> Cleaned:
    """Runs in its own process."""
    home = Home(root)
    begun, busy = time.perf_counter(), time.process_time()
    report = clean_events(SOURCE, home, {})
    seconds, cpu_seconds = time.perf_counter() - begun, time.process_time() - busy
    begun = time.perf_counter()
    again = clean_events(SOURCE, home, {})
    if again.parsed or again.days:
        raise SystemExit(f"an unchanged landing area was cleaned again: {again}")
    return Cleaned(
        seconds,
        time.perf_counter() - begun,
        report.records,
        report.canonical,
        report.duplicates,
        report.quarantined,
        resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3,
        cpu_seconds,
    )


def gunzip(files: list[Path]) -> float:
    """Seconds that gunzip takes, two files at a time (one file: once, as two processes cannot share it)."""
    begun = time.perf_counter()
    with ThreadPoolExecutor(2) as pool:
        commands = [["gunzip", "-c", str(path)] for path in files]
        for done in pool.map(lambda command: subprocess.run(command, stdout=subprocess.DEVNULL), commands):
            done.check_returncode()
    return time.perf_counter() - begun


DLT = """
import gzip, json, sys, time
import dlt
def lines():
    with gzip.open(sys.argv[1], "rt", encoding="utf-8", newline="\\n") as file:
        for line in file:
            try:
                yield json.loads(line)
            except ValueError:
                pass
begun = time.perf_counter()
pipeline = dlt.pipeline("events", destination=dlt.destinations.duckdb(sys.argv[2]), dataset_name="raw",
                        pipelines_dir=sys.argv[3])
pipeline.run(lines(), table_name="events")
seconds = time.perf_counter() - begun
with pipeline.sql_client() as client:
    rows = client.execute_sql("select count(*) from events")[0][0]
print(json.dumps([seconds, rows]))
"""


def dlt(python: str, path: Path, folder: Path) -> tuple[float, int]:
    """Seconds that dlt takes for a file, and the rows it has then."""
    command = [python, "-c", DLT, str(path), str(folder / "dlt.duckdb"), str(folder / "dlt")]
    environment = {**os.environ, "RUNTIME__DLTHUB_TELEMETRY": "false"}
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True)
    seconds, rows = json.loads(done.stdout.splitlines()[-1])
    return seconds, rows


def found(source: str, path: str) -> list[tuple[Any, ...]]:
    """Events, ids and letters by event and day, as DuckDB counts them."""
    with duckdb.connect(config={"threads": os.cpu_count() or 1}) as connection:
        return connection.sql(FOUND.replace("{source}", source), params={"path": path}).fetchall()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--days", type=int, default=5)
    parser.add_argument("--dlt", metavar="PYTHON", help="Python of an environment with dlt[duckdb]")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        home = Home(Path(folder))
        each = arguments.events // arguments.days
        for number in range(arguments.days):
            land(home, FIRST + timedelta(days=number), number * each, each)
        files = sorted(home.landing.rglob("*.jsonl.gz"))
        load = os.getloadavg()[0]
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(1, mp_context=context) as process:
            cleaned = process.submit(clean, home.root).result()
        unzipped = gunzip(files)
        loaded = dlt(arguments.dlt, files[0], Path(folder)) if arguments.dlt else None
        landed = found(LANDED, str(home.landing / SOURCE.name / "*" / "*.jsonl.gz"))
        lake = found(LAKE, home.events_pattern)
    if landed != lake or sum(row[2] for row in lake) != cleaned.canonical:
        raise SystemExit(f"DuckDB finds {landed} in the landed lines and {lake} in the lake")
    if cleaned.records != cleaned.canonical + cleaned.duplicates + cleaned.quarantined:
        raise SystemExit(f"not every record is accounted for: {cleaned}")
    speed = cleaned.records / cleaned.seconds
    print(f"{cleaned.records:,} records in {len(files)} files, load average before {load:.1f}")
    print(
        f"{cleaned.canonical:,} events (DuckDB agrees), {cleaned.duplicates:,} duplicates, "
        f"{cleaned.quarantined} in quarantine"
    )
    print(
        f"cleaning     {cleaned.seconds:7.2f} s {speed:10,.0f} events/s, "
        f"peak {cleaned.peak_megabytes:,.0f} MB"
    )
    print(f"gunzip x 2   {unzipped:7.2f} s {cleaned.records / unzipped:10,.0f} events/s")
    print(f"cleaning runs at {unzipped / cleaned.seconds:.2f} of the speed of gunzip")
    print(f"CPU          {cleaned.cpu_seconds:7.2f} s")
    if loaded:
        seconds, rows = loaded
        if rows != each + each // 100:
            raise SystemExit(f"dlt has {rows} rows of {each + each // 100}")
        print(f"dlt          {seconds:7.2f} s {rows / seconds:10,.0f} events/s, the first file, rows agree")
        print(f"cleaning runs at {speed / (rows / seconds):.0f} times the speed of dlt")
    print(f"once more, nothing new {cleaned.again_seconds:.3f} s")


if __name__ == "__main__":
    main()
