"""Landing files of events: found in a folder or bucket, taken in by content, whole sets at a time.

Unchanged files (size and time) are not read again. A file that is still being written is waited for,
one that cannot be used is told and keeps no other file from being landed.
"""

import hashlib
import shutil
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from opsanalytics.lake.locks import exclusive
from opsanalytics.lake.manifests import LandedFile, Manifest, write_manifest
from opsanalytics.lake.paths import Home
from opsanalytics.sources.collecting import QUIET_SECONDS, safe_stem
from opsanalytics.sources.errors import SourceError
from opsanalytics.sources.fetching import FetchProgress, FetchReport, landed_windows
from opsanalytics.sources.files import EventFileSettings, FileSet, Folder, SourceFile
from opsanalytics.sources.inbox import still, unfinished
from opsanalytics.sources.landing import current, intact, remove_unnamed, sweep, temporary_file
from opsanalytics.sources.record_files import (
    RecordFile,
    RecordFileError,
    UnfinishedFileError,
    suffix_of,
)
from opsanalytics.sources.values import digest
from opsanalytics.sources.windows import Window, midnight, subtracted

PATIENCE = timedelta(minutes=10)
"""A file without its end that was changed less long ago is still being written, otherwise broken."""
SAMPLE_RECORDS = 1_000
LONGEST_LIST = 10


def fetch_files(
    settings: EventFileSettings,
    home: Home,
    first: date,
    last: date,
    *,
    now: datetime,
    progress: Callable[[FetchProgress], None] | None = None,
    force: bool = False,
    quiet_seconds: float = QUIET_SECONDS,
) -> FetchReport:
    """Land the files of the UTC days `first` to `last`, inclusive, and all that changed since landed.

    Files whose names tell no day are landed whichever days are asked for.

    Args:
        now: aware; recorded as the time of fetching.
        force: read every file again, also unchanged ones.
        quiet_seconds: how long a file of a local folder must have been left alone.

    Returns:
        The report; its `problems` name the files that cannot be used, and why.

    Raises:
        SourceError: the folder cannot be read, or none of the files can be used.
        LockHeldError: another process lands files of this source for more than ten minutes.
    """
    with exclusive(home, f"files-{settings.name}"):
        sweep(home, settings.name)
        return _FileFetch(settings, home, now.astimezone(UTC), progress, quiet_seconds).run(
            first, last, force=force
        )


def probe_files(settings: EventFileSettings, home: Home, *, now: datetime) -> str:
    """List the folder and read its newest file: proves access, format and mapping. Lands nothing.

    Returns what was found, in words.

    Raises:
        SourceError: the folder cannot be read, or its newest file not as this kind.
    """
    folder = Folder(settings)
    sets = settings.file_sets(
        [file for file in folder.files(home.root.resolve()) if not unfinished(Path(file.name).name)]
    )
    files = sum(len(each.files) for each in sets)
    if not sets:
        return f"no file of this source in {settings.public_path} yet"
    newest = max((file for each in sets for file in each.files), key=lambda file: (file.modified, file.name))
    with temporary_file(home, settings.name) as (handle, path):
        try:
            with folder.open(newest) as content:
                shutil.copyfileobj(content, handle)
            handle.flush()
            taken = examine(settings, path, newest, cut=now - newest.modified > PATIENCE)
        except (RecordFileError, OSError) as error:
            raise SourceError(f"source {settings.name}: {folder.where(newest)}: {error}") from error
    return f"{files} file(s); the newest, {newest.name}, has {taken.records} record(s)"


@dataclass(frozen=True)
class Taken:
    """A file of a set, copied and proven whole."""

    source: SourceFile
    path: Path
    suffix: str
    sha256: str
    content_sha256: str
    records: int

    @property
    def name(self) -> str:
        """What it is called in the landing area: tells its origin, differs for other contents."""
        origin = digest(self.source.name)[:6]
        stem = safe_stem(self.source.name)
        return f"{stem}-{origin}-{self.content_sha256[:12]}{self.suffix}"


