"""What lies in an inbox: finished files, files still being written, archives, and what is no file at all."""

import gzip
import os
import shutil
import stat
import time
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

from opsanalytics.sources.archives import DamagedArchiveError, damage_told
from opsanalytics.sources.errors import InboxError
from opsanalytics.sources.feedback_files.nearest import nearest

UNFINISHED = (".part", ".partial", ".tmp", ".crdownload", ".download", ".filepart", ".swp", ".opdownload")
GZIP = b"\x1f\x8b"
ZIP = (b"PK\x03\x04", b"PK\x05\x06")
"""How a zip begins, and an empty one."""
WORKBOOK_PART = "[Content_Types].xml"
LARGEST_UNPACKED = 1024**3
"""Files are read whole; a bomb must not take the machine's memory."""
TOO_LARGE = "more than 1 GiB when unpacked. Unpack it, and drop the files in parts."
COPY_BYTES = 1024 * 1024


@dataclass(frozen=True)
class InboxFile:
    """A file to take in: one of the inbox, or a member of an archive there."""

    path: Path
    member: str | None = None
    """Name within the archive; None: the file itself."""
    position: int = 0
    """Place within the archive: names may repeat."""

    @property
    def shown(self) -> str:
        """As messages call it; names need not be UTF-8."""
        path = printable(self.path)
        return path if self.member is None else f"{path}/{printable(self.member)}"

    @property
    def name(self) -> str:
        """Name of what is in it."""
        return printable(self.path.name if self.member is None else self.member.rpartition("/")[2])

    @contextmanager
    def opened(self) -> Iterator[IO[bytes]]:
        """Its bytes, unpacked where it lies in an archive."""
        if self.member is None:
            with self.path.open("rb") as file:
                yield file
        elif is_gzip(self.path):
            with gzip.open(self.path) as unpacked:
                yield cast("IO[bytes]", unpacked)
        else:
            with (
                zipfile.ZipFile(self.path) as archive,
                archive.open(archive.infolist()[self.position]) as member,
            ):
                yield member


@dataclass(frozen=True)
class Inbox:
    """What was found."""

    finished: tuple[Path, ...]
    waiting: tuple[Path, ...]
    """Still being written, by their name or because they change."""
    odd: tuple[tuple[Path, str], ...]
    """What cannot be taken in, and why."""


def look(folder: Path, quiet_seconds: float) -> Inbox:
    """What lies below `folder`. Hidden files and folders are left alone.

    A file counts as finished when nobody has changed it for `quiet_seconds`; that is waited for only if one
    is that young.
    """
    files: list[Path] = []
    waiting: list[Path] = []
    odd: list[tuple[Path, str]] = []
    for path in everything(folder):
        try:
            mode = path.stat().st_mode
        except OSError as error:
            reason = "the link leads nowhere" if path.is_symlink() else str(error.strerror)
            odd.append((path, f"{reason}; remove it, or put the file itself here"))
            continue
        if stat.S_ISDIR(mode):
            if path.is_symlink():
                odd.append((path, "a link to a folder is not followed; put the files themselves here"))
            elif not os.access(path, os.R_OK | os.X_OK):
                odd.append((path, "the folder cannot be read; make it readable, or remove it"))
        elif not stat.S_ISREG(mode):
            odd.append((path, "this is no regular file; remove it"))
        elif unfinished(path.name):
            waiting.append(path)
        else:
            files.append(path)
    finished = still(files, quiet_seconds)
    waiting += [path for path in files if path not in finished]
    return Inbox(tuple(sorted(finished)), tuple(sorted(waiting)), tuple(odd))


def misplaced(root: Path, sources: Iterable[str]) -> list[tuple[Path, str]]:
    """Files below `root`, the folder of all inboxes, that no source would ever take, and what to do."""
    known = set(sources)
    found = []
    for path in everything(root):
        below = path.relative_to(root).parts
        if not path.is_file() or (len(below) > 1 and below[0] in known):
            continue
        if len(below) == 1:
            why = "lies beside the folders of the sources"
        else:
            why = f"no source for feedback is called {below[0]!r}{nearest(below[0], known)}"
        folders = ", ".join(f"{root / name}/" for name in sorted(known)) or "that of a source"
        found.append((path, f"{why}; nothing reads it. Move it into {folders}, or configure a source"))
    return found


