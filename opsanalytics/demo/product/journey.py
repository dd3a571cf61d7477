"""From the first visit to the purchase: who passes which step, and what stands in the way."""

from dataclasses import dataclass, field

import numpy as np
import polars as pl

from opsanalytics.demo.product.catalogue import (
    COUNTRIES,
    END,
    ENGAGEMENT_LOGIT,
    FUNNEL,
    PAGES,
    PLANTS,
    PLATFORMS,
    SLOW_MS,
    STEPS,
    Plant,
    Step,
)
from opsanalytics.demo.product.people import (
    HOUR,
    MINUTE,
    SECOND,
    Bools,
    Floats,
    Ints,
    People,
    micros,
    version_at,
)
from opsanalytics.demo.product.rows import rows

NEVER = micros(END) * 2
SHORTEST_STEP = 4 * MINUTE
PRICES = {"pro": 12.0, "team": 29.0}
FAST_MS_MEDIAN = 800
FASTEST_MS, FAST_MS_MOST = 120, 2900


@dataclass(frozen=True)
class Exposure:
    """Who met a plant: person numbers, moment (µs) and chance of passing with and without it."""

    plant: Plant
    person: Ints
    moment: Ints
    chance: Floats
    chance_without: Floats


@dataclass
class Journey:
    """`reached` holds, by step of the funnel, each person's moment in µs, NEVER if they did not."""

    reached: dict[str, Ints] = field(default_factory=dict)
    exposures: list[Exposure] = field(default_factory=list)
    parts: list[pl.DataFrame] = field(default_factory=list)


@dataclass(frozen=True)
class _Attempt:
    """One step, tried by those who reached the one before: what `_meet` and `_rows` need to know."""

    people: People
    step: Step
    person: Ints
    start: Ints
    gap: Ints
    platform: Ints

    def at(self, share: Floats | float) -> Ints:
        """The moment after a share of the time between reaching and passing."""
        return self.start + (self.gap * share).astype(np.int64)


def walk(rng: np.random.Generator, people: People) -> Journey:
    """Simulate every new person's way through the funnel.

    The moments of friction do not depend on whether the step is passed: who does not pass would have
    taken as long as the others.
    """
    journey = Journey()
    new = np.flatnonzero(~people.existing & people.signs_up)
    signed_up = np.full(people.count, NEVER)
    signed_up[new] = people.arrival[new] + (rng.lognormal(0, 1.2, len(new)) * 20 * MINUTE).astype(np.int64)
    journey.reached["sign_up"] = signed_up
    _visits(rng, people, journey)
    for step in STEPS:
        before = journey.reached[FUNNEL[FUNNEL.index(step.name) - 1]]
        person = np.flatnonzero(before < micros(END))
        attempt = _Attempt(
            people=people,
            step=step,
            person=person,
            start=before[person],
            gap=_gap(rng, step, len(person)),
            platform=_platform(people, step.name, person),
        )
        journey.reached[step.name] = _pass(rng, attempt, journey)
    return journey


def _pass(rng: np.random.Generator, attempt: _Attempt, journey: Journey) -> Ints:
    """Decide who passes one step; adds exposures and events to `journey`."""
    people, step, person = attempt.people, attempt.step, attempt.person
    logit = np.log(step.base / (1 - step.base)) + ENGAGEMENT_LOGIT * people.engagement[person]
    chance = 1 / (1 + np.exp(-logit - step.android_logit * (attempt.platform == 1)))
    plants = [plant for plant in PLANTS if plant.step == step.name]
    drawn = [rng.spawn(1)[0] if plant.apart else rng for plant in plants]
    met = [_meet(each, plant, attempt) for each, plant in zip(drawn, plants, strict=True)]
    effect = sum(
        (hit * plant.effect for plant, (hit, _) in zip(plants, met, strict=True)), np.zeros(len(person))
    )
    passed = rng.random(len(person)) < _possible(chance + effect)
    moments = np.full(people.count, NEVER)
    moments[person[passed]] = (attempt.start + attempt.gap)[passed]
    for each, plant, (hit, moment) in zip(drawn, plants, met, strict=True):
        journey.exposures.append(
            Exposure(
                plant,
                person[hit],
                moment[hit],
                _possible(chance + effect)[hit],
                _possible(chance + effect - plant.effect)[hit],
            )
        )
        journey.parts += _signals(each, plant, attempt, hit, moment)
    journey.parts += _step_rows(rng, attempt, passed)
    return moments


def _possible(chance: Floats) -> Floats:
    return np.clip(chance, 0.02, 0.98)


def _gap(rng: np.random.Generator, step: Step, count: int) -> Ints:
    minutes = np.clip(rng.lognormal(0, 1.0, count) * step.median_minutes, 0, 16 * 24 * 60)
    return np.maximum((minutes * MINUTE).astype(np.int64), SHORTEST_STEP)


def _platform(people: People, step: str, person: Ints) -> Ints:
    """Persons who use both buy on the web; everything else they do where they started."""
    on_web = people.both[person] & (step in ("start_checkout", "purchase"))
    return np.where(on_web, 0, people.platform[person])


def _meet(rng: np.random.Generator, plant: Plant, attempt: _Attempt) -> tuple[Bools, Ints]:
    """Who of an attempt meets the plant, and when."""
    people, person = attempt.people, attempt.person
    moment = attempt.at(rng.uniform(0.15, 0.45, len(person)))
    base = np.array([plant.exposure.get(name, 0.0) for name in PLATFORMS])[attempt.platform]
    with np.errstate(divide="ignore"):
        logit = np.log(base / (1 - base)) + plant.engagement * people.engagement[person]
    fits = (moment >= micros(plant.since)) & (moment < min(micros(plant.until), micros(END)))
    if plant.countries is not None:
        wanted = np.array([country.code in plant.countries for country in COUNTRIES])
        fits &= wanted[people.country[person]]
    if plant.version is not None:
        versions = version_at(people, person, attempt.platform, moment)
        fits &= np.array(
            [_number(version) >= _number(plant.version) for version in versions.tolist()], dtype=bool
        )
    return fits & (rng.random(len(person)) < 1 / (1 + np.exp(-logit))), moment


