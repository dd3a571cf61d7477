import gzip
import io
import os
import re
import warnings
import zipfile
from pathlib import Path

import pytest

from opsanalytics.lake.manifests import deliveries
from opsanalytics.lake.paths import Home
from opsanalytics.sources import collecting, inbox
from opsanalytics.sources.collecting import CollectReport
from opsanalytics.sources.errors import InboxError
from opsanalytics.sources.feedback_files import text
from opsanalytics.sources.inbox import contents, look, misplaced
from opsanalytics_tests.sources.test_collecting import CONTENT, drop, run
from opsanalytics_tests.sources.test_feedback_csv import HEADER, ROW

OTHER = CONTENT.replace("1,2026", "2,2026")


def archive(members: dict[str, bytes]) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as file:
        for name, member in members.items():
            file.writestr(name, member)
    return content.getvalue()


def put(home: Home, name: str, content: bytes) -> Path:
    path = drop(home, name)
    path.write_bytes(content)
    return path


def refusal(report: CollectReport) -> str:
    (message,) = report.refused
    return message


def test_members_of_an_archive_are_deliveries_of_their_own(home: Home) -> None:
    put(home, "form.zip", archive({"a/one.csv": CONTENT.encode(), "two.csv": OTHER.encode()}))
    assert len(run(home).landed) == 2
    landed = {manifest.request["file"]: manifest for manifest in deliveries(home, "survey")}
    assert landed.keys() == {"form.zip/a/one.csv", "form.zip/two.csv"}
    (file,) = landed["form.zip/two.csv"].files
    delivery = landed["form.zip/two.csv"].delivery
    assert (home.delivery("survey", delivery) / file.name).read_bytes() == OTHER.encode()


def test_packed_and_unpacked_content_is_one(home: Home) -> None:
    put(home, "a.zip", archive({"one.csv": CONTENT.encode()}))
    put(home, "b.csv.gz", gzip.compress(CONTENT.encode()))
    drop(home, "c.csv")
    report = run(home)
    assert (len(report.landed), report.known) == (1, ("b.csv", "c.csv"))


def test_a_member_that_cannot_be_used_is_named_and_keeps_no_other_back(home: Home) -> None:
    put(home, "a.zip", archive({"bad.csv": b"when\n1\n", "good.csv": CONTENT.encode(), ".DS_Store": b"x"}))
    report = run(home)
    assert "a.zip/bad.csv: source survey: no column" in refusal(report)
    assert len(report.landed) == 1


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.zip", archive({"a.csv": CONTENT.encode()})[:-30], "damaged or cut"),
        ("a.zip", archive({}), "holds no file"),
        ("a.zip", archive({"__MACOSX/a.csv": b"x"}), "holds no file"),
        ("a.gz", gzip.compress(CONTENT.encode(), mtime=0)[:-5], "damaged or cut"),
        ("a.csv", b"", "empty"),
        ("a.zip", archive({"b.zip": archive({"a.csv": CONTENT.encode()})}), "a.zip/b.zip: this is an arch"),
    ],
    ids=["cut zip", "empty zip", "no file of anybody's", "cut gzip", "empty", "zip in zip"],
)  # fmt: skip
def test_archives_that_cannot_be_opened_are_refused(
    home: Home, name: str, content: bytes, words: str
) -> None:
    put(home, name, content)
    assert re.search(words, refusal(run(home)))


def test_an_encrypted_archive_is_refused(home: Home) -> None:
    content = bytearray(archive({"a.csv": CONTENT.encode()}))
    content[6] |= 1  # the flag in the local header, and in the central directory
    content[content.index(b"PK\x01\x02") + 8] |= 1
    put(home, "a.zip", bytes(content))
    assert "encrypted" in refusal(run(home))


