"""Landing: an answer streams to disk as received, is proven complete, and only then counts.

Order of a commit: data file (named by its content), manifest, removal of what the manifest does not
name. Killed anywhere, the delivery is either the old one or the new one.
"""

import hashlib
import json
import os
import tempfile
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import IO, Literal

from isal import igzip, isal_zlib

from opsanalytics.lake.manifests import MANIFEST, LandedFile, Manifest, read_manifest, write_manifest
from opsanalytics.lake.paths import Home
from opsanalytics.sources.archives import (
    DamagedArchiveError,
    check_directory,
    damage_told,
    event_members,
)

EARLY_END = b"terminated early"
COMPLETE = "_complete"
"""End of the names of markers in an archive."""
ZIP_BEGIN = b"PK"
SHOWN_BYTES = 80
READ_BYTES = 1024 * 1024
Body = Literal["jsonl", "zip", "page"]
"""Lines of JSON; an archive of such; one JSON object with a list `results`."""


class IncompleteBodyError(ValueError):
    """The body is not a whole export."""


class EarlyEndError(IncompleteBodyError):
    """The vendor itself says that it gave up: a smaller window may help."""


class NoExportError(IncompleteBodyError):
    """Something else came under status 200: an error in JSON, the page of a proxy or of a login."""


class DoubtfulBodyError(IncompleteBodyError):
    """Nothing proves that the body is whole, nothing proves the contrary: ask again and compare."""

    def __init__(self, message: str, content_sha256: str) -> None:
        super().__init__(message)
        self.content_sha256 = content_sha256


@dataclass(frozen=True)
class Received:
    """A complete body in a temporary file."""

    path: Path
    suffix: str
    bytes: int
    wire_sha256: str
    content_sha256: str
    records: int


class LineCounter:
    """Follows decoded JSON lines: how many, their hash, and how they end."""

    def __init__(self, *, member: str | None = None, export: bool = False) -> None:
        """`export`: they come from a vendor, and `check_end` looks after records, objects with `member`."""
        self._member = member
        self._digest = hashlib.sha256()
        self._ended = 0
        self._tail = b""
        self._last = b""
        self._first = b""
        self._has_events = not export

    def feed(self, content: bytes) -> None:
        self._digest.update(content)
        lines = content.split(b"\n")
        lines[0] = self._tail + lines[0]
        self._tail = lines.pop()
        filled = [line for line in lines if line.strip()]
        if filled:
            self._ended += len(filled)
            self._last = filled[-1]
            self._first = self._first or filled[0]
            # in nearly every body the first line tells, so that the others are not looked at
            self._has_events = self._has_events or any(self._may_be_event(line) for line in filled)

    @property
    def sha256(self) -> str:
        return self._digest.hexdigest()

    @property
    def records(self) -> int:
        """Lines that are not blank, the last one also without an end."""
        return self._ended + bool(self._tail.strip())

    @property
    def ends_inside_a_record(self) -> bool:
        """Whether the last line has neither an end nor is JSON by itself."""
        try:
            json.loads(self._tail.strip() or b"{}")
        except (ValueError, RecursionError):
            return True
        return False

    def check_end(self) -> None:
        """Raises `IncompleteBodyError` unless the content is empty or whole lines ending in JSON."""
        last = self._tail if self._tail.strip() else self._last
        if EARLY_END in last.lower() and not is_record(last, self._member):
            raise EarlyEndError("the export says 'terminated early'")
        whole = not self._tail.strip() or is_json(last) or last.lstrip().startswith(b"<")
        if last and whole and not self._has_events and not self._may_be_event(last):
            raise NoExportError(f"the answer is no export, it begins with {shown(self._first or last)}")
        if self._tail.strip():
            raise IncompleteBodyError("the last line has no end: the body was cut")
        if last and not is_record(last, self._member):
            raise DoubtfulBodyError(f"the last line is not a JSON record: {last[:80]!r}", self.sha256)

    def _may_be_event(self, line: bytes) -> bool:
        """Whether a line is a record, or what may be left of one."""
        sign = b"{" if self._member is None else f'"{self._member}"'.encode()
        if sign not in line or line.lstrip().startswith(b"<"):
            return False
        return is_record(line, self._member) or not is_json(line)


def is_record(line: bytes, member: str | None) -> bool:
    """Whether a line is a JSON object that has `member` (None: any object)."""
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return False
    return isinstance(record, dict) and (member is None or member in record)


def is_json(line: bytes) -> bool:
    try:
        json.loads(line)
    except (ValueError, RecursionError):
        return False
    return True


@contextmanager
def temporary_file(home: Home, source: str) -> Iterator[tuple[IO[bytes], Path]]:
    """A file beside the deliveries of `source` that counts for nothing until it is committed."""
    folder = home.landing / source
    folder.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=".receiving.", suffix=".tmp", dir=folder)
    path = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            path.chmod(0o644)
            yield file, path
    finally:
        path.unlink(missing_ok=True)


