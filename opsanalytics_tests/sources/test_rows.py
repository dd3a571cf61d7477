"""Reading vendors' lines: nothing renamed, retyped or lost."""

import json
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from opsanalytics.sources import amplitude, mixpanel
from opsanalytics.sources.amplitude.rows import utc_moment
from opsanalytics.sources.base import Line, ParsedLines
from opsanalytics.sources.mixpanel.rows import from_project_clock
from opsanalytics.sources.values import (
    DECODER,
    epoch_moment,
    member_text,
    member_text_by_steps,
    read_object,
    text_of,
)

UTC_ZONE = ZoneInfo("UTC")
TIME = 1_772_323_200_123


def read_mixpanel(*texts: str) -> ParsedLines:
    lines = [Line(position, text) for position, text in enumerate(texts)]
    return mixpanel.source.parse_lines("product", UTC_ZONE, lines)


def read_amplitude(*texts: str) -> ParsedLines:
    return amplitude.source.parse_lines("app", [Line(position, text) for position, text in enumerate(texts)])


def mixpanel_row(**properties: Any) -> dict[str, Any]:
    line = {"event": "Paid", "properties": {"time": TIME, "distinct_id": "d", **properties}}
    return read_mixpanel(json.dumps(line)).rows.row(0, named=True)


def amplitude_row(**fields: Any) -> dict[str, Any]:
    line = {"event_type": "Paid", "event_time": "2026-01-26 04:23:35.379000", "uuid": "u-1", **fields}
    return read_amplitude(json.dumps(line)).rows.row(0, named=True)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(), json_values, max_size=5), st.booleans())
def test_mixpanel_properties_keep_every_name_and_value(own: dict[str, Any], ascii_only: bool) -> None:
    properties = {**own, "time": TIME, "distinct_id": "d"}
    line = json.dumps({"event": "Paid", "properties": properties}, ensure_ascii=ascii_only)
    kept = read_mixpanel(line).rows["properties"][0]
    assert kept == json.dumps(properties, ensure_ascii=ascii_only)


@given(st.dictionaries(st.text(), json_values, max_size=5))
def test_amplitude_properties_keep_every_name_and_value(own: dict[str, Any]) -> None:
    kept = json.loads(amplitude_row(event_properties=own, user_properties={"plan": "pro"})["properties"])
    rest = kept.pop("$amplitude")
    assert kept == {name: value for name, value in own.items() if name != "$amplitude"}
    assert rest["user_properties"] == {"plan": "pro"}
    assert rest["event_type"] == "Paid"


@pytest.mark.parametrize(
    "text",
    [
        '{"event":"a","properties":{"time":1772323200123,"Id":1,"id":2,"$x":3,"a.b":4,"😀":"\u2028\u0085"}}',
        '{ "event" : "a" , "properties" : {"time":1772323200123,"big":12345678901234567890123,"f":1.0}} ',
        '{"properties":{"time":1772323200123,"dup":1,"dup":2},"event":"a"}',
        '{"event":"a","properties":{"time":1772323200123,"s":"\\ud800"},"extra":{"properties":{"no":1}}}',
        '{"event":"a","properties":{"time":1772323200123,"event":"x","properties":{"time":0}}}\r',
    ],
)
def test_mixpanel_properties_are_the_bytes_that_came(text: str) -> None:
    kept = read_mixpanel(text).rows["properties"][0]
    assert kept in text
    assert DECODER.decode(kept) == DECODER.decode(text)["properties"]


def test_amplitude_keeps_all_digits_of_long_ids() -> None:
    row = amplitude_row(amplitude_id=9_223_372_036_854_775_807)
    assert row["distinct_id"] == "9223372036854775807"
    assert "9223372036854775807" in row["properties"]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("{", "not_json"), ('{"event":"a","properties":{"time":NaN}}', "not_json"), ("[1]", "not_an_object"),
        ('{"event":"a"}', "no_properties"), ('{"event":"a","properties":[]}', "no_properties"),
        ('{"properties":{"time":1}}', "no_event"),
        ('{"event":7,"properties":{"time":1772323200123}}', "no_event"),
        ('{"event":"a","properties":{}}', "no_time"),
        ('{"event":"a","properties":{"time":"soon"}}', "no_time"),
        ('{"event":"a","properties":{"time":-5}}', "no_time"),
        ('{"event":"a","properties":{"time":true}}', "no_time"),
        ('{"event":"a","properties":{"time":1e300}}', "no_time"), ("[" * 100_000, "not_json"),
    ],
)  # fmt: skip
def test_mixpanel_lines_that_cannot_be_used_have_a_reason(line: str, reason: str) -> None:
    parsed = read_mixpanel(line)
    assert parsed.rows.is_empty()
    assert [reject[:2] for reject in parsed.rejected] == [(0, reason)]


