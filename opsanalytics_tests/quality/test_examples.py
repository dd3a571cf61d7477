import hashlib
from datetime import UTC, datetime

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from opsanalytics.quality.examples import example, redact


def test_an_email_keeps_its_first_letter_only() -> None:
    assert redact("ada.lovelace@example.org").startswith("<a***@***, sha256 ")


def test_an_id_can_be_found_by_its_hash() -> None:
    digits = redact("user-42").partition("sha256 ")[2].rstrip(">")
    query = "SELECT id FROM (VALUES ('user-41'), ('user-42')) AS t(id) WHERE sha256(id)[1:8] = ?"
    assert duckdb.execute(query, [digits]).fetchall() == [("user-42",)]


@given(st.text(min_size=9))
def test_no_long_text_survives_redaction(text: str) -> None:
    expected = hashlib.sha256(text.encode()).hexdigest()[:8]
    assert text not in redact(text)
    assert expected in redact(text)


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({"event": "sign_up"}, "event=sign_up"),
        ({"ts": datetime(2024, 1, 1, 12, tzinfo=UTC)}, "ts=2024-01-01T12:00:00Z"),
        ({"event": "a\nb"}, "event=a b"),
        ({"rating": None, "user_id": None}, "rating=null, user_id=null"),
        ({"satisfaction": float("nan")}, "satisfaction=null"),
    ],
)
def test_columns_that_tell_nothing_about_a_person_are_shown(row: dict[str, object], expected: str) -> None:
    assert example(row) == expected


def test_a_long_name_is_cut() -> None:
    assert example({"event": "x" * 500}) == "event=" + "x" * 79 + "…"
