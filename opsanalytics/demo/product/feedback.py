"""The feedback on the generated product: what persons wrote about what happened to them."""

import re
import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np
import polars as pl

from opsanalytics.demo.product.catalogue import COUNTRIES, END
from opsanalytics.demo.product.journey import Journey
from opsanalytics.demo.product.people import DAY, HOUR, MINUTE, Ints, People, micros, version_at

DUPLICATES = 12
UNRATED, ANONYMOUS, WITH_EMAIL, WITH_CONTACT = 0.08, 0.12, 0.6, 0.05
LOWER_CASE, TYPO = 0.14, 0.12
NATIVE_LANGUAGE = 0.55
"""Share of messages in the country's own language where the topic has patterns in it."""
LATEST = micros(END) - HOUR


@dataclass(frozen=True)
class Topic:
    """One thing people write about; see phrases.toml."""

    key: str
    kind: str
    messages: int
    ratings: tuple[float, ...]
    page: str
    patterns: dict[str, list[str]]
    plant: str | None = None


@cache
def _phrases() -> dict[str, Any]:
    return tomllib.loads(files(__package__).joinpath("phrases.toml").read_text(encoding="utf-8"))


def topics() -> tuple[Topic, ...]:
    """All topics in the order of phrases.toml."""
    return tuple(Topic(**entry) for entry in _phrases()["topics"])


def write_feedback(rng: np.random.Generator, people: People, journey: Journey) -> pl.DataFrame:
    """All messages, oldest first.

    Columns: `id` (text), `created_at` (UTC), `user_id`, `email`, `rating` (1 to 5), `comment`,
    `page`, `app_version` as a survey tool exports them, and `topic`, which belongs to the truth.
    `user_id`, `email` and `rating` can be null.
    """
    drafts = pl.concat([_messages(rng, people, journey, topic) for topic in topics()])
    doubled = pl.Series(rng.choice(drafts.height, DUPLICATES, replace=False))
    again = drafts.select(pl.all().gather(doubled)).with_columns(
        pl.col("created_at") + (rng.integers(1, 90, DUPLICATES) * MINUTE).astype(np.int64)
    )
    return (
        pl.concat([drafts, again])
        .filter(pl.col("created_at") < micros(END))
        .sort("created_at", "comment", maintain_order=True)
        .with_columns(
            pl.format("fb-{}", pl.int_range(1, pl.len() + 1).cast(pl.String).str.zfill(5)).alias("id"),
            pl.from_epoch("created_at", time_unit="us").dt.replace_time_zone("UTC").dt.truncate("1s"),
        )
        .select("id", "created_at", "user_id", "email", "rating", "comment", "page", "app_version", "topic")
    )


def _messages(rng: np.random.Generator, people: People, journey: Journey, topic: Topic) -> pl.DataFrame:
    person, since = _authors(rng, people, journey, topic)
    moment = np.minimum(since, LATEST)
    named = rng.random(len(person)) >= ANONYMOUS
    with_email = named & (rng.random(len(person)) < WITH_EMAIL)
    rated = rng.random(len(person)) >= UNRATED
    weights = np.array(topic.ratings)
    rating = rng.choice(np.arange(1, 6), len(person), p=weights / weights.sum())
    users = people.user_id[person].tolist()
    return pl.DataFrame(
        {
            "created_at": moment,
            "user_id": [user if known else None for user, known in zip(users, named, strict=True)],
            "email": [_email(user) if known else None for user, known in zip(users, with_email, strict=True)],
            "rating": [int(value) if known else None for value, known in zip(rating, rated, strict=True)],
            "comment": [
                _comment(rng, topic, COUNTRIES[country].language, user)
                for country, user in zip(people.country[person].tolist(), users, strict=True)
            ],
            "page": topic.page,
            "app_version": version_at(people, person, people.platform[person], moment).tolist(),
            "topic": topic.key,
        },
        schema_overrides={"rating": pl.Int64, "user_id": pl.String, "email": pl.String},
    )


def _authors(rng: np.random.Generator, people: People, journey: Journey, topic: Topic) -> tuple[Ints, Ints]:
    """Who writes, and when (µs): about a problem those who met it, soon after; else any active person."""
    if topic.plant is not None:
        (met,) = [exposure for exposure in journey.exposures if exposure.plant.key == topic.plant]
        chosen = rng.choice(len(met.person), min(topic.messages, len(met.person)), replace=False)
        return met.person[chosen], met.moment[chosen] + _soon(rng, len(chosen))
    settled = topic.kind in ("request", "praise")
    start = journey.reached["send_invoice" if settled else "sign_up"]
    start = np.where(people.existing, people.arrival, start)
    pool = np.flatnonzero(start < LATEST - DAY)
    person = rng.choice(pool, topic.messages, replace=False)
    span = LATEST - start[person]
    return person, start[person] + (span * rng.beta(1, 1.6, len(person))).astype(np.int64)


def _soon(rng: np.random.Generator, count: int) -> Ints:
    return (rng.lognormal(0, 1.3, count) * 3 * HOUR).astype(np.int64) + 2 * MINUTE


def _email(user: str) -> str:
    return f"{user.replace('-', '.')}@example.com"


def _comment(rng: np.random.Generator, topic: Topic, language: str, user: str) -> str:
    native = language in topic.patterns and rng.random() < NATIVE_LANGUAGE
    spoken = language if native else "en"
    text = _expand(rng, _one(rng, topic.patterns[spoken]))
    if spoken == "en":
        text = _framed(rng, topic, text)
    if rng.random() < LOWER_CASE:
        text = text.lower().rstrip(".")
    if rng.random() < TYPO:
        text = _typo(rng, text)
    if rng.random() < WITH_CONTACT:
        # 555-0100 to 555-0199 are kept free for invented numbers.
        phone = f"+1 {rng.integers(201, 990)}-555-01{rng.integers(0, 100):02d}"
        text = f"{text} {_one(rng, _phrases()['contacts']).format(email=_email(user), phone=phone)}"
    return text


def _framed(rng: np.random.Generator, topic: Topic, text: str) -> str:
    """Some messages have words before or after; only grievances have sour ones."""
    phrases = _phrases()
    sour = topic.kind in ("problem", "complaint")
    if rng.random() < 0.35:
        opener = _one(rng, phrases["openers"] + (phrases["sour_openers"] if sour else []))
        goes_on = opener.endswith((",", "but")) and text[:1] != "I" and text[1:2].islower()
        text = f"{opener} {text[:1].lower() + text[1:] if goes_on else text}"
    if rng.random() < 0.4:
        text = f"{text} {_one(rng, phrases['closers'] + (phrases['sour_closers'] if sour else []))}"
    return text


def _one(rng: np.random.Generator, choices: list[str]) -> str:
    return choices[int(rng.integers(len(choices)))]


def _expand(rng: np.random.Generator, pattern: str) -> str:
    chosen = re.sub(r"\[([^\]]*)\]", lambda found: _one(rng, found[1].split("|")), pattern)
    return re.sub(r" +([.,?!]|$)", r"\1", re.sub(r" {2,}", " ", chosen))


def _typo(rng: np.random.Generator, text: str) -> str:
    """Swap two neighbouring letters inside a word."""
    spots = [found.start() for found in re.finditer(r"(?<=[a-z])[a-z]{2}(?=[a-z])", text)]
    if not spots:
        return text
    at = spots[int(rng.integers(len(spots)))]
    return text[:at] + text[at + 1] + text[at] + text[at + 2 :]
