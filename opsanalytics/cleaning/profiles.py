"""Landed user profiles to one table a source: the newest fetch says who there is, and their properties.

A profile that the newest fetch lacks was deleted at the vendor and is gone here too. A property that
it lacks keeps the last value seen, and is named in `unset`.
"""

import gzip
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
import polars as pl

from opsanalytics.cleaning.erasing_profiles import scrub_profiles
from opsanalytics.cleaning.privacy import PrivacyRules
from opsanalytics.cleaning.private_profiles import ProfileRedactor
from opsanalytics.cleaning.private_records import NOT_REDACTABLE, WITHHELD, NotRedactableError
from opsanalytics.lake.files import write_parquet
from opsanalytics.lake.locks import exclusive
from opsanalytics.lake.manifests import Manifest, deliveries
from opsanalytics.lake.paths import Home
from opsanalytics.lake.schemas import PROFILES, QUARANTINE
from opsanalytics.sources.base import EventSourceSettings

GZIP_MAGIC = b"\x1f\x8b"


class Page(msgspec.Struct):
    """A page of profiles; each stays the bytes it is."""

    results: list[msgspec.Raw]


class Landed(msgspec.Struct):
    """One profile."""

    distinct_id: str | int = msgspec.field(name="$distinct_id")
    properties: dict[str, msgspec.Raw] = msgspec.field(name="$properties", default_factory=dict)


read_page = msgspec.json.Decoder(Page).decode
read_profile = msgspec.json.Decoder(Landed).decode


@dataclass
class Profile:
    """A profile as seen over all fetches."""

    values: dict[str, bytes] = field(default_factory=dict)
    current: set[str] = field(default_factory=set)
    fetched_at: datetime | None = None
    ingest_run: str = ""

    def seen(self, landed: Landed, manifest: Manifest) -> None:
        self.values |= {name: bytes(value) for name, value in landed.properties.items()}
        self.current = set(landed.properties)
        self.fetched_at = manifest.fetched_at
        self.ingest_run = manifest.ingest_run


@dataclass(frozen=True)
class ProfilesCleaned:
    """What the profile table of a source holds now."""

    source: str
    profiles: int
    properties: int
    """Different names of properties."""
    quarantined: int


def clean_profiles(
    settings: EventSourceSettings, home: Home, *, privacy: PrivacyRules | None = None
) -> ProfilesCleaned:
    """Write `home.profiles_file(name)` (schema PROFILES) from the deliveries of `profiles_landed_as`.

    Records that cannot be read go to the quarantine of that name. Running it again changes no byte.

    Args:
        privacy: what must not be kept; see `private_profiles`.

    Raises:
        ValueError: the source has no profiles.
    """
    source, landed_as = settings.name, settings.profiles_landed_as
    if landed_as is None:
        raise ValueError(f"source {source}: {settings.kind} has no profiles")
    # What is fetched again may bring back who was forgotten.
    scrub_profiles(settings, home)
    redactor = ProfileRedactor(privacy, settings) if privacy is not None else None
    profiles: dict[str, Profile] = {}
    refused: list[tuple[object, ...]] = []
    with exclusive(home, f"clean-{landed_as}"):
        ordered = sorted(deliveries(home, landed_as), key=lambda each: (each.fetched_at, each.delivery))
        for manifest in ordered:
            present: dict[str, Profile] = {}
            for member, number, raw in records(home, manifest):
                place = (landed_as, manifest.delivery, member, number, None)
                try:
                    landed = read_profile(raw if redactor is None else redactor.profile(raw))
                except NotRedactableError:
                    refused.append((*place, NOT_REDACTABLE, "[privacy] cannot be applied to it", WITHHELD))
                    continue
                except (msgspec.DecodeError, UnicodeDecodeError) as error:
                    kept = (str(error), raw) if redactor is None else ("the landed file has it", WITHHELD)
                    refused.append((*place, "no_profile", *kept))
                    continue
                name = str(landed.distinct_id)
                if redactor is not None:
                    name = redactor.distinct_id(name)
                present[name] = profiles.get(name) or present.get(name) or Profile()
                present[name].seen(landed, manifest)
            profiles = present
        frame = PROFILES.conform(to_frame(source, profiles))
        write_parquet(home.profiles_file(source), frame)
        quarantine = home.quarantine(landed_as) / "profiles.parquet"
        if refused:
            write_parquet(
                quarantine, QUARANTINE.conform(pl.DataFrame(refused, schema=QUARANTINE.schema, orient="row"))
            )
        else:
            quarantine.unlink(missing_ok=True)
    names = {name for profile in profiles.values() for name in profile.values}
    return ProfilesCleaned(source, frame.height, len(names), len(refused))


def landed_profiles(settings: EventSourceSettings, home: Home) -> Iterator[tuple[str, dict[str, Any]]]:
    """Distinct id and properties of each landed profile of a source that can be read, as they came."""
    if settings.profiles_landed_as is None:
        return
    for manifest in deliveries(home, settings.profiles_landed_as):
        for _, _, raw in records(home, manifest):
            try:
                landed = read_profile(raw)
                properties = {name: json.loads(bytes(value)) for name, value in landed.properties.items()}
            except (msgspec.DecodeError, UnicodeDecodeError):
                continue  # cleaning sets it aside
            yield str(landed.distinct_id), properties


def records(home: Home, manifest: Manifest) -> Iterator[tuple[str, int, bytes]]:
    """Member, number (from 1) and bytes of each landed profile, in the order of the pages."""
    for file in manifest.files:
        path = home.delivery(manifest.source, manifest.delivery) / file.name
        for number, raw in enumerate(read_page(content_of(path)).results, start=1):
            yield file.name, number, bytes(raw)


def content_of(path: Path) -> bytes:
    content = path.read_bytes()
    return gzip.decompress(content) if content.startswith(GZIP_MAGIC) else content


def to_frame(source: str, profiles: dict[str, Profile]) -> pl.DataFrame:
    """The profiles as rows of PROFILES."""
    rows = [
        (
            source,
            distinct_id,
            json_object(profile.values),
            sorted(profile.values.keys() - profile.current),
            profile.fetched_at,
            profile.ingest_run,
        )
        for distinct_id, profile in profiles.items()
    ]
    return pl.DataFrame(rows, schema=PROFILES.schema, orient="row")


def json_object(values: dict[str, bytes]) -> str:
    """A JSON object of values that are JSON already, in the order of their names."""
    return msgspec.json.encode({name: msgspec.Raw(values[name]) for name in sorted(values)}).decode()
