"""The fast reader of Mixpanel's lines against the careful one: equal rows, equal rejects, on any bytes."""

import json
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from opsanalytics.sources.base import EventSourceSettings, ParsedLines
from opsanalytics.sources.lines import RawLines
from opsanalytics.sources.mixpanel import fast
from opsanalytics.sources.values import NO_ID
from opsanalytics_tests.sources.support import mixpanel

TIME = 1_772_323_200_123
ZONES = ["UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Africa/Monrovia", "Australia/Lord_Howe"]


def both(records: list[bytes], zone: str = "UTC") -> tuple[ParsedLines, ParsedLines]:
    source = mixpanel("http://x", project_timezone=zone)
    careful = partial(EventSourceSettings.parse_records, source)
    lines = RawLines.of(records)
    return fast.parse_records(source.name, source.vendor_zone, lines, careful), careful(lines)


def check(records: list[bytes], zone: str = "UTC") -> pl.DataFrame:
    quick, careful = both(records, zone)
    assert_frame_equal(quick.rows, careful.rows)
    assert sorted(quick.rejected, key=lambda reject: reject[0]) == sorted(
        careful.rejected, key=lambda reject: reject[0]
    )
    assert quick.rows.height + len(quick.rejected) == len(records)
    return quick.rows


def read_fast(records: list[bytes]) -> ParsedLines:
    """By the fast reader alone."""
    lines = RawLines.of(records)
    return fast.parse_records(
        "product", ZoneInfo("UTC"), lines, lambda left: pytest.fail(f"careful: {left[0]!r}")
    )


def line(**properties: Any) -> bytes:
    return json.dumps({"event": "Paid", "properties": {"time": TIME, **properties}}).encode()


members = list(fast.MEMBERS)
ids = st.sampled_from(sorted(NO_ID)).flatmap(
    lambda word: st.sampled_from(
        [word, word.upper(), f" {word}\t", f"\x1c{word}", f"\u2003{word}", f"x{word}"]
    )
)
texts = (
    st.text(st.characters(exclude_categories=()), max_size=12)
    | ids
    | st.sampled_from(
        ["$device:", "$device:x", "$device: null ", "$device:$device:y", "iPhone", "SWIFT", "İ", "ΑΣ"]
    )
)
numbers = (
    st.integers()
    | st.integers(2**53, 2**70)
    | st.floats(allow_nan=True, allow_infinity=True)
    | st.sampled_from([0, -1, 86_400, 31_535_999, 31_536_000, 7_258_118_399, 7_258_118_400, 99_999_999_999,
                       100_000_000_000, 7_258_118_399_999, 7_258_118_400_000, 10**25, 1e300])
)  # fmt: skip
times = st.integers(31_000_000, 7_300_000_000) | st.integers(31_000_000_000, 7_300_000_000_000)
scalars = st.none() | st.booleans() | numbers | texts
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=5,
)


@st.composite
def objects(draw: st.DrawFn) -> str:
    """An object as text, with repeated and oddly spelled names and any spacing."""
    pairs = draw(
        st.lists(
            st.tuples(st.sampled_from(members) | texts, values | times) | st.tuples(st.just("time"), times),
            max_size=8,
        )
    )
    if draw(st.integers(0, 4)):
        pairs.append(("time", draw(times)))
    ascii_only = draw(st.booleans())
    space = draw(st.sampled_from(["", "", " ", "\t", "\r"]))
    written = []
    for name, value in pairs:
        key = json.dumps(name, ensure_ascii=ascii_only)
        if name and draw(st.integers(0, 5)) == 0:
            key = f'"\\u{min(ord(name[0]), 0xFFFF):04x}{key[2:] if name[0].isalnum() else key[1:]}'
        written.append(f"{space}{key}{space}:{space}{json.dumps(value, ensure_ascii=ascii_only)}")
    return "{" + f"{space},".join(written) + space + "}"


