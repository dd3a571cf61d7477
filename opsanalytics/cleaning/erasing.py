"""Landed deliveries without the records of forgotten persons; all other records keep their bytes.

Order: new data file (named by its content), manifest, removal of the old file. Killed anywhere, the
delivery is whole: the old one, the new one, or the new one beside a file that counts no more.
"""

import gzip
import hashlib
import io
import os
import re
import shutil
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO

from opsanalytics.cleaning.erasing_inbox import copied, scrub_inbox
from opsanalytics.cleaning.erasing_messages import NotTakenOutError, unpacked, without_messages
from opsanalytics.cleaning.erasing_pages import drop_supplements, outlined
from opsanalytics.cleaning.erasing_records import Eraser, Found
from opsanalytics.cleaning.erasing_tables import TABLES, count_rows, without_rows
from opsanalytics.cleaning.lines import Gunzipped, Readable, read_pieces
from opsanalytics.lake.erasures import PersonIds, Tombstones, read_tombstones
from opsanalytics.lake.locks import exclusive
from opsanalytics.lake.manifests import Erasure, LandedFile, Manifest, deliveries, write_manifest
from opsanalytics.lake.paths import Home
from opsanalytics.sources.archives import event_members
from opsanalytics.sources.base import (
    EventApiSettings,
    EventSourceSettings,
    FeedbackSourceSettings,
    SourceSettings,
)
from opsanalytics.sources.errors import CredentialError, InboxError
from opsanalytics.sources.landing import (
    LineCounter,
    check_zip,
    current,
    remove_unnamed,
    sweep,
    temporary_file,
)
from opsanalytics.sources.limiter import SharedLimiter
from opsanalytics.sources.paging import ApiFeedbackSourceSettings

READ_BYTES = 4 * 1024 * 1024
PLAIN_ID = re.compile(r"[A-Za-z0-9_.@:+|-]+")
"""Ids that every writer of JSON spells alike, unless it escapes what needs no escape."""
LINES = (".jsonl", ".jsonl.gz", ".zip")


@dataclass(frozen=True)
class Scrubbed:
    """What was taken out of the landed files of a source."""

    deliveries: int
    records: int
    mentions: int
    kept: tuple[Path, ...] = ()
    """Files that messages of the forgotten cannot be taken out of: they stay, and cleaning leaves these
    messages out."""


def landing_lock(settings: SourceSettings, home: Home) -> str:
    """Name of the lock that is held while deliveries of a source are replaced."""
    if isinstance(settings, EventApiSettings):
        try:
            counted_by = settings.limited_by(os.environ)
        except CredentialError:
            counted_by = settings.project_key  # without it nothing is fetched either
        return SharedLimiter(home, settings.kind, counted_by, settings.limits).name
    if isinstance(settings, EventSourceSettings):
        return f"files-{settings.name}"
    return f"collect-{settings.name}"


@dataclass(frozen=True)
class Candidates:
    """What every line has that names a person: one of these bytes, in upper or lower case."""

    ids: tuple[bytes, ...]
    """In lower case."""

    def search(self, line: bytes) -> bool:
        """Whether the line may name the person; a backslash may spell any id otherwise."""
        # Several times as fast as a regular expression of alternatives that takes any case.
        plain = line.lower()
        return b"\\" in plain or any(each in plain for each in self.ids)


def candidates(ids: PersonIds) -> Candidates | None:
    """What to look for in lines to find those that name one of `ids`; None: any line may."""
    known = sorted({*ids.own, *(device for _, device in ids.devices)})
    if not all(PLAIN_ID.fullmatch(each) for each in known):
        return None
    return Candidates(tuple(each.lower().encode() for each in known))


def scrub_source(settings: SourceSettings, home: Home, *, only: Candidates | None = None) -> Scrubbed:
    """Take the forgotten out of every delivery of a source, and out of its inbox.

    Args:
        only: lines that do not fit it name nobody who is to be erased (see `candidates`).

    Raises:
        LockHeldError: another process fetches or collects for this source.
    """
    stones = read_tombstones(home)
    total = Scrubbed(0, 0, 0)
    if stones is None:
        return total
    kept: list[Path] = []
    if isinstance(settings, FeedbackSourceSettings):
        with exclusive(home, landing_lock(settings, home)):
            kept += scrub_inbox(settings, home, Eraser(stones))
    for manifest in list(deliveries(home, settings.name)):
        after = scrub(settings, home, manifest, stones, kept, only=only)
        notes = after.erasures[len(manifest.erasures) :]
        total = Scrubbed(
            total.deliveries + bool(notes),
            total.records + sum(note.records for note in notes),
            total.mentions + sum(note.mentions for note in notes),
        )
    with exclusive(home, landing_lock(settings, home)):
        sweep(home, settings.name)
    return replace(total, kept=tuple(kept))


