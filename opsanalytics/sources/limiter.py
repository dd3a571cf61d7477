"""Vendors' rate limits, kept over all processes of one home folder.

A request is counted when it starts and never given back, so a killed process leaks no slot.
"""

import hashlib
import sqlite3
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from filelock import FileLock
from pyrate_limiter import Rate, RateItem, SQLiteBucket

from opsanalytics.lake.paths import Home

# The vendor counts when a request arrives, we count when it leaves. A slow request followed by a
# quick one would shrink the distance between them; our windows are longer by this share, at most
# by this much.
TRAVEL_SHARE = 0.25
TRAVEL_MILLISECONDS = 2_000


@dataclass(frozen=True)
class Limit:
    """At most `requests` in any `seconds`."""

    requests: int
    seconds: float


class SharedLimiter:
    """Counts requests of one vendor project in `home.state`, in a table of its own."""

    def __init__(self, home: Home, vendor: str, project: str, limits: Sequence[Limit]) -> None:
        """`project` may be a secret-like key: only its hash is stored."""
        digest = hashlib.sha256(project.encode()).hexdigest()[:12]
        self.name = f"{vendor}_{digest}"
        self._rates = binding_rates(limits)
        self._home = home

    def acquire(self, waiting: Callable[[float], None] | None = None) -> None:
        """Wait for a free slot and take it. `waiting` is told the seconds before each pause."""
        if not self._rates:
            return
        while True:
            pause = self._try_acquire()
            if pause is None:
                return
            if waiting is not None:
                waiting(pause)
            time.sleep(pause)

    def _try_acquire(self) -> float | None:
        """Take a slot, or return the seconds until one may be free."""
        self._home.root.mkdir(parents=True, exist_ok=True)
        self._home.locks.mkdir(parents=True, exist_ok=True)
        # The bucket reads and then writes: the operating system's lock makes that one step for all
        # processes, and is freed when its holder is killed.
        with FileLock(self._home.locks / f"rate-{self.name}.lock"):
            connection = sqlite3.connect(self._home.state, timeout=60)
            try:
                connection.execute("PRAGMA journal_mode=WAL")
                table = f"rate_{self.name}"
                connection.execute(f"CREATE TABLE IF NOT EXISTS {table} (name TEXT, item_timestamp INTEGER)")
                bucket = SQLiteBucket(self._rates, connection, table)
                now = time.time_ns() // 1_000_000
                bucket.leak(now)
                item = RateItem("request", now)
                if bucket.put(item):
                    return None
                return max(float(bucket.waiting(item)), 1.0) / 1_000  # type: ignore[arg-type]
            finally:
                connection.close()


def binding_rates(limits: Sequence[Limit]) -> list[Rate]:
    """Rates that keep all limits, as the bucket wants them: longer windows allow more, but not faster."""
    binding: list[Rate] = []
    for limit in sorted(limits, key=lambda limit: limit.seconds):
        interval = padded_milliseconds(limit.seconds)
        requests = limit.requests
        if binding:
            requests = max(1, min(requests, interval * binding[-1].limit // binding[-1].interval))
        while binding and binding[-1].limit >= requests:
            binding.pop()
        binding.append(Rate(requests, interval))
    return binding


def padded_milliseconds(seconds: float) -> int:
    """A window with room for the difference in travel time of two requests."""
    length = seconds * 1_000
    return round(length + min(TRAVEL_MILLISECONDS, TRAVEL_SHARE * length))
