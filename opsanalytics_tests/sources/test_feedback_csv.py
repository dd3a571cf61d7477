from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from opsanalytics.sources.base import FeedbackRow, RejectedRow
from opsanalytics.sources.errors import InboxError
from opsanalytics.sources.feedback_csv import FeedbackCsvSettings
from opsanalytics.sources.feedback_files.text import as_line, guess_delimiter, parse

HEADER = "id,created_at,text,rating"
ROW = "1,2026-03-01T10:00:00Z,Nice – naïve café,4"


def survey(**changes: Any) -> FeedbackCsvSettings:
    return FeedbackCsvSettings(
        **{
            "name": "survey",
            "columns": {"id": "id", "created_at": "created_at", "text": "text", "rating": "rating"},
            "rating_scale": (1, 5),
            **changes,
        }
    )


def read(tmp_path: Path, content: bytes | str, **changes: Any) -> tuple[list[FeedbackRow], list[RejectedRow]]:
    path = tmp_path / "dump.csv"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    settings = survey(**changes)
    rows, rejected = settings.read(path)
    assert settings.count_records(path) == len(rows) + len(rejected)
    return rows, rejected


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_encodings_are_recognised(tmp_path: Path, encoding: str) -> None:
    rows, _ = read(tmp_path, f"{HEADER}\r\n{ROW}\r\n".encode(encoding))
    assert rows[0].text == "Nice – naïve café"


def test_utf16_with_emoji_and_big_endian(tmp_path: Path) -> None:
    content = b"\xfe\xff" + f"{HEADER}\n1,2026-03-01,great 😀,5\n".encode("utf-16-be")
    assert read(tmp_path, content)[0][0].text == "great 😀"


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_delimiters_are_recognised(tmp_path: Path, delimiter: str) -> None:
    rows, _ = read(tmp_path, f"{HEADER}\n{ROW}\n".replace(",", delimiter))
    assert (rows[0].id, rows[0].rating) == ("1", 4.0)


def test_quotes_hide_delimiters_and_line_breaks(tmp_path: Path) -> None:
    rows, _ = read(tmp_path, f'{HEADER}\n1,2026-03-01,"a, ""b""\r\nc\u2028d\n\ne",3\n')
    assert rows[0].text == 'a, "b"\r\nc\u2028d\n\ne'


def test_the_delimiter_is_looked_for_outside_quotes() -> None:
    assert guess_delimiter('"a;b;c;d",e,f\n1;2;3;4;5;6;7\n') == ","


def test_other_columns_are_kept_raw(tmp_path: Path) -> None:
    rows, _ = read(tmp_path, f"{HEADER},mood,mood\n{ROW},good,better\n")
    assert (rows[0].raw["mood"], rows[0].raw["mood#6"]) == ("good", "better")


def test_a_missing_column_is_named_with_those_found(tmp_path: Path) -> None:
    with pytest.raises(InboxError) as caught:
        read(tmp_path, "id,when,body\n1,2026-03-01,x\n")
    message = str(caught.value)
    for part in ("dump.csv", "survey", "'created_at' (columns.created_at)", "'text'", "'when', 'body'"):
        assert part in message


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "empty"), (b"\x81\x8d\x8f", "UTF-8"), (b"a\x00b,c\n", "NUL"),
        (f'{HEADER}\n1,2026-03-01,"never closed,3\n'.encode(), "quoting is broken: line 2"),
    ],
)  # fmt: skip
def test_files_that_are_no_csv_are_refused(tmp_path: Path, content: bytes, words: str) -> None:
    with pytest.raises(InboxError, match=words):
        read(tmp_path, content)


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("1,soon,text,3", "bad_time"), ("1,,text,3", "no_time"), ("1,03/04/2026,text,3", "ambiguous_time"),
        ("1,2026-03-01,text,6", "bad_rating"), ("1,2026-03-01,text,good", "bad_rating"),
        ("1,2026-03-01,text,nan", "bad_rating"), ("1,2026-03-01,text", "wrong_width"),
        ("1,2026-03-01,text,3,more", "wrong_width"), ("1,2026-03-01,,", "empty"),
    ],
)  # fmt: skip
def test_rows_that_cannot_be_used_are_set_aside(tmp_path: Path, row: str, reason: str) -> None:
    rows, rejected = read(tmp_path, f"{HEADER}\n{ROW}\n{row}\n")
    assert len(rows) == 1
    assert [(row.record, row.reason) for row in rejected] == [(2, reason)]


@pytest.mark.parametrize(
    ("text", "changes", "expected"),
    [
        ("2026-03-01T10:00:00+02:00", {}, datetime(2026, 3, 1, 8, tzinfo=UTC)),
        ("2026-03-01 10:00:00 UTC", {}, datetime(2026, 3, 1, 10, tzinfo=UTC)),
        ("2026-07-01 10:00", {"timezone": "Europe/Berlin"}, datetime(2026, 7, 1, 8, tzinfo=UTC)),
        ("01.03.2026 10:00", {"timestamp_format": "%d.%m.%Y %H:%M"}, datetime(2026, 3, 1, 10, tzinfo=UTC)),
        ("1772323200", {}, datetime(2026, 3, 1, tzinfo=UTC)),
        ("1772323200000", {}, datetime(2026, 3, 1, tzinfo=UTC)),
    ],
)
def test_times_in_configured_spellings(
    tmp_path: Path, text: str, changes: dict[str, str], expected: datetime
) -> None:
    rows, _ = read(tmp_path, f"{HEADER}\n1,{text},x,3\n", **changes)
    assert rows[0].ts == expected


