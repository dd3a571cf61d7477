"""Bring the event lake of one source up to date with its landing area."""

import hashlib
import io
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date, timedelta
from functools import partial
from pathlib import Path

import polars as pl
from pydantic import BaseModel, ConfigDict

from opsanalytics.cleaning.assembly import Part, assemble, ranked
from opsanalytics.cleaning.parsing import (
    DeliveryFiles,
    ParsedDelivery,
    Spread,
    fingerprint,
    parse_delivery,
    read_summary,
)
from opsanalytics.cleaning.report import CleanReport
from opsanalytics.cleaning.workers import Workers, processors
from opsanalytics.lake.files import remove_leftovers, write_bytes, write_text
from opsanalytics.lake.locks import exclusive
from opsanalytics.lake.manifests import MANIFEST, Manifest, deliveries, read_manifest
from opsanalytics.lake.paths import Home
from opsanalytics.sources.base import EventSourceSettings

ASSEMBLY_VERSION = 1
"""Raise it when days would come out otherwise from the same parsed deliveries."""
BATCH_ROWS = 1_000_000
"""So many parsed rows are assembled at once; bounds memory, changes no result."""
REPLACED_MEANWHILE = 5
PARALLEL_RECORDS = 400_000
"""Fewer are parsed sooner than processes have started."""
SMALL_RECORDS = 100_000
"""Deliveries up to this size are parsed whole by one process."""


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
    progress: Callable[[str, int, int], None] | None = None,
) -> CleanReport:
    """Parse new deliveries and rewrite the days they change, nothing else.

    Writes `home.events_file`, `home.duplicates_file` and `home.quarantine`; files of days and
    deliveries that no longer exist are removed. Running it again changes no byte.

    Args:
        event_names: source event name to canonical name; others keep theirs.
        progress: told a stage (`parse`, `assemble`), how much is done, and of how much.

    Raises:
        LockHeldError: another process cleans this source for more than ten minutes.
    """
    tell = progress or silent
    with exclusive(home, f"clean-{settings.name}"):
        pairs, parsed = parse_all(settings, home, tell)
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
    settings: EventSourceSettings, home: Home, tell: Callable[[str, int, int], None]
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
        if summary is None or summary.fingerprint != fingerprint(settings, manifest):
            stale.append(manifest)
        else:
            summaries[manifest.delivery] = manifest, summary
    done = len(summaries)
    for manifest, current, summary in parse_stale(settings, home, stale):
        tell("parse", done, len(manifests))
        summaries[manifest.delivery] = current, summary
        done += 1
    tell("parse", done, len(manifests))
    return (
        [summaries[manifest.delivery] for manifest in manifests],
        [manifest.delivery for manifest in stale],
    )


def parse_stale(
    settings: EventSourceSettings, home: Home, stale: Sequence[Manifest]
) -> Iterator[tuple[Manifest, Manifest, ParsedDelivery]]:
    """Parse deliveries; gives each as listed, as it was parsed, and its summary.

    Many records are parsed in several processes: small deliveries as a whole, large ones in parts.
    """
    small = [manifest for manifest in stale if manifest.records <= SMALL_RECORDS]
    large = [manifest for manifest in stale if manifest.records > SMALL_RECORDS]
    if sum(manifest.records for manifest in stale) < PARALLEL_RECORDS or processors() == 1:
        for manifest in stale:
            yield manifest, *parse_current(settings, home, manifest)
        return
    with Workers() as workers:
        results = workers.spread(partial(parse_current, settings, home), small)
        for manifest, (current, summary) in zip(small, results, strict=True):
            yield manifest, current, summary
        for manifest in large:
            yield manifest, *parse_current(settings, home, manifest, workers.spread)


