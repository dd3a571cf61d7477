from datetime import datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opsanalytics.sources.windows import DAY, HOUR, Window, WindowSizer, merged, midnight, subtracted

START = datetime(2026, 1, 1)  # noqa: DTZ001


def window(first: int, last: int) -> Window:
    return Window(START + first * HOUR, START + last * HOUR)


windows = st.tuples(st.integers(0, 60), st.integers(1, 30)).map(
    lambda pair: window(pair[0], pair[0] + pair[1])
)


def hours(parts: list[Window]) -> set[datetime]:
    return {part.start + n * HOUR for part in parts for n in range(part.length // HOUR)}


def test_name_of_days_is_inclusive() -> None:
    assert Window(midnight(START.date()), START + 7 * DAY).name == "2026-01-01--2026-01-07"


def test_name_of_hours_is_inclusive() -> None:
    assert window(3, 5).name == "2026-01-01T03--2026-01-01T04"


def test_an_empty_window_is_refused() -> None:
    with pytest.raises(ValueError, match="not a window"):
        Window(START, START)


@given(st.lists(windows, max_size=6))
def test_merged_covers_the_same_hours_without_overlap(parts: list[Window]) -> None:
    result = merged(parts)
    assert hours(result) == hours(parts)
    assert all(left.end < right.start for left, right in pairwise(result))


@given(windows, st.lists(windows, max_size=6))
def test_subtracted_is_the_difference(whole: Window, parts: list[Window]) -> None:
    assert hours(subtracted(whole, parts)) == hours([whole]) - hours(parts)


@given(st.integers(1, 5_000), st.data())
def test_asking_with_failures_covers_every_day_once(days: int, data: st.DataObject) -> None:
    sizer = WindowSizer(DAY, 7 * DAY, 365 * DAY)
    end = START + days * DAY
    position, asked, failures = START, [], 0
    while position < end:
        part = sizer.next(Window(position, end))
        if failures < 5 and part.length > DAY and data.draw(st.booleans()):
            failures += 1
            sizer.failed(part)
            continue
        sizer.succeeded(part)
        asked.append(part)
        position = part.end
    assert merged(asked) == [Window(START, end)]
    assert sum((part.length for part in asked), timedelta(0)) == end - START


def test_twelve_years_need_at_most_twenty_requests() -> None:
    sizer = WindowSizer(DAY, 7 * DAY, 365 * DAY)
    position, end, requests = START, START + 4_450 * DAY, 0
    while position < end:
        part = sizer.next(Window(position, end))
        sizer.succeeded(part)
        position, requests = part.end, requests + 1
    assert requests <= 20


def test_halving_stops_at_the_unit() -> None:
    sizer = WindowSizer(HOUR, 7 * DAY, 365 * DAY)
    part = sizer.next(window(0, 1_000))
    while part.length > HOUR:
        sizer.failed(part)
        smaller = sizer.next(window(0, 1_000))
        assert smaller.length < part.length
        part = smaller
    assert part.length == HOUR


def test_windows_grow_again_after_a_failure() -> None:
    sizer = WindowSizer(DAY, 8 * DAY, 8 * DAY)
    whole = Window(START, START + 100 * DAY)
    sizer.failed(sizer.next(whole))
    for _ in range(sizer.recovery):
        sizer.succeeded(sizer.next(whole))
    assert sizer.next(whole).length == 8 * DAY
