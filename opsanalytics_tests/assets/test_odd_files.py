"""Odd files in the inbox, one run, and what the published file says about each of them."""

import gzip
import io
import os
import zipfile
from datetime import date, datetime
from pathlib import Path

import duckdb
import pytest
from openpyxl import Workbook

from opsanalytics_tests.assets.conftest import Product

pytestmark = pytest.mark.slow

HEADER = "id,created_at,user_id,email,rating,comment,page,app_version"
PLAY = (
    "Package Name,App Version Code,App Version Name,Reviewer Language,Device,Review Submit Date and Time,"
    "Review Submit Millis Since Epoch,Review Last Update Date and Time,Review Last Update Millis Since Epoch,"
    "Star Rating,Review Title,Review Text,Developer Reply Date and Time,Developer Reply Millis Since Epoch,"
    "Developer Reply Text,Review Link"
)
SOURCES = """
[[sources]]
kind = "google_play"
name = "play"

[[sources]]
kind = "google_forms"
name = "form"
timezone = "Europe/Berlin"
questions = ["What should we improve?", "What do you like?"]
rating = "How likely are you to recommend us?"
rating_scale = "nps"

"""


def row(key: str, text: str = "fine", *, day: str = "2026-09-02", rating: str = "4") -> str:
    quoted = text.replace('"', '""')
    return f'{key},{day},,,{rating},"{quoted}",,'


def csv(*rows: str) -> bytes:
    return "\n".join((HEADER, *rows, "")).encode()


def workbook() -> bytes:
    book = Workbook()
    sheet = book.active
    assert sheet is not None
    sheet.append(HEADER.split(","))
    sheet.append(["x1", datetime(2026, 9, 3, 10, 30), 7, None, 3.0, "from Excel", None, 1.5])  # noqa: DTZ001
    sheet.append([1.23456789012346e18, date(2026, 9, 3), None, None, 3, "a rounded id", None, None])
    content = io.BytesIO()
    book.save(content)
    return content.getvalue()


def zipped(**members: bytes) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, member in members.items():
            archive.writestr(f"{name}.csv", member)
    return content.getvalue()


def review(stars: int, text: str, updated: int) -> str:
    return (
        f"com.shop,1,1.0,de,pixel,x,1788000000000,x,{updated},{stars},,{text},,,,"
        "https://play.google.com/x?reviewId=gp%3AAbc"
    )


SURVEY: dict[str, bytes] = {
    "encodings-bom.csv": b"\xef\xbb\xbf" + csv(row("e1", "naïve 😀 שלום")),
    "encodings-utf16.csv": csv(row("e2", "naïve 😀 שלום")).decode().encode("utf-16"),
    "encodings-cp1252.csv": csv(row("e3", "naïve – café")).decode().encode("cp1252"),
    "broken-line.csv": csv(row("b1"), row("b2", "BROKEN"), row("b3", "żółć")).replace(b"BROKEN", b"\xff\xfe"),
    "separators.csv": csv(row("s1", "two\r\nlines\u2028\u0085here")),
    "nul.csv": csv(row("n1", "nul" + "\0" + "l" * 200)),
    "semicolons.csv": csv(row("d1", "a; b", rating="4")).replace(b",", b";"),
    "tabs.txt": csv(row("d2")).replace(b",", b"\t"),
    "extra.csv": f"{HEADER},mood,mood\n{row('c1')},good,better\n".encode(),
    "widths.csv": csv(row("w1"), "w2,2026-09-02", row("w3") + ",more", row("w4") + ",,,"),
    "formula.csv": csv(row("f1", '=HYPERLINK("http://x","y")')),
    "ids.csv": csv(row("9223372036854775807"), row("9223372036854775806")),
    "dates.csv": csv(
        row("t1", day="46267.5"),
        row("t2", day="03/04/2026"),
        row("t3", day="2.9.2026 10:00"),
        row("t4", day="x"),
    ),
    "ratings.csv": csv(row("r1", rating="9"), row("r2", rating='"4,5"'), row("r3", rating="5/5")),
    "overlap.csv": csv(row("e1", "said again"), row("o2")),
    "header-only.csv": csv(),
    "book.xlsx": workbook(),
    "download.zip": zipped(inside=csv(row("z1")), copied=csv(row("w9"))),
    "download.csv.gz": gzip.compress(csv(row("z2")), mtime=0),
    "copied-under-another-name.csv": csv(row("w9")),
    ".~lock.a.csv#": b"lock",
    "~$book.xlsx": b"lock",
    "half.csv.part": b"id,cre",
    "half.csv.crdownload": b"id,cre",
}
REFUSED: dict[str, tuple[bytes, str]] = {
    "empty.csv": (b"", "the file is empty"),
    "columns.csv": (b"id,created at,rating,Comment text\n1,2026-09-01,3,hello\n", "nearest: 'Comment text'"),
    "picture.csv": (b"\x89PNG\r\n\x1a\n\0\0\0", "a picture"),
    "quotes.csv": (csv(row("q1")) + b'q2,2026-09-02,,,4,"never closed\n', "quoting is broken: line 3"),
    "damaged.zip": (zipped(inside=csv(row("z3")))[:60], "damaged or cut"),
    "damaged.xlsx": (workbook()[:900], "damaged or cut"),
}