def _number(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


def _signals(
    rng: np.random.Generator, plant: Plant, attempt: _Attempt, hit: Bools, moment: Ints
) -> list[pl.DataFrame]:
    """The events that show the plant: each exposure's first one at its moment, repeats soon after."""
    fewest, most = plant.repeats
    repeats = rng.integers(fewest, most + 1, int(hit.sum()))
    person, platform, start, gap = (
        np.repeat(values[hit], repeats) for values in (attempt.person, attempt.platform, moment, attempt.gap)
    )
    number = np.arange(len(person)) - np.repeat(np.cumsum(repeats) - repeats, repeats)
    # Four repeats still end before the step is passed: moment <= 0.45 of the gap, plus 3 x 0.1.
    apart = np.minimum(gap // 10, 75 * SECOND)
    when = start + number * apart
    values = {one["property"]: one["value"] for one in plant.where}
    if "ms" in values:
        values["ms"] = (SLOW_MS * (1.3 + rng.exponential(0.6, len(person)))).astype(np.int64)
    values.setdefault("page", PAGES[plant.after])
    parts = [rows(plant.event, person, when, platform, **values)]
    if values.get("code") == "BANK_CONNECT_FAILED":
        parts.append(rows("start_bank_connection", person, when - 5 * SECOND, platform, page=values["page"]))
    return parts


def _step_rows(rng: np.random.Generator, attempt: _Attempt, passed: Bools) -> list[pl.DataFrame]:
    """What a step leaves behind: its page (seen by most who try), how fast it was, and its event."""
    name, page = attempt.step.name, PAGES[attempt.step.name]
    seen = passed | (rng.random(len(passed)) < 0.75)
    person, platform = attempt.person[seen], attempt.platform[seen]
    when = attempt.at(0.08)[seen]
    loaded = rng.random(len(person)) < 0.4
    ms = fast_ms(rng, int(loaded.sum()))
    parts = [
        rows("page_view", person, when, platform, page=page),
        rows("page_load", person[loaded], when[loaded] + SECOND, platform[loaded], page=page, ms=ms),
    ]
    person, platform, when = (
        values[passed] for values in (attempt.person, attempt.platform, attempt.at(1.0))
    )
    details: dict[str, object] = {"page": page}
    if name == "connect_bank":
        parts.append(rows("start_bank_connection", person, when - 40 * SECOND, platform, page=page))
    if name == "create_invoice":
        details |= invoice(rng, attempt.people, person)
    if name == "send_invoice":
        found = rng.integers(1, 9, len(person))
        parts.append(
            rows("search", person, attempt.at(0.6)[passed], platform, page="/invoices/new", results=found)
        )
    if name == "start_checkout":
        view = when + 2 * SECOND
        parts.append(rows("page_load", person, view, platform, page=page, ms=fast_ms(rng, len(person))))
    if name == "purchase":
        price = np.array([PRICES[plan] for plan in attempt.people.plan[person].tolist()])
        details |= {"amount": price, "currency": currency(attempt.people, person)}
    return [*parts, rows(name, person, when, platform, **details)]


def _visits(rng: np.random.Generator, people: People, journey: Journey) -> None:
    """Anonymous visits from arrival on, then the sign-up."""
    new = np.flatnonzero(~people.existing)
    pages = np.array(["/", "/pricing", "/features", "/templates/invoice"], dtype=object)
    for number in range(3):
        there = new[rng.random(len(new)) < (1.0, 0.7, 0.4)[number]]
        ready = np.minimum(journey.reached["sign_up"][there], people.arrival[there] + 3 * HOUR)
        when = people.arrival[there] + ((ready - people.arrival[there]) * 0.3 * number).astype(np.int64)
        page = pages[rng.choice(4, len(there), p=(0.5, 0.25, 0.15, 0.1))] if number else "/"
        journey.parts.append(rows("page_view", there, when, people.platform[there], page=page))
    signing = np.flatnonzero(journey.reached["sign_up"] < NEVER)
    moment, platform = journey.reached["sign_up"][signing], people.platform[signing]
    journey.parts.append(rows("page_view", signing, moment - 30 * SECOND, platform, page=PAGES["sign_up"]))
    journey.parts.append(rows("sign_up", signing, moment, platform, page=PAGES["sign_up"]))


def fast_ms(rng: np.random.Generator, count: int) -> Ints:
    """Load times that nobody complains about, in ms."""
    drawn = rng.lognormal(np.log(FAST_MS_MEDIAN), 0.45, count)
    return np.clip(drawn, FASTEST_MS, FAST_MS_MOST).astype(np.int64)


def currency(people: People, person: Ints) -> np.ndarray[tuple[int], np.dtype[np.object_]]:
    """Currency code of each person's country."""
    return np.array([country.currency for country in COUNTRIES], dtype=object)[people.country[person]]


def invoice(rng: np.random.Generator, people: People, person: Ints) -> dict[str, object]:
    """Amount and currency of an invoice, as event properties."""
    amount = np.round(rng.lognormal(np.log(420), 0.8, len(person)), 2)
    return {"amount": amount, "currency": currency(people, person)}
