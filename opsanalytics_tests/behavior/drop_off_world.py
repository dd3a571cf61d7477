"""A step that people drop out of for known reasons: one cause, two confounders, an artefact and nulls."""

from datetime import UTC, datetime, timedelta

import numpy as np
import numpy.typing as npt
import polars as pl

from opsanalytics.behavior.spec import Funnel

START = datetime(2026, 1, 5, tzinfo=UTC)
AS_OF = START + timedelta(days=61)
DAY = 86_400.0
FUNNEL = Funnel(name="checkout", title="Checkout", steps=["open_checkout", "pay"], window="1d")
NULLS = tuple(f"null_{number}" for number in range(10))


def drop_off_world(
    seed: int, persons: int = 4_000, *, effects: bool = True, silent: bool = False
) -> pl.DataFrame:
    """Events of persons who open a checkout; half of those who pay do so within ten minutes.

    - `card_declined` (cause): met by 20 % soon after the step; costs 30 points, and most who give up because
      of it are gone at once.
    - `tip` (helps): mostly on Android, where fewer pay; on either platform it adds 12 points.
    - `push_prompt` (Simpson): mostly on Android, and does nothing.
    - `browse` (artefact of observation): the same rate for everybody as long as they are there and have not
      paid. Who drops out stays the whole day, or with `silent` leaves after some minutes.
    - `null_0` ...: nothing to do with paying. So are the property `color`, and `old`, an hour before.
    Without `effects` only the platform matters.
    """
    rng = np.random.default_rng(seed)
    android = rng.random(persons) < 0.4
    opened = rng.uniform(DAY, 59 * DAY, persons)
    declined = (rng.random(persons) < 0.2) & effects
    tip = rng.random(persons) < np.where(android, 0.6, 0.1)
    push = rng.random(persons) < np.where(android, 0.6, 0.05)
    pays = rng.random(persons) < np.where(android, 0.3, 0.6) + 0.12 * (tip & effects) - 0.3 * declined
    paying = np.where(pays, 30 + rng.exponential(830, persons), np.inf)
    leaving = np.where(pays, np.inf, rng.exponential(600, persons) if silent else DAY)
    gone = declined & ~pays & (rng.random(persons) < 0.7)
    soon = rng.uniform(1, 30, persons)
    there = np.minimum(paying, np.where(gone, soon + 1, leaving))
    frames = []

    def add(name: str, who: npt.NDArray[np.bool_], seconds: npt.NDArray[np.float64]) -> None:
        frames.append(pl.DataFrame({"number": np.flatnonzero(who), "seconds": seconds[who], "event": name}))

    everybody = np.ones(persons, np.bool_)
    add("open_checkout", everybody, np.zeros(persons))
    add("pay", pays, paying)
    add("old", rng.random(persons) < 0.3, np.full(persons, -3_600.0))
    for name, met, seconds in [
        ("card_declined", declined, soon),
        ("tip", tip, rng.uniform(1, 300, persons)),
        ("push_prompt", push, rng.uniform(1, 300, persons)),
        *((name, everybody, rng.exponential(300 * (1 + at), persons)) for at, name in enumerate(NULLS)),
    ]:
        add(name, met & (seconds < there), seconds)
    clock = np.zeros(persons)
    for _ in range(30):
        clock = clock + rng.exponential(900, persons)
        add("browse", clock < there, clock)
    color = rng.choice(["red", "green", "blue"], persons)
    known = pl.DataFrame(
        {
            "number": np.arange(persons),
            "opened": opened,
            "platform": np.where(android, "android", "ios"),
            "properties": [f'{{"color": "{one}", "visit_id": "{at}"}}' for at, one in enumerate(color)],
        }
    )
    return (
        pl.concat(frames)
        .join(known, on="number", how="left", maintain_order="left")
        .select(
            pl.format("p{}", "number").alias("person"),
            "event",
            (pl.lit(START) + pl.duration(microseconds=((pl.col("opened") + pl.col("seconds")) * 1e6)))
            .cast(pl.Datetime("us", "UTC"))
            .alias("ts"),
            "platform",
            "properties",
        )
    )