def everything(folder: Path) -> list[Path]:
    """All that lies below `folder`, sorted, without hidden files and what is in hidden folders."""
    found: list[Path] = []
    for parent, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not hidden(name)]
        found += [Path(parent, name) for name in (*folders, *files) if not hidden(name)]
    return sorted(found)


def printable(name: str | Path) -> str:
    """A file name with a sign for bytes that are no UTF-8."""
    return os.fsencode(name).decode("utf-8", "replace")


def unfinished(name: str) -> bool:
    """Whether a file of this name is no file yet, or none of anybody's."""
    return hidden(name) or name.lower().endswith(UNFINISHED)


def hidden(name: str) -> bool:
    """Files of the system, of sync tools and of open documents (.~lock.x#, ~$x.xlsx) are no feedback."""
    return name.startswith((".", "~$")) or name in ("__MACOSX", "Thumbs.db", "desktop.ini")


def still(paths: list[Path], quiet_seconds: float) -> set[Path]:
    """Files that nobody has changed for `quiet_seconds`."""
    before = {path: signature(path) for path in paths}
    youngest = max((state[1] for state in before.values() if state), default=0.0)
    missing = quiet_seconds - (time.time() - youngest)
    if missing > 0:
        time.sleep(min(missing, quiet_seconds))
    return {path for path in paths if before[path] is not None and signature(path) == before[path]}


def signature(path: Path) -> tuple[int, float] | None:
    """Size and time of change; None if it is gone."""
    try:
        state = path.stat()
    except FileNotFoundError:
        return None
    return state.st_size, state.st_mtime


def contents(path: Path) -> list[InboxFile]:
    """The file, or what an archive holds: a form's download is often a zip around one CSV.

    Raises:
        InboxError: the archive is damaged, encrypted, too large, or holds nothing.
        OSError: it cannot be read.
    """
    if is_gzip(path):
        check_gzip(path)
        return [InboxFile(path, path.stem if path.suffix.lower() in (".gz", ".gzip") else path.name)]
    with path.open("rb") as file:
        if file.read(4) not in ZIP:
            return [InboxFile(path)]
    try:
        with damage_told(), zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            if any(member.filename == WORKBOOK_PART for member in members):
                return [InboxFile(path)]
            wanted = [
                (member, position)
                for position, member in enumerate(members)
                if not member.is_dir() and not any(hidden(part) for part in member.filename.split("/"))
            ]
            if any(member.flag_bits & 1 for member, _ in wanted):
                raise InboxError(f"{path}: the archive is encrypted. Unpack it, and drop the files.")
            if sum(member.file_size for member, _ in wanted) > LARGEST_UNPACKED:
                raise InboxError(f"{path}: {TOO_LARGE}")
            damaged = archive.testzip()
    except DamagedArchiveError as error:
        raise InboxError(f"{path}: the archive is damaged or cut: {error}. Drop it again.") from error
    if damaged is not None:
        raise InboxError(f"{path}: the archive is damaged at {damaged}. Drop it again.")
    if not wanted:
        raise InboxError(f"{path}: the archive holds no file. Drop the files themselves.")
    return sorted(
        (InboxFile(path, member.filename, position) for member, position in wanted),
        key=lambda file: (file.member or "", file.position),
    )


def is_gzip(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(GZIP)) == GZIP


def check_gzip(path: Path) -> None:
    size = 0
    try:
        with damage_told(), gzip.open(path) as unpacked:
            while block := unpacked.read(COPY_BYTES):
                size += len(block)
                if size > LARGEST_UNPACKED:
                    raise InboxError(f"{path}: {TOO_LARGE}")
    except DamagedArchiveError as error:
        raise InboxError(f"{path}: the archive is damaged or cut: {error}. Drop it again.") from error


def copy(source: InboxFile, target: IO[bytes]) -> None:
    """Write the bytes of `source` to `target`."""
    with source.opened() as original:
        shutil.copyfileobj(original, target, COPY_BYTES)
    target.flush()
