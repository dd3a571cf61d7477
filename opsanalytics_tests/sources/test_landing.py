import gzip
import zipfile
from collections.abc import Iterable
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from opsanalytics.lake.manifests import Manifest, deliveries
from opsanalytics.lake.paths import Home
from opsanalytics.sources.landing import (
    DoubtfulBodyError,
    EarlyEndError,
    IncompleteBodyError,
    LineCounter,
    NoExportError,
    Received,
    commit,
    receive,
    sweep,
    temporary_file,
)

LINES = b'{"event":"a","properties":{"t":"\xe2\x80\xa8"}}\n{"event":"b","properties":{}}\n'
NOW = datetime(2026, 3, 10, tzinfo=UTC)


def take(
    home: Home,
    content: bytes,
    *,
    gzipped: bool = False,
    length: int | None = None,
    framed: bool = True,
    believed: str | None = None,
    chunk: int = 7,
    member: str | None = "event",
) -> Received:
    with temporary_file(home, "product") as (file, path):
        return receive(
            pieces(content, chunk),
            file,
            path,
            body="jsonl",
            gzipped=gzipped,
            expected_bytes=length,
            framed=framed,
            believed=believed,
            progress=lambda total: None,
            member=member,
        )


def pieces(content: bytes, size: int) -> Iterable[bytes]:
    return (content[start : start + size] for start in range(0, len(content), size))


def land(home: Home, content: bytes, *, gzipped: bool = False) -> tuple[Manifest, bool]:
    with temporary_file(home, "product") as (file, path):
        received = receive(
            pieces(content, 1_000),
            file,
            path,
            body="jsonl",
            gzipped=gzipped,
            expected_bytes=None,
            framed=True,
            believed=None,
            progress=lambda total: None,
        )
        return commit(
            home,
            source="product",
            kind="mixpanel",
            delivery="d",
            first_day=date(2026, 3, 1),
            last_day=date(2026, 3, 1),
            covers=None,
            request={},
            status=200,
            attempts=1,
            fetched_at=NOW,
            received=received,
        )


def test_records_are_counted_at_line_feeds_only(home: Home) -> None:
    assert take(home, LINES).records == 2


def test_blank_lines_are_no_records(home: Home) -> None:
    assert take(home, b"\n" + LINES + b"\n  \n").records == 2


def test_an_empty_body_is_complete(home: Home) -> None:
    assert take(home, b"", length=0).records == 0


def test_gzip_and_plain_have_the_same_content_hash(home: Home) -> None:
    plain, packed = take(home, LINES), take(home, gzip.compress(LINES), gzipped=True)
    assert plain.content_sha256 == packed.content_sha256
    assert plain.wire_sha256 != packed.wire_sha256


def test_several_gzip_members_are_one_stream(home: Home) -> None:
    first, second = LINES.split(b"\n", 1)
    body = gzip.compress(first + b"\n") + gzip.compress(second)
    assert take(home, body, gzipped=True).records == 2


@pytest.mark.parametrize("share", [0.1, 0.5, 0.99])
def test_a_cut_gzip_stream_is_incomplete(home: Home, share: float) -> None:
    body = gzip.compress(LINES * 50)
    with pytest.raises(IncompleteBodyError, match="cut"):
        take(home, body[: int(len(body) * share)], gzipped=True)


def test_a_damaged_gzip_stream_is_incomplete(home: Home) -> None:
    body = bytearray(gzip.compress(LINES * 50))
    body[20:40] = bytes(20)
    with pytest.raises(IncompleteBodyError, match="damaged"):
        take(home, bytes(body), gzipped=True)


def test_a_missing_last_line_end_is_incomplete(home: Home) -> None:
    with pytest.raises(IncompleteBodyError, match="no end"):
        take(home, LINES[:-1])


def test_fewer_bytes_than_announced_are_incomplete(home: Home) -> None:
    with pytest.raises(IncompleteBodyError, match="announced"):
        take(home, LINES, length=len(LINES) + 1)


@pytest.mark.parametrize(
    "end",
    [
        b"terminated early",
        b"terminated early\n",
        b"export terminated early\n",
        b"Terminated Early\n\n",
        b'{"event":"c","prop terminated early',
        b'{"error":"export terminated early"}\n',
        b'"terminated early"\n',
    ],
)
@pytest.mark.parametrize("before", [b"", LINES])
def test_a_vendor_that_gave_up_is_told_apart(home: Home, before: bytes, end: bytes) -> None:
    with pytest.raises(EarlyEndError):
        take(home, before + end)


def test_an_event_that_talks_about_terminated_early_is_an_event(home: Home) -> None:
    assert take(home, b'{"event":"export terminated early","properties":{}}\n').records == 1


def test_a_broken_last_line_is_believed_when_it_comes_again(home: Home) -> None:
    body = LINES + b'{"event": "half\n'
    with pytest.raises(DoubtfulBodyError) as first:
        take(home, body)
    assert take(home, body, believed=first.value.content_sha256).records == 3


def test_a_body_whose_end_nothing_shows_is_doubtful(home: Home) -> None:
    with pytest.raises(DoubtfulBodyError, match="nothing shows"):
        take(home, LINES, framed=False)


def test_an_empty_body_whose_end_nothing_shows_is_doubtful(home: Home) -> None:
    with pytest.raises(DoubtfulBodyError, match="nothing shows"):
        take(home, b"", framed=False, gzipped=True)


