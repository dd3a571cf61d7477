"""Short ways to write events."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import polars as pl

START = datetime(2026, 3, 1, tzinfo=UTC)
LATER = datetime(2027, 1, 1, tzinfo=UTC)
"""An as-of time by which everything in the small examples is mature."""


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def table(people: dict[str, Sequence[tuple[str, datetime]]]) -> pl.DataFrame:
    """Events of persons as the engines take them."""
    rows = [(person, name, ts) for person, events in people.items() for name, ts in events]
    return pl.DataFrame(
        rows, schema={"person": pl.String, "event": pl.String, "ts": pl.Datetime("us", "UTC")}, orient="row"
    )


def written(vector: str) -> list[tuple[str, datetime]]:
    """`A1 B61` as two events, one second and 61 seconds after START."""
    return [(word[0], at(int(word[1:]))) for word in vector.split()]