def test_a_file_that_cannot_be_read_is_told_and_keeps_no_other_back(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    locked = drop(home, "a.csv")
    drop(home, "b.csv", OTHER)
    before = Path.open

    def refuse(path: Path, *arguments: object, **options: object) -> object:
        if path == locked:
            raise PermissionError(13, "Permission denied", str(path))
        return before(path, *arguments, **options)  # type: ignore[call-overload]

    monkeypatch.setattr(Path, "open", refuse)
    report = run(home)
    assert "a.csv: Permission denied. Make it readable" in refusal(report)
    assert len(report.landed) == 1


def test_links_to_files_are_followed_others_are_told(home: Home, tmp_path: Path) -> None:
    (tmp_path / "real.csv").write_text(CONTENT)
    inbox = drop(home, "z.csv", OTHER).parent
    (inbox / "link.csv").symlink_to(tmp_path / "real.csv")
    (inbox / "nowhere.csv").symlink_to(tmp_path / "gone.csv")
    (inbox / "folder").symlink_to(tmp_path)
    report = run(home)
    assert len(report.landed) == 2
    assert [message.partition(": ")[2].split(";")[0] for message in report.refused] == [
        "a link to a folder is not followed",
        "the link leads nowhere",
    ]


def test_a_pipe_is_no_file(home: Home) -> None:
    os.mkfifo(drop(home, "a.csv").parent / "pipe.csv")
    assert "no regular file" in refusal(run(home))


@pytest.mark.parametrize(
    "name", [".~lock.a.csv#", "~$a.xlsx", ".hidden/a.csv", "__MACOSX/a.csv", "Thumbs.db"]
)
def test_what_systems_leave_behind_is_not_looked_at(home: Home, name: str) -> None:
    put(home, name, b"no csv")
    assert run(home) == CollectReport("survey", (), (), (), 0)


def test_a_file_that_has_grown_takes_its_own_place(home: Home) -> None:
    drop(home, "a.csv", CONTENT + "2,2026-03-0")
    run(home)
    drop(home, "a.csv", CONTENT + "2,2026-03-01,all of it,4\n")
    run(home)
    (manifest,) = deliveries(home, "survey")
    assert manifest.records == 2
    run(home)
    assert len(list(deliveries(home, "survey"))) == 1


def test_a_grown_file_under_another_name_is_another(home: Home) -> None:
    drop(home, "a.csv")
    run(home)
    drop(home, "b.csv", CONTENT + ROW.replace("1,", "2,", 1) + "\n")
    run(home)
    assert len(list(deliveries(home, "survey"))) == 2


def test_a_name_that_comes_with_other_content_is_another_delivery(home: Home) -> None:
    drop(home, "a.csv")
    run(home)
    drop(home, "a.csv", OTHER)
    run(home)
    assert len(list(deliveries(home, "survey"))) == 2


def test_a_header_alone_is_a_delivery_without_records(home: Home) -> None:
    drop(home, "a.csv", f"{HEADER}\n")
    report = run(home)
    assert (len(report.landed), report.records, report.refused) == (1, 0, ())


def test_a_file_that_vanishes_meanwhile_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.csv"
    path.write_text(CONTENT)
    monkeypatch.setattr("time.sleep", lambda seconds: path.unlink())
    assert look(tmp_path, 60).finished == ()


def test_a_name_that_is_no_utf8_is_taken_and_told(home: Home) -> None:
    inbox = os.fsencode(drop(home, "a.csv").parent)
    Path(os.fsdecode(inbox + b"/b\xff.csv")).write_text(OTHER)
    Path(os.fsdecode(inbox + b"/c\xff.csv")).write_text("")
    report = run(home)
    assert len(report.landed) == 2
    assert "c\ufffd.csv: the file is empty" in refusal(report)
    assert {manifest.request["file"] for manifest in deliveries(home, "survey")} == {"a.csv", "b\ufffd.csv"}
    assert run(home).known == ("a.csv", "b\ufffd.csv")


def test_members_of_one_name_are_all_taken(home: Home) -> None:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as file, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that the name is there already
        file.writestr("a.csv", CONTENT)
        file.writestr("a.csv", OTHER)
    put(home, "a.zip", content.getvalue())
    assert len(run(home).landed) == 2


@pytest.mark.parametrize(
    "packing", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]
)
def test_whatever_is_damaged_in_an_archive_is_told(tmp_path: Path, packing: int) -> None:
    """zipfile raises a dozen kinds of errors, by what the wrong byte means."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", packing) as file:
        file.writestr("a.csv", CONTENT * 5)
    path = tmp_path / "a.zip"
    refused = 0
    for position in range(len(content.getvalue())):
        damaged = bytearray(content.getvalue())
        damaged[position] ^= 0xFF
        path.write_bytes(damaged)
        try:
            contents(path)
        except InboxError:
            refused += 1
    assert refused > len(CONTENT)


def test_a_bomb_is_refused_before_it_is_read(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inbox, "LARGEST_UNPACKED", 10_000)
    put(home, "a.csv.gz", gzip.compress(CONTENT.encode() * 1_000))
    put(home, "b.zip", archive({"b.csv": CONTENT.encode() * 1_000}))
    drop(home, "good.csv")
    report = run(home)
    assert len(report.landed) == 1
    assert [path.rpartition("/")[2][:5] for path in report.refused] == ["a.csv", "b.zip"]
    assert all("1 GiB" in message for message in report.refused)


def test_a_file_larger_than_memory_is_refused_with_its_size(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(text, "LARGEST_TEXT", 100)
    put(home, "a.csv", CONTENT.encode() * 10)
    assert "Split it into smaller files" in refusal(run(home))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"<!DOCTYPE html>\n<html><body>Sign in</body></html>", "this is a web page"),
        (b"\n <HTML><table><tr><td>id</td></tr></table></html>", "this is a web page"),
        (b'[{"id": 1, "comment": "x"}]', "this is JSON"),
        (b'\xef\xbb\xbf{"id": 1, "comment": "x"}\n', "this is JSON"),
        (CONTENT.encode("utf-32"), "UTF-32"),
        (gzip.compress(gzip.compress(CONTENT.encode())), "packed twice"),
        (b"\xff\xd8\xff\xe0" + bytes(100), "a picture"),
        (CONTENT.replace(",", "^").encode(), "name that in `delimiter`"),
        (b"Report of March\n\n" + CONTENT.encode(), "lines stand above the row of column names"),
        (CONTENT.replace("Nice", "x" * 17_000_000).encode(), "line 2: a field is longer"),
    ],
)  # fmt: skip
def test_what_is_no_csv_is_called_by_its_name(home: Home, content: bytes, words: str) -> None:
    path = put(home, "a.csv", content)
    assert words in refusal(run(home))
    assert path.read_bytes() == content


def test_a_file_that_is_removed_while_it_is_read_is_told(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    path = drop(home, "a.csv")

    def vanish(source: object, target: object) -> None:
        path.unlink(missing_ok=True)
        raise FileNotFoundError(2, "No such file or directory")

    monkeypatch.setattr(collecting, "copy", vanish)
    assert "removed while it was being read" in refusal(run(home))


def test_files_that_nobody_reads_are_found(home: Home) -> None:
    drop(home, "good.csv")
    for stray in ("lost.csv", "survei/lost.csv", "survei/deep/lost.csv", "survei/.hidden"):
        path = home.inboxes / stray
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(CONTENT)
    found = {str(path.relative_to(home.inboxes)): why for path, why in misplaced(home.inboxes, ["survey"])}
    assert found.keys() == {"lost.csv", "survei/lost.csv", "survei/deep/lost.csv"}
    assert "nearest: 'survey'" in found["survei/lost.csv"]
    assert "beside the folders" in found["lost.csv"]
    assert misplaced(home.root / "nowhere", ["survey"]) == []
