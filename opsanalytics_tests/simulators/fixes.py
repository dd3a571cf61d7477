"""Products in which a fix ships: what it truly changed is known, so verdicts can be counted right or wrong.

Worlds, each with a shift of the log-odds of passing a step by day; the affected arm is compared with an
unaffected one, or (`panel_of(structural=True)`) with the other steps of its funnel:

`plain`: weekdays, shocks that both arms share and shocks of their own, each like the day before (AR(1)).
`drift`: both arms rise slowly.  `step`: both arms jump on the day of shipping.  `season`: both arms swing.
`regression`: the item was picked because its last fortnight before shipping was bad by chance.
`shocks`: shocks that last longer (autocorrelation 0.8).  `low`: a fifth of the traffic.
`diverging`: the affected arm rises by itself, and the other one does not.
`novelty`: the effect fades away, by half every ten days.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import numpy as np
import polars as pl

from opsanalytics.improvement.verification.gap import Daily, Floats
from opsanalytics.improvement.verification.measure import Panel
from opsanalytics.improvement.verification.plan import Plan

FIRST = date(2026, 1, 5)
WEEKDAYS = np.array([0.0, 0.0, 0.02, 0.05, 0.0, -0.25, -0.3])
VOLUME = np.array([1.1, 1.1, 1.05, 1.0, 1.0, 0.75, 0.7])
WORLDS = ("plain", "drift", "step", "season", "regression", "shocks", "low", "diverging", "novelty")


@dataclass(frozen=True)
class World:
    """What happens. Effects are in points of the affected arm."""

    kind: str = "plain"
    effect: float = 0.0
    before: int = 56
    after: int = 57
    affected: float = 300.0
    unaffected: float = 600.0
    rates: tuple[float, float] = (0.55, 0.62)
    diverging: float = 0.5
    """Log-odds that the affected arm gains over the whole time in the world `diverging`."""

    @property
    def shipped(self) -> date:
        return FIRST + timedelta(days=self.before)

    @property
    def last_day(self) -> date:
        return self.shipped + timedelta(days=self.after)


@dataclass(frozen=True)
class Rates:
    """True chances by day, and how many come."""

    affected: Floats
    unaffected: Floats
    others: tuple[Floats, ...]
    volume: Floats
    effect: Floats


def rates(rng: np.random.Generator, world: World) -> Rates:
    """Draw the days of a world."""
    days = np.arange(world.before + world.after + 1)
    rho = 0.8 if world.kind == "shocks" else 0.5
    shared, own = _shocks(rng, len(days), 0.08, rho), _shocks(rng, len(days), 0.04, rho)
    if world.kind == "drift":
        shared = shared + 0.6 * days / len(days)
    if world.kind == "step":
        shared = shared + 0.25 * (days >= world.before)
    if world.kind == "season":
        shared = shared + 0.25 * np.sin(2 * np.pi * days / 60 + rng.uniform(0, 2 * np.pi))
    if world.kind == "diverging":
        own = own + world.diverging * days / len(days)
    if world.kind == "regression":
        # Of twenty candidates, the one that did worst in the fortnight before it was picked.
        tries = [_shocks(rng, len(days), 0.08, rho) for _ in range(20)]
        own = min(tries, key=lambda each: each[world.before - 14 : world.before].mean())
    weekday = WEEKDAYS[days % 7]
    effect = np.where(days >= world.before, world.effect, 0.0)
    if world.kind == "novelty":
        effect = effect * 0.5 ** (np.maximum(0, days - world.before) / 10)
    one, other = (np.log(rate / (1 - rate)) for rate in world.rates)
    beside = []
    for base, load in ((0.75, 0.9), (0.5, 1.1)):
        noise = load * shared + _shocks(rng, len(days), 0.04, rho)
        beside.append(1 / (1 + np.exp(-(np.log(base / (1 - base)) + weekday + noise))))
    return Rates(
        np.clip(1 / (1 + np.exp(-(one + weekday + shared + own))) + effect, 0.01, 0.99),
        1 / (1 + np.exp(-(other + weekday + shared))),
        tuple(beside),
        VOLUME[days % 7] * (0.2 if world.kind == "low" else 1.0),
        effect,
    )


def panel_of(rng: np.random.Generator, world: World, *, structural: bool = False) -> Panel:
    """Daily counts of a world, drawn."""
    told = rates(rng, world)
    days = FIRST.toordinal() + np.arange(len(told.volume), dtype=np.int64)

    def drawn(chance: Floats, volume: float) -> Daily:
        n = rng.poisson(volume * told.volume).astype(np.float64)
        passed = rng.binomial(n.astype(np.int64), chance).astype(np.float64)
        return Daily(n, passed, passed)

    one = drawn(told.affected, world.affected)
    if structural:
        others = tuple(drawn(each, world.affected * 0.9) for each in told.others)
        return Panel(days, one, others, "structural", "pass")
    return Panel(days, one, (drawn(told.unaffected, world.unaffected),), "difference", "pass")


def plan_for(world: World, *, expected: float = 0.04, looks: tuple[int, ...] = (14, 28, 56)) -> Plan:
    """A plan as it is frozen for such a world."""
    return Plan(
        item_id="PP-00000001",
        method="difference",
        metric="pass",
        horizon_days=1,
        expected=expected,
        expected_low=expected / 2,
        expected_high=expected * 1.5,
        looks=looks,
        baseline_days=min(56, world.before),
        as_of=datetime.combine(world.shipped, datetime.min.time(), UTC),
    )


def events_of(
    rng: np.random.Generator, world: World, *, exposed: float = 0.5, harm: float = 0.3, fixed: bool = True
) -> pl.DataFrame:
    """Events of a world: person, event (`sign_up`, `error_shown`, `connect`, `pay`), ts, platform; by time.

    The affected arm is on android, the other one on ios and web. `exposed` of the affected meet the error,
    which costs them `harm`; if it is `fixed`, nobody does from the day of shipping on, and the affected arm
    gains `exposed * harm`. The world's own effect is left out.
    """
    told = rates(rng, World(**vars(world) | {"effect": 0.0}))
    days = np.arange(len(told.volume))
    parts = []
    for arm, chance, mean in ((1, told.affected, world.affected), (0, told.unaffected, world.unaffected)):
        counts = rng.poisson(mean * told.volume)
        day = np.repeat(days, counts)
        there = np.full(len(day), arm == 1) & ~(fixed & (day >= world.before))
        meets = there & (rng.random(len(day)) < exposed)
        passed = rng.random(len(day)) < np.clip(chance[day] - harm * meets, 0.0, 1.0)
        parts.append(
            pl.DataFrame(
                {
                    "arm": np.full(len(day), arm),
                    "second": day * 86_400 + rng.integers(0, 85_000, len(day)),
                    "meets": meets,
                    "passed": passed,
                    "paid": passed & (rng.random(len(day)) < 0.4),
                }
            )
        )
    people = pl.concat(parts).with_row_index("number")
    people = people.with_columns(
        person=pl.format("p{}", "number"),
        platform=pl.when(pl.col("arm") == 1)
        .then(pl.lit("android"))
        .otherwise(pl.when(pl.col("number") % 2 == 0).then(pl.lit("ios")).otherwise(pl.lit("web"))),
    )
    start = datetime.combine(FIRST, datetime.min.time(), UTC)
    frames = [
        people.filter(wanted).select(
            "person",
            "platform",
            event=pl.lit(name),
            ts=pl.lit(start).cast(pl.Datetime("us", "UTC")) + pl.duration(seconds=pl.col("second") + later),
        )
        for name, wanted, later in (
            ("sign_up", pl.lit(value=True), 0),
            ("error_shown", pl.col("meets"), 60),
            ("connect", pl.col("passed"), 200),
            ("pay", pl.col("paid"), 300),
        )
    ]
    return pl.concat(frames).sort("ts", "person", "event")


def _shocks(rng: np.random.Generator, days: int, size: float, rho: float) -> Floats:
    drawn = rng.normal(0, size * np.sqrt(1 - rho**2), days)
    values = np.zeros(days)
    values[0] = rng.normal(0, size)
    for day in range(1, days):
        values[day] = rho * values[day - 1] + drawn[day]
    return values