class _FileFetch:
    def __init__(
        self,
        settings: EventFileSettings,
        home: Home,
        now: datetime,
        progress: Callable[[FetchProgress], None] | None,
        quiet_seconds: float,
    ) -> None:
        self.settings = settings
        self.home = home
        self.now = now
        self.folder = Folder(settings)
        self._listener = progress
        self._quiet_seconds = quiet_seconds
        self._state = FetchProgress(settings.name, "", timedelta(0), timedelta(0), 0, 0, 0)
        self._problems: list[str] = []
        self._waiting: list[str] = []

    def run(self, first: date, last: date, *, force: bool) -> FetchReport:
        asked = self.settings.vendor_window(first, last)
        listed = self.folder.files(self.home.root.resolve())
        sets = self.settings.file_sets([file for file in listed if not unfinished(Path(file.name).name)])
        stale = [each for each in sets if self._wanted(each, asked, force)]
        quiet = self._quiet(stale)
        landed: list[Manifest] = []
        changed: list[str] = []
        for number, each in enumerate(stale, start=1):
            if not self._finished(each, quiet):
                continue
            outcome = self._land(each)
            if outcome is None:
                continue
            manifest, differs = outcome
            landed.append(manifest)
            changed += [manifest.delivery] * differs
            self._tell(f"{each.delivery} landed ({number} of {len(stale)} new or changed)", manifest)
        if self._problems and not landed and not landed_before(self.home, sets, self.settings.name):
            raise SourceError(
                f"source {self.settings.name}: none of the files can be used:\n" + "\n".join(self._problems)
            )
        through, not_yet = self._completeness(asked, sets)
        return FetchReport(
            source=self.settings.name,
            deliveries=tuple(manifest.delivery for manifest in landed),
            changed=tuple(changed),
            requests=0,
            records=self._state.records,
            bytes=self._state.bytes,
            skipped=timedelta(days=sum(1 for each in sets if each.day and each not in stale)),
            complete_through=through,
            not_yet=not_yet,
            problems=tuple(self._problems),
        )

    def _wanted(self, each: FileSet, asked: Window, force: bool) -> bool:
        """Whether a set must be read: new and asked for, or changed."""
        before = current(self.home, self.settings.name, each.delivery)
        if before is None or force:
            return each.day is None or asked.first_day <= each.day <= asked.last_day
        if keeps_more(before, each) and intact(self.home.delivery(self.settings.name, each.delivery), before):
            self._confirm(before)
            return False
        return True

    def _confirm(self, before: Manifest) -> None:
        """A file seen unchanged after its day was over is now known to hold all of that day."""
        if before.covers_until is not None and before.fetched_at < min(before.covers_until, self.now):
            write_manifest(self.home, before.model_copy(update={"fetched_at": self.now}))

    def _quiet(self, sets: Sequence[FileSet]) -> set[str]:
        """Files that nobody is writing. An object in a bucket appears only when it is whole."""
        files = [file for each in sets for file in each.files]
        if not self.folder.local:
            return {file.name for file in files}
        paths = {self.folder.local_path(file): file.name for file in files}
        return {paths[path] for path in still(list(paths), self._quiet_seconds)}

    def _finished(self, each: FileSet, quiet: set[str]) -> bool:
        if each.missing:
            self._waiting.append(f"{each.delivery}: {each.missing}")
            return False
        moving = [file.name for file in each.files if file.name not in quiet]
        if moving:
            self._waiting.append(f"{each.delivery}: {', '.join(moving[:3])} is still being written")
        return not moving

    def _land(self, each: FileSet) -> tuple[Manifest, bool] | None:
        """Land a set; None if one of its files is waited for or cannot be used."""
        with ExitStack() as stack:
            taken: list[Taken] = []
            for file in each.files:
                try:
                    taken.append(self._take(file, stack))
                except UnfinishedFileError as error:
                    if self.now - file.modified < PATIENCE:
                        self._waiting.append(f"{self.folder.where(file)}: {error}")
                    else:
                        self._problems.append(f"{self.folder.where(file)}: {error}. Deliver it again.")
                    return None
                except RecordFileError as error:
                    self._problems.append(f"{self.folder.where(file)}: {error}")
                    return None
                except FileNotFoundError:
                    self._waiting.append(f"{self.folder.where(file)} vanished while it was read")
                    return None
                except OSError as error:
                    self._problems.append(f"{self.folder.where(file)}: cannot be read: {error}")
                    return None
            return self._commit(each, taken)

    def _take(self, file: SourceFile, stack: ExitStack) -> Taken:
        handle, path = stack.enter_context(temporary_file(self.home, self.settings.name))
        with self.folder.open(file) as content:
            shutil.copyfileobj(content, handle, 1024 * 1024)
        handle.flush()
        return examine(self.settings, path, file, cut=self.now - file.modified >= PATIENCE)

    def _commit(self, each: FileSet, taken: Sequence[Taken]) -> tuple[Manifest, bool]:
        """Make the files the current content of the set's delivery: data first, then the manifest."""
        settings = self.settings
        folder = self.home.delivery(settings.name, each.delivery)
        folder.mkdir(parents=True, exist_ok=True)
        before = current(self.home, settings.name, each.delivery)
        for file in taken:
            file.path.replace(folder / file.name)
        covers_from, covers_until = self._covers(each)
        manifest = Manifest(
            source=settings.name,
            kind=settings.kind,
            delivery=each.delivery,
            first_day=each.day,
            last_day=each.day,
            covers_from=covers_from,
            covers_until=covers_until,
            request=signatures(each),
            status=None,
            attempts=1,
            fetched_at=self.now,
            files=tuple(
                LandedFile(
                    name=file.name, bytes=(folder / file.name).stat().st_size, sha256=file.sha256,
                    records=file.records,
                )
                for file in taken
            ),
            sha256=hashlib.sha256(
                "".join(f"{file.source.name}\0{file.content_sha256}\n" for file in taken).encode()
            ).hexdigest(),
        )  # fmt: skip
        write_manifest(self.home, manifest)
        remove_unnamed(folder, manifest)
        return manifest, before is None or before.sha256 != manifest.sha256

    def _covers(self, each: FileSet) -> tuple[datetime | None, datetime | None]:
        """The day a set holds whole; where its name does not tell, only when it was last written."""
        if each.day is None:
            return None, each.modified
        if not each.final:
            return None, None
        start = midnight(each.day)
        return self.settings.to_utc(start), self.settings.to_utc(start + timedelta(days=1))

    def _completeness(self, asked: Window, sets: Sequence[FileSet]) -> tuple[datetime | None, str | None]:
        """Up to where days landed whole, and what is missing or waited for, in words."""
        reasons = list(self._waiting)
        through = None
        if any(each.day for each in sets) or not sets:
            landed = landed_windows(self.settings, self.home, self.settings.complete_until)
            known = [*landed, *self.settings.spans_without_data(landed)]
            gaps = subtracted(asked, known)
            if gaps:
                through = self.settings.to_utc(gaps[0].start) if gaps[0].start > asked.start else None
                spans = [str(gap) for gap in gaps]
                reasons.append(
                    f"no final file for {', '.join(spans[:LONGEST_LIST])} in {self.settings.public_path}"
                )
            else:
                through = self.settings.to_utc(asked.end)
        return through, "; ".join(reasons) or None

    def _tell(self, message: str, manifest: Manifest) -> None:
        self._state = replace(
            self._state,
            message=message,
            records=self._state.records + manifest.records,
            bytes=self._state.bytes + sum(file.bytes for file in manifest.files),
        )
        if self._listener is not None:
            self._listener(self._state)


