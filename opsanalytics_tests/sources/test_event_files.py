"""Files of any layout: the map of columns, and what becomes of everything else."""

import csv
import io
import json
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from opsanalytics.lake.paths import Home
from opsanalytics.sources.event_files.mapping import keys_of
from opsanalytics.sources.event_files.times import moment_of
from opsanalytics_tests.sources.file_support import (
    BIG,
    HARD_TEXT,
    events,
    jsonl,
    land,
    mapped,
    properties,
    put,
    quarantined,
    run,
)

NOON_1ST = datetime(2026, 3, 1, 12, tzinfo=UTC)
TIME = "2026-03-01T12:00:00Z"


def written(rows: list[list[str]], delimiter: str = ",") -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text, delimiter=delimiter).writerows(rows)
    return text.getvalue().encode()


@pytest.mark.parametrize(
    ("path", "keys"),
    [
        ("a", ("a",)),
        ("a.b.c", ("a", "b", "c")),
        (r"a\.b", ("a.b",)),
        (r"a\.b.c\\.d", ("a.b", "c\\", "d")),
        (r"a\b", ("a\\b",)),
        ("properties.$user_id", ("properties", "$user_id")),
        ("Ä 😀.\"q\".'s'", ("Ä 😀", '"q"', "'s'")),
    ],
)
def test_a_path_is_cut_at_its_dots(path: str, keys: tuple[str, ...]) -> None:
    assert keys_of(path) == keys


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.text(max_size=4), min_size=1, max_size=4))
def test_every_key_can_be_written_in_a_path(keys: list[str]) -> None:
    escaped = ".".join(key.replace("\\", "\\\\").replace(".", "\\.") for key in keys)
    assert keys_of(escaped) == tuple(keys)


@pytest.mark.parametrize(
    ("value", "time_format", "found"),
    [
        (1772366400, "auto", NOON_1ST),
        ("1772366400", "auto", NOON_1ST),
        (1772366400123, "auto", NOON_1ST + timedelta(milliseconds=123)),
        (1772366400123456, "auto", NOON_1ST + timedelta(microseconds=123456)),
        (1772366400123456789, "auto", NOON_1ST + timedelta(microseconds=123456)),
        (1772366400.25, "auto", NOON_1ST + timedelta(milliseconds=250)),
        ("1772366400.000001", "auto", NOON_1ST + timedelta(microseconds=1)),
        (1772366400123, "ms", NOON_1ST + timedelta(milliseconds=123)),
        (TIME, "auto", NOON_1ST),
        ("2026-03-01 12:00:00 UTC", "auto", NOON_1ST),
        ("2026-03-01T12:00:00.123456789Z", "iso", NOON_1ST + timedelta(microseconds=123456)),
        ("2026-03-01T17:30:00+05:30", "iso", NOON_1ST),
        ("01.03.2026 12:00", "%d.%m.%Y %H:%M", NOON_1ST),
        (Decimal(1772366400), "s", NOON_1ST),
        ("yesterday", "auto", None),
        ("", "auto", None),
        (True, "auto", None),
        (float("nan"), "auto", None),
        (float("inf"), "auto", None),
        (10**30, "auto", None),
        ("0001-01-01T00:00:00+14:00", "auto", None),
        (1772366400, "iso", None),
        ("01.03.2026", "%d.%m.%Y %H:%M", None),
    ],
)
def test_times(value: Any, time_format: str, found: datetime | None) -> None:
    assert moment_of(value, time_format, mapped(Path("x")).vendor_zone) == found


def test_times_without_an_offset_are_of_the_configured_zone(home: Home, tmp_path: Path) -> None:
    put(tmp_path / "a.jsonl", jsonl([{"event": "x", "time": "2026-03-01 13:00:00"}]))
    run(mapped(tmp_path, timezone="Europe/Berlin"), home)
    assert events(home)["ts"].to_list() == [NOON_1ST]


