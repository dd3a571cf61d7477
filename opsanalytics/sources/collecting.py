"""Collecting feedback: every file that lies in a source's inbox is landed once, by its content."""

import hashlib
import re
import shutil
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from opsanalytics.lake.locks import exclusive
from opsanalytics.lake.manifests import deliveries
from opsanalytics.lake.paths import Home
from opsanalytics.sources.base import FeedbackSourceSettings
from opsanalytics.sources.errors import InboxError
from opsanalytics.sources.landing import Received, commit, sweep, temporary_file

UNFINISHED = (".part", ".partial", ".tmp", ".crdownload", ".download", ".filepart", ".swp")
QUIET_SECONDS = 2.0
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


def collect(
    settings: FeedbackSourceSettings, home: Home, *, now: datetime, quiet_seconds: float = QUIET_SECONDS
) -> CollectReport:
    """Land every finished file of `home.inbox(name)`; originals stay where they are.

    A file that cannot be used does not keep the others from being landed.

    Args:
        now: recorded as the time of fetching; aware.
        quiet_seconds: how long a file must have been left alone.

    Raises:
        InboxError: at least one file cannot be used; the message lists them all. The usable files
            are landed by then.
        LockHeldError: another process collects for this source for more than ten minutes.
    """
    inbox = home.inbox(settings.name)
    paths = sorted(path for path in inbox.rglob("*") if path.is_file()) if inbox.is_dir() else []
    finished = [path for path in paths if not unfinished(path)]
    quiet = still(finished, quiet_seconds)
    waiting = [path.name for path in paths if path not in quiet and not ignored(path)]
    landed: list[str] = []
    known: list[str] = []
    failed: list[str] = []
    records = 0
    with exclusive(home, f"collect-{settings.name}"):
        sweep(home, settings.name)
        present = {manifest.sha256 for manifest in deliveries(home, settings.name)}
        for path in sorted(quiet):
            with temporary_file(home, settings.name) as (file, temporary):
                with path.open("rb") as original:
                    shutil.copyfileobj(original, file)
                file.flush()
                digest = hashlib.sha256(temporary.read_bytes()).hexdigest()
                if digest in present:
                    known.append(path.name)
                    continue
                try:
                    count = settings.count_records(temporary)
                except InboxError as error:
                    failed.append(str(error).replace(str(temporary), str(path)))
                    continue
                received = Received(
                    temporary, path.suffix.lower(), temporary.stat().st_size, digest, digest, count
                )
                delivery = f"{safe_stem(path)}-{digest[:12]}"
                commit(
                    home,
                    source=settings.name,
                    kind=settings.kind,
                    delivery=delivery,
                    first_day=None,
                    last_day=None,
                    covers=None,
                    request={"file": path.name},
                    status=None,
                    attempts=1,
                    fetched_at=now.astimezone(UTC),
                    received=received,
                    file_name="feedback",
                )
            present.add(digest)
            landed.append(delivery)
            records += count
    if failed:
        raise InboxError(
            f"source {settings.name}: {len(failed)} of {len(quiet)} files cannot be used:\n"
            + "\n".join(failed)
        )
    return CollectReport(settings.name, tuple(landed), tuple(known), tuple(waiting), records)


def ignored(path: Path) -> bool:
    """Hidden files (of the system, of sync tools) are no feedback."""
    return path.name.startswith((".", "~$"))


def unfinished(path: Path) -> bool:
    return ignored(path) or path.suffix.lower() in UNFINISHED


def still(paths: list[Path], quiet_seconds: float) -> set[Path]:
    """Files that nobody has changed for `quiet_seconds`; waits for that only if one is that young."""
    before = {path: signature(path) for path in paths}
    youngest = max((modified for _, modified in before.values()), default=0.0)
    if quiet_seconds > 0 and time.time() - youngest < quiet_seconds:
        time.sleep(quiet_seconds)
    return {path for path in paths if path.exists() and signature(path) == before[path]}


def signature(path: Path) -> tuple[int, float]:
    state = path.stat()
    return state.st_size, state.st_mtime


def safe_stem(path: Path) -> str:
    """The file's name without what could trouble a file system."""
    return re.sub(r"[^A-Za-z0-9_-]+", "-", path.stem).strip("-_")[:60] or "file"
