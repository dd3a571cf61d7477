"""Landed profiles without those of forgotten persons."""

import hashlib
import json

import msgspec

from opsanalytics.cleaning.erasing_messages import packed, read_raw_list, read_raw_object, unpacked, write
from opsanalytics.cleaning.erasing_records import Eraser, Found
from opsanalytics.lake.erasures import read_tombstones
from opsanalytics.lake.locks import exclusive
from opsanalytics.lake.manifests import Erasure, LandedFile, Manifest, deliveries, write_manifest
from opsanalytics.lake.paths import Home
from opsanalytics.sources.base import EventSourceSettings
from opsanalytics.sources.landing import remove_unnamed, sweep, temporary_file

RESULTS = "results"


def scrub_profiles(settings: EventSourceSettings, home: Home) -> int:
    """Take the forgotten out of the profiles of a source. Returns how many deliveries changed.

    Raises:
        LockHeldError: another process fetches profiles of this source.
    """
    stones, source, landed_as = read_tombstones(home), settings.name, settings.profiles_landed_as
    if stones is None or landed_as is None or not (home.landing / landed_as).is_dir():
        return 0
    eraser = Eraser(stones)
    at = {person.audit: person.at for person in stones.persons}
    changed = 0
    with exclusive(home, f"profiles-{source}"):
        for manifest in list(deliveries(home, landed_as)):
            found = Found()
            files = tuple(
                without_profiles(home, source, manifest, file, eraser, found) for file in manifest.files
            )
            if not found:
                continue
            notes = tuple(
                Erasure(audit=each, at=at[each], records=found.records[each], mentions=found.mentions[each])
                for each in sorted(found.records.keys() | found.mentions.keys())
            )
            whole = hashlib.sha256("".join(file.sha256 for file in files).encode()).hexdigest()
            update = {"files": files, "sha256": whole, "erasures": (*manifest.erasures, *notes)}
            left = manifest.model_copy(update=update)
            write_manifest(home, left)
            remove_unnamed(home.delivery(landed_as, manifest.delivery), left)
            changed += 1
        sweep(home, landed_as)
    return changed


def without_profiles(
    home: Home, source: str, manifest: Manifest, file: LandedFile, eraser: Eraser, found: Found
) -> LandedFile:
    """Write a page anew if it names somebody forgotten; other profiles keep their text."""
    folder = home.delivery(manifest.source, manifest.delivery)
    content = (folder / file.name).read_bytes()
    page = read_raw_object(unpacked(content))
    if RESULTS not in page:
        return file
    own = Found()
    kept: list[msgspec.Raw] = []
    for item in read_raw_list(bytes(page[RESULTS])):
        raw = bytes(item)
        members = read_raw_object(raw) if raw[:1] == b"{" else {}
        identifier = json.loads(bytes(members["$distinct_id"])) if "$distinct_id" in members else None
        audit = eraser.audit_of_id(source, str(identifier)) if identifier is not None else None
        if audit is not None:
            own.records[audit] += 1
        else:
            kept.append(msgspec.Raw(eraser.without_mentions(raw, own)))
    if not own:
        return file
    found.add(own)
    left = packed(content, write({**page, RESULTS: msgspec.Raw(write(kept))}))
    sha256 = hashlib.sha256(left).hexdigest()
    name = f"{sha256[:12]}-{file.name.rpartition('-')[2]}"
    with temporary_file(home, manifest.source) as (target, path):
        target.write(left)
        target.flush()
        path.replace(folder / name)
    return LandedFile(name=name, bytes=len(left), sha256=sha256, records=len(kept))