def parse_current(
    settings: EventSourceSettings, home: Home, manifest: Manifest, spread: Spread = map
) -> tuple[Manifest, ParsedDelivery]:
    """Parse a delivery, following it if a fetch replaces it meanwhile."""
    path = home.delivery(settings.name, manifest.delivery) / MANIFEST
    for _ in range(REPLACED_MEANWHILE):
        try:
            return manifest, parse_delivery(settings, home, manifest, spread)
        except FileNotFoundError:
            latest = read_manifest(path)
            if latest.sha256 == manifest.sha256:
                raise
            manifest = latest
    return manifest, parse_delivery(settings, home, manifest, spread)


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
    stale = sorted(
        day
        for day in wanted.keys() | state.days.keys()
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
    for batch in batches(stale, parts, settings.deduplication.second_key_days):
        tell("assemble", done, len(stale))
        events, duplicates = assemble(settings, home, parts, batch, event_names)
        events_of = by_day(events.with_columns(pl.col("ts").dt.date().alias("_day")), "_day")
        duplicates_of = by_day(duplicates.with_columns(pl.col("day").alias("_day")), "_day")
        for day in batch:
            day_events, day_duplicates = events_of.get(day), duplicates_of.get(day)
            earlier = (
                before[day].events if day in before else stored_rows(home.events_file(settings.name, day))
            )
            differs = replace_file(home.events_file(settings.name, day), day_events)
            replace_file(home.duplicates_file(settings.name, day), day_duplicates)
            after = day_events.height if day_events is not None else 0
            if differs:
                changed[day] = (earlier, after)
            if day in wanted:
                state.days[day] = Day(
                    fingerprint=wanted[day],
                    events=after,
                    duplicates=day_duplicates.height if day_duplicates is not None else 0,
                )
        done += len(batch)
        save(state_path, state)
    tell("assemble", done, len(stale))
    return changed, state


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
            touched.update(day for day in days if part.covers(day - spare) or part.covers(day + spare))
        for day in touched & inputs.keys():
            inputs[day].append(f"{part.summary.delivery} {part.summary.fingerprint}")
    return {day: hashlib.sha256("\n".join(lines).encode()).hexdigest()[:24] for day, lines in inputs.items()}


def batches(days: Sequence[date], parts: Sequence[Part], reach: int) -> Iterator[list[date]]:
    """Ascending days in groups of bounded size."""
    batch: list[date] = []
    size = 0
    for day in days:
        near = [day + timedelta(days=offset) for offset in range(-reach, reach + 1)]
        rows = sum(part.summary.rows.get(other, 0) for part in parts for other in near)
        if batch and size + rows > BATCH_ROWS:
            yield batch
            batch, size = [], 0
        batch.append(day)
        size += rows
    if batch:
        yield batch


def by_day(frame: pl.DataFrame, column: str) -> dict[date, pl.DataFrame]:
    parts = frame.partition_by(column, as_dict=True, include_key=False, maintain_order=True)
    return {key[0]: part for key, part in parts.items()}


def replace_file(path: Path, frame: pl.DataFrame | None) -> bool:
    """Make `path` hold `frame`, or remove it if there are no rows. Returns whether it changed."""
    if frame is None or frame.is_empty():
        existed = path.exists()
        path.unlink(missing_ok=True)
        if existed and not any(path.parent.iterdir()):
            path.parent.rmdir()
        return existed
    content = io.BytesIO()
    frame.write_parquet(content, compression="zstd", statistics=True, row_group_size=128 * 1024)
    return write_bytes(path, content.getvalue())


def present(home: Home, source: str, day: date, state: Day) -> bool:
    """Whether the files that `state` promises are there."""
    return (not state.events or home.events_file(source, day).exists()) and (
        not state.duplicates or home.duplicates_file(source, day).exists()
    )


def stored_rows(path: Path) -> int:
    return pl.scan_parquet(path).select(pl.len()).collect().item() if path.exists() else 0


def save(path: Path, state: Days) -> None:
    ordered = Days(days=dict(sorted(state.days.items())))
    write_text(path, ordered.model_dump_json(indent=1) + "\n")
