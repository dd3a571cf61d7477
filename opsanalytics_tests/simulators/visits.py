"""A shop whose visitors come back: a second product with planted problems, made unlike the first (`planted`).

Five steps from an item to an order, tried anew in every visit until somebody buys or stays away. Trouble
belongs to a visit, not to a person, so somebody may meet it in one visit and buy in the next. Most visits end
early. Chances differ by device (tablets are rare), channel, visit number, how much somebody wants it
(unseen, half of it shows in how much they looked around before), hour of the day (seen by no setting), day
of the month, and a slow season.

problem
    `plain`; `late` (at the last steps, which few reach); `rare` (tablets only); `release` (since a day);
    `masked` (met rather by those who want it).
decoy
    `null`; `device`, `channel`, `evening`, `payday`, `unwilling` (met by those who buy less often anyway);
    `returning` (met rather in later visits); `lingering` (met by those who stay longer); `shadow` (comes with
    a problem).

The chance of an order with and without a problem is known for every person over all visits they would make,
so the true loss is that of orders by person; `effect` is that on passing the step in the visit.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import TypeAlias

import numpy as np
import polars as pl
from numpy.typing import NDArray

from opsanalytics.behavior.conditions import Step
from opsanalytics.behavior.spec import Funnel
from opsanalytics.improvement.settings import FrictionSettings
from opsanalytics_tests.simulators.planted import Bools, Floats, Product

START = datetime(2026, 3, 2, tzinfo=UTC)
STEPS = ("view_item", "put_in_basket", "open_checkout", "choose_payment", "order")
BASE = (0.30, 0.50, 0.80, 0.75)
WINDOW = timedelta(days=2)
ROUNDS = 4
DEVICES = ("phone", "desktop", "tablet")
CHANNELS = ("search", "mail", "ads")
DAY = 86_400.0
Labels: TypeAlias = NDArray[np.int64]
Add: TypeAlias = Callable[[Labels, Floats, str, str], None]
FRICTION = FrictionSettings.model_validate(
    {
        "error_events": ["exception"],
        "slow_load": {"event": "render", "property": "took", "threshold_ms": 3000},
        "empty_search": {"event": "lookup", "property": "hits"},
        "custom": [
            {"name": "refused", "title": "Voucher refused", "event": "voucher", "where": {"ok": False},
             "place": "page"},
        ],
    }
)  # fmt: skip
KINDS = ("error", "slow_load", "empty_search", "refused")


@dataclass(frozen=True)
class Trouble:
    """What a visit may meet after a step. Numbers are of logits."""

    key: str
    role: str
    kind: str
    step: int
    reach: float
    effect: float = 0.0
    eager: float = 0.0
    tablet: bool = False
    phone: float = 0.0
    ads: float = 0.0
    evening: float = 0.0
    month_end: float = 0.0
    again: float = 0.0
    since: float = 0.0
    """Share of the time after which it begins."""
    cause: str | None = None

    @property
    def place(self) -> str:
        """Where friction sees it."""
        return f"{self.key.upper()} on {self.path}" if self.kind == "error" else f"{self.path}/{self.key}"

    @property
    def path(self) -> str:
        return f"/{STEPS[self.step - 1]}".replace("_", "-")


@dataclass
class Shop(Product[Trouble]):
    """The product of this module; `met` and `reached` are by person, in any visit."""

    start = START
    controls: tuple[str, ...] = ()
    friction: FrictionSettings = FRICTION
    alike_by: tuple[str, ...] = ("channel",)

    @cached_property
    def funnel(self) -> Funnel:
        steps = tuple(Step(event=name) for name in STEPS)
        return Funnel(name="buying", title="Buying", steps=steps, window=WINDOW, value="total")


def catalogue(rng: np.random.Generator) -> tuple[Trouble, ...]:
    """Ten problems, two shadows, twenty decoys."""
    made: list[Trouble] = []

    def plant(role: str, count: int, *, harmful: bool = False) -> list[Trouble]:
        return [
            Trouble(
                key=f"t{len(made) + number:02}",
                role=role,
                kind=str(rng.choice(KINDS)),
                step=int(rng.choice([1, 2, 3, 4], p=[0.4, 0.3, 0.15, 0.15])),
                reach=float(np.exp(rng.uniform(*np.log([0.04, 0.25])))),
                effect=-float(rng.uniform(0.4, 1.6)) if harmful else 0.0,
            )
            for number in range(count)
        ]

    plain = plant("plain", 4, harmful=True)
    made += plain
    made += [replace(one, step=int(rng.choice([3, 4]))) for one in plant("late", 2, harmful=True)]
    made += [replace(one, tablet=True, reach=0.5, step=1) for one in plant("rare", 1, harmful=True)]
    made += [replace(one, since=0.5) for one in plant("release", 1, harmful=True)]
    made += [replace(one, eager=0.7) for one in plant("masked", 2, harmful=True)]
    made += plant("null", 6)
    made += [replace(one, phone=1.5) for one in plant("device", 2)]
    made += [replace(one, ads=1.5) for one in plant("channel", 2)]
    made += [replace(one, evening=1.5) for one in plant("evening", 2)]
    made += [replace(one, month_end=1.5) for one in plant("payday", 2)]
    made += [replace(one, eager=-0.6) for one in plant("unwilling", 2)]
    made += [replace(one, again=1.0) for one in plant("returning", 2)]
    made += [replace(one, reach=0.3) for one in plant("lingering", 2)]
    for cause in plain[:2]:
        made.append(replace(plant("shadow", 1)[0], step=cause.step, cause=cause.key))
    return tuple(made)


@dataclass(frozen=True)
class _Visits:
    """Everything about one visit of each person, drawn whether or not they come."""

    start: Floats
    moments: list[Floats]
    """When each step is made, if it is."""
    base: list[Floats]
    hit: dict[str, Bools]
    when: dict[str, Floats]
    draws: list[Floats]
    comes: Bools

    def chance(self, signals: tuple[Trouble, ...], step: int, *, without: str | None = None) -> Floats:
        logit = self.base[step - 1]
        for one in signals:
            if one.step == step and one.effect and one.key != without:
                logit = logit + one.effect * self.hit[one.key]
        return _sigmoid(logit)

    def order(self, signals: tuple[Trouble, ...], *, without: str | None = None) -> Floats:
        chances = [self.chance(signals, step, without=without) for step in range(1, len(STEPS))]
        found: Floats = np.prod(chances, axis=0)
        return found


def simulate(seed: int, persons: int = 20_000, weeks: int = 9) -> Shop:
    """Make a shop; equal seeds give equal shops.

    Args:
        persons: how many come at least once.
        weeks: over how many weeks they come for the first time.
    """
    rng = np.random.default_rng([seed, persons, 2])
    signals = catalogue(rng)
    want = rng.standard_normal(persons)
    device = rng.choice(3, persons, p=[0.6, 0.35, 0.05])
    channel = rng.choice(3, persons, p=[0.5, 0.2, 0.3])
    first = rng.uniform(0, weeks * 7 * DAY, persons)
    visits, start, comes = [], first, np.ones(persons, bool)
    for number in range(ROUNDS):
        visits.append(_visit(rng, signals, want, device, channel, start, comes, number, weeks))
        comes = comes & (rng.random(persons) < _sigmoid(0.2 + 0.5 * want))
        start = start + 0.3 * DAY + rng.exponential(2.5 * DAY, persons)
    truth = Shop(persons, weeks, signals, pl.DataFrame(), {}, [])
    _know(truth, visits, first, np.exp(3.5 + 0.08))
    _tell(truth, rng, visits, want, device, channel, first)
    return truth


def _visit(
    rng: np.random.Generator,
    signals: tuple[Trouble, ...],
    want: Floats,
    device: Labels,
    channel: Labels,
    start: Floats,
    comes: Bools,
    number: int,
    weeks: int,
) -> _Visits:
    count = len(want)
    day = start / DAY
    evening = (day % 1 > 0.75) | (day % 1 < 0.05)
    month_end = (day % 30.4) > 23
    common = (
        0.6 * want
        + rng.normal(0, 0.5, count)
        - 0.4 * (device == 0)
        - 0.5 * (channel == 2)
        - 0.35 * evening
        - 0.35 * month_end
        + 0.2 * number
        + 0.2 * np.sin(day / 11)
        - 0.15 * (day % 7 >= 5)
    )
    base = [np.log(rate / (1 - rate)) + common for rate in BASE]
    moments = [start]
    hit: dict[str, Bools] = {}
    when: dict[str, Floats] = {}
    stays = [np.maximum(60.0, 400 * np.exp(rng.standard_normal(count) * 0.8)) for _ in BASE]
    for one in signals:
        leans = (
            one.eager * want
            + one.phone * (device == 0)
            + one.ads * (channel == 2)
            + one.evening * evening
            + one.month_end * month_end
            + one.again * number
        )
        own = rng.random(count) < _sigmoid(leans - np.mean(leans) + np.log(one.reach / (1 - one.reach)))
        if one.tablet:
            own &= device == 2
        if one.since:
            own &= start > one.since * weeks * 7 * DAY
        when[one.key] = rng.uniform(3, 50, count)
        if one.role == "lingering":
            when[one.key] = rng.exponential(900, count)
            own = when[one.key] < stays[one.step - 1]
        if one.cause is not None:
            own = (hit[one.cause] & (rng.random(count) < 0.7)) | (rng.random(count) < 0.01)
        hit[one.key] = own
    for stay in stays:
        moments.append(moments[-1] + stay)
    return _Visits(start, moments, base, hit, when, [rng.random(count) for _ in BASE], comes)


def _know(shop: Shop, visits: list[_Visits], first: Floats, amount: float) -> None:
    """Fill in what is true."""
    last = shop.weeks * 7 - WINDOW / timedelta(days=1)
    mature = first < last * DAY
    weeks = last / 7

    def orders(without: str | None) -> Floats:
        none = np.ones(shop.persons)
        for visit in visits:
            there = visit.comes & (visit.start < shop.weeks * 7 * DAY)
            none = none * np.where(there, 1 - visit.order(shop.signals, without=without), 1.0)
        return 1 - none

    usual = orders(None)
    for one in shop.signals:
        gain = (orders(one.key) - usual)[mature] if one.effect else np.zeros(1)
        span = weeks * (1 - one.since)
        shop.lost[one.key] = float(gain.sum()) / span
        shop.revenue[one.key] = shop.lost[one.key] * amount
        visit = visits[0]
        who = visit.hit[one.key]
        apart = visit.chance(shop.signals, one.step) - visit.chance(shop.signals, one.step, without=one.key)
        shop.effect[one.key] = float(apart[who].mean()) if who.any() else 0.0
    shop.conversions = float(usual[mature].sum()) / weeks


def _tell(
    shop: Shop,
    rng: np.random.Generator,
    visits: list[_Visits],
    want: Floats,
    device: Labels,
    channel: Labels,
    first: Floats,
) -> None:
    """Play the visits, and write down what can be seen."""
    parts: list[tuple[Labels, Floats, str, str]] = []

    def add(who: Labels, seconds: Floats, event: str, properties: str = "{}") -> None:
        parts.append((who, seconds, event, properties))

    looks = rng.poisson(np.exp(0.3 + 0.5 * want + rng.normal(0, 0.5, len(want))).clip(max=30))
    who = np.repeat(np.arange(len(want)), looks)
    add(who, first[who] - rng.exponential(DAY, len(who)), "look_around")
    bought = np.zeros(len(want), bool)
    shop.met = {one.key: np.zeros(len(want), bool) for one in shop.signals}
    shop.reached = [np.zeros(len(want), bool) for _ in STEPS]
    for visit in visits:
        here = visit.comes & ~bought
        for step in range(1, len(STEPS) + 1):
            shop.reached[step - 1] |= here
            at = np.flatnonzero(here)
            add(at, visit.moments[step - 1][at], STEPS[step - 1], '{"total":36.0}')
            if step == len(STEPS):
                bought |= here
                break
            for one in shop.signals:
                if one.step == step:
                    met = np.flatnonzero(here & visit.hit[one.key])
                    shop.met[one.key][met] = True
                    others = np.flatnonzero(here & ~visit.hit[one.key])
                    base = visit.moments[step - 1]
                    _occur(add, one, met, base[met] + visit.when[one.key][met], bad=True)
                    if one.kind != "error":
                        _occur(add, one, others, base[others] + rng.uniform(3, 50, len(others)), bad=False)
            here = here & (visit.draws[step - 1] < visit.chance(shop.signals, step))
    what = pl.DataFrame([part[2:] for part in parts], schema=["event", "properties"], orient="row")
    code = np.repeat(np.arange(len(parts)), [len(part[0]) for part in parts])
    facts = pl.DataFrame(
        {
            "person": [f"v{number:07}" for number in range(len(want))],
            "platform": np.array(DEVICES)[device],
            "channel": np.array(CHANNELS)[channel],
            "app_version": ["1"] * len(want),
        }
    )
    seconds = pl.Series("seconds", np.concatenate([part[1] for part in parts]))
    moment = pl.lit(START) + pl.duration(microseconds=(pl.col("seconds") * 1e6).cast(pl.Int64))
    shop.events = (
        pl.concat(
            [facts[np.concatenate([part[0] for part in parts])], what[code], seconds.to_frame()],
            how="horizontal",
        )
        .filter(pl.col("seconds") < shop.weeks * 7 * DAY)
        .with_columns(ts=moment.cast(pl.Datetime("us", "UTC")))
        .drop("seconds")
        .sort("ts", "person", "event")
    )


def _occur(add: Add, one: Trouble, who: Labels, seconds: Floats, *, bad: bool) -> None:
    told = {
        "error": ("exception", f'{{"page":"{one.path}","code":"{one.key.upper()}"}}'),
        "slow_load": ("render", f'{{"page":"{one.place}","took":{7000 if bad else 500}}}'),
        "empty_search": ("lookup", f'{{"page":"{one.place}","hits":{0 if bad else 9}}}'),
        "refused": ("voucher", f'{{"page":"{one.place}","ok":{"false" if bad else "true"}}}'),
    }[one.kind]
    add(who, seconds, *told)


def _sigmoid(logit: Floats) -> Floats:
    found: Floats = 1 / (1 + np.exp(-logit))
    return found