def test_line_counter_does_not_depend_on_the_chunks() -> None:
    for size in range(1, len(LINES) + 1):
        counter = LineCounter()
        for piece in pieces(LINES, size):
            counter.feed(piece)
        counter.check_end()
        assert counter.records == 2


def test_a_delivery_keeps_the_bytes_as_received(home: Home) -> None:
    body = gzip.compress(LINES)
    manifest, changed = land(home, body, gzipped=True)
    assert changed
    assert (home.delivery("product", "d") / manifest.files[0].name).read_bytes() == body


def test_unchanged_content_keeps_its_file_however_it_was_compressed(home: Home) -> None:
    before, _ = land(home, gzip.compress(LINES), gzipped=True)
    after, changed = land(home, LINES)
    assert not changed
    assert after.files == before.files


def test_changed_content_replaces_the_delivery_whole(home: Home) -> None:
    land(home, LINES)
    manifest, changed = land(home, LINES * 2)
    assert changed
    folder = home.delivery("product", "d")
    assert sorted(path.name for path in folder.iterdir()) == sorted([manifest.files[0].name, "manifest.json"])


def test_sweeping_removes_what_killed_processes_left(home: Home) -> None:
    land(home, LINES)
    folder = home.landing / "product"
    (folder / ".receiving.x.tmp").write_bytes(b"half")
    (folder / "d" / "events-000000000000.jsonl").write_bytes(b"not committed")
    (folder / "never").mkdir()
    (folder / "never" / "events-1.jsonl").write_bytes(b"no manifest")
    sweep(home, "product")
    assert [manifest.delivery for manifest in deliveries(home, "product")] == ["d"]
    assert sorted(path.name for path in folder.rglob("*") if path.is_file()) == sorted(
        ["manifest.json", next(iter(deliveries(home, "product"))).files[0].name]
    )


def archive_of(path: Path, members: dict[str, bytes]) -> bytes:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path.read_bytes()


def take_zip(home: Home, body: bytes) -> Received:
    with temporary_file(home, "product") as (file, path):
        return receive(
            [body],
            file,
            path,
            body="zip",
            gzipped=False,
            expected_bytes=None,
            framed=False,
            believed=None,
            progress=lambda total: None,
        )


def test_an_archive_counts_lines_of_event_members_only(home: Home, tmp_path: Path) -> None:
    body = archive_of(
        tmp_path / "a.zip", {"1/": b"", "1/x#0.json.gz": gzip.compress(LINES), "1/x_complete": b"done"}
    )
    assert take_zip(home, body).records == 2


def test_a_cut_archive_is_incomplete(home: Home, tmp_path: Path) -> None:
    body = archive_of(tmp_path / "a.zip", {"1/x#0.json.gz": gzip.compress(LINES)})
    with pytest.raises(IncompleteBodyError, match="archive"):
        take_zip(home, body[:-30])


def test_a_cut_member_is_incomplete(home: Home, tmp_path: Path) -> None:
    body = archive_of(tmp_path / "a.zip", {"1/x#0.json.gz": gzip.compress(LINES)[:-6]})
    with pytest.raises(IncompleteBodyError, match="archive"):
        take_zip(home, body)


def test_archive_content_does_not_depend_on_compression(home: Home, tmp_path: Path) -> None:
    slow = archive_of(tmp_path / "a.zip", {"1/x#0.json.gz": gzip.compress(LINES, 9, mtime=1)})
    quick = archive_of(tmp_path / "b.zip", {"1/x#0.json.gz": gzip.compress(LINES, 1, mtime=2)})
    assert take_zip(home, slow).content_sha256 == take_zip(home, quick).content_sha256


@pytest.mark.parametrize(
    "body",
    [
        b'{"error": "internal", "request": "/api/2.0/export"}\n',
        b'{"error": "internal"}',
        b"<!DOCTYPE html>\n<html><body>Maintenance</body></html>\n",
        b"<html>moved",
        b"Service unavailable\n",
        b'{"error": "no \\"event\\" here"}\n',
        b"null\n",
    ],
)
@pytest.mark.parametrize("gzipped", [False, True])
def test_an_error_under_status_200_is_no_export(home: Home, body: bytes, *, gzipped: bool) -> None:
    """Nothing in it is an event, or what is left of one: it is not even doubtful."""
    sent = gzip.compress(body) if gzipped else body
    with pytest.raises(NoExportError, match="no export"):
        take(home, sent, gzipped=gzipped)


@pytest.mark.parametrize("broken", [b"\x80\n", b'{"event": "bro\n', b"null\n", b"\xff\xfe{}\n"])
def test_broken_lines_around_events_are_doubted_once(home: Home, broken: bytes) -> None:
    body = broken + LINES + broken
    with pytest.raises(DoubtfulBodyError) as doubt:
        take(home, body)
    assert take(home, body, believed=doubt.value.content_sha256).records == 4


def test_a_vendor_may_call_its_records_otherwise(home: Home) -> None:
    """Sources that others add need not have a member `event`."""
    assert take(home, b'{"name": "a"}\n{"name": "b"}\n', member=None).records == 2
    assert take(home, b'{"name": "a"}\n', member="name").records == 1
    with pytest.raises(NoExportError):
        take(home, b"<html></html>\n", member=None)
    with pytest.raises(NoExportError):
        take(home, b'{"error": "x"}\n', member="name")