def scrub(
    settings: SourceSettings,
    home: Home,
    manifest: Manifest,
    stones: Tombstones,
    kept: list[Path],
    *,
    only: Candidates | None = None,
) -> Manifest:
    """Take the forgotten out of one delivery. Returns its manifest as it is then.

    Files that this cannot be done with are added to `kept`.
    """
    eraser = Eraser(stones)
    folder = home.delivery(settings.name, manifest.delivery)
    with exclusive(home, landing_lock(settings, home)):
        latest = current(home, settings.name, manifest.delivery)
        if latest is None or latest.sha256 != manifest.sha256:
            return latest or manifest  # fetched anew meanwhile; the next cleaning comes to it
        files: list[LandedFile] = []
        contents: list[str] = []
        found = Found()
        remembered: dict[str, str] = {}
        for landed in manifest.files:
            own = found_in(settings, eraser, folder / landed.name, only, kept)
            if not own:
                files.append(landed)
                contents.append(landed.sha256)
                continue
            with temporary_file(home, settings.name) as (file, path):
                rewrite(settings, eraser, folder / landed.name, file, only)
                file.flush()
                if isinstance(settings, ApiFeedbackSourceSettings):
                    remembered |= outlined(settings, manifest, folder / landed.name)
                    drop_supplements(settings, home, manifest, folder / landed.name, path)
                content_sha256, records = counted(settings, path, landed.name)
                stem, _, suffix = landed.name.partition(".")
                name = f"{stem.rpartition('-')[0] or stem}-{content_sha256[:12]}.{suffix}"
                size, wire = path.stat().st_size, hashlib.sha256(path.read_bytes()).hexdigest()
                path.replace(folder / name)
            files.append(LandedFile(name=name, bytes=size, sha256=wire, records=records))
            contents.append(content_sha256)
            found.add(own)
        if not found:
            return manifest
        at = {person.audit: person.at for person in stones.persons}
        notes = tuple(
            Erasure(audit=audit, at=at[audit], records=found.records[audit], mentions=found.mentions[audit])
            for audit in sorted(found.records.keys() | found.mentions.keys())
        )
        whole = contents[0] if len(contents) == 1 else hashlib.sha256("".join(contents).encode()).hexdigest()
        manifest = manifest.model_copy(
            update={
                "files": tuple(files),
                "sha256": whole,
                "erasures": (*manifest.erasures, *notes),
                "request": manifest.request | remembered,
            }
        )
        write_manifest(home, manifest)
        remove_unnamed(folder, manifest)
    return manifest


def found_in(
    settings: SourceSettings,
    eraser: Eraser,
    landed: Path,
    only: Candidates | None,
    kept: list[Path],
) -> Found:
    """As `named_in`; nobody, if nothing can be taken out of the file."""
    try:
        return named_in(settings, eraser, landed, only)
    except NotTakenOutError:
        kept.append(landed)
    except InboxError:
        # It does not fit the settings of today: cleaning sets it aside as a whole, and its content apart.
        return Found()
    return Found()


def named_in(settings: SourceSettings, eraser: Eraser, landed: Path, only: Candidates | None) -> Found:
    """Whom of the forgotten a landed file names."""
    found = Found()
    if isinstance(settings, FeedbackSourceSettings):
        without_messages(settings, eraser, landed, found)
    elif isinstance(settings, EventSourceSettings) and landed.name.endswith(LINES):
        for piece in read_pieces(landed):
            remaining(settings, eraser, piece.content.split(b"\n"), found, only)
    elif isinstance(settings, EventSourceSettings) and landed.name.endswith(TABLES):
        rows_of(settings, eraser, landed, found, only)
    else:
        raise NotTakenOutError(
            f"{landed}: nothing can be taken out of this kind of file. Remove the person where it comes "
            "from, and fetch or deliver it again."
        )
    return found


def rows_of(
    settings: EventSourceSettings,
    eraser: Eraser,
    landed: Path,
    found: Found,
    only: Candidates | None,
) -> set[int]:
    """Numbers (from 1) of the rows of a table that are of the forgotten."""
    rows: set[int] = set()
    number = 0
    for piece in read_pieces(landed):
        lines = [line for line in piece.content.split(b"\n") if line.strip()]
        for audit, line in zip(eraser.audits_of(settings, lines), lines, strict=True):
            number += 1
            if audit is not None:
                found.records[audit] += 1
                rows.add(number)
            elif only is None or only.search(line):
                eraser.without_mentions(line, found)
    return rows


