"""JSON of a vendor's API without some of its records, and the documents that only these needed."""

import json
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

import msgspec

from opsanalytics.lake.files import write_bytes
from opsanalytics.lake.manifests import MANIFEST, Manifest, deliveries
from opsanalytics.lake.paths import Home
from opsanalytics.sources.json_records import load_content
from opsanalytics.sources.paging import SUPPLEMENT, ApiFeedbackSourceSettings

NAMING = ("id", "email", "external_id")
"""Members by which an entry beside the records (a user, say) can be the person's."""
read_list = msgspec.json.Decoder(list[msgspec.Raw]).decode
read_object = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
write = msgspec.json.Encoder().encode


def without_records(
    content: bytes, keys: tuple[str, ...], records: set[int], names: set[str]
) -> Iterator[bytes]:
    """A document, or lines of them, without the records of these numbers (as `json_records` counts).

    `keys` are the members of a page that hold its records; entries of its other lists that are called by
    one of `names` go too. All that stays keeps its text. Nothing is given for what msgspec cannot read.
    """
    try:
        numbers = count(1)
        whole = stripped(content, keys, records, names, numbers)
        if whole is not None:
            yield whole
    except (msgspec.DecodeError, UnicodeError):
        pass  # lines, or nothing that can be written again
    try:
        numbers = count(1)
        lines = [
            stripped(line, keys, records, names, numbers) if line.strip() else line
            for line in content.split(b"\n")
        ]
        yield b"\n".join(line for line in lines if line is not None)
    except (msgspec.DecodeError, UnicodeError):
        return


def stripped(
    raw: bytes, keys: tuple[str, ...], records: set[int], names: set[str], numbers: Iterator[int]
) -> bytes | None:
    """A value without these records; None: it is one of them."""
    start = raw.lstrip()[:1]
    if start == b"[":
        kept = (stripped(bytes(item), keys, records, names, numbers) for item in read_list(raw))
        return write([msgspec.Raw(item) for item in kept if item is not None])
    if start == b"{":
        members = read_object(raw)
        held = next((key for key in keys if key in members and bytes(members[key])[:1] == b"["), None)
        if held is not None:
            left = [item for item in read_list(bytes(members[held])) if next(numbers) not in records]
            for name, value in members.items():
                if bytes(value)[:1] == b"[":
                    members[name] = msgspec.Raw(
                        write(left) if name == held else without_named(bytes(value), names)
                    )
            return write(members)
    return None if next(numbers) in records else raw


def without_named(raw: bytes, names: set[str]) -> bytes:
    """A list beside the records (of users, say) without the entries of the person."""

    def named(item: bytes) -> bool:
        members = read_object(item) if item[:1] == b"{" else {}
        values = (json.loads(bytes(members[key])) for key in NAMING if key in members)
        return any(str(value) in names for value in values)

    items = read_list(raw)
    kept = [item for item in items if not named(bytes(item))]
    return write(kept) if len(kept) < len(items) else raw


def drop_supplements(
    settings: ApiFeedbackSourceSettings, home: Home, manifest: Manifest, before: Path, after: Path
) -> None:
    """Remove the documents that a page needs no more: comments on tickets that were taken out.

    `before` and `after` are files with its content. It is done before the page itself is replaced, so that
    a killed process finds them again.
    """
    stream = manifest.request.get("stream")
    if stream is None or not settings.supplemented:
        return
    now = datetime.now(UTC)  # only versions follow from it, and these do not matter here

    def needed(page: Path) -> set[str]:
        return {each.name for each in settings.supplements(stream, load_content(page), now)}

    gone = needed(before) - needed(after)
    others = [each for each in deliveries(home, settings.name) if each.delivery != manifest.delivery]
    for other in others if gone else ():
        if other.request.get("stream") == stream and "walk" in other.request:
            for file in other.files:
                gone -= needed(home.delivery(settings.name, other.delivery) / file.name)
    for other in others:
        if other.request.get(SUPPLEMENT) in gone:
            folder = home.delivery(settings.name, other.delivery)
            (folder / MANIFEST).unlink()
            shutil.rmtree(folder)


def beside(path: Path, folder: Path) -> Path:
    """Where below `folder` a new version of a landed file finds what landed beside it, as it does itself."""
    place = folder / path.parent.name
    place.mkdir()
    manifest = path.parent / MANIFEST
    if manifest.exists():
        write_bytes(place / MANIFEST, manifest.read_bytes())
        for other in path.parent.parent.iterdir():
            if other.is_dir() and other.name != place.name:
                (folder / other.name).symlink_to(other.resolve(), target_is_directory=True)
    return place / path.name


def outlined(settings: ApiFeedbackSourceSettings, manifest: Manifest, path: Path) -> dict[str, str]:
    """What a pulled page said, for its manifest: the next pull goes on as if nothing had been taken out."""
    if "walk" not in manifest.request:
        return {}
    return {"outline": settings.landed_outline(manifest.request, load_content(path)).as_text()}
