"""How long friction, pain points and the backlog take, and how much memory, on millions of events.

    python benchmarks/improvement_stage.py [--persons 185000]

185,000 persons of the product of `opsanalytics_tests/simulators/planted.py` make five million events, with
forty signals at four steps; another process makes them and writes them to a Parquet file. Themes are not part
of it: `benchmarks/themes.py` has them. Prints seconds by part, the peak of memory and, so that fast is not
wrong, how many of the planted problems worth 1 % of conversions were found and how many findings are none.
"""

import argparse
import resource
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

import polars as pl

from opsanalytics.behavior.funnel import funnel
from opsanalytics.behavior.population import FunnelPersons
from opsanalytics.feedback.themes import find_themes
from opsanalytics.improvement.backlog import rank_backlog
from opsanalytics.improvement.friction import find_friction
from opsanalytics.improvement.pain_points import find_pain_points
from opsanalytics.improvement.settings import BacklogSettings, PainPointSettings
from opsanalytics.lake.schemas import FEEDBACK
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--persons", type=int, default=185_000)
    told: Any = parser.parse_args()
    with TemporaryDirectory() as folder, ProcessPoolExecutor(1, mp_context=get_context("spawn")) as other:
        path = f"{folder}/events.parquet"
        world = other.submit(make, told.persons, path).result()
        other.shutdown()
        stage(world, pl.scan_parquet(path))


def stage(world: World, events: pl.LazyFrame) -> None:
    """Run it and print what it took."""
    print(f"{events.select(pl.len()).collect().item():,} events")
    entered = timed("(funnel)", lambda: funnel(events, world.funnel, as_of=world.as_of))
    themes = find_themes(FEEDBACK.empty(), as_of=world.as_of)
    settings = PainPointSettings(alike_by=("country", "plan"), harmless=world.controls)
    began = time.perf_counter()
    friction = timed("friction", lambda: find_friction(events, FRICTION, [world.funnel], as_of=world.as_of))
    persons = [FunnelPersons(entered.definition, entered.mature)]
    found = timed(
        "pain points", lambda: find_pain_points(persons, friction, themes, settings, as_of=world.as_of)
    )
    timed("backlog", lambda: rank_backlog(found.items, BacklogSettings(), settings, as_of=world.as_of))
    print(f"the stage    {time.perf_counter() - began:6.1f} s")
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
