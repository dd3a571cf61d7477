"""Archives from outside: whatever a damaged one makes the library raise is one error here."""

import errno
import lzma
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from isal import isal_zlib

END_RECORD = b"PK\5\6"
LONGEST_END = 22 + 0xFFFF
"""Bytes of the end record with the longest comment."""
MANY_MEMBERS = 0xFFFF
"""Written where the number is larger: another record holds it."""


class DamagedArchiveError(ValueError):
    """An archive is cut, damaged, encrypted, or packed in a way that nothing here unpacks."""


@contextmanager
def damage_told() -> Iterator[None]:
    """While a zip or gzip is read: raises `DamagedArchiveError` for what is wrong with its bytes.

    Errors of the disk (no permission, no such file) stay what they are.
    """
    try:
        yield
    except OSError as error:
        # BadGzipFile, bz2's "Invalid data stream" and seeks to offsets that a damaged directory names
        if error.errno not in (None, errno.EINVAL):
            raise
        raise DamagedArchiveError(str(error)) from error
    except (
        zipfile.BadZipFile, zlib.error, isal_zlib.error, lzma.LZMAError, EOFError, struct.error,  # type: ignore[misc]
        NotImplementedError, IndexError, UnicodeDecodeError, OverflowError,
    ) as error:  # fmt: skip
        raise DamagedArchiveError(str(error) or type(error).__name__) from error
    except RuntimeError as error:
        # zipfile says so of members that claim to be encrypted; our own errors are subclasses
        if type(error) is not RuntimeError or "encrypted" not in str(error):
            raise
        raise DamagedArchiveError(str(error)) from error


def check_directory(path: Path, archive: zipfile.ZipFile) -> None:
    """Raises `DamagedArchiveError` unless `archive`, the file at `path`, lists as many members as it says.

    A wrong length in its directory makes one member swallow the next, which zipfile does not notice.
    """
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - LONGEST_END))
        end = file.read()
    (announced,) = struct.unpack_from("<H", end, end.rindex(END_RECORD) + 10)
    if announced not in (len(archive.infolist()), MANY_MEMBERS):
        raise DamagedArchiveError(f"{len(archive.infolist())} of {announced} members are listed")


def event_members(archive: zipfile.ZipFile) -> list[zipfile.ZipInfo]:
    """The members that hold events, by name; folders and `*_complete` markers do not."""
    members = [member for member in archive.infolist() if member.filename.endswith(".json.gz")]
    return sorted(members, key=lambda member: member.filename)
