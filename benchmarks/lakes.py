"""Lakes of generated events, for the benchmarks of the behavior index."""

from datetime import timedelta

import numpy as np
import polars as pl
from funnel_vs_duckdb import DAYS, OTHERS, SHARES, START, STEPS

from opsanalytics.lake.files import write_parquet
from opsanalytics.lake.paths import Home
from opsanalytics.lake.schemas import EVENTS, PERSONS

PROPERTIES = ['{"plan": "free", "amount": 0}', '{"plan": "pro", "amount": 12.5}', '{"plan": "team"}', "{}"]
COUNTRIES = 24


def generate(home: Home, events: int, persons: int) -> None:
    """90 days of 12 events in whole seconds, from a fixed seed: one file a day, ids mapped to persons, a plan
    among the properties and 24 countries of falling size."""
    random = np.random.default_rng(7)
    shares = np.array(SHARES) / sum(SHARES)
    weights = 1 / np.arange(1, COUNTRIES + 1)
    names = pl.Series([*STEPS, *OTHERS])
    countries = pl.Series([f"C{number:02}" for number in range(COUNTRIES)])
    per_day = events // DAYS
    for day in range(DAYS):
        begin = START + timedelta(days=day)
        rows = pl.select(
            user_id=pl.Series(random.integers(0, persons, per_day)).cast(pl.String),
            event=names.gather(random.choice(len(shares), per_day, p=shares)),
            ts=pl.lit(begin) + pl.duration(seconds=pl.Series(random.integers(0, 86_400, per_day))),
            properties=pl.Series(PROPERTIES).gather(random.choice(4, per_day, p=[0.5, 0.3, 0.1, 0.1])),
            country=countries.gather(random.choice(COUNTRIES, per_day, p=weights / weights.sum())),
        )
        blank = [pl.lit(None).alias(name) for name in EVENTS.names if name not in rows.columns]
        fixed = {"event_id": "e", "source": "web", "source_event": "e", "ingest_run": "r"}
        frame = rows.with_columns(blank).with_columns(
            *(pl.lit(value).alias(name) for name, value in fixed.items()), received_at="ts"
        )
        write_parquet(home.events_file("web", begin.date()), EVENTS.conform(frame.sort("ts")))
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