def rewrite(
    settings: SourceSettings,
    eraser: Eraser,
    landed: Path,
    file: IO[bytes],
    only: Candidates | None,
) -> None:
    """Write what is left of a landed file."""
    if isinstance(settings, FeedbackSourceSettings):
        file.write(without_messages(settings, eraser, landed, Found()))
    elif isinstance(settings, EventSourceSettings) and landed.name.endswith(TABLES):
        file.write(without_rows(eraser, landed, rows_of(settings, eraser, landed, Found(), only)))
    elif isinstance(settings, EventSourceSettings) and landed.suffix == ".zip":
        with zipfile.ZipFile(landed) as archive, zipfile.ZipFile(file, "w") as left:
            events = {member.filename for member in event_members(archive)}
            for info in archive.infolist():
                with archive.open(info) as member, left.open(copied(info), "w") as target:
                    if info.filename in events:
                        rewrite_member(settings, eraser, member, target, only)
                    else:
                        shutil.copyfileobj(member, target)
    elif isinstance(settings, EventSourceSettings):
        with landed.open("rb") as content:
            if landed.suffix == ".gz":
                pack(without_lines(settings, eraser, Gunzipped(content), Found(), only), file)
            else:
                file.writelines(without_lines(settings, eraser, content, Found(), only))


def rewrite_member(
    settings: EventSourceSettings,
    eraser: Eraser,
    member: IO[bytes],
    target: IO[bytes],
    only: Candidates | None,
) -> None:
    """A member of an archive; one that loses nothing keeps its bytes."""
    packed = member.read()
    found = Found()
    for _ in without_lines(settings, eraser, Gunzipped(io.BytesIO(packed)), found, only):
        pass
    if found:
        pack(without_lines(settings, eraser, Gunzipped(io.BytesIO(packed)), Found(), only), target)
    else:
        target.write(packed)


def pack(blocks: Iterator[bytes], target: IO[bytes]) -> None:
    """As gzip; equal content is equal bytes."""
    with gzip.GzipFile(fileobj=target, mode="wb", filename="", mtime=0, compresslevel=6) as packed:
        for block in blocks:
            packed.write(block)


def counted(settings: SourceSettings, path: Path, name: str) -> tuple[str, int]:
    """Hash of the decoded content of a file called `name`, and its records, as landing would have them."""
    if isinstance(settings, FeedbackSourceSettings):
        return hashlib.sha256(path.read_bytes()).hexdigest(), settings.count_records(path)
    if name.endswith(".zip"):
        return check_zip(path)
    if name.endswith(TABLES):
        return hashlib.sha256(unpacked(path.read_bytes())).hexdigest(), count_rows(path, name)
    lines = LineCounter()
    with path.open("rb") as content:
        source: Readable = Gunzipped(content) if name.endswith(".gz") else content
        while block := source.read(READ_BYTES):
            lines.feed(block)
    return lines.sha256, lines.records


def without_lines(
    settings: EventSourceSettings,
    eraser: Eraser,
    content: Readable,
    found: Found,
    only: Candidates | None,
) -> Iterator[bytes]:
    """The lines of a file that stay, in blocks, with their ends."""
    begun: list[bytes] = []
    while block := content.read(READ_BYTES):
        end = block.rfind(b"\n") + 1
        if not end:
            begun.append(block)
            continue
        lines = b"".join([*begun, block[:end]]).split(b"\n")
        begun = [block[end:]]
        yield b"".join(line + b"\n" for line in remaining(settings, eraser, lines[:-1], found, only))
    if any(begun):
        yield b"".join(remaining(settings, eraser, [b"".join(begun)], found, only))


def remaining(
    settings: EventSourceSettings,
    eraser: Eraser,
    lines: list[bytes],
    found: Found,
    only: Candidates | None,
) -> list[bytes]:
    """Lines without those of the forgotten; blank ones stay."""
    places = [at for at, line in enumerate(lines) if line.strip() and (only is None or only.search(line))]
    if not places:
        return lines
    left: list[bytes | None] = list(lines)
    for at, audit in zip(places, eraser.audits_of(settings, [lines[at] for at in places]), strict=True):
        if audit is not None:
            found.records[audit] += 1
            left[at] = None
        else:
            left[at] = eraser.without_mentions(lines[at], found)
    return [line for line in left if line is not None]
