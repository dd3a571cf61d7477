"""Bring the event lake of one source up to date with its landing area."""

import hashlib
import json
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Mapping, Sequence
from datetime import date, timedelta
from functools import partial
from pathlib import Path
from threading import Lock

import polars as pl
from pydantic import BaseModel, ConfigDict

from opsanalytics.cleaning.assembly import Part, assemble, ranked
from opsanalytics.cleaning.batches import Batch, batches
from opsanalytics.cleaning.beside import side_by_side
from opsanalytics.cleaning.day_files import WrittenDay, by_day, days_on_disk, stored_rows, write_day
from opsanalytics.cleaning.erasing import scrub
from opsanalytics.cleaning.large_days import write_large_day
from opsanalytics.cleaning.parsing import (
    DeliveryFiles,
    ParsedDelivery,
    fingerprint,
    parse_delivery,
    read_summary,
)
from opsanalytics.cleaning.privacy import PrivacyRules
from opsanalytics.cleaning.report import CleanReport
from opsanalytics.lake.erasures import read_tombstones
from opsanalytics.lake.files import remove_leftovers, write_text
from opsanalytics.lake.locks import exclusive
from opsanalytics.lake.manifests import MANIFEST, Manifest, deliveries, read_manifest
from opsanalytics.lake.paths import Home
from opsanalytics.sources.base import EventSourceSettings

ASSEMBLY_VERSION = 1
"""Raise it when days would come out otherwise from the same parsed deliveries."""
REPLACED_MEANWHILE = 5


class Day(BaseModel):
    """One assembled UTC day of a source."""

    model_config = ConfigDict(frozen=True)

    fingerprint: str
    events: int
    duplicates: int


class Days(BaseModel):
    """Every assembled day of a source. A day that is being changed is not in it."""

    days: dict[date, Day] = {}


def clean_events(
    settings: EventSourceSettings,
    home: Home,
    event_names: Mapping[str, str],
    *,
    privacy: PrivacyRules | None = None,
    progress: Callable[[str, int, int], None] | None = None,
) -> CleanReport:
    """Parse new deliveries and rewrite the days they change, nothing else.

    Writes `home.events_file`, `home.duplicates_file` and `home.quarantine`; files of days and
    deliveries that no longer exist are removed. Running it again changes no byte.

    Args:
        event_names: source event name to canonical name; others keep theirs.
        privacy: what of the records must not be kept; other rules clean all deliveries anew.
        progress: told a stage (`parse`, `assemble`), how much is done, and of how much.

    Raises:
        LockHeldError: another process cleans this source for more than ten minutes.
    """
    tell = progress or silent
    with exclusive(home, f"clean-{settings.name}"):
        pairs, parsed = parse_all(settings, home, privacy, tell)
        changed, days = assemble_all(settings, home, ranked(pairs), event_names, tell)
    return CleanReport(
        source=settings.name,
        deliveries=len(pairs),
        parsed=tuple(parsed),
        records=sum(sum(summary.records.values()) for _, summary in pairs),
        canonical=sum(day.events for day in days.days.values()),
        duplicates=sum(day.duplicates for day in days.days.values()),
        quarantined=sum(summary.rejected for _, summary in pairs),
        identity_verbs=sum(summary.identity_verbs for _, summary in pairs),
        days=changed,
    )


def silent(stage: str, done: int, total: int) -> None:
    """Nobody wants to know."""


def parse_all(
    settings: EventSourceSettings,
    home: Home,
    privacy: PrivacyRules | None,
    tell: Callable[[str, int, int], None],
) -> tuple[list[tuple[Manifest, ParsedDelivery]], list[str]]:
    """All deliveries with their summaries, and the names of those that had to be read."""
    folders = (home.cleaned(settings.name), home.quarantine(settings.name))
    for folder in folders:
        remove_leftovers(folder)
    manifests = list(deliveries(home, settings.name))
    names = {manifest.delivery for manifest in manifests}
    for folder in folders:
        for path in folder.glob("*.*") if folder.is_dir() else ():
            if not path.name.startswith(("_", ".")) and path.stem not in names:
                DeliveryFiles.of(home, settings.name, path.stem).remove()
    summaries: dict[str, tuple[Manifest, ParsedDelivery]] = {}
    stale: list[Manifest] = []
    for manifest in manifests:
        summary = read_summary(home, settings.name, manifest.delivery)
        if summary is None or summary.fingerprint != fingerprint(settings, manifest, privacy):
            stale.append(manifest)
        else:
            summaries[manifest.delivery] = manifest, summary
    stones = read_tombstones(home)
    for number, landed in enumerate(stale, start=len(summaries)):
        tell("parse", number, len(manifests))
        # What is fetched again may bring back who was forgotten.
        manifest = scrub(settings, home, landed, stones, []) if stones else landed
        summaries[manifest.delivery] = parse_current(settings, home, manifest, privacy)
    tell("parse", len(manifests), len(manifests))
    return (
        [summaries[manifest.delivery] for manifest in manifests],
        [manifest.delivery for manifest in stale],
    )


