"""Reviews of Google Play and the App Store."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from opsanalytics.sources.app_store_csv import AppStoreCsvSettings
from opsanalytics.sources.base import FeedbackRow, FeedbackSourceSettings, RejectedRow
from opsanalytics.sources.errors import InboxError
from opsanalytics.sources.google_play import GooglePlaySettings

PLAY = (
    "Package Name,App Version Code,App Version Name,Reviewer Language,Device,Review Submit Date and Time,"
    "Review Submit Millis Since Epoch,Review Last Update Date and Time,Review Last Update Millis Since Epoch,"
    "Star Rating,Review Title,Review Text,Developer Reply Date and Time,Developer Reply Millis Since Epoch,"
    "Developer Reply Text,Review Link"
)
LINK = "http://play.google.com/console/developers/1/app/2/user-feedback/review-details?reviewId=gp%3AAOqp-1&corpus=X"


def read(
    settings: FeedbackSourceSettings, tmp_path: Path, content: str, encoding: str = "utf-8"
) -> tuple[list[FeedbackRow], list[RejectedRow]]:
    path = tmp_path / "reviews_com.shop_202603.csv"
    path.write_bytes(content.encode(encoding))
    rows, rejected = settings.read(path)
    assert settings.count_records(path) == len(rows) + len(rejected)
    return rows, rejected


def review(**changes: str) -> str:
    fields = {
        "package": "com.shop", "code": "12", "version": "1.2", "language": "de", "device": "pixel",
        "submitted": "x", "submit": "1772359200000", "updated": "x", "update": "1772445600000", "stars": "2",
        "title": "", "text": "Stürzt ab 😡", "replied": "", "reply": "", "answer": "Sorry!", "link": LINK,
        **changes,
    }  # fmt: skip
    return ",".join(fields.values())


def play(tmp_path: Path, *reviews: str, encoding: str = "utf-16", **settings: Any) -> list[FeedbackRow]:
    rows, _ = read(
        GooglePlaySettings(name="play", **settings), tmp_path, "\r\n".join([PLAY, *reviews, ""]), encoding
    )
    return rows


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-8"])
def test_a_review_of_google_play(tmp_path: Path, encoding: str) -> None:
    (row,) = play(tmp_path, review(), encoding=encoding)
    assert (row.id, row.text, row.title) == ("gp:AOqp-1", "Stürzt ab 😡", None)
    assert (row.rating, row.rating_min, row.rating_max) == (2, 1, 5)
    assert (row.language, row.app_version, row.url) == ("de", "1.2", LINK)
    assert row.ts == row.updated_at == datetime(2026, 3, 2, 10, tzinfo=UTC)
    assert row.raw["Developer Reply Text"] == "Sorry!"


@pytest.mark.parametrize(
    ("link", "expected"),
    [
        (
            "https://play.google.com/apps/publish/?account=1#ReviewDetailsPlace:p=com.x&reviewid=gp:AO",
            "gp:AO",
        ),
        ("https://x?reviewId=0f3c7e2a-1111-4222-8333-444455556666", "0f3c7e2a-1111-4222-8333-444455556666"),
    ],
)
def test_older_and_newer_links_hold_the_id(tmp_path: Path, link: str, expected: str) -> None:
    assert play(tmp_path, review(link=link))[0].id == expected


def test_stars_alone_are_known_by_what_an_edit_does_not_change(tmp_path: Path) -> None:
    before, after, another = play(
        tmp_path,
        review(text="", link=""),
        review(text="", link="", stars="5", update="1772999999000", code="13", version=""),
        review(text="", link="", submit="1772359200001"),
    )
    assert before.id == after.id != another.id
    assert (after.rating, after.app_version) == (5, "13")


def test_reviews_of_another_app_are_set_aside(tmp_path: Path) -> None:
    settings = GooglePlaySettings(name="play", package="com.shop")
    rows, rejected = read(settings, tmp_path, "\n".join([PLAY, review(), review(package="com.other")]))
    assert (len(rows), [row.reason for row in rejected]) == (1, ["other_app"])


def test_a_file_of_another_report_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InboxError, match="'Review Last Update Millis Since Epoch'"):
        read(GooglePlaySettings(name="play"), tmp_path, "Date,Package Name,Daily Average Rating\n")


def app_store(tmp_path: Path, content: str, **settings: Any) -> list[FeedbackRow]:
    return read(AppStoreCsvSettings(name="ios", **settings), tmp_path, content)[0]


@pytest.mark.parametrize(
    "content",
    [
        "Review ID,Date,Author,Rating,Title,Review,Version,Country\n"
        "77,2026-03-01,joe,4,Nice,Good app,1.2,us\n",
        "id;createdDate;userName;Stars;title;body;App Version;Territory\n"
        "77;2026-02-28T16:00:00-08:00;joe;★★★★☆;Nice;Good app;1.2;USA\n",
    ],
)
def test_the_usual_columns_of_app_store_exports(tmp_path: Path, content: str) -> None:
    (row,) = app_store(tmp_path, content)
    assert (row.id, row.title, row.text, row.rating, row.app_version) == ("77", "Nice", "Good app", 4, "1.2")
    assert row.ts == datetime(2026, 3, 1, tzinfo=UTC)
    assert "joe" not in row.raw.values()


def test_without_an_id_a_review_is_known_by_author_country_and_time(tmp_path: Path) -> None:
    header = "Date,Author,Rating,Title,Review,Country\n"
    first, edited, other = app_store(
        tmp_path,
        f"{header}2026-03-01,joe,4,Nice,Good,us\n2026-03-01,joe,1,Nice,Worse now,us\n"
        "2026-03-01,joe,4,Nice,Good,de\n",
    )
    assert first.id == edited.id != other.id


def test_own_names_of_columns_must_be_there(tmp_path: Path) -> None:
    content = "When,Points,What\n2026-03-01,4,Good\n"
    columns = {"created_at": "When", "rating": "Points", "text": "What"}
    assert app_store(tmp_path, content, columns=columns)[0].text == "Good"
    with pytest.raises(InboxError, match=r"'Edition' \(columns.app_version\)"):
        app_store(tmp_path, content, columns={**columns, "app_version": "Edition"})
