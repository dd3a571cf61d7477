"""Collecting feedback: every file that lies in a source's inbox is landed once, by its content."""

import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from opsanalytics.lake.locks import exclusive
from opsanalytics.lake.manifests import MANIFEST, Manifest, deliveries, write_manifest
from opsanalytics.lake.paths import Home
from opsanalytics.sources.base import FeedbackSourceSettings
from opsanalytics.sources.errors import InboxError
from opsanalytics.sources.inbox import InboxFile, contents, copy, look, printable
from opsanalytics.sources.landing import Received, commit, sweep, temporary_file

QUIET_SECONDS = 4.0
"""A file whose size or time changed more recently may still be written."""


@dataclass(frozen=True)
class CollectReport:
    """What lay in the inbox."""

    source: str
    landed: tuple[str, ...]
    """Deliveries made of files with new content."""
    known: tuple[str, ...]
    """Files whose content was landed before, also under another name."""
    waiting: tuple[str, ...]
    """Files that are still being written; the next run takes them."""
    records: int
    """Records in the files that were landed."""
    refused: tuple[str, ...] = ()
    """Messages, one for each file that cannot be used; it stays in the inbox and is tried again."""


def collect(
    settings: FeedbackSourceSettings, home: Home, *, now: datetime, quiet_seconds: float = QUIET_SECONDS
) -> CollectReport:
    """Land every finished file of `home.inbox(name)`, and each member of archives; originals stay.

    A file that cannot be used keeps no other from being landed. A file that has grown (the same name, and
    the landed bytes at its beginning) takes the place of what was landed of it.

    Args:
        now: recorded as the time of fetching; aware.
        quiet_seconds: how long a file must have been left alone.

    Raises:
        LockHeldError: another process collects for this source for more than ten minutes.
    """
    inbox = look(home.inbox(settings.name), quiet_seconds)
    refused = [f"{printable(path)}: {why}" for path, why in inbox.odd]
    landed: list[Manifest] = []
    known: list[str] = []
    with exclusive(home, f"collect-{settings.name}"):
        sweep(home, settings.name)
        present = {manifest.sha256: manifest for manifest in deliveries(home, settings.name)}
        for path in inbox.finished:
            try:
                files = contents(path)
            except (InboxError, OSError) as error:
                refused.append(told(error, path))
                continue
            for file in files:
                try:
                    manifest = land(settings, home, file, present, now)
                except (InboxError, OSError) as error:
                    refused.append(told(error, path))
                    continue
                # What a forgotten person was taken out of is replaced when it is delivered again.
                for replaced in [each for each in present.values() if each.delivery == manifest.delivery]:
                    if replaced.sha256 != manifest.sha256:
                        del present[replaced.sha256]
                if manifest.sha256 in present:
                    known.append(file.name)
                else:
                    present[manifest.sha256] = manifest
                    landed.append(manifest)
                for outgrown in [each for each in present.values() if grew(home, each, manifest)]:
                    remove(home, outgrown)
                    del present[outgrown.sha256]
        recount(settings, home, list(present.values()))
    return CollectReport(
        source=settings.name,
        landed=tuple(manifest.delivery for manifest in landed if manifest.sha256 in present),
        known=tuple(known),
        waiting=tuple(printable(path.name) for path in inbox.waiting),
        records=sum(manifest.records for manifest in landed if manifest.sha256 in present),
        refused=tuple(refused),
    )


def land(
    settings: FeedbackSourceSettings,
    home: Home,
    file: InboxFile,
    present: dict[str, Manifest],
    now: datetime,
) -> Manifest:
    """Make a delivery of `file`, unless its content is in `present`; returns the delivery that has it.

    Raises:
        InboxError: it cannot be used.
        OSError: it cannot be read.
    """
    with temporary_file(home, settings.name) as (target, temporary):
        copy(file, target)
        digest = hash_of(temporary)
        if digest in present:
            return present[digest]
        try:
            count = settings.count_records(temporary)
        except InboxError as error:
            raise InboxError(str(error).replace(str(temporary), file.shown)) from error
        suffix = Path(file.name).suffix.lower()
        received = Received(temporary, suffix, temporary.stat().st_size, digest, digest, count)
        manifest, _ = commit(
            home,
            source=settings.name,
            kind=settings.kind,
            delivery=f"{safe_stem(file.name)}-{digest[:12]}",
            first_day=None,
            last_day=None,
            covers=None,
            request={
                "file": os.path.relpath(file.shown, printable(home.inbox(settings.name))),
                "modified": datetime.fromtimestamp(file.path.stat().st_mtime, UTC).isoformat(),
                "counted_with": rules_of(settings),
            },
            status=None,
            attempts=1,
            fetched_at=now.astimezone(UTC),
            received=received,
            file_name="feedback",
        )
    return manifest


def grew(home: Home, before: Manifest, after: Manifest) -> bool:
    """Whether `after` is the same file as `before`, with more at its end."""
    if before.sha256 == after.sha256 or before.request.get("file") != after.request.get("file"):
        return False
    first, second = landed_path(home, before), landed_path(home, after)
    size = first.stat().st_size
    if size >= second.stat().st_size:
        return False
    with first.open("rb") as old, second.open("rb") as new:
        while block := old.read(1024 * 1024):
            if new.read(len(block)) != block:
                return False
    return True


def remove(home: Home, manifest: Manifest) -> None:
    """Take a delivery back. Its manifest goes first: without one nothing counts."""
    folder = home.delivery(manifest.source, manifest.delivery)
    (folder / MANIFEST).unlink()
    shutil.rmtree(folder)


def recount(settings: FeedbackSourceSettings, home: Home, manifests: Iterable[Manifest]) -> None:
    """Count the records of landed files anew where the settings they were counted with have changed.

    A file that does not fit the new settings counts as one record: cleaning sets it aside as one.
    """
    rules = rules_of(settings)
    for manifest in manifests:
        if "file" not in manifest.request or manifest.request.get("counted_with") == rules:
            continue  # pulled pages hold as many records under any settings
        files = []
        for file in manifest.files:
            try:
                records = settings.count_records(
                    home.delivery(manifest.source, manifest.delivery) / file.name
                )
            except InboxError:
                records = 1
            files.append(file.model_copy(update={"records": records}))
        request = manifest.request | {"counted_with": rules}
        write_manifest(home, manifest.model_copy(update={"files": tuple(files), "request": request}))


def rules_of(settings: FeedbackSourceSettings) -> str:
    text = json.dumps(settings.cleaning_fingerprint(), sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:24]


def landed_path(home: Home, manifest: Manifest) -> Path:
    return home.delivery(manifest.source, manifest.delivery) / manifest.files[0].name


def hash_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def told(error: InboxError | OSError, path: Path) -> str:
    """What a person reads about a file that was refused."""
    if isinstance(error, InboxError):
        return str(error).replace(str(path), printable(path))
    if isinstance(error, FileNotFoundError):
        return f"{printable(path)}: it was removed while it was being read; nothing of it was taken."
    return (
        f"{printable(path)}: {error.strerror or error}. Make it readable for the user that runs opsanalytics."
    )


def safe_stem(name: str) -> str:
    """A file name's stem without what could trouble a file system."""
    return re.sub(r"[^A-Za-z0-9_-]+", "-", Path(name).stem).strip("-_")[:60] or "file"
