import pytest

from opsanalytics.sources.feedback_files.values import exact_id, read_rating
from opsanalytics.sources.values import UnreadableError

WORDS = {"Very satisfied": 5.0, "Poor": 2.0}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("4", 4), ("4.0", 4), ("4,5", 4.5), (" 3 ", 3), ("4/5", 4), ("4 out of 5", 4), ("4 von 5", 4),
        ("5 stars", 5), ("1 star", 1), ("★★★★☆", 4), ("⭐⭐", 2), ("5 - Extremely likely", 5),
        ("1 – gar nicht", 1), ("2 (poor)", 2), ("very SATISFIED", 5), ("Poor", 2),
    ],
)  # fmt: skip
def test_ratings_as_people_and_tools_write_them(text: str, expected: float) -> None:
    assert read_rating(text, (1, 5), WORDS) == expected


@pytest.mark.parametrize(
    "text", ["0", "6", "-1", "1e0", "nan", "inf", "good", "4/10", "1-5", "3 4", "☆☆☆", "", "5 stars and more"]
)
def test_other_ratings_are_refused(text: str) -> None:
    with pytest.raises(UnreadableError) as caught:
        read_rating(text, (1, 5), WORDS)
    assert caught.value.reason == "bad_rating"


@pytest.mark.parametrize("text", ["9223372036854775807", "1e", "0x1e5", "a1e+5", "12.5", "007"])
def test_ids_stay_as_they_are(text: str) -> None:
    assert exact_id(text) == text


@pytest.mark.parametrize("text", ["1.23457E+18", "1,23457E+18", "1E+20", "4e9"])
def test_ids_that_a_spreadsheet_rounded_are_refused(text: str) -> None:
    with pytest.raises(UnreadableError, match="spreadsheet"):
        exact_id(text)
