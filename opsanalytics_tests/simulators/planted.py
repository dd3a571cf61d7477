"""A product whose problems are planted: who would have bought, had each of them not been there, is known.

Five steps from sign-up to purchase. People differ in platform, plan, country and in how much they want it,
which nobody sees: prior activity and speed only hint at it (correlation 0.8). Passing a step also depends on
the weekend, a slow wave over the weeks, and how new a release is. Between steps people meet some forty
signals on pages that not everybody visits:

problem
    lowers the chance of passing; some are met rather by the eager (masked: crude rates show no harm), some
    on Android only, some since a release, some on a page that few visit.
shadow
    comes with a problem and does nothing of itself, such as rage clicks after an error.
null, platform, eager, weekend, release, lingering
    decoys. They do nothing; they are met by those who pass less often anyway, or by those who stay longer.
control
    harmless events that the team would name as such, confounded like the decoys.

The chance of passing with and without a signal is known for every person, so the true loss is the sum of
what those who met it would have had more of, through all later steps.
"""

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import ClassVar, Generic, Protocol, TypeAlias, TypeVar

import numpy as np
import polars as pl
from numpy.typing import NDArray

from opsanalytics.behavior.conditions import Step
from opsanalytics.behavior.spec import Funnel
from opsanalytics.improvement.settings import FrictionSettings

Floats: TypeAlias = NDArray[np.float64]
Bools: TypeAlias = NDArray[np.bool_]

START = datetime(2026, 1, 5, tzinfo=UTC)
"""A Monday."""
STEPS = ("sign_up", "connect_account", "create_project", "invite_team", "purchase")
WINDOW = timedelta(days=7)
RELEASE_WEEK = 4
BASE = (0.72, 0.78, 0.74, 0.70)
"""Chance that an average person on the web passes after each step, without any signal."""
EAGER = 0.45
ANDROID = -0.45
COUNTRY = (0.0, -0.15, -0.35)
PRO = 0.25
WEEKEND = -0.25
NEW_RELEASE = 0.5
PAGES = 4
VISITS = ((1.0, 0.0), (0.9, 0.3), (0.6, 0.6), (0.35, -0.3))
"""Share that visits each page of a step, and what eagerness adds to its logit."""
FRICTION = FrictionSettings.model_validate(
    {
        "error_events": ["error_shown"],
        "slow_load": {"event": "page_load", "threshold_ms": 4000},
        "empty_search": {"event": "search"},
        "rage_click": {"event": "click"},
        "custom": [
            {"name": "late", "title": "Answer came late", "event": "answer", "where": {"late": True},
             "place": "page"},
        ],
    }
)  # fmt: skip
KINDS = ("error", "error", "slow_load", "empty_search", "late")


@dataclass(frozen=True)
class Signal:
    """Something that people meet after reaching a step. Coefficients are of logits."""

    key: str
    role: str
    kind: str
    step: int
    """Number of the step that was reached, from 1."""
    page: int
    reach: float
    """Share of the visitors of its page who meet it, on average."""
    effect: float = 0.0
    eager: float = 0.0
    android: float = 0.0
    country: float = 0.0
    weekend: float = 0.0
    since_release: bool = False
    new_release: float = 0.0
    cause: str | None = None

    @property
    def path(self) -> str:
        """The page it is on."""
        return f"/{STEPS[self.step - 1]}/{'abcd'[self.page]}".replace("_", "-")

    @property
    def place(self) -> str:
        """Where friction sees it."""
        if self.role == "control":
            return self.key
        if self.kind == "error":
            return f"{self.key.upper()} on {self.path}"
        own = f"{self.path}/{self.key}"
        return f"button on {own}" if self.kind == "rage_click" else own


class Planted(Protocol):
    """What is planted: a signal that friction sees at a place."""

    @property
    def kind(self) -> str: ...
    @property
    def place(self) -> str: ...
    @property
    def effect(self) -> float: ...


Kind = TypeVar("Kind", bound=Planted)


@dataclass
class Product(Generic[Kind]):
    """Events of a simulated product and the truth about them."""

    start: ClassVar[datetime]

    persons: int
    weeks: int
    signals: tuple[Kind, ...]
    events: pl.DataFrame
    """person, ts, event, platform, app_version, properties, ...; sorted by time."""
    met: dict[str, Bools]
    reached: list[Bools]
    lost: dict[str, float] = field(default_factory=dict)
    """Conversions lost per week, by key of the signal, over persons who could convert before the end."""
    effect: dict[str, float] = field(default_factory=dict)
    """Mean change of the chance to pass among those who met it."""
    revenue: dict[str, float] = field(default_factory=dict)
    conversions: float = 0.0
    """Per week."""

    @property
    def as_of(self) -> datetime:
        return self.start + timedelta(weeks=self.weeks)

    @property
    def problems(self) -> set[tuple[str, str]]:
        """Signal and place of each planted problem."""
        return {(one.kind, one.place) for one in self.signals if one.effect < 0}


