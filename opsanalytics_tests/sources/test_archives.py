"""Archives of the vendor that are damaged, packed otherwise, or none at all."""

import gzip
import hashlib
import io
import warnings
import zipfile
from collections.abc import Iterable

import pytest

from opsanalytics.lake.paths import Home
from opsanalytics.sources.landing import IncompleteBodyError, NoExportError, Received, receive, temporary_file
from opsanalytics_tests.sources.test_landing import pieces


def zipped(members: Iterable[tuple[str, bytes]], packing: int = zipfile.ZIP_DEFLATED) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", packing) as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that a name repeats
        for name, member in members:
            archive.writestr(name, member)
    return content.getvalue()


def take_archive(home: Home, content: bytes, *, gzipped: bool = False) -> tuple[Received, bytes]:
    with temporary_file(home, "app") as (file, path):
        received = receive(
            pieces(content, 1_000), file, path, body="zip", gzipped=gzipped, expected_bytes=len(content),
            framed=False, believed=None, progress=lambda total: None,
        )  # fmt: skip
        return received, path.read_bytes()


HOUR = ("1/1_2026-03-01_0#0.json.gz", gzip.compress(b'{"event_type":"a"}\n{"event_type":"b"}\n' * 20))


@pytest.mark.parametrize(
    "packing", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]
)
def test_an_archive_with_a_wrong_byte_is_whole_or_incomplete(home: Home, packing: int) -> None:
    """Nothing else: zipfile raises a dozen kinds of errors, which would end the run."""
    whole = zipped([HOUR, ("1/1_2026-03-01_1#0.json.gz", HOUR[1])], packing)
    expected = take_archive(home, whole)[0]
    for position in range(len(whole)):
        damaged = bytearray(whole)
        damaged[position] ^= 0xFF
        try:
            received, _ = take_archive(home, bytes(damaged))
        except IncompleteBodyError:
            continue
        assert (received.records, received.content_sha256) == (expected.records, expected.content_sha256)


def test_members_of_one_name_all_count(home: Home) -> None:
    other = (HOUR[0], gzip.compress(b'{"event_type":"c"}\n'))
    assert take_archive(home, zipped([HOUR, other]))[0].records == 41


def test_an_archive_of_something_else_is_no_export(home: Home) -> None:
    """Silence would count the hours as empty."""
    with pytest.raises(NoExportError, match=r"export\.json"):
        take_archive(home, zipped([("1/export.json", b"{}\n")]))
    assert take_archive(home, zipped([("1/", b""), ("1/1_complete", b"")]))[0].records == 0


@pytest.mark.parametrize("body", [b'{"error": "internal"}\n', b"<html></html>"])
def test_an_error_instead_of_an_archive_is_no_export(home: Home, body: bytes) -> None:
    with pytest.raises(NoExportError, match="no archive"):
        take_archive(home, body)


def test_an_archive_that_a_proxy_packed_lands_unpacked(home: Home) -> None:
    whole = zipped([HOUR])
    received, landed = take_archive(home, gzip.compress(whole), gzipped=True)
    assert (landed, received.bytes) == (whole, len(whole))
    assert received.wire_sha256 == hashlib.sha256(whole).hexdigest()
    with pytest.raises(IncompleteBodyError, match="gzip"):
        take_archive(home, gzip.compress(whole)[:-9], gzipped=True)