def test_columns_come_from_their_paths(home: Home, tmp_path: Path) -> None:
    record = {
        "event": "Paid",
        "at": {"client": TIME, "server": "2026-03-01T12:00:05Z"},
        "ids": {"user.id": "ada", "device": {"$id": "d1"}},
        "Session": 2**63 + 5,
        "os": "",
        "p.v": "1.2",
        "props": {"a": 1},
    }
    put(tmp_path / "a.jsonl", jsonl([record]))
    columns = {
        "ts": "at.client",
        "received_at": "at.server",
        "user_id": r"ids.user\.id",
        "device_id": "ids.device.$id",
        "session_id": "Session",
        "os": ["os", "system"],
        "app_version": r"p\.v",
        "properties": "props",
    }
    run(mapped(tmp_path, columns=columns), home)
    (row,) = events(home).iter_rows(named=True)
    assert {name: row[name] for name in ("event", "ts", "received_at", "user_id", "device_id")} == {
        "event": "Paid",
        "ts": NOON_1ST,
        "received_at": NOON_1ST + timedelta(seconds=5),
        "user_id": "ada",
        "device_id": "d1",
    }
    assert (row["session_id"], row["os"], row["app_version"]) == (str(2**63 + 5), None, "1.2")
    assert row["distinct_id"] == "ada"


def test_a_mapped_object_is_kept_as_it_was_written(home: Home, tmp_path: Path) -> None:
    text = (
        '{"Id":1,"id":9007199254740993,"$x.y":1.10,"\\"q\\"":"s","😀":[1e3,{"Å":null}],'
        f'"t":{json.dumps(HARD_TEXT, ensure_ascii=False)}}}'
    )
    line = f'{{"event":"x","time":"{TIME}","user":"u","extra":{{"n":{BIG}}},"props":{text}}}'
    put(tmp_path / "a.jsonl", line.encode() + b"\n")
    run(mapped(tmp_path, columns={"properties": "props"}), home)
    kept = events(home)["properties"][0]
    assert kept == text[:-1] + f',"$rest":{{"extra":{{"n":{BIG}}}}}}}'


def test_without_a_mapped_object_all_other_columns_are_properties(home: Home, tmp_path: Path) -> None:
    record = {"event": "x", "time": TIME, "user": "u", "Plan": "a", "plan": "b", "$n": BIG, "none": None}
    put(tmp_path / "a.jsonl", jsonl([record]))
    run(mapped(tmp_path), home)
    assert properties(home) == [{"Plan": "a", "plan": "b", "$n": BIG, "none": None}]


def test_a_column_that_was_not_needed_is_not_lost(home: Home, tmp_path: Path) -> None:
    records = [
        {"event": "x", "name": "kept", "time": TIME},
        {"event": None, "name": "y", "time": TIME},
    ]
    put(tmp_path / "a.jsonl", jsonl(records))
    run(mapped(tmp_path, columns={"event": ["event", "name"]}), home)
    found = dict(zip(events(home)["event"], properties(home), strict=True))
    assert found == {"x": {"name": "kept"}, "y": {"event": None}}


def test_an_object_inside_a_text_is_an_object(home: Home, tmp_path: Path) -> None:
    """CSV and Parquet exports hold properties as JSON text."""
    inner = f'{{"$os":"iOS","n":{BIG},"t":"a,\\"b\\""}}'
    put(tmp_path / "a.csv", written([["event", "time", "user", "props"], ["x", TIME, "u", inner]]))
    run(mapped(tmp_path, columns={"properties": "props", "os": "props.$os"}), home)
    assert events(home)["os"].to_list() == ["iOS"]
    assert events(home)["properties"][0].startswith(inner[:-1])


def test_a_name_of_our_own_does_not_hide_one_of_theirs(home: Home, tmp_path: Path) -> None:
    put(tmp_path / "a.jsonl", jsonl([{"event": "x", "time": TIME, "more": 1, "props": {"$rest": "mine"}}]))
    run(mapped(tmp_path, columns={"properties": "props"}), home)
    (found,) = properties(home)
    assert found["$rest"] == "mine"
    assert found["$$rest"] == {"more": 1}


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_csv(home: Home, tmp_path: Path, delimiter: str, mark: bytes) -> None:
    rows = [["event", "time", "user", "Text", "text"], ["x", TIME, "7", HARD_TEXT, "b"], []]
    put(tmp_path / "a.csv", mark + written(rows, delimiter))
    _, cleaned = run(mapped(tmp_path), home)
    assert cleaned.records == 1
    assert properties(home) == [{"Text": HARD_TEXT, "text": "b"}]


def test_csv_of_other_encodings(home: Home, tmp_path: Path) -> None:
    put(tmp_path / "a.csv", f"event,time,user,t\nx,{TIME},u,Å😀\n".encode("utf-16"))
    run(mapped(tmp_path), home)
    assert properties(home) == [{"t": "Å😀"}]


