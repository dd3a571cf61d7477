"""Event sources that are files in a folder or bucket: what a kind defines, and how files are found.

A kind says which files belong together (`file_sets`): each set is landed as one delivery, and when a
file of it changes, the whole set replaces what it held before. `file_landing` does that.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING, ClassVar
from urllib.parse import urlsplit

from pydantic import Field, ValidationInfo, field_validator

from opsanalytics.sources.base import Deduplication, EventSourceSettings
from opsanalytics.sources.errors import SourceError
from opsanalytics.sources.record_files import Format
from opsanalytics.sources.windows import Window

if TYPE_CHECKING:
    from pyarrow.fs import FileInfo

BUCKETS = ("s3", "gs", "gcs")
ANONYMOUS = "anonymous"


@dataclass(frozen=True)
class SourceFile:
    """One file as the listing of its folder or bucket shows it."""

    name: str
    """Path below the source's folder, with `/`."""
    bytes: int
    modified: datetime
    """Aware, UTC."""
    changed: int = 0
    """When a local file was last changed in any way, nanoseconds; no program can set it back."""

    @property
    def signature(self) -> str:
        """Changes when the file does; what the manifest keeps of it."""
        return f"{self.bytes} bytes, {self.modified.isoformat()}" + f", {self.changed}" * bool(self.changed)


@dataclass(frozen=True)
class FileSet:
    """Files that are landed together as one delivery and replace each other together."""

    delivery: str
    """Name of the delivery: the same for all later contents of the set."""
    files: tuple[SourceFile, ...]
    day: date | None = None
    """Day on the vendor's clock that these files are of; None: their names do not tell."""
    final: bool = True
    """Whether they are meant to hold the whole day; intraday files are not."""
    missing: str | None = None
    """What is not there yet, in words: the set is waited for."""

    @property
    def modified(self) -> datetime:
        return max(file.modified for file in self.files)


class EventFileSettings(EventSourceSettings, ABC):
    """Raw events that somebody delivers as files."""

    deduplication: ClassVar[Deduplication] = Deduplication(newest_delivery_wins=False)
    format: Format | None = None
    """jsonl, csv or parquet; told by name and content if not given."""

    path: str = Field(min_length=1)
    """Folder (relative to the configuration file) or bucket: `s3://bucket/folder`, `gs://bucket/folder`."""

    @field_validator("path")
    @classmethod
    def _beside_the_file(cls, value: str, info: ValidationInfo) -> str:
        parts = urlsplit(value)
        if parts.scheme in BUCKETS:
            if parts.username not in (None, ANONYMOUS) or parts.password:
                raise ValueError(
                    "credentials do not belong into the configuration; set the environment variables of "
                    "your cloud (AWS_ACCESS_KEY_ID, GOOGLE_APPLICATION_CREDENTIALS, ...)"
                )
            return value
        if "://" in value:
            raise ValueError(f"{value!r} is neither a folder nor one of s3://, gs://")
        folder = (info.context or {}).get("folder")
        return str((Path(folder) / Path(value).expanduser()).resolve()) if folder else value

    @property
    def public_path(self) -> str:
        """`path` for manifests and messages, without the options of a bucket's address."""
        return self.path.split("?")[0] if "://" in self.path else self.path

    @abstractmethod
    def file_sets(self, files: Sequence[SourceFile]) -> list[FileSet]:
        """The deliveries that the files make; files that are none of this source are left out."""

    def problem_with(self, columns: set[str], *, table: bool) -> str | None:
        """Why a file cannot be used, if so.

        `columns` are those of a table, or the members that the first JSON lines have.
        """
        del columns, table
        return None

    def complete_until(self, fetched_at: datetime) -> datetime:
        """A day is not over before it is over, whatever the file is called."""
        return self.to_wall(fetched_at)

    def spans_without_data(self, landed: Sequence[Window]) -> list[Window]:
        """Before the first delivered day there is nothing to wait for."""
        if not landed:
            return []
        first = min(window.start for window in landed)
        return [Window(datetime.min, first)]  # noqa: DTZ901 - a wall clock


class Folder:
    """The folder or bucket of a source, through Arrow's file systems."""

    def __init__(self, settings: EventFileSettings) -> None:
        """Raises `SourceError` if there is no such folder, or no access to it."""
        from pyarrow.fs import FileSystem, FileType, LocalFileSystem

        self._settings = settings
        with told(settings):
            if "://" in settings.path:
                self._system, self._root = FileSystem.from_uri(settings.path)
                self.local = False
            else:
                self._system, self._root = LocalFileSystem(), str(Path(settings.path).resolve())
                self.local = True
            self._root = self._root.rstrip("/")
            kind = self._system.get_file_info(self._root).type
        if kind != FileType.Directory:
            raise SourceError(
                f"source {settings.name}: there is no folder {settings.public_path} (path). Make it and put "
                "the files there, or correct path; a relative one is relative to the configuration file."
            )

    def files(self, home: Path) -> list[SourceFile]:
        """All files at any depth but hidden ones and those of the home folder, by name."""
        from pyarrow.fs import FileSelector, FileType

        with told(self._settings):
            found = self._system.get_file_info(FileSelector(self._root, recursive=True))
        files = [
            SourceFile(
                info.path.removeprefix(self._root).lstrip("/"),
                info.size,
                modified(info),
                Path(info.path).stat().st_ctime_ns if self.local else 0,
            )
            for info in found
            if info.type == FileType.File and not (self.local and Path(info.path).is_relative_to(home))
        ]
        return sorted((file for file in files if not hidden(file.name)), key=lambda file: file.name)

    @contextmanager
    def open(self, file: SourceFile) -> Iterator[IO[bytes]]:
        """The bytes of a file as they are. Raises `OSError`."""
        path = f"{self._root}/{file.name}"
        # Arrow would decompress what is named .gz
        with self._system.open_input_stream(path, compression=None) as stream:
            yield stream

    def where(self, file: SourceFile) -> str:
        """The file as its owner knows it."""
        return f"{self._settings.public_path.rstrip('/')}/{file.name}"

    def local_path(self, file: SourceFile) -> Path:
        """Where a file of a local folder lies."""
        return Path(self._root) / file.name


def modified(info: "FileInfo") -> datetime:
    moment: datetime | None = info.mtime
    return moment.astimezone(UTC) if moment is not None else datetime(1970, 1, 1, tzinfo=UTC)


def hidden(name: str) -> bool:
    """Files and folders of the system, of sync tools, and markers such as `_SUCCESS`."""
    return any(part.startswith((".", "_", "~$")) for part in PurePosixPath(name).parts)


@contextmanager
def told(settings: EventFileSettings) -> Iterator[None]:
    """Errors of the file system as `SourceError`."""
    try:
        yield
    except OSError as error:
        raise SourceError(
            f"source {settings.name}: {settings.public_path} cannot be read: {error}. Check path, the "
            "permissions and, for a bucket, the credentials in the environment."
        ) from error
