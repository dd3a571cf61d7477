"""One funnel and one retention: the local engine against Spark on the same machine, with the same answers.

    PYSPARK_PYTHON=$(which python) python benchmarks/spark_overhead.py [--events 2000000]

Spark is not there to be faster on one machine: the figure says what its shuffle and its workers cost.
Times are the second of two runs, from the same Parquet file, `local[2]`; memory is the highest growth
of this process while a side runs; the JVM and its workers are other processes.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from funnel_vs_duckdb import Peak
from pyspark.sql import SparkSession

import opsanalytics
from opsanalytics.spark import SparkEngine

START = datetime(2026, 1, 1, tzinfo=UTC)
AS_OF = START + timedelta(days=120)
NAMES = ["visit", "search", "cart", "purchase", "help"]
FUNNEL: dict[str, Any] = {"steps": ["visit", "search", "cart", "purchase"], "window": "7d"}
RETENTION: dict[str, Any] = {"start": "visit", "returning": "purchase", "period": "week", "periods": 8}


def generate(path: Path, events: int) -> None:
    random = np.random.default_rng(7)
    seconds = pl.Series(random.integers(0, 90 * 86_400, events))
    pl.select(
        person=pl.format("person-{}", pl.Series(random.integers(0, max(events // 40, 1), events))),
        event=pl.Series(NAMES).gather(random.integers(0, len(NAMES), events)),
        ts=pl.lit(START) + pl.duration(seconds=seconds),
    ).write_parquet(path)


def timed(side: Callable[[], Any]) -> tuple[Any, float, float]:
    """Answer, seconds of the second run, peak MB."""
    side()
    with Peak() as peak:
        begun = time.perf_counter()
        answer = side()
        seconds = time.perf_counter() - begun
    return answer, seconds, peak.megabytes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--events", type=int, default=2_000_000)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        file = Path(name) / "events.parquet"
        generate(file, arguments.events)
        session = (
            SparkSession.builder.master("local[2]")
            .config("spark.ui.enabled", "false")
            .config("spark.sql.shuffle.partitions", "4")
            .getOrCreate()
        )
        engine = SparkEngine(session)
        there = session.read.parquet(str(file))
        questions: list[tuple[str, Callable[[], Any], Callable[[], Any]]] = [
            (
                "funnel",
                lambda: opsanalytics.funnel(pl.scan_parquet(file), FUNNEL, as_of=AS_OF),
                lambda: engine.funnel(there, FUNNEL, as_of=AS_OF),
            ),
            (
                "retention",
                lambda: opsanalytics.retention(pl.scan_parquet(file), RETENTION, as_of=AS_OF),
                lambda: engine.retention(there, RETENTION, as_of=AS_OF),
            ),
        ]
        print(f"{arguments.events:,} events")
        for label, local, spark in questions:
            ours, local_seconds, local_memory = timed(local)
            theirs, spark_seconds, spark_memory = timed(spark)
            if not ours.to_polars().equals(theirs.to_polars()):
                raise SystemExit(f"{label}: the answers differ")
            print(
                f"{label:10} local {local_seconds:6.2f} s {local_memory:6.0f} MB   "
                f"Spark {spark_seconds:6.2f} s {spark_memory:6.0f} MB more here, the JVM apart   "
                f"{spark_seconds / local_seconds:.1f} times as long, the same answer"
            )
        session.stop()


if __name__ == "__main__":
    main()