def test_rows_of_csv_that_cannot_be_read_go_to_quarantine(home: Home, tmp_path: Path) -> None:
    good = f"x,{TIME},u\n".encode()
    body = b"event,time,user\n" + good + b"y,z\n" + b"x,soon,u\n" + f"x,{TIME},caf".encode() + b"\xe9\n"
    put(tmp_path / "a.csv", body)
    _, cleaned = run(mapped(tmp_path), home)
    assert cleaned.canonical == 1
    aside = quarantined(home, "log")
    assert aside.select("record", "reason").rows() == [(2, "ragged_row"), (3, "no_time"), (4, "not_utf8")]


def test_parquet(home: Home, tmp_path: Path) -> None:
    frame = pl.DataFrame(
        {
            "event": ["x"],
            "time": [datetime(2026, 3, 1, 12)],  # noqa: DTZ001 - as many exports have it
            "user": pl.Series([2**64 - 1], dtype=pl.UInt64),
            "Big": [2**63 - 1],
            "big": [HARD_TEXT],
            "raw": [b"bytes"],
            "nested": [{"$a.b": [1, None], "when": date(2026, 3, 1)}],
            "exact": [Decimal("1.10")],
        }
    )
    frame.write_parquet(tmp_path / "a.parquet")
    run(mapped(tmp_path), home)
    (row,) = events(home).iter_rows(named=True)
    assert (row["ts"], row["user_id"]) == (NOON_1ST, str(2**64 - 1))
    assert json.loads(row["properties"], parse_float=str) == {
        "Big": 2**63 - 1,
        "big": HARD_TEXT,
        "raw": "bytes",
        "nested": {"$a.b": [1, None], "when": "2026-03-01"},
        "exact": "1.10",
    }


@pytest.mark.parametrize(
    ("values", "kind", "found"),
    [
        ([None], pa.null(), None),
        (["a"], pa.dictionary(pa.int8(), pa.string()), "a"),
        ([[1, 2]], pa.list_(pa.int64(), 2), [1, 2]),
        ([bytes(range(16))], pa.binary(16), bytes(range(16)).hex()),
        ([[("a", b"x")]], pa.map_(pa.string(), pa.binary()), [{"key": "a", "value": "x"}]),
        ([{"x": [b"q"]}], pa.struct([("x", pa.list_(pa.binary()))]), {"x": ["q"]}),
        ([1], pa.timestamp("ns", tz="UTC"), "1970-01-01T00:00:00.000000001+00:00"),
        ([1.5], pa.float16(), 1.5),
    ],
)
def test_columns_of_parquet_types(
    home: Home, tmp_path: Path, values: list[Any], kind: pa.DataType, found: Any
) -> None:
    columns = {"event": ["x"], "time": [TIME], "user": ["u"], "v": pa.array(values, kind)}
    pq.write_table(pa.table(columns), tmp_path / "a.parquet")
    run(mapped(tmp_path), home)
    assert properties(home) == [{"v": found}]


@pytest.mark.parametrize(
    ("values", "kind", "message"),
    [
        ([Decimal(1)], pa.decimal256(50, 3), "decimal256"),
        ([{"id": bytes(16)}], pa.struct([("id", pa.binary(16))]), "fixed_size_binary"),
        ([b"\xff"], pa.binary(), "UTF8"),
    ],
)
def test_parquet_that_cannot_become_json_is_named(
    home: Home, tmp_path: Path, values: list[Any], kind: pa.DataType, message: str
) -> None:
    columns = {"event": ["x"], "time": [TIME], "user": ["u"], "v": pa.array(values, kind)}
    pq.write_table(pa.table(columns), tmp_path / "a.parquet")
    put(tmp_path / "b.jsonl", jsonl([{"event": "x", "time": TIME}]))
    (problem,) = land(mapped(tmp_path), home).problems
    assert "a.parquet" in problem
    assert message in problem


def test_the_id_that_the_sender_gave_makes_repeats_one_event(home: Home, tmp_path: Path) -> None:
    records = [
        {"event": "x", "time": TIME, "id": "1", "got": "2026-03-01T13:00:00Z", "try": 2},
        {"event": "x", "time": TIME, "id": "1", "got": "2026-03-01T12:30:00Z", "try": 1},
        {"event": "x", "time": TIME, "id": "2", "try": 1},
    ]
    put(tmp_path / "a.jsonl", jsonl(records))
    _, cleaned = run(mapped(tmp_path, columns={"event_id": "id", "received_at": "got"}), home)
    assert (cleaned.canonical, cleaned.duplicates) == (2, 1)
    assert {found["try"] for found in properties(home)} == {1}