@dataclass
class World(Product[Signal]):
    """The product of this module."""

    start = START
    friction: FrictionSettings = FRICTION
    alike_by: tuple[str, ...] = ("country", "plan")

    @cached_property
    def funnel(self) -> Funnel:
        steps = tuple(Step(event=name) for name in STEPS)
        return Funnel(name="activation", title="Activation", steps=steps, window=WINDOW, value="amount")

    @property
    def controls(self) -> tuple[str, ...]:
        """Names of the harmless events."""
        return tuple(one.key for one in self.signals if one.role == "control")


def catalogue(rng: np.random.Generator) -> tuple[Signal, ...]:
    """Draw what is planted: twelve problems, three shadows, twenty-six decoys, ten controls."""
    made: list[Signal] = []

    def plant(role: str, count: int = 1, *, harmful: bool = False) -> list[Signal]:
        return [
            Signal(
                key=f"s{len(made) + number:02}",
                role=role,
                kind="control" if role == "control" else str(rng.choice(KINDS)),
                step=int(rng.integers(1, 5)),
                page=int(rng.choice(PAGES, p=[0.4, 0.3, 0.2, 0.1])),
                reach=float(np.exp(rng.uniform(*np.log([0.03, 0.3])))),
                effect=-float(rng.uniform(0.3, 1.5)) if harmful else 0.0,
            )
            for number in range(count)
        ]

    causes = plant("problem", 5, harmful=True)
    made += causes
    made += [replace(one, eager=rng.uniform(0.6, 1.0)) for one in plant("problem", 3, harmful=True)]
    made += [
        replace(one, android=6.0, reach=rng.uniform(0.05, 0.2)) for one in plant("problem", 2, harmful=True)
    ]
    made += [replace(one, since_release=True) for one in plant("problem", 2, harmful=True)]
    made += plant("null", 12)
    made += [replace(one, android=rng.uniform(1.0, 2.0), country=0.4) for one in plant("platform", 4)]
    made += [replace(one, eager=-rng.uniform(0.4, 0.9)) for one in plant("eager", 4)]
    made += [replace(one, weekend=2.0) for one in plant("weekend", 2)]
    made += [replace(one, new_release=-2.0) for one in plant("release", 2)]
    made += [replace(one, reach=0.3) for one in plant("lingering", 2)]
    for cause, kind in zip(causes, ("rage_click", "error", "late"), strict=False):
        made.append(Signal(f"s{len(made):02}", "shadow", kind, cause.step, cause.page, 0.0, cause=cause.key))
    made += plant("control", 4)
    made += [replace(one, android=1.5, country=0.4) for one in plant("control", 2)]
    made += [replace(one, eager=-0.6) for one in plant("control", 2)]
    made += [replace(one, weekend=2.0) for one in plant("control")]
    made += [replace(one, new_release=-2.0) for one in plant("control")]
    return tuple(made)