def test_decimal_commas_are_ratings(tmp_path: Path) -> None:
    rows, _ = read(tmp_path, "id;created_at;text;rating\n1;2026-03-01;x;4,5\n")
    assert (rows[0].rating, rows[0].rating_min, rows[0].rating_max) == (4.5, 1.0, 5.0)


def test_without_an_id_a_message_is_known_by_its_content(tmp_path: Path) -> None:
    columns = {"created_at": "created_at", "text": "text"}
    rows, _ = read(tmp_path, f"{HEADER}\n{ROW}\n{ROW}\n{ROW}x\n", columns=columns, rating_scale=None)
    assert rows[0].id == rows[1].id != rows[2].id


def test_a_rating_column_needs_its_scale() -> None:
    with pytest.raises(ValidationError, match="rating_scale"):
        survey(rating_scale=None)


def test_an_unknown_field_in_the_column_map_is_refused() -> None:
    with pytest.raises(ValidationError, match="txt"):
        survey(columns={"txt": "text", "text": "text", "created_at": "created_at"})


@given(st.lists(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])), min_size=1))
def test_a_row_in_quarantine_reads_back(fields: list[str]) -> None:
    if any(field.strip() for field in fields):
        assert list(parse(as_line(fields, ",").decode(), ",")) == [(1, fields)]


TAGGED = {
    "columns": {"id": "id", "created_at": "created_at", "text": "text", "tags": "tags", "votes": "votes"},
    "rating_scale": None,
    "kinds": {"request": ["feature-request"], "bug": ["Bug", "crash"], "other": ["chat"]},
    "resolved_tags": ["Done"],
}


def tagged(tmp_path: Path, tags: str, votes: str = "", **changes: Any) -> FeedbackRow:
    content = f'id,created_at,text,tags,votes\n1,2026-03-01,x,"{tags}",{votes}\n'
    rows, _ = read(tmp_path, content, **{**TAGGED, **changes})
    return rows[0]


@pytest.mark.parametrize("tags", ["bug|ui", "bug, ui", "bug;ui", " bug ,, ui "])
def test_tags_are_split_at_any_usual_separator(tmp_path: Path, tags: str) -> None:
    assert tagged(tmp_path, tags).tags == ("bug", "ui")


def test_a_configured_separator_is_the_only_one(tmp_path: Path) -> None:
    assert tagged(tmp_path, "late, again / ui", tag_separator="/").tags == ("late, again", "ui")


@pytest.mark.parametrize(
    ("tags", "kind"),
    [
        ("bug", "bug"),
        ("feature-request|CRASH", "bug"),
        ("feature-request", "request"),
        ("ui", "other"),
        ("", "other"),
    ],
)
def test_of_several_kinds_the_most_telling_counts(tmp_path: Path, tags: str, kind: str) -> None:
    assert tagged(tmp_path, tags).kind == kind


def test_a_resolved_tag_settles_a_message(tmp_path: Path) -> None:
    assert tagged(tmp_path, "bug|done").resolved is True
    assert tagged(tmp_path, "bug").resolved is False


def test_what_is_not_configured_is_unknown(tmp_path: Path) -> None:
    row = tagged(tmp_path, "bug|done", kinds={}, resolved_tags=[])
    assert (row.kind, row.resolved) == (None, None)


@pytest.mark.parametrize(("text", "votes"), [("12", 12), ("-3", -3), ("4.0", 4), ("", None)])
def test_votes_are_whole_numbers(tmp_path: Path, text: str, votes: int | None) -> None:
    assert tagged(tmp_path, "", text).votes == votes


@pytest.mark.parametrize("text", ["many", "1.5", "nan", "inf", "1e99"])
def test_other_votes_are_set_aside(tmp_path: Path, text: str) -> None:
    _, rejected = read(tmp_path, f"id,created_at,text,tags,votes\n1,2026-03-01,x,,{text}\n", **TAGGED)
    assert [row.reason for row in rejected] == ["bad_votes"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"kinds": {"bug": ["bug"]}}, "kinds needs columns.tags"),
        ({"resolved_tags": ["done"]}, "resolved_tags needs columns.tags"),
        ({"tag_separator": "/"}, "tag_separator needs columns.tags"),
        ({**TAGGED, "kinds": {"bug": ["x"], "request": ["X "]}}, "'X ' means both bug and request"),
        ({**TAGGED, "kinds": {"feature": ["x"]}}, "'bug', 'complaint'"),
    ],
)
def test_mistakes_about_tags_are_told(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        survey(**changes)