def test_without_an_id_only_equal_records_are_one_event(home: Home, tmp_path: Path) -> None:
    records = [{"event": "x", "time": TIME, "n": n} for n in (1, 1, 2)]
    put(tmp_path / "a.jsonl", jsonl(records))
    _, cleaned = run(mapped(tmp_path), home)
    assert (cleaned.canonical, cleaned.duplicates) == (2, 1)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", b"event,Time,user\nx,1,u\n", "has no 'time' (ts); did you mean 'Time'?"),
        ("a.csv", b"event,time\nx,1\n", "has no 'user' (user_id)"),
        ("a.jsonl", b'{"name": "x", "time": 1}\n', "has no 'event' (event)"),
        ("a.jsonl.gz", b'{"event": "x", "time": 1}\n', "is named .gz but is no gzip"),
        ("a.parquet", b'{"event": "x", "time": 1}\n', "is no Parquet file"),
        ("a.jsonl", b'[{"event": "x", "time": 1}]', "jq -c"),
        ("a.csv", b'event,time,user\n"x,1,u\n', "the quoting is broken"),
        ("a.csv", b"event,time,user,a,a\nx,1,u,1,2\n", "names ['a'] more than once"),
    ],
)
def test_a_file_that_cannot_be_used_is_named_and_stops_no_other(
    home: Home, tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    put(tmp_path / name, content)
    put(tmp_path / "b.jsonl", jsonl([{"event": "x", "time": TIME, "user": "u"}]))
    landed, cleaned = run(mapped(tmp_path), home)
    assert cleaned.canonical == 1
    (problem,) = landed.problems
    assert problem.startswith(str(tmp_path / name) + ": ")
    assert message in problem


def test_json_lines_may_lack_what_only_some_records_have(home: Home, tmp_path: Path) -> None:
    put(tmp_path / "a.jsonl", jsonl([{"event": "x", "time": TIME}]))
    assert land(mapped(tmp_path), home).problems == ()


def test_only_files_of_the_pattern_count(home: Home, tmp_path: Path) -> None:
    record = jsonl([{"event": "x", "time": TIME}])
    for name in ("new/a.jsonl", "old/b.jsonl", "new/notes.txt", "new/_SUCCESS", "new/.a.jsonl.swp"):
        put(tmp_path / name, record)
    assert land(mapped(tmp_path, pattern="new/*"), home).records == 1


@pytest.mark.parametrize(
    ("pattern", "name", "found"),
    [
        ("%Y-%m-%d", "a/2026-03-01/x.jsonl", date(2026, 3, 1)),
        ("%Y%m%d", "log-20260301T1200.jsonl", date(2026, 3, 1)),
        ("year=%Y/month=%m/day=%d", "year=2026/month=03/day=01/x.jsonl", date(2026, 3, 1)),
        ("%Y%m%d", "log-202603011.jsonl", None),
        ("%Y-%m-%d", "2026-02-30.jsonl", None),
        (None, "2026-03-01.jsonl", None),
    ],
)
def test_days_in_names(pattern: str | None, name: str, found: date | None) -> None:
    assert mapped(Path("x"), day=pattern).day_of(name) == found


@pytest.mark.parametrize(
    "wrong",
    [
        {"columns": {"ts": []}},
        {"columns": {"colour": "x"}},
        {"time_format": "epoch"},
        {"day": "%Y"},
        {"timezone": "Mars"},
        {"path": "s3://key:secret@bucket/x"},
        {"path": "ftp://host/x"},
    ],
)
def test_settings_that_cannot_work_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        mapped(Path("x"), **wrong)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(
        st.one_of(JSON, st.dictionaries(st.sampled_from(["event", "time", "user", "p"]), JSON)), max_size=5
    )
)
def test_every_record_is_a_row_or_a_reject(values: list[Any]) -> None:
    lines = [json.dumps(value).encode() for value in values]
    parsed = mapped(Path("x"), columns={"properties": "p", "os": "p.a"}).parse_records(lines)
    positions = [*parsed.rows["position"], *(position for position, *_ in parsed.rejected)]
    assert sorted(positions) == list(range(len(lines)))
    for position, text in zip(parsed.rows["position"], parsed.rows["properties"], strict=True):
        found, own = json.loads(text), values[position].get("p")
        assert not isinstance(own, dict) or {name: found[name] for name in own} == own