def simulate(seed: int, persons: int = 20_000, weeks: int = 8, *, planted: bool = True) -> World:
    """Make a world; equal seeds give equal worlds.

    Args:
        persons: how many sign up.
        weeks: over how many weeks.
        planted: without, no signal does anything.
    """
    rng = np.random.default_rng([seed, persons])
    signals = catalogue(rng)
    eager = rng.standard_normal(persons)
    android, ios = _one_of(rng, persons, 0.28, 0.27)
    tier = rng.choice(3, persons, p=[0.5, 0.3, 0.2])
    pro = rng.random(persons) < 0.3
    day = rng.choice(weeks * 7, persons, p=_weekdays(weeks))
    signed_up = day * 86_400.0 + rng.uniform(0, 86_400, persons)
    weekend = day % 7 >= 5
    since = (day - RELEASE_WEEK * 7).astype(np.float64)
    novelty = np.where(since >= 0, np.exp(-np.maximum(since, 0) / 7), 0.0)
    common = (
        EAGER * eager
        + ANDROID * android
        + np.array(COUNTRY)[tier]
        + PRO * pro
        + WEEKEND * weekend
        + NEW_RELEASE * novelty
        + 0.15 * np.sin(day / 9)
    )
    mature = signed_up <= (weeks * 7 - 7) * 86_400
    reach, rows = np.ones(persons, bool), _Rows()
    reached, moments, times = [reach], signed_up, [signed_up]
    chances: list[Floats] = []
    without: dict[str, Floats] = {}
    met: dict[str, Bools] = {}
    platform = np.where(android, 1, np.where(ios, 2, 0))
    for step in range(1, len(STEPS)):
        delay = np.maximum(180.0, 1800 * np.exp(rng.standard_normal(persons) - 0.3 * eager))
        visited = [
            rng.random(persons) < (_sigmoid(_centre(b * eager, a) + b * eager) if b else a) for a, b in VISITS
        ]
        here = [one for one in signals if one.step == step]
        base = np.log(BASE[step - 1] / (1 - BASE[step - 1])) + common
        hit: dict[str, Bools] = {}
        for one in here:
            if one.cause is not None:
                follows = rng.random(persons) < 0.7
                hit[one.key] = hit[one.cause] & follows | (rng.random(persons) < 0.01)
            elif one.role == "lingering":
                hit[one.key] = np.ones(persons, bool)  # decided below, by how long people stay
            else:
                leans = (
                    one.eager * eager
                    + one.android * np.where(android, 1.0, 0.0)
                    + one.country * tier
                    + one.weekend * weekend
                    + one.new_release * novelty
                )
                hit[one.key] = rng.random(persons) < _sigmoid(_centre(leans, one.reach) + leans)
                if one.android > 3:
                    hit[one.key] &= android
                if one.since_release:
                    hit[one.key] &= since >= 0
            hit[one.key] &= visited[one.page]
        harm = sum((hit[one.key] * one.effect for one in here), np.zeros(persons)) if planted else 0.0
        chance = _sigmoid(base + harm)
        passes = rng.random(persons) < chance
        stays = np.where(passes, delay, 3 * delay)
        offset: dict[str, Floats] = {}
        for one in here:
            offset[one.key] = rng.uniform(5, 120, persons)
            if one.role == "lingering":
                offset[one.key] = rng.exponential(3600, persons)
                hit[one.key] = hit[one.key] & (offset[one.key] < stays)
            without[one.key] = _sigmoid(base + harm - (one.effect if planted else 0.0))
        chances.append(chance)
        met |= {key: value & reach for key, value in hit.items()}
        rows.step(rng, step, np.flatnonzero(reach), moments, visited, here, hit, offset)
        reach = reach & passes
        moments = moments + delay
        reached.append(reach)
        times.append(moments)
    amount = np.round(np.exp(rng.normal(3.2, 0.5, persons)) * np.where(pro, 2.0, 1.0), 2)
    world = World(persons, weeks, signals, pl.DataFrame(), met, reached)
    observed = weeks - 1.0
    for one in signals:
        later = np.prod(chances[one.step :], axis=0) if one.step < len(chances) else np.ones(persons)
        who = met[one.key] & mature
        gain = (without[one.key] - chances[one.step - 1])[who]
        span = observed - RELEASE_WEEK if one.since_release else observed
        world.lost[one.key] = float((gain * later[who]).sum() / span)
        world.revenue[one.key] = float((gain * later[who] * _mean_amount(pro)[who]).sum() / span)
        world.effect[one.key] = -float(gain.mean()) if who.any() else 0.0
    world.conversions = float((reached[-1] & mature).sum() / observed)
    rows.before(rng, eager, signed_up)
    facts = pl.DataFrame(
        {
            "person": [f"p{number:07}" for number in range(persons)],
            "platform": np.array(["web", "android", "ios"])[platform],
            "country": np.array(["US", "DE", "IN"])[tier],
            "plan": np.where(pro, "pro", "free"),
            "app_version": np.where(since >= 0, "2.0", "1.0"),
            "amount": amount,
        }
    )
    world.events = rows.frame(facts, reached, times, weeks)
    return world


def _mean_amount(pro: Bools) -> Floats:
    mean: Floats = np.exp(3.2 + 0.125) * np.where(pro, 2.0, 1.0)
    return mean


def _one_of(rng: np.random.Generator, persons: int, first: float, second: float) -> tuple[Bools, Bools]:
    drawn = rng.random(persons)
    return drawn < first, (drawn >= first) & (drawn < first + second)


def _weekdays(weeks: int) -> Floats:
    weights = np.tile([1.1, 1.1, 1.05, 1.0, 0.95, 0.6, 0.6], weeks)
    shares: Floats = weights / weights.sum()
    return shares


def _sigmoid(logit: Floats) -> Floats:
    return 1 / (1 + np.exp(-logit))


