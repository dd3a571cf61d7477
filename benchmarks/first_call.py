"""What the first funnel of a fresh installation costs, and the first of a new process after it.

    python benchmarks/first_call.py

Kernels are compiled at their first call and kept on disk. Every figure is of a process of its own that asks a
lake of 90,000 events; compilation starts from an empty folder. CPU seconds, since compilation uses one core.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from lakes import generate

from opsanalytics.lake.paths import Home

CHILD = """
import json, sys, time
begun = time.process_time()
import opsanalytics
from datetime import UTC, datetime
imported = time.process_time()
change = json.loads(sys.argv[2])
steps = ["page_view", "product_view", "add_to_cart", "purchase"]
asked = {"name": "purchase", "steps": steps, "window": "7d"} | change
for _ in range(2):
    start = time.process_time()
    opsanalytics.funnel(sys.argv[1], asked, as_of=datetime(2026, 4, 1, tzinfo=UTC)).to_polars()
    last = time.process_time() - start
    first = locals().get("first", last)
print(json.dumps([imported - begun, first, last]))
"""
KINDS: dict[str, dict[str, object]] = {
    "plain": {},
    "strict": {"order": "strict"},
    "exclusion": {"exclusions": [{"event": "logout"}]},
}


def called(home: Home, change: dict[str, object], cache: Path) -> list[float]:
    """CPU seconds of the import, the first and the second call in a new process."""
    told = subprocess.run(
        [sys.executable, "-c", CHILD, str(home.root), json.dumps(change)],
        check=True,
        capture_output=True,
        text=True,
        env=os.environ | {"NUMBA_CACHE_DIR": str(cache)},
    )
    found: list[float] = json.loads(told.stdout)
    return found


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        home = Home(folder / "data")
        generate(home, 90_000, 1_000)
        for label, change in KINDS.items():
            cache = folder / label.replace(" ", "_")
            for when in ("fresh installation", "new process"):
                if when == "fresh installation":
                    for path in home.index.glob("*"):
                        path.unlink()
                imported, first, second = called(home, change, cache)
                print(
                    f"{label:10} {when:20} first call {first:6.2f} s, next {second:6.3f} s "
                    f"(import {imported:.2f} s)"
                )


if __name__ == "__main__":
    main()