def examine(settings: EventFileSettings, path: Path, file: SourceFile, *, cut: bool) -> Taken:
    """Prove that a copied file is whole and of this source.

    Raises:
        RecordFileError: it is not; `UnfinishedFileError` if only its end is missing.
    """
    found = RecordFile(path, suffix_of(path, file.name, settings.format))
    columns = found.columns(SAMPLE_RECORDS)
    problem = settings.problem_with(columns, table=found.is_table) if columns is not None else None
    if problem:
        raise RecordFileError(problem)
    counted = found.count(cut=cut)
    with path.open("rb") as content:
        sha256 = hashlib.file_digest(content, "sha256").hexdigest()
    return Taken(file, path, found.suffix, sha256, counted.content_sha256, counted.records)


def signatures(each: FileSet) -> dict[str, str]:
    """The files of a set with size and time, as the manifest keeps them."""
    return {file.name: file.signature for file in each.files}


def keeps_more(before: Manifest, each: FileSet) -> bool:
    """Whether what landed has all that these files hold.

    So it is if nothing changed, if some files were merely taken away (buckets delete what is old), and if
    the final files were, so that only the preliminary ones are left.
    """
    gone = signatures(each).items() <= before.request.items()
    return gone or (before.covers_from is not None and not each.final)


def landed_before(home: Home, sets: Sequence[FileSet], source: str) -> bool:
    return any(current(home, source, each.delivery) is not None for each in sets)