@pytest.fixture
def dropped(product: Product) -> Product:
    config = product.folder / "opsanalytics.toml"
    config.write_text(config.read_text(encoding="utf-8").replace("[events]", f"{SOURCES}[events]", 1))
    survey = product.home.inbox("survey")
    for name, content in {**SURVEY, **{name: content for name, (content, _) in REFUSED.items()}}.items():
        (survey / name).write_bytes(content)
    (survey / "folder.csv").mkdir()
    (survey / "folder.csv" / "encodings-bom.csv").write_bytes(csv(row("e9", "same name, other content")))
    (survey / "dangling.csv").symlink_to(survey / "nowhere.csv")
    outside = product.folder / "outside.csv"
    outside.write_bytes(csv(row("l1")))
    (survey / "link.csv").symlink_to(outside)
    play, form = product.home.inbox("play"), product.home.inbox("form")
    play.mkdir(parents=True)
    form.mkdir(parents=True)
    for month, line in (
        ("202609", review(1, "broken", 1788900000000)),
        ("202608", review(5, "ok", 1788100000000)),
    ):
        (play / f"reviews_com.shop_{month}.csv").write_bytes(f"{PLAY}\n{line}\n".encode("utf-16"))
    (form / "Form responses.csv").write_text(
        '"Timestamp","How likely are you to recommend us?","What should we improve?","What do you like?"\n'
        '"2026/09/02 10:10:09 AM GMT+2","9","Speed","Colours"\n'
        '"02/09/2026 10:11","3","",""\n"13/09/2026 10:11","3","",""\n"2026/09/03 1:00:00 PM MESZ","","",""\n',
        encoding="utf-8",
    )
    for path in product.home.inbox("survey").parent.rglob("*"):
        if path.exists() and path.is_file():
            os.utime(path, (path.stat().st_atime, path.stat().st_mtime - 3600))
    return product


def test_nothing_is_lost_and_the_rest_goes_on(dropped: Product) -> None:
    ran = dropped.run("run")
    assert ran.code == 0, ran.out + ran.err
    for name, (_, words) in REFUSED.items():
        (line,) = [line for line in ran.out.splitlines() if f"/{name}: " in line]
        assert words in line
    assert "dangling.csv: the link leads nowhere" in ran.out

    with duckdb.connect(str(dropped.home.published), read_only=True) as con:

        def rows(sql: str) -> list[tuple[object, ...]]:
            return con.execute(sql).fetchall()

        ledger = rows(
            "select source, sum(landed), sum(canonical), sum(duplicates), sum(quarantined), "
            "bool_and(landed = canonical + duplicates + quarantined) from ingestion_ledger "
            "where kind not in ('mixpanel', 'amplitude') group by all order by all"
        )
        texts: dict[object, object] = dict(rows("select feedback_id, text from feedback"))
        unusable = rows("select passed, unexpected from quality_results where \"check\" = 'files_usable' "
                        "and partition = 'survey'")  # fmt: skip
        answers = rows(
            "select title, text, rating, response_id is not null from feedback where source = 'form' "
            "order by text nulls last"
        )
        moments: dict[object, object] = dict(
            rows("select feedback_id, ts::varchar from feedback where feedback_id like 'survey:t%'")
        )
    own = {key.removeprefix("survey:"): text for key, text in texts.items() if len(str(key)) < 14}
    taken = ["e1", "e2", "e3", "b1", "b3", "s1", "n1", "d1", "d2", "c1", "w1", "w4", "f1", "t1", "t3"]
    assert {*taken, "r2", "r3", "o2", "x1", "z1", "z2", "w9", "e9", "l1"} <= own.keys()
    assert not {"b2", "w2", "w3", "t2", "t4", "r1", "q1", "1"} & own.keys()
    assert {"survey:9223372036854775807", "survey:9223372036854775806"} <= texts.keys()
    assert own["e2"] == "naïve 😀 שלום"
    assert own["e3"] == "naïve – café"
    assert own["s1"] == "two\r\nlines\u2028\u0085here"
    assert moments == {"survey:t1": "2026-09-02 12:00:00+00", "survey:t3": "2026-09-02 10:00:00+00"}
    assert all(balanced for *_, balanced in ledger)
    figures = {source: figures for source, *figures, _ in ledger}
    delivered = sum(1 for key in texts if str(key).startswith("survey:"))
    assert figures["survey"][1:] == [delivered, 1, 7]
    assert figures["play"] == [2, 1, 1, 0]
    assert texts["play:gp:Abc"] == "broken"
    assert figures["form"] == [4, 2, 1, 1]
    assert answers == [
        ("What do you like?", "Colours", 9.0, True),
        ("What should we improve?", "Speed", 9.0, True),
        (None, None, 3.0, False),
    ]
    assert unusable == [(False, len(REFUSED) + 1)]
    assert Path(dropped.home.inbox("survey") / "columns.csv").exists()
