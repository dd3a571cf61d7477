"""A step that people drop out of for known reasons: one cause, two confounders, an artefact and nulls."""

from datetime import UTC, datetime, timedelta

import numpy as np
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

    - `card_declined` (cause): met by 20 % soon after the step; costs 30 points, and who gives up because of
      it goes away.
    - `tip` (Simpson): mostly on Android, where fewer pay; on either platform it adds 12 points, so it looks
      harmful and helps.
    - `push_prompt`: mostly on Android, and does nothing.
    - `browse` (artefact): the same rate for everybody as long as they are there and have not paid. Who drops
      out stays the whole day, or with `silent` leaves after some minutes.
    - `null_0` ...: nothing to do with paying. So is the property `color`, and `old` (before the step).
    Without `effects` only the platform matters.
    """
    rng = np.random.default_rng(seed)
    android = rng.random(persons) < 0.4
    at = rng.uniform(DAY, 59 * DAY, persons)
    declined = (rng.random(persons) < 0.2) & effects
    tip = rng.random(persons) < np.where(android, 0.6, 0.1)
    push = rng.random(persons) < np.where(android, 0.6, 0.05)
    chance = np.where(android, 0.3, 0.6) + (0.12 * tip * effects) - 0.3 * declined
    pays = rng.random(persons) < chance
    paying = np.where(pays, 30 + rng.exponential(830, persons), np.inf)
    leaving = np.where(pays, np.inf, rng.exponential(600, persons) if silent else DAY)
    gone = declined & ~pays & (rng.random(persons) < 0.7)
    early = rng.uniform(1, 30, persons)
    leaving = np.where(gone, early + 1, leaving)
    there = np.minimum(paying, leaving)
    frames = []

    def add(name: str, who: np.ndarray, seconds: np.ndarray) -> None:
        kept = who & (seconds < there)
        frames.append(
            pl.DataFrame({"number": np.flatnonzero(kept), "seconds": seconds[kept]}).with_columns(
                event=pl.lit(name)
            )
        )

    everybody = np.ones(persons, np.bool_)
    frames.append(
        pl.DataFrame({"number": np.arange(persons), "seconds": np.zeros(persons)}).with_columns(
            event=pl.lit("open_checkout")
        )
    )
    frames.append(
        pl.DataFrame({"number": np.flatnonzero(pays), "seconds": paying[pays]}).with_columns(
            event=pl.lit("pay")
        )
    )
    add("card_declined", declined, early)
    add("tip", tip, rng.uniform(1, 300, persons))
    add("push_prompt", push, rng.uniform(1, 300, persons))
    clock = np.zeros(persons)
    for _ in range(30):
        clock = clock + rng.exponential(900, persons)
        add("browse", everybody, clock)
    for number, name in enumerate(NULLS):
        add(name, everybody, rng.exponential(300 * (1 + number), persons))
    old = np.flatnonzero(rng.random(persons) < 0.3)
    frames.append(
        pl.DataFrame({"number": old, "seconds": np.full(len(old), -3_600.0)}).with_columns(
            event=pl.lit("old")
        )
    )
    color = rng.choice(["red", "green", "blue"], persons)
    start = np.datetime64(START.replace(tzinfo=None), "us").astype(np.int64)
    return (
        pl.concat(frames)
        .with_columns(
            person=pl.format("p{}", pl.col("number")),
            ts=(pl.Series(at)[0] * 0 + pl.lit(start) + (pl.col("seconds") * 1e6).cast(pl.Int64)),
            offset=(pl.lit(pl.Series(at * 1e6).cast(pl.Int64).implode())).list.get(pl.col("number")),
            platform=pl.lit(pl.Series(np.where(android, "android", "ios")).implode()).list.get(
                pl.col("number")
            ),
            color=pl.lit(pl.Series(color).implode()).list.get(pl.col("number")),
        )
        .select(
            "person",
            "event",
            ts=(pl.col("ts") + pl.col("offset")).cast(pl.Datetime("us", "UTC")),
            platform="platform",
            properties=pl.format('{"color": "{}", "amount": {}}', "color", pl.col("number") % 97)
            if False
            else pl.concat_str(pl.lit('{"color": "'), "color", pl.lit('"}')),
        )
    )