def _centre(leans: Floats, share: float) -> float:
    """Intercept that makes the mean chance `share`."""
    from scipy.optimize import brentq

    sample = leans[:2000]
    return float(brentq(lambda at: _sigmoid(at + sample).mean() - share, -25, 25))


class _Rows:
    """Collects events as columns: person, seconds, code of the event and of its properties."""

    def __init__(self) -> None:
        self.parts: list[tuple[NDArray[np.int64], Floats, str, str]] = []

    def add(self, person: NDArray[np.int64], seconds: Floats, event: str, properties: str) -> None:
        if len(person):
            self.parts.append((person, seconds, event, properties))

    def step(
        self,
        rng: np.random.Generator,
        step: int,
        who: NDArray[np.int64],
        moments: Floats,
        visited: list[Bools],
        here: list[Signal],
        hit: dict[str, Bools],
        offset: dict[str, Floats],
    ) -> None:
        """Events of those who reached a step, until they pass it or give up."""
        for page, visits in enumerate(visited):
            at = who[visits[who]]
            path = f"/{STEPS[step - 1]}/{'abcd'[page]}".replace("_", "-")
            self.add(at, moments[at] + rng.uniform(1, 4, len(at)), "page_view", f'{{"page":"{path}"}}')
        for one in here:
            met = who[hit[one.key][who]]
            when = moments[met] + offset[one.key][met]
            path, place = one.path, one.place
            could = who[visited[one.page][who] & ~hit[one.key][who]]
            then = moments[could] + rng.uniform(5, 120, len(could))
            if one.role == "control":
                self.add(met, when, one.key, f'{{"page":"{path}"}}')
            elif one.kind == "error":
                self.add(met, when, "error_shown", f'{{"page":"{path}","code":"{one.key.upper()}"}}')
            elif one.kind == "slow_load":
                self.add(met, when, "page_load", f'{{"page":"{place}","ms":6000}}')
                self.add(could, then, "page_load", f'{{"page":"{place}","ms":900}}')
            elif one.kind == "empty_search":
                self.add(met, when, "search", f'{{"page":"{place}","results":0}}')
                self.add(could, then, "search", f'{{"page":"{place}","results":7}}')
            elif one.kind == "late":
                self.add(met, when, "answer", f'{{"page":"{place}","late":true}}')
                self.add(could, then, "answer", f'{{"page":"{place}","late":false}}')
            else:
                element = f'{{"page":"{path}/{one.key}","element":"button"}}'
                for click in range(4):
                    self.add(met, when + 0.2 * click, "click", element)
                self.add(could, then, "click", element)

    def before(self, rng: np.random.Generator, eager: Floats, signed_up: Floats) -> None:
        """What people looked at before they signed up."""
        visits = rng.poisson(np.exp(1.0 + 0.8 * eager).clip(max=40))
        who = np.repeat(np.arange(len(eager)), visits)
        self.add(who, signed_up[who] - rng.exponential(2 * 86_400, len(who)), "page_view", '{"page":"/"}')

    def frame(
        self, facts: pl.DataFrame, reached: list[Bools], times: list[Floats], weeks: int
    ) -> pl.DataFrame:
        """All events up to the end, sorted by time."""
        what = pl.DataFrame(
            [(event, properties) for _, _, event, properties in self.parts],
            schema=["event", "properties"],
            orient="row",
        )
        person = np.concatenate([part[0] for part in self.parts])
        code = np.repeat(np.arange(len(self.parts)), [len(part[0]) for part in self.parts])
        seconds = np.concatenate([part[1] for part in self.parts])
        who = facts.select("person", "platform", "country", "app_version")
        made = [pl.concat([who[person], what[code], pl.DataFrame({"seconds": seconds})], how="horizontal")]
        for number, name in enumerate(STEPS):
            told = pl.lit('{"page":"/next"}')
            if number == 0:
                told = pl.concat_str(pl.lit('{"plan":"'), "plan", pl.lit('"}'))
            elif name == STEPS[-1]:
                told = pl.concat_str(pl.lit('{"amount":'), "amount", pl.lit("}"))
            at = np.flatnonzero(reached[number])
            made.append(
                facts[at]
                .with_columns(event=pl.lit(name), properties=told, seconds=pl.Series(times[number][at]))
                .select(made[0].columns)
            )
        moment = pl.lit(START) + pl.duration(microseconds=(pl.col("seconds") * 1e6).cast(pl.Int64))
        return (
            pl.concat(made)
            .filter(pl.col("seconds") < weeks * 7 * 86_400)
            .with_columns(ts=moment.cast(pl.Datetime("us", "UTC")))
            .drop("seconds")
            .sort("ts", "person", "event")
        )
