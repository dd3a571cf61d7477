"""What persons do week after week once they signed up: the shape of retention."""

import numpy as np
import polars as pl

from opsanalytics.demo.product.catalogue import SLOW_MS, START, WEEKS
from opsanalytics.demo.product.journey import NEVER, Journey, fast_ms, invoice
from opsanalytics.demo.product.people import (
    DAY,
    SECOND,
    WEEK,
    WEEKDAY_WEIGHTS,
    Bools,
    Floats,
    Ints,
    People,
    daytime,
    micros,
)
from opsanalytics.demo.product.rows import rows

ACTIONS = (
    ("page_view", 0.30),
    ("create_invoice", 0.17),
    ("send_invoice", 0.15),
    ("record_payment", 0.11),
    ("open_report", 0.07),
    ("search", 0.11),
    ("page_load", 0.06),
    ("toggle_theme", 0.03),
)
BROWSING = (("page_view", 0.88), ("toggle_theme", 0.12))
"""What persons do who never sent an invoice: nothing that shows friction or passes a step."""
PAGES = ("/dashboard", "/invoices", "/clients", "/settings", "/help")
EMPTY_SEARCHES = 0.03
VAT_HINTS = 0.12


def use(rng: np.random.Generator, people: People, journey: Journey) -> list[pl.DataFrame]:
    """Sessions after activation (the first sent invoice), and a few of those who never got there.

    Friction in recurring use begins with the purchase. Before it, whoever waits longer would meet
    more of it, and waiting would look like its effect.
    """
    activated = np.where(people.existing, micros(START), journey.reached["send_invoice"])
    signed_up = np.where(people.existing, NEVER, journey.reached["sign_up"])
    active = np.flatnonzero(activated < NEVER)
    idle = np.flatnonzero((activated == NEVER) & (signed_up < NEVER))
    settled = np.where(people.existing, micros(START), journey.reached["purchase"])
    bought = people.existing | (journey.reached["purchase"] < NEVER)
    plateau = 1 / (1 + np.exp(1.1 - 0.9 * people.engagement - 1.0 * bought))
    weeks = np.arange(WEEKS)
    keen = np.clip(plateau[:, None] + (1 - plateau[:, None]) * np.exp(-(weeks + 0.4) / 1.8), 0, 0.97)
    browsing = np.full((people.count, WEEKS), 0.16) * np.exp(-weeks / 1.3)
    return [
        *_sessions(
            rng, people, settled, active, activated, keen, ACTIONS, 1.6 * np.exp(0.35 * people.engagement)
        ),
        *_sessions(
            rng, people, settled, idle, signed_up + DAY, browsing, BROWSING, np.full(people.count, 0.3)
        ),
    ]


def _sessions(
    rng: np.random.Generator,
    people: People,
    settled: Ints,
    who: Ints,
    since: Ints,
    chance: Floats,
    actions: tuple[tuple[str, float], ...],
    more_sessions: Floats,
) -> list[pl.DataFrame]:
    """Draw active weeks (7 days each, from `since` on), sessions in them, and events in those."""
    index, week = np.nonzero(rng.random((len(who), WEEKS)) < chance[who])
    sessions = 1 + rng.poisson(more_sessions[who[index]])
    index, week = np.repeat(index, sessions), np.repeat(week, sessions)
    person = who[index]
    # Session days follow the calendar's weekday, so that weekends are quiet for everybody.
    first_day = (since[person] // DAY) * DAY + week * WEEK
    weekday = (first_day // DAY + 3) % 7  # 1970-01-01 was a Thursday
    ahead = (_weekdays(rng, len(person)) - weekday) % 7
    start = first_day + ahead * DAY + daytime(rng, people.country[person])
    later = start > since[person] + 3600 * SECOND
    person, start = person[later], start[later]
    platform = np.where(people.both[person] & (rng.random(len(person)) < 0.5), 0, people.platform[person])
    length = 1 + rng.poisson(3.2, len(person))
    number = np.arange(int(length.sum())) - np.repeat(np.cumsum(length) - length, length)
    person, platform, start = (np.repeat(values, length) for values in (person, platform, start))
    when = start + number * (rng.uniform(20, 160, len(person)) * SECOND).astype(np.int64) + number
    names = np.array([name for name, _ in actions], dtype=object)
    action = names[rng.choice(len(actions), len(person), p=[share for _, share in actions])]
    action[number == 0] = "page_view"
    parts: list[pl.DataFrame] = []
    for name in np.unique(action).tolist():
        chosen = action == name
        at = (person[chosen], when[chosen], platform[chosen])
        parts += _action(rng, people, name, *at, rough=at[1] >= settled[at[0]])
    return parts


def _weekdays(rng: np.random.Generator, count: int) -> Ints:
    return rng.choice(7, count, p=WEEKDAY_WEIGHTS / WEEKDAY_WEIGHTS.sum())


def _action(
    rng: np.random.Generator,
    people: People,
    name: str,
    person: Ints,
    when: Ints,
    platform: Ints,
    *,
    rough: Bools,
) -> list[pl.DataFrame]:
    """Events of one kind of action; friction only where `rough`."""
    count = len(person)
    match name:
        case "create_invoice":
            hinted = rough & (rng.random(count) < VAT_HINTS)
            shown = {"page": "/invoices/new", "code": "VAT_FORMAT"}
            hint = rows("error_shown", person[hinted], when[hinted] - 4 * SECOND, platform[hinted], **shown)
            details = invoice(rng, people, person)
            return [hint, rows(name, person, when, platform, page="/invoices/new", **details)]
        case "send_invoice":
            return [rows(name, person, when, platform, page="/invoices/send")]
        case "record_payment":
            return [rows(name, person, when, platform, page="/payments", **invoice(rng, people, person))]
        case "open_report":
            slow = rough & (rng.random(count) < 1 / (1 + np.exp(1.5 - 1.2 * people.engagement[person])))
            ms = np.where(slow, SLOW_MS * (1.3 + rng.exponential(0.6, count)), fast_ms(rng, count))
            load = rows("page_load", person, when + SECOND, platform, page="/reports", ms=ms.astype(np.int64))
            return [rows(name, person, when, platform, page="/reports"), load]
        case "search":
            empty = rough & (rng.random(count) < EMPTY_SEARCHES)
            found = np.where(empty, 0, rng.integers(1, 12, count))
            return [rows(name, person, when, platform, page="/clients", results=found)]
        case "page_load":
            return [rows(name, person, when, platform, page="/dashboard", ms=fast_ms(rng, count))]
        case _:
            page = np.array(PAGES, dtype=object)[rng.choice(5, count, p=(0.4, 0.25, 0.17, 0.1, 0.08))]
            return [rows(name, person, when, platform, page=page)]
