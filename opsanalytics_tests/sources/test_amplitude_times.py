"""The quick reading of Amplitude's times against the one that knows all of them."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opsanalytics.sources.amplitude.rows import by_parts, utc_moment

USUAL = "2026-01-26 04:23:35.379000"


@given(
    st.lists(st.tuples(st.integers(0, len(USUAL) - 1), st.sampled_from("0123456789-: .,TZW+٣")), max_size=3)
)
def test_nearly_usual_times_read_the_same(changes: list[tuple[int, str]]) -> None:
    letters = list(USUAL)
    for at, letter in changes:
        letters[at] = letter
    assert utc_moment("".join(letters)) == by_parts("".join(letters))


@pytest.mark.parametrize("value", ["2026-W05-1 04:23:35.379000", "2026-01-26 04:23:35.37900Z", "", 7, None])
def test_what_is_no_such_time(value: object) -> None:
    assert utc_moment(value) == (by_parts(value) if isinstance(value, str) else None)


def test_the_usual_time() -> None:
    assert utc_moment(USUAL) == datetime(2026, 1, 26, 4, 23, 35, 379_000, tzinfo=UTC)
