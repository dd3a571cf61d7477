"""How time and memory of a 4-step, 7-day funnel grow with the events: 1 M, 10 M, 100 M.

    python benchmarks/funnel_scale.py [--events 1000000 10000000] [--runs 3] [--folder FOLDER]

For each size a lake with a person to 40 events is generated (100 M events need about 1 GB of disk for the
lake and 2 GB for the index), indexed and asked in a process of its own. Memory is the highest anonymous
memory of that process above that after the imports: pages of mapped files can be given up at any time and do
not count.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from funnel_vs_duckdb import AS_OF, DEFINITION
from lakes import generate

from opsanalytics.behavior.index import open_index
from opsanalytics.behavior.index_funnel import indexed_counts, indexed_funnel
from opsanalytics.behavior.index_store import refresh_index
from opsanalytics.lake.paths import Home


class Anonymous:
    """Highest anonymous memory since the start, MB."""

    def __init__(self) -> None:
        self._base = self.now()
        self.peak = 0.0
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self) -> None:
        while True:
            self.peak = max(self.peak, self.now() - self._base)
            time.sleep(0.01)

    @staticmethod
    def now() -> float:
        status = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) / 1e3 for line in status if line.startswith("RssAnon"))


def measure(home: Home, runs: int) -> dict[str, float]:
    """Seconds and peak MB of building and asking."""
    memory = Anonymous()
    begun = time.perf_counter()
    built = refresh_index(home)
    found: dict[str, float] = {
        "rows": built.rows,
        "build": time.perf_counter() - begun,
        "build MB": memory.peak,
    }
    index = open_index(home)
    for name, ask in {"counts": indexed_counts, "whole": indexed_funnel}.items():
        memory.peak = 0.0
        best = float("inf")
        for run in range(runs + 1):
            begun = time.perf_counter()
            ask(index, DEFINITION, as_of=AS_OF)
            if run:
                best = min(best, time.perf_counter() - begun)
        found |= {name: best, f"{name} MB": memory.peak}
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--events", type=int, nargs="+", default=[1_000_000, 10_000_000])
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--folder", type=Path, help="where there is room; a temporary one if not given")
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        print(json.dumps(measure(Home(arguments.measure), arguments.runs)))
        return
    for events in arguments.events:
        with tempfile.TemporaryDirectory(dir=arguments.folder) as name:
            generate(Home(Path(name)), events, events // 40)
            told = subprocess.run(
                [sys.executable, __file__, "--measure", name, "--runs", str(arguments.runs)],
                check=True,
                capture_output=True,
                text=True,
            )
        found = json.loads(told.stdout)
        for part in ("build", "counts", "whole"):
            each = found[part] / events * 1e9
            print(
                f"{events:13,} events, {part:8}{found[part]:8.3f} s, {each:7.1f} ns each, "
                f"{found[part + ' MB']:7.0f} MB"
            )


if __name__ == "__main__":
    main()
