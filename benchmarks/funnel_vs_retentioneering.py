"""A 4-step funnel against retentioneering, on its own bundled data blown up to a million events.

    python benchmarks/funnel_vs_retentioneering.py --retentioneering PYTHON [--events 1000000] [--runs 5]

PYTHON is an interpreter that has retentioneering (in an environment of its own: it has many dependencies).
Its `funnel_data` has no window; ours is as long as the data. Steps of a person have different times, since
the two break ties differently. Both must give the same persons by step. Times are the best of the runs;
loading the data is no part of either, and the index of ours is there.
"""

import argparse
import json
import subprocess
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, date
from pathlib import Path
from typing import Any

import polars as pl

import opsanalytics
from opsanalytics.behavior.index import open_index
from opsanalytics.behavior.index_funnel import indexed_counts
from opsanalytics.behavior.spec import Funnel
from opsanalytics.lake.files import write_parquet
from opsanalytics.lake.paths import Home
from opsanalytics.lake.schemas import EVENTS, PERSONS

STEPS = ["catalog", "product_view", "add_to_cart", "purchase"]
THEIRS = """
import json, sys, time
import pandas as pd
from retentioneering import datasets
from retentioneering.eventstream import Eventstream

path, events, runs, steps = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), json.loads(sys.argv[4])
own = datasets.load_ecom().df[["user_id", "event", "timestamp", "index"]].reset_index(drop=True)
own["event"] = own["event"].astype(str)
own["timestamp"] = own["timestamp"] + pd.to_timedelta(own.groupby("user_id").cumcount(), unit="us")
copies = [own.assign(user_id=own["user_id"] + f"_{number}") for number in range(-(-events // len(own)))]
data = pd.concat(copies, ignore_index=True)[["user_id", "event", "timestamp"]].iloc[:events]
data.to_csv(path, index=False)
stream = Eventstream(data)
counts = [step["unique_paths"] for step in stream.funnel_data(steps=steps)["steps"]]
best = float("inf")
for _ in range(runs):
    begun = time.perf_counter()
    stream.funnel_data(steps=steps)
    best = min(best, time.perf_counter() - begun)
print(json.dumps({"counts": counts, "seconds": best}))
"""


def lake_of(home: Home, csv: Path) -> pl.DataFrame:
    """The same events as a lake."""
    events = pl.read_csv(csv, try_parse_dates=True).select(
        "event",
        user_id="user_id",
        ts=pl.col("timestamp").cast(pl.Datetime("us")).dt.replace_time_zone("UTC"),
    )
    blank = [pl.lit(None).alias(name) for name in EVENTS.names if name not in events.columns]
    fixed = {"event_id": "e", "source": "web", "source_event": "e", "properties": "{}", "ingest_run": "r"}
    whole = events.with_columns(blank).with_columns(
        *(pl.lit(value).alias(name) for name, value in fixed.items()), received_at="ts"
    )
    for (day,), rows in whole.group_by(pl.col("ts").dt.date()):
        if isinstance(day, date):
            write_parquet(home.events_file("web", day), EVENTS.conform(rows))
    persons = events.select(
        pl.lit("web").alias("source"),
        pl.lit("user").alias("id_kind"),
        pl.col("user_id").unique().alias("id"),
        pl.col("user_id").unique().alias("person"),
        pl.lit("user_id").alias("rule"),
        pl.lit(events["ts"].min()).alias("since"),
    )
    write_parquet(home.identity / "persons.parquet", PERSONS.conform(persons))
    return events


def best_of(runs: int, side: Callable[[], Any]) -> float:
    best = float("inf")
    for _ in range(runs):
        begun = time.perf_counter()
        side()
        best = min(best, time.perf_counter() - begun)
    return best


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--retentioneering", required=True, metavar="PYTHON")
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--runs", type=int, default=5)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        csv = folder / "events.csv"
        told = subprocess.run(
            [
                arguments.retentioneering,
                "-c",
                THEIRS,
                str(csv),
                str(arguments.events),
                str(arguments.runs),
                json.dumps(STEPS),
            ],
            check=True,
            capture_output=True,
            text=True,
        )
        theirs = json.loads(told.stdout.strip().splitlines()[-1])
        home = Home(folder / "data")
        events = lake_of(home, csv)
        as_of = events["ts"].max().astimezone(UTC)
        definition = Funnel(name="purchase", steps=STEPS, window="3650d")
        index = open_index(home)
        semantics = opsanalytics.Semantics(name="as they stand", maturity=False)

        def whole() -> pl.DataFrame:
            return opsanalytics.funnel(home, definition, as_of=as_of, preset=semantics).to_polars()

        def counts() -> pl.DataFrame:
            return indexed_counts(index, definition, as_of=as_of, preset=semantics)

        ours = whole()["persons"].to_list()
        if not ours == counts()["persons"].to_list() == theirs["counts"]:
            raise SystemExit(f"counts differ: ours {ours}, retentioneering {theirs['counts']}")
        print(f"{events.height:,} events, persons by step {ours}, the same on both sides")
        print(f"{'retentioneering':34}{theirs['seconds']:8.3f} s")
        for label, side in {"opsanalytics.funnel(home), whole": whole, "index, counts": counts}.items():
            seconds = best_of(arguments.runs, side)
            print(f"{label:34}{seconds:8.3f} s, {theirs['seconds'] / seconds:.0f} times faster")


if __name__ == "__main__":
    main()
