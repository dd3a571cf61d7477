from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from opsanalytics.sources.feedback_files.times import TimeRules, read_time
from opsanalytics.sources.values import UnreadableError

BERLIN = ZoneInfo("Europe/Berlin")
UTC_ZONE = ZoneInfo("UTC")


def read(text: str, zone: ZoneInfo = UTC_ZONE, **rules: object) -> str:
    return read_time(text, TimeRules(zone, **rules)).strftime("%Y-%m-%d %H:%M:%S")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026/06/14 10:10:09 AM GMT+1", "2026-06-14 09:10:09"),
        ("2026/06/14 12:00:09 AM GMT+5:30", "2026-06-13 18:30:09"),
        ("2026/06/14 12:10:09 PM GMT-3", "2026-06-14 15:10:09"),
        ("2026/06/14 10:10:09 AM MESZ", "2026-06-14 08:10:09"),
        ("2026/06/14 10:10:09\u202fPM UTC", "2026-06-14 22:10:09"),
        ("14/06/2026 10:10:09", "2026-06-14 10:10:09"),
        ("6/14/2026 22:10", "2026-06-14 22:10:00"),
        ("14.6.2026 9.05", "2026-06-14 09:05:00"),
        ("14.06.26, 09:05", "2026-06-14 09:05:00"),
        ("4/4/2026", "2026-04-04 00:00:00"),
        ("Jun 14, 2026 10:10:09 a.m.", "2026-06-14 10:10:09"),
        ("Sunday, 14 June 2026 at 10:10", "2026-06-14 10:10:00"),
        ("14-Jun-2026", "2026-06-14 00:00:00"),
        ("2026-06-14T10:10:09.123Z", "2026-06-14 10:10:09"),
        ("2026-06-14 10:10:09 UTC", "2026-06-14 10:10:09"),
        ("2026-06-14 10:10:09 +0200", "2026-06-14 08:10:09"),
        ("2026-06-14T10:10:09-07:00", "2026-06-14 17:10:09"),
        ("20260614", "2026-06-14 00:00:00"),
        ("46187", "2026-06-14 00:00:00"),
        ("46187.75", "2026-06-14 18:00:00"),
        ("46187,75", "2026-06-14 18:00:00"),
        ("1772323200.5", "2026-03-01 00:00:00"),
        ("2026-02-28T24:00:00Z", "2026-03-01 00:00:00"),
        ("31.12.2026 24:00", "2027-01-01 00:00:00"),
    ],
)
def test_usual_spellings(text: str, expected: str) -> None:
    assert read(text) == expected


@pytest.mark.parametrize(("day_first", "expected"), [(True, "2026-04-03"), (False, "2026-03-04")])
def test_the_setting_tells_day_and_month_apart(day_first: bool, expected: str) -> None:
    assert read("03/04/2026", day_first=day_first).startswith(expected)


@pytest.mark.parametrize("text", ["03/04/2026", "3-4-26 10:00"])
def test_without_it_an_ambiguous_date_is_refused(text: str) -> None:
    with pytest.raises(UnreadableError, match="day_first") as caught:
        read(text)
    assert caught.value.reason == "ambiguous_time"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("25/03/2026 25:00", "no time"), ("31.02.2026", "no time"), ("1.1.0026", "no time|before 1971"),
        ("soon", "known spelling"), ("1 Foo 2026", "no time"), ("2026/06/14 13:00 PM", "AM or PM"),
        ("2026/06/14 10:00 XYZ", "timezone"), ("12.5", "epoch"), ("9999-12-31T23:59:59-23:00", "after 2199"),
        ("1/2/026", "three figures"),
    ],
)  # fmt: skip
def test_what_is_no_time_is_told(text: str, words: str) -> None:
    with pytest.raises(UnreadableError, match=words) as caught:
        read(text, day_first=True)
    assert caught.value.reason == "bad_time"


def test_a_month_that_does_not_exist_points_to_the_setting() -> None:
    with pytest.raises(UnreadableError, match="day_first"):
        read("25/03/2026", day_first=False)


def test_of_a_time_that_comes_twice_the_first_is_taken() -> None:
    assert read("2026-10-25 02:30", BERLIN) == "2026-10-25 00:30:00"
    assert read("25.10.2026 02:30", BERLIN) == "2026-10-25 00:30:00"


def test_an_abbreviation_of_the_zone_says_which_of_the_two() -> None:
    assert read("25.10.2026 02:30 CEST", BERLIN) == "2026-10-25 00:30:00"
    assert read("25.10.2026 02:30 CET", BERLIN) == "2026-10-25 01:30:00"
    assert read("1/11/2026 1:30 CST", ZoneInfo("America/Chicago"), day_first=True) == "2026-11-01 07:30:00"


def test_a_time_that_the_clocks_skip_is_an_hour_later() -> None:
    assert read("2026-03-29 02:30", BERLIN) == "2026-03-29 01:30:00"


@settings(deadline=None)
@given(
    st.datetimes(datetime(1972, 1, 1), datetime(2199, 1, 1)),  # noqa: DTZ001
    st.sampled_from(
        ["%Y-%m-%d %H:%M:%S", "%d.%m.%Y %H:%M:%S", "%b %d, %Y %I:%M:%S %p", "%Y/%m/%d %I:%M:%S %p"]
    ),
)
def test_what_is_written_is_read(moment: datetime, form: str) -> None:
    moment = moment.replace(microsecond=0, tzinfo=UTC)
    assert read_time(moment.strftime(form), TimeRules(UTC_ZONE)) == moment


@settings(deadline=None)
@given(st.integers(26_000 * 86_400, 80_000 * 86_400 - 1))
def test_excel_days_are_exact_to_the_second(seconds: int) -> None:
    expected = datetime(1899, 12, 30, tzinfo=UTC) + timedelta(seconds=seconds)
    assert read_time(repr(seconds / 86_400), TimeRules(UTC_ZONE)) == expected
