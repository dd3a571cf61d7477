"""Files of an inbox without the messages of forgotten persons; archives are packed again."""

import gzip
import io
import zipfile
from pathlib import Path

from opsanalytics.cleaning.erasing_messages import NotTakenOutError, without_messages
from opsanalytics.cleaning.erasing_records import Eraser, Found
from opsanalytics.lake.files import write_bytes
from opsanalytics.lake.paths import Home
from opsanalytics.sources.base import FeedbackSourceSettings
from opsanalytics.sources.errors import InboxError
from opsanalytics.sources.inbox import InboxFile, contents, copy, everything, is_gzip
from opsanalytics.sources.landing import temporary_file


def scrub_inbox(settings: FeedbackSourceSettings, home: Home, eraser: Eraser) -> list[Path]:
    """Take the forgotten out of the files that lie in the inbox. The lock of collecting must be held.

    Returns the files that messages of theirs cannot be taken out of.
    """
    kept = []
    for path in everything(home.inbox(settings.name)):
        if not path.is_file():
            continue
        try:
            left, whole = without_members(settings, home, eraser, path)
        except (InboxError, OSError):
            continue  # it cannot be landed either; collecting says so
        if left is not None:
            write_bytes(path, left)
        if not whole:
            kept.append(path)
    return kept


def without_members(
    settings: FeedbackSourceSettings, home: Home, eraser: Eraser, path: Path
) -> tuple[bytes | None, bool]:
    """What is left of a file or archive (None: all of it), and whether that is all that must go.

    Raises:
        InboxError: the archive is damaged.
        OSError: it cannot be read.
    """
    changed: dict[str | None, bytes] = {}
    whole = True
    for file in contents(path):
        try:
            left = left_of(settings, home, eraser, file)
        except NotTakenOutError:
            whole = False
        except InboxError:
            continue  # this member cannot be landed either
        else:
            if left is not None:
                changed[file.member] = left
    if not changed:
        return None, whole
    if None in changed:
        return changed[None], whole
    if is_gzip(path):
        return gzip.compress(next(iter(changed.values())), mtime=0), whole
    packed = io.BytesIO()
    with zipfile.ZipFile(path) as archive, zipfile.ZipFile(packed, "w") as target:
        for info in archive.infolist():
            own = changed.get(info.filename)
            target.writestr(copied(info), archive.read(info) if own is None else own)
    return packed.getvalue(), whole


def left_of(settings: FeedbackSourceSettings, home: Home, eraser: Eraser, file: InboxFile) -> bytes | None:
    """What is left of a file, or member of an archive; None: all of it.

    Raises:
        NotTakenOutError: messages of the forgotten cannot be taken out.
        InboxError: it cannot be read.
    """
    found = Found()
    if file.member is None:
        left = without_messages(settings, eraser, file.path, found)
    else:
        # In the home folder: should the process be killed, the next one sweeps it away.
        with temporary_file(home, settings.name) as (target, unpacked):
            copy(file, target)
            left = without_messages(settings, eraser, unpacked, found)
    return left if found else None


def copied(info: zipfile.ZipInfo) -> zipfile.ZipInfo:
    """Name, date and mode of a member, for another archive."""
    copy = zipfile.ZipInfo(info.filename, info.date_time)
    copy.compress_type, copy.external_attr = info.compress_type, info.external_attr
    return copy
