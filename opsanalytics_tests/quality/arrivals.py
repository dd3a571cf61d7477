"""Days of events as they arrive, to see what is noticed."""

from collections.abc import Callable, Mapping
from datetime import date, timedelta

import numpy as np
import polars as pl

from opsanalytics.quality.profiles import PROFILE

FIRST = date(2026, 3, 2)
"""A Monday."""
LAST = FIRST + timedelta(days=12 * 7 - 1)
WEEKDAYS = (1.0, 1.1, 1.05, 1.0, 0.9, 0.5, 0.4)

Change = Callable[[date, int], int]


def on(day: date) -> int:
    """Position of a day."""
    return (day - FIRST).days


def counts(
    usual: Mapping[str, float],
    seed: int = 1,
    change: Mapping[str, Change] | None = None,
    weekly_growth: float = 0.0,
) -> pl.DataFrame:
    """Profile rows (events alone) of twelve weeks with a weekly rhythm and Poisson noise."""
    random = np.random.default_rng(seed)
    rows = []
    for event, rate in usual.items():
        for offset in range((LAST - FIRST).days + 1):
            day = FIRST + timedelta(days=offset)
            grown = rate * (1 + weekly_growth) ** (offset / 7)
            n = int(random.poisson(grown * WEEKDAYS[day.weekday()]))
            n = change[event](day, n) if change and event in change else n
            if n:
                rows.append(("web", day, event, None, None, n, 0))
    return pl.DataFrame(rows, schema=PROFILE, orient="row")


def days(
    event: str,
    n: int,
    properties: Mapping[str, Mapping[str, int]],
    *,
    first: date = FIRST,
    last: date = LAST,
    distinct: int = 3,
) -> pl.DataFrame:
    """Profile rows of an event that comes `n` times a day; of each property, the events by type."""
    rows = []
    for offset in range((last - first).days + 1):
        day = first + timedelta(days=offset)
        rows.append(("web", day, event, None, None, n, 0))
        rows += [
            ("web", day, event, name, kind, count, distinct)
            for name, types in properties.items()
            for kind, count in types.items()
        ]
    return pl.DataFrame(rows, schema=PROFILE, orient="row")