@given(st.text())
def test_any_line_is_a_row_or_a_reject(text: str) -> None:
    for read in (read_mixpanel, read_amplitude):
        parsed = read(text)
        assert parsed.rows.height + len(parsed.rejected) == 1


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("nope", "not_json"), ('{"event_time":"2026-01-26 04:23:35"}', "no_event"),
        ('{"event_type":"a"}', "no_time"),
        ('{"event_type":"a","event_time":"2026-02-30 04:23:35"}', "no_time"),
    ],
)  # fmt: skip
def test_amplitude_lines_that_cannot_be_used_have_a_reason(line: str, reason: str) -> None:
    assert [reject[1] for reject in read_amplitude(line).rejected] == [reason]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (1_772_323_200_123, datetime(2026, 3, 1, 0, 0, 0, 123_000, UTC)),
        (1_772_323_200, datetime(2026, 3, 1, tzinfo=UTC)),
        (1_772_323_200.25, datetime(2026, 3, 1, 0, 0, 0, 250_000, UTC)),
        ("1772323200", datetime(2026, 3, 1, tzinfo=UTC)),
        ("2026-03-01T01:00:00+01:00", datetime(2026, 3, 1, tzinfo=UTC)),
        ("2026-03-01 00:00:00", datetime(2026, 3, 1, tzinfo=UTC)),
        (None, None), ("", None), ([], None), (10**30, None), (float("inf"), None),
    ],
)  # fmt: skip
def test_times_in_every_spelling(value: Any, expected: datetime | None) -> None:
    assert epoch_moment(value) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-01-26 04:23:35.379000", datetime(2026, 1, 26, 4, 23, 35, 379_000, UTC)),
        ("2022:05:27 02:00:43", datetime(2022, 5, 27, 2, 0, 43, tzinfo=UTC)),
        ("2026-01-26T04:23:35Z", datetime(2026, 1, 26, 4, 23, 35, tzinfo=UTC)),
        ("26.01.2026 04:23", None),
    ],
)
def test_amplitude_times_are_utc_in_both_spellings(text: str, expected: datetime | None) -> None:
    assert utc_moment(text) == expected


def test_a_key_does_not_change_when_the_vendor_rekeys_the_id() -> None:
    before = mixpanel_row(distinct_id="$device:x", **{"$insert_id": "i"})
    after = mixpanel_row(
        distinct_id="user-7", **{"$insert_id": "i", "$distinct_id_before_identity": "$device:x"}
    )
    assert before["event_id"] == after["event_id"]
    assert after["distinct_id"] == "$device:x"


def test_one_insert_id_on_two_events_is_two_events() -> None:
    first = mixpanel_row(**{"$insert_id": "i"})
    second = mixpanel_row(distinct_id="other", **{"$insert_id": "i"})
    assert first["event_id"] != second["event_id"]


def test_rows_without_insert_id_are_known_by_their_whole_content() -> None:
    assert mixpanel_row(n=1)["event_id"] != mixpanel_row(n=2)["event_id"]
    assert mixpanel_row(n=1)["event_id"] == mixpanel_row(n=1)["event_id"]


def test_events_of_overloaded_ids_are_restored() -> None:
    row = mixpanel_row(mp_original_event_name="Bought", mp_original_distinct_id="real")
    assert (row["source_event"], row["distinct_id"]) == ("Bought", "real")


@pytest.mark.parametrize("nobody", [None, "", "null", "undefined", "EMPTY", "anonymous", "Nan"])
def test_ids_that_stand_for_nobody_are_none(nobody: str | None) -> None:
    assert mixpanel_row(**{"$user_id": nobody, "$device_id": nobody})["user_id"] is None
    row = amplitude_row(user_id=nobody, device_id=nobody, **{"$insert_id": "i"})
    assert (row["user_id"], row["device_id"], row["second_key"]) == (None, None, None)


def test_a_device_distinct_id_is_a_device() -> None:
    assert mixpanel_row(distinct_id="$device:abc")["device_id"] == "abc"


def test_an_amplitude_session_of_minus_one_is_none() -> None:
    assert amplitude_row(session_id=-1)["session_id"] is None
    assert amplitude_row(session_id=1_700_000_000_000)["session_id"] == "1700000000000"


@pytest.mark.parametrize(
    ("zone", "true"),
    [
        ("America/New_York", datetime(2020, 7, 1, 12, tzinfo=UTC)),
        ("America/New_York", datetime(2020, 12, 1, 12, tzinfo=UTC)),
        ("Asia/Kolkata", datetime(2020, 7, 1, 23, 59, tzinfo=UTC)),
    ],
)
def test_local_clocks_give_true_utc(zone: str, true: datetime) -> None:
    wall = true.astimezone(ZoneInfo(zone)).replace(tzinfo=UTC)
    assert from_project_clock(wall, ZoneInfo(zone)) == true


def test_skipped_and_repeated_hours_do_not_fail() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    skipped = from_project_clock(datetime(2020, 3, 29, 2, 30, tzinfo=UTC), berlin)
    repeated = from_project_clock(datetime(2020, 10, 25, 2, 30, tzinfo=UTC), berlin)
    assert skipped == datetime(2020, 3, 29, 1, 30, tzinfo=UTC)
    assert repeated == datetime(2020, 10, 25, 0, 30, tzinfo=UTC)


@given(st.dictionaries(st.text(), json_values, min_size=1, max_size=5), st.sampled_from([None, 1]))
def test_member_text_finds_each_member(members: dict[str, Any], indent: int | None) -> None:
    text = json.dumps(members, indent=indent)
    for name, value in members.items():
        assert json.loads(member_text(text, name)) == value


@pytest.mark.parametrize(
    "text",
    [
        '{"a":1,"b": {"x": [1.50, 1e2]} ,"a" : "\u2028" }', '{"a":"\\ud800","b":-0}', '{"\\u0061":1,"b":[ ]}',
        '{"b":0,"a":12345678901234567890123}\r', '{"b":0,"a":{"a":{"a":"é😀"}}}',
    ],
)  # fmt: skip
def test_member_text_is_what_a_step_by_step_reader_finds(text: str) -> None:
    for name in ("a", "b"):
        assert member_text(text, name) == member_text_by_steps(text, name)


def test_lone_surrogates_become_text_that_can_be_stored() -> None:
    value = read_object('{"a":"\\ud800"}')["a"]
    assert pl.Series([text_of(value)]).item() == "\ufffd"