@st.composite
def lines(draw: st.DrawFn) -> bytes:
    """A line as the vendor writes it, or with members added, repeated, moved, damaged."""
    event = json.dumps(draw(texts | scalars), ensure_ascii=draw(st.booleans()))
    parts = [f'"event":{event}', f'"properties":{draw(objects())}']
    parts += draw(
        st.lists(
            st.sampled_from([*parts, '"event":null', '"properties":[]', '"x":{"properties":1}']), max_size=2
        )
    )
    if draw(st.integers(0, 3)) == 0:
        parts = draw(st.permutations(parts))
    raw = ("{" + ",".join(parts) + "}").encode("utf-8", "surrogatepass")
    if draw(st.integers(0, 2)) == 0:
        at = draw(st.integers(0, len(raw)))
        wrong = draw(
            st.binary(max_size=2)
            | st.sampled_from(
                [b'"', b"\\", b",", b"}", b"{", b"]", b"0", b"NaN", b"-", b".", b"\xc2\xa0", b"\\ud83d"]
            )
        )
        raw = raw[:at] + wrong + raw[at + draw(st.integers(0, 3)) :]
    return raw.replace(b"\n", b" ")


@settings(max_examples=400, deadline=None)
@given(st.lists(lines() | st.binary(max_size=20), max_size=6), st.sampled_from(ZONES))
@example([b"\xef\xbb\xbf" + line(), b"", b" ", b"\r"], "UTC")
def test_fast_and_careful_agree_on_any_lines(records: list[bytes], zone: str) -> None:
    check(records, zone)


@pytest.mark.parametrize("depth", [10, 200, 400, 900, 5_000])
def test_depth_is_judged_alike(depth: int) -> None:
    nested = b"[" * depth + b"]" * depth
    check([b'{"event":"a","properties":{"time":1772323200123,"deep":' + nested + b"}}"])


@pytest.mark.parametrize("digits", [20, 3_999, 4_299, 4_301, 10_000])
def test_long_numbers_are_judged_alike(digits: int) -> None:
    """Python refuses integers of more than 4,300 digits."""
    for name in (b"n", b"$user_id", b"time"):
        check([b'{"event":"a","properties":{"time":1772323200123,"' + name + b'":' + b"9" * digits + b"}}"])


def test_long_lines_are_read_fast_too() -> None:
    record = line(note="x" * 10_000, n=2**70)
    assert read_fast([record]).rows["properties"].item().encode() in record


def test_usual_lines_never_need_the_careful_reader() -> None:
    records = [
        line(**{"$user_id": 7, "distinct_id": "u", "$insert_id": "i", "mp_lib": "web", "$os": None, "n": n})
        for n in (1, 1.5, "x", None, True, {"a": [1]}, 2**63)
    ]
    parsed = read_fast(records)
    assert parsed.rows["user_id"].to_list() == ["7"] * 7


def test_text_with_escapes_is_read_fast_too() -> None:
    name = 'a"\\/\b\f\n\r\té\u0000\u0085\u2028漢😀' + "x" * 20
    record = json.dumps({"event": name, "properties": {"time": TIME, "$os": name, "n": name}}).encode()
    slashes = record.replace(b'"$os": "a', b'"$os": "\\/')
    rows = read_fast([record, slashes, line(**{"$os": "\t", "$browser": "é" * 6})]).rows
    assert rows["source_event"].to_list() == [name, name, "Paid"]
    assert rows["os"].to_list() == [name, "/" + name[1:], "\t"]
    assert rows["browser"].to_list() == [None, None, "é" * 6]


@pytest.mark.parametrize("zone", ZONES)
def test_every_hour_of_the_clock_agrees(zone: str) -> None:
    starts = [1_583_020_800, 1_601_510_400, 63_072_000, 1_585_440_000, 1_603_580_400]
    records = [line(time=start + 1_799 * n, n=n) for start in starts for n in range(200)]
    check(records, zone)


def test_bytes_that_are_no_text_are_refused_wherever_they_are() -> None:
    good = line(n=1)
    bad = good.replace(b'"n": 1', b'"n": "\xff"')
    rows = check([good, bad, good.replace(b"Paid", b"\xe4"), line(n="\u2028\u0085😀")])
    assert rows["position"].to_list() == [0, 3]