def receive(
    chunks: Iterable[bytes],
    file: IO[bytes],
    path: Path,
    *,
    body: Body,
    gzipped: bool,
    expected_bytes: int | None,
    framed: bool,
    believed: str | None,
    progress: Callable[[int], None],
    member: str | None = None,
) -> Received:
    """Write `chunks` to `file` unchanged and prove that they are a whole export.

    Args:
        gzipped: the bytes are gzip (Content-Encoding); they stay so on disk.
        expected_bytes: announced length of the bytes as sent, if it was announced.
        framed: the transfer itself shows its end (chunked). A body that is neither announced, nor
            framed, nor compressed may have been cut between two lines without a trace.
        believed: hash of the content of an earlier doubtful answer to the same request; when the
            same content comes again it is taken for what the vendor has.
        progress: told the bytes so far.
        member: what every record of JSON lines has; None: any object is a record.

    Raises:
        IncompleteBodyError: cut, ended early by the vendor, or not what it claims to be.
        NoExportError: something else than an export.
        DoubtfulBodyError: nothing shows where it ends, or its last line is broken.
    """
    wire = hashlib.sha256()
    lines = LineCounter(member=member, export=True)
    decoder = GzipStream() if gzipped else None
    total = 0
    for chunk in chunks:
        total += len(chunk)
        decoded = decoder.feed(chunk) if decoder else chunk
        # an archive that a proxy packed once more is unpacked: it must open where it lies
        kept = decoded if body == "zip" else chunk
        file.write(kept)
        wire.update(kept)
        if body == "jsonl":
            lines.feed(decoded)
        progress(total)
    file.flush()
    os.fsync(file.fileno())
    if expected_bytes is not None and total != expected_bytes:
        raise IncompleteBodyError(f"{total} of {expected_bytes} announced bytes came")
    if body == "zip":
        if decoder is not None:
            decoder.finish()
        content_sha256, records = check_zip(path)
        return Received(path, ".zip", path.stat().st_size, wire.hexdigest(), content_sha256, records)
    if body == "page":
        content_sha256, records = check_page(path, gzipped=gzipped)
        suffix = ".json.gz" if gzipped else ".json"
        return Received(path, suffix, total, wire.hexdigest(), content_sha256, records)
    if decoder is not None and total:
        decoder.finish()
    proven = expected_bytes is not None or framed or (gzipped and total > 0)
    if lines.sha256 != believed:
        lines.check_end()
        if not proven:
            raise DoubtfulBodyError("nothing shows where the body ends", lines.sha256)
    suffix = ".jsonl.gz" if gzipped else ".jsonl"
    return Received(path, suffix, total, wire.hexdigest(), lines.sha256, lines.records)


class GzipStream:
    """Decodes gzip as it arrives, any number of members."""

    def __init__(self) -> None:
        self._decoder = isal_zlib.decompressobj(wbits=31)
        self._inside = False

    def feed(self, chunk: bytes) -> bytes:
        decoded = []
        try:
            while chunk:
                self._inside = True
                decoded.append(self._decoder.decompress(chunk))
                chunk = self._decoder.unused_data
                if self._decoder.eof:
                    self._decoder = isal_zlib.decompressobj(wbits=31)
                    self._inside = False
        except isal_zlib.error as error:  # type: ignore[misc]  # its stub knows no type
            raise IncompleteBodyError(f"the gzip stream is damaged: {error}") from error
        return b"".join(decoded)

    def finish(self) -> None:
        if self._inside:
            raise IncompleteBodyError("the gzip stream ends before its end: the body was cut")


def check_zip(path: Path) -> tuple[str, int]:
    """Run every member of an Amplitude export to its end. Returns content hash and lines.

    Raises:
        IncompleteBodyError: it is damaged or cut, or no export at all.
    """
    content = hashlib.sha256()
    records = 0
    try:
        with damage_told(), zipfile.ZipFile(path) as archive:
            check_directory(path, archive)
            events = event_members(archive)
            others = {member.filename for member in archive.infolist() if not member.is_dir()}
            others -= {member.filename for member in events}
            for name in sorted(others):
                archive.open(name).close()  # a member whose name was damaged is no longer one of the events
            for member in events:
                counter = LineCounter()
                with archive.open(member) as packed, igzip.open(packed) as decoded:
                    while block := decoded.read(READ_BYTES):
                        counter.feed(block)
                content.update(f"{member.filename}\0{counter.sha256}\n".encode())
                records += counter.records
    except DamagedArchiveError as error:
        if not begins_as_zip(path):
            raise NoExportError(
                f"the answer is no archive, it begins with {shown(beginning(path))}"
            ) from error
        raise IncompleteBodyError(f"the archive is damaged or cut: {error}") from error
    unknown = sorted(name for name in others if not name.endswith(COMPLETE))
    if unknown and not events:
        raise NoExportError(f"the archive holds no events, but {', '.join(unknown[:3])}")
    return content.hexdigest(), records


