"""The persons of the generated product: who they are before they do anything."""

from dataclasses import dataclass
from datetime import datetime

import numpy as np
import numpy.typing as npt

from opsanalytics.demo.product.catalogue import (
    COUNTRIES,
    END,
    MOBILE_RELEASES,
    PLATFORM_SHARES,
    START,
    WEB_RELEASES,
    WEEKS,
    Release,
)

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Texts = npt.NDArray[np.object_]

SECOND = 1_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR
WEEK = 7 * DAY

NEW_PERSONS = 4600
EXISTING_PERSONS = 500
SIGN_UP_SHARE = 0.86
BOTH_SHARE = 0.25
SHARED_DEVICES = 40
WEEKLY_GROWTH = 1.04
WEEKDAY_WEIGHTS = np.array([1.15, 1.15, 1.1, 1.05, 0.95, 0.6, 0.55])
HOUR_WEIGHTS = np.array([1, 1, 1, 1, 1, 2, 4, 7, 11, 14, 15, 14, 11, 12, 14, 14, 12, 9, 7, 7, 7, 6, 4, 2])
PLANS = ("pro", "team")


def micros(moment: datetime) -> int:
    """Microseconds since 1970, UTC."""
    return int(moment.timestamp()) * SECOND


@dataclass(frozen=True)
class People:
    """One entry a person in every array; `platform` indexes PLATFORMS, `country` COUNTRIES.

    `existing` persons signed up before START. `both` use the web besides their mobile app.
    `engagement` is standard normal and shows in everything a person does. `arrival` and `update_lag`
    are in µs. A user id is assigned to everybody but only shown once the person signed up.
    """

    existing: Bools
    signs_up: Bools
    platform: Ints
    both: Bools
    country: Ints
    engagement: Floats
    arrival: Ints
    update_lag: Ints
    user_id: Texts
    web_device: Texts
    mobile_device: Texts
    plan: Texts
    web_os: Texts
    browser: Texts

    @property
    def count(self) -> int:
        return len(self.arrival)


def make_people(rng: np.random.Generator) -> People:
    """Draw the persons; new ones ordered by arrival come after the existing ones."""
    count = EXISTING_PERSONS + NEW_PERSONS
    existing = np.arange(count) < EXISTING_PERSONS
    platform = rng.choice(3, count, p=PLATFORM_SHARES)
    country = rng.choice(len(COUNTRIES), count, p=[country.share for country in COUNTRIES])
    arrival = np.full(count, micros(START))
    arrival[~existing] = _arrivals(rng, country[~existing])
    web_device = _ids(rng, count, "w")
    _share_devices(rng, web_device, platform, existing)
    desktop = rng.choice(3, count, p=[0.55, 0.38, 0.07])
    browsers = np.array(["Chrome", "Safari", "Firefox", "Edge"], dtype=object)
    return People(
        existing=existing,
        signs_up=existing | (rng.random(count) < SIGN_UP_SHARE),
        platform=platform,
        both=(platform > 0) & (rng.random(count) < BOTH_SHARE),
        country=country,
        engagement=rng.standard_normal(count),
        arrival=arrival,
        update_lag=(rng.exponential(2.5, count) * DAY).astype(np.int64),
        user_id=np.array([f"user-{10_000 + number}" for number in rng.permutation(count)], dtype=object),
        web_device=web_device,
        mobile_device=_ids(rng, count, "m"),
        plan=np.array(PLANS, dtype=object)[(rng.random(count) < 0.3).astype(int)],
        web_os=np.array(["Windows", "Mac OS X", "Linux"], dtype=object)[desktop],
        browser=browsers[rng.choice(4, count, p=[0.6, 0.2, 0.12, 0.08])],
    )


def daytime(rng: np.random.Generator, country: Ints) -> Ints:
    """Draw a time of day (µs after 0:00 UTC) for each country: people are awake in their own zone."""
    local = rng.choice(24, len(country), p=HOUR_WEIGHTS / HOUR_WEIGHTS.sum())
    offsets = np.array([entry.utc_offset for entry in COUNTRIES])[country]
    hours: Floats = (local - offsets) % 24 + rng.random(len(country))
    return (hours * HOUR).astype(np.int64)


def version_at(people: People, person: Ints, platform: Ints, moment: Ints) -> Texts:
    """Version that `person` uses at `moment`: on the web the newest, on mobile as they updated."""
    versions = np.array([None] * len(person), dtype=object)
    for release in WEB_RELEASES:
        versions[(platform == 0) & (moment >= micros(release.at))] = release.version
    for release in MOBILE_RELEASES:
        versions[(platform > 0) & _installed(people, person, moment, release)] = release.version
    return versions


def _installed(people: People, person: Ints, moment: Ints, release: Release) -> Bools:
    """Whoever arrives after a release gets it at once, others after their lag; START's is everybody's."""
    out = micros(release.at)
    waits = (people.arrival[person] < out) & (release.at > START)
    return moment >= out + np.where(waits, people.update_lag[person], 0)


def _arrivals(rng: np.random.Generator, country: Ints) -> Ints:
    days = np.arange(WEEKS * 7)
    weights = WEEKLY_GROWTH ** (days / 7) * WEEKDAY_WEIGHTS[days % 7]
    day = rng.choice(days, len(country), p=weights / weights.sum())
    moments = micros(START) + day * DAY + daytime(rng, country)
    return np.sort(np.minimum(moments, micros(END) - HOUR))


def _ids(rng: np.random.Generator, count: int, prefix: str) -> Texts:
    numbers = rng.integers(0, 2**62, count)
    return np.array([f"{prefix}-{number:016x}" for number in numbers.tolist()], dtype=object)


def _share_devices(rng: np.random.Generator, devices: Texts, platform: Ints, existing: Bools) -> None:
    """Let some new web users sit at the computer of an existing one."""
    hosts = rng.choice(np.flatnonzero(existing & (platform == 0)), SHARED_DEVICES, replace=False)
    guests = rng.choice(np.flatnonzero(~existing & (platform == 0)), SHARED_DEVICES, replace=False)
    devices[guests] = devices[hosts]