def parse_current(
    settings: EventSourceSettings, home: Home, manifest: Manifest, privacy: PrivacyRules | None
) -> tuple[Manifest, ParsedDelivery]:
    """Parse a delivery, following it if a fetch replaces it meanwhile."""
    path = home.delivery(settings.name, manifest.delivery) / MANIFEST
    for _ in range(REPLACED_MEANWHILE):
        try:
            return manifest, parse_delivery(settings, home, manifest, privacy)
        except FileNotFoundError:
            latest = read_manifest(path)
            if latest.sha256 == manifest.sha256:
                raise
            manifest = latest
    return manifest, parse_delivery(settings, home, manifest, privacy)


def assemble_all(
    settings: EventSourceSettings,
    home: Home,
    parts: Sequence[Part],
    event_names: Mapping[str, str],
    tell: Callable[[str, int, int], None],
) -> tuple[dict[date, tuple[int, int]], Days]:
    """Rewrite the days whose inputs changed. Returns changed days, and all days."""
    state_path = home.cleaned(settings.name) / "_days.json"
    state = Days.model_validate_json(state_path.read_bytes()) if state_path.exists() else Days()
    wanted = day_fingerprints(settings, parts, event_names)
    # a killed run may have left a day that it was about to remove
    stored = days_on_disk(home, settings.name)
    stale = sorted(
        day
        for day in wanted.keys() | state.days.keys() | stored
        if day not in wanted
        or day not in state.days
        or state.days[day].fingerprint != wanted[day]
        or not present(home, settings.name, day, state.days[day])
    )
    if not stale:
        return {}, state
    before = dict(state.days)
    for day in stale:
        state.days.pop(day, None)
    save(state_path, state)
    changed: dict[date, tuple[int, int]] = {}
    done = 0
    earlier = {
        day: before[day].events if day in before else stored_rows(home.events_file(settings.name, day))
        for day in stale
    }
    tell("assemble", done, len(stale))
    write = partial(write_batch, settings, home, parts, event_names, Lock())
    for written_days in side_by_side(write, batches(settings, home, parts, stale)):
        for written in written_days:
            day = written.day
            if written.changed:
                changed[day] = (earlier[day], written.events)
            if day in wanted:
                state.days[day] = Day(
                    fingerprint=wanted[day], events=written.events, duplicates=written.duplicates
                )
        done += len(written_days)
        save(state_path, state)
        tell("assemble", done, len(stale))
    return changed, state


def write_batch(
    settings: EventSourceSettings,
    home: Home,
    parts: Sequence[Part],
    event_names: Mapping[str, str],
    alone: Lock,
    batch: Batch,
) -> list[WrittenDay]:
    """Write the files of some UTC days; of large days one at a time, while it holds `alone`."""
    if batch.large:
        with alone:
            return [write_large_day(settings, home, parts, day, event_names) for day in batch.days]
    events, duplicates = assemble(settings, home, parts, batch.days, event_names)
    events_of = by_day(events, pl.col("ts").dt.date())
    duplicates_of = by_day(duplicates, pl.col("day"))
    return [
        write_day(home, settings.name, day, events_of.get(day), duplicates_of.get(day)) for day in batch.days
    ]


def day_fingerprints(
    settings: EventSourceSettings, parts: Sequence[Part], event_names: Mapping[str, str]
) -> dict[date, str]:
    """For every UTC day with rows: a hash of all that its files depend on."""
    rules = json.dumps(
        [ASSEMBLY_VERSION, settings.name, repr(settings.deduplication), sorted(event_names.items())]
    )
    reach = settings.deduplication.second_key_days
    # A day on the vendor's clock may lie on two UTC days, so coverage counts with a day to spare.
    spare = timedelta(days=1)
    days = sorted({day for part in parts for day in part.summary.rows})
    inputs: dict[date, list[str]] = {day: [rules] for day in days}
    for part in parts:
        touched = {
            day + timedelta(days=offset) for day in part.summary.rows for offset in range(-reach, reach + 1)
        }
        if settings.deduplication.newest_delivery_wins:
            near = days_near(days, part, spare)
            touched.update(day for day in near if part.covers(day - spare) or part.covers(day + spare))
        for day in touched & inputs.keys():
            inputs[day].append(f"{part.summary.delivery} {part.summary.fingerprint}")
    return {day: hashlib.sha256("\n".join(lines).encode()).hexdigest()[:24] for day, lines in inputs.items()}


def days_near(days: Sequence[date], part: Part, spare: timedelta) -> Sequence[date]:
    """Those of the ascending days that a delivery covers, and some around."""
    first, last = part.manifest.first_day, part.manifest.last_day
    if first is None or last is None:
        return ()
    return days[bisect_left(days, first - spare) : bisect_right(days, last + spare)]


def present(home: Home, source: str, day: date, state: Day) -> bool:
    """Whether the files that `state` promises are there."""
    return (not state.events or home.events_file(source, day).exists()) and (
        not state.duplicates or home.duplicates_file(source, day).exists()
    )


def save(path: Path, state: Days) -> None:
    ordered = Days(days=dict(sorted(state.days.items())))
    write_text(path, ordered.model_dump_json(indent=1) + "\n")
