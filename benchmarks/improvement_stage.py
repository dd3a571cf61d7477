"""How long themes, friction, pain points and the backlog take, and how much memory, on millions of events.

    python benchmarks/improvement_stage.py [--persons 185000] [--messages 50000]

185,000 persons of the product of `opsanalytics_tests/simulators/planted.py` make five million events, with
forty signals at four steps; another process makes them and writes them to a Parquet file. The messages are of
the demo's product, with other words added, by persons of the world, over a year. Prints seconds by part, the
peak of memory and, so that fast is not wrong, how many of the planted problems worth 1 % of conversions were
found and how many findings are none.
"""

import argparse
import resource
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from datetime import timedelta
from multiprocessing import get_context
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

import numpy as np
import polars as pl

from opsanalytics.behavior.funnel import funnel
from opsanalytics.behavior.population import FunnelPersons
from opsanalytics.demo.product.feedback import topics
from opsanalytics.feedback.themes import find_themes
from opsanalytics.improvement.backlog import rank_backlog
from opsanalytics.improvement.friction import find_friction
from opsanalytics.improvement.pain_points import find_pain_points
from opsanalytics.improvement.settings import BacklogSettings, PainPointSettings
from opsanalytics.lake.schemas import FEEDBACK
from opsanalytics.lake.tables import UTC_TIME
from opsanalytics_tests.simulators.planted import FRICTION, World, simulate

T = TypeVar("T")


def timed(name: str, work: Callable[[], T]) -> T:
    """Do it, and print what it took."""
    began, spent = time.perf_counter(), time.process_time()
    done = work()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(
        f"{name:12} {time.perf_counter() - began:6.1f} s, CPU {time.process_time() - spent:6.1f} s, "
        f"peak so far {peak:.2f} GB",
        flush=True,
    )
    return done


def make(persons: int, path: str) -> World:
    """Make a world; its events go to a file."""
    world = simulate(1, persons)
    world.events.write_parquet(path)
    return replace(world, events=world.events.clear(), met={}, reached=[])


def talk(world: World, size: int) -> pl.DataFrame:
    """Feedback by persons of the world over the year before its end."""
    random = np.random.default_rng(3)
    texts = [text for topic in topics() for spoken in topic.patterns.values() for text in spoken]
    pool = [text.replace("[", " ").replace("]", " ").replace("|", " ").split() for text in texts]
    said = [
        " ".join([*pool[one], *random.choice(pool[one], 2), *random.choice(pool[other], 2)])
        for one, other in random.integers(len(pool), size=(size, 2))
    ]
    ago = np.sort(random.uniform(0, 52, size))[::-1]
    frame = pl.DataFrame(
        {
            "feedback_id": [f"bench:{at:06}" for at in range(size)],
            "ts": pl.Series([world.as_of - timedelta(weeks=float(weeks)) for weeks in ago], dtype=UTC_TIME),
            "user_id": [str(name) for name in random.integers(world.persons, size=size)],
            "text": said,
        }
    ).with_columns(source=pl.lit("bench"), raw=pl.lit("{}"), ingest_run=pl.lit("benchmark"))
    missing = [
        pl.lit(None, dtype).alias(name) for name, dtype in FEEDBACK.schema.items() if name not in frame
    ]
    return FEEDBACK.conform(frame.with_columns(missing))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--persons", type=int, default=185_000)
    parser.add_argument("--messages", type=int, default=50_000)
    told: Any = parser.parse_args()
    with TemporaryDirectory() as folder, ProcessPoolExecutor(1, mp_context=get_context("spawn")) as other:
        path = f"{folder}/events.parquet"
        world = other.submit(make, told.persons, path).result()
        other.shutdown()
        stage(world, pl.scan_parquet(path), talk(world, told.messages))


def stage(world: World, events: pl.LazyFrame, said: pl.DataFrame) -> None:
    """Run it and print what it took."""
    print(f"{events.select(pl.len()).collect().item():,} events, {said.height:,} messages")
    entered = timed("(funnel)", lambda: funnel(events, world.funnel, as_of=world.as_of))
    settings = PainPointSettings(alike_by=("country", "plan"), harmless=world.controls)
    began = time.perf_counter()
    themes = timed("themes", lambda: find_themes(said, as_of=world.as_of))
    friction = timed("friction", lambda: find_friction(events, FRICTION, [world.funnel], as_of=world.as_of))
    persons = [FunnelPersons(entered.definition, entered.mature)]
    found = timed(
        "pain points", lambda: find_pain_points(persons, friction, themes, settings, as_of=world.as_of)
    )
    timed("backlog", lambda: rank_backlog(found.items, BacklogSettings(), settings, as_of=world.as_of))
    print(f"the stage    {time.perf_counter() - began:6.1f} s, {themes.themes.height} themes")
    rows = found.items.filter(status="finding").select("signal", "place").iter_rows()
    seen = {(str(signal), str(place)) for signal, place in rows}
    big = {
        (one.kind, one.place)
        for one in world.signals
        if one.effect < 0 and world.lost[one.key] >= 0.01 * world.conversions
    }
    wrong = len(seen - world.problems)
    print(f"found {len(seen & big)} of {len(big)} problems; {wrong} of {len(seen)} are none")


if __name__ == "__main__":
    main()