def begins_as_zip(path: Path) -> bool:
    """Whether nothing of the beginning speaks against an archive; a body that was cut at once does not."""
    begin = beginning(path)[: len(ZIP_BEGIN)]
    return ZIP_BEGIN.startswith(begin)


def shown(content: bytes) -> str:
    """The first bytes of an answer, for messages."""
    return repr(content[:SHOWN_BYTES].decode("utf-8", "replace"))


def beginning(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(SHOWN_BYTES)


def check_page(path: Path, *, gzipped: bool) -> tuple[str, int]:
    """Read a JSON object to its end. Returns content hash and how many `results` it has."""
    content = path.read_bytes()
    if gzipped:
        decoder = GzipStream()
        content = decoder.feed(content)
        decoder.finish()
    try:
        page = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise IncompleteBodyError(f"the answer is not JSON: {error}") from error
    if not isinstance(page, dict) or not isinstance(page.get("results"), list):
        raise IncompleteBodyError("the answer has no list `results`")
    return hashlib.sha256(content).hexdigest(), len(page["results"])


def commit(
    home: Home,
    *,
    source: str,
    kind: str,
    delivery: str,
    first_day: date | None,
    last_day: date | None,
    covers: tuple[datetime, datetime] | None,
    request: dict[str, str],
    status: int | None,
    attempts: int,
    fetched_at: datetime,
    received: Received | Sequence[Received] | None,
    file_name: str = "events",
    project: str | None = None,
) -> tuple[Manifest, bool]:
    """Make a received body (None: an empty answer; several: the parts of one) the content of `delivery`.

    Content that is already there keeps its data file, byte for byte; only the manifest is renewed.
    The caller holds the source's lock. Returns the manifest and whether the content changed.
    """
    folder = home.delivery(source, delivery)
    folder.mkdir(parents=True, exist_ok=True)
    before = current(home, source, delivery)
    parts = () if received is None else (received,) if isinstance(received, Received) else tuple(received)
    content_sha256 = combined_sha256(parts)
    if before is not None and before.sha256 == content_sha256 and intact(folder, before):
        files = before.files
    else:
        files = tuple(put_in_place(part, folder, file_name) for part in parts)
    manifest = Manifest(
        source=source,
        kind=kind,
        delivery=delivery,
        first_day=first_day,
        last_day=last_day,
        covers_from=covers[0] if covers else None,
        covers_until=covers[1] if covers else None,
        project=project,
        request=request,
        status=status,
        attempts=attempts,
        fetched_at=fetched_at,
        files=files,
        sha256=content_sha256,
    )
    write_manifest(home, manifest)
    remove_unnamed(folder, manifest)
    return manifest, before is None or before.sha256 != manifest.sha256


def combined_sha256(parts: Sequence[Received]) -> str:
    """Hash of the decoded content of all parts; of a single one its own."""
    if len(parts) == 1:
        return parts[0].content_sha256
    return hashlib.sha256("".join(part.content_sha256 for part in parts).encode()).hexdigest()


def put_in_place(part: Received, folder: Path, file_name: str) -> LandedFile:
    """Move a received body into its delivery, named by its content."""
    name = f"{file_name}-{part.content_sha256[:12]}{part.suffix}"
    part.path.replace(folder / name)
    return LandedFile(name=name, bytes=part.bytes, sha256=part.wire_sha256, records=part.records)


def current(home: Home, source: str, delivery: str) -> Manifest | None:
    """The committed manifest of a delivery, if there is one."""
    path = home.delivery(source, delivery) / MANIFEST
    return read_manifest(path) if path.exists() else None


def intact(folder: Path, manifest: Manifest) -> bool:
    """Whether the data files a manifest names are there with their size."""
    return all(
        (folder / file.name).is_file() and (folder / file.name).stat().st_size == file.bytes
        for file in manifest.files
    )


def remove_unnamed(folder: Path, manifest: Manifest) -> None:
    """Remove files of earlier or killed commits from a delivery."""
    named = {file.name for file in manifest.files} | {MANIFEST}
    for path in folder.iterdir():
        if path.name not in named:
            path.unlink(missing_ok=True)


def sweep(home: Home, source: str) -> None:
    """Remove what killed processes left in the landing area of `source`. Hold its lock."""
    folder = home.landing / source
    if not folder.is_dir():
        return
    for leftover in folder.glob(".*.tmp"):
        leftover.unlink(missing_ok=True)
    for delivery in folder.iterdir():
        manifest = current(home, source, delivery.name) if delivery.is_dir() else None
        if manifest is not None:
            remove_unnamed(delivery, manifest)
        elif delivery.is_dir():
            for path in delivery.iterdir():
                path.unlink(missing_ok=True)
            delivery.rmdir()
