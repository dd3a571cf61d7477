"""How far cleaning is, in words, and how long the rest will take."""

import time
from collections.abc import Callable
from datetime import timedelta

from opsanalytics.sources.fetching import in_words

PAUSE_SECONDS = 5.0
"""So often a line is worth its place in a log."""
STAGES = {"parse": "deliveries read", "assemble": "days written"}


def telling(
    source: str, say: Callable[[str], object], clock: Callable[[], float] = time.monotonic
) -> Callable[[str, int, int], None]:
    """The `progress` of `clean_events` that says a sentence now and then, and nothing of what is soon done.

    What was done before a stage began does not count for its pace.
    """
    begun: dict[str, tuple[float, int]] = {}
    last = clock()

    def tell(stage: str, done: int, total: int) -> None:
        nonlocal last
        now = clock()
        since, before = begun.setdefault(stage, (now, done))
        if now - last < PAUSE_SECONDS:
            return
        last = now
        left = ""
        if done > before:
            rest = timedelta(seconds=(now - since) / (done - before) * (total - done))
            left = f", about {in_words(rest)} left"
        say(f"{source}: {done:,} of {total:,} {STAGES[stage]}{left}")

    return tell
