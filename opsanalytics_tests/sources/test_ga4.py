"""Google Analytics 4: from the files of its BigQuery export to events."""

import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.json as pj
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal
from pydantic import ValidationError

from opsanalytics.identity.persons import rebuild
from opsanalytics.lake.events import read_persons
from opsanalytics.lake.paths import Home
from opsanalytics.sources.base import EventSourceSettings, ParsedLines
from opsanalytics.sources.ga4.source import table_of
from opsanalytics.sources.lines import RawLines
from opsanalytics_tests.sources.file_support import (
    BIG,
    FIRST,
    HARD_TEXT,
    LAST,
    NOON,
    events,
    ga4,
    ga4_record,
    jsonl,
    land,
    param,
    properties,
    put,
    quarantined,
    run,
    zipped,
)

DAILY = "events_20260301-000000000000.json.gz"
INTRADAY = "events_intraday_20260301-000000000000.json.gz"


def as_parquet(records: list[dict[str, Any]], path: Path) -> None:
    """The same records as BigQuery writes them to Parquet: typed, with nulls, params nested."""
    value = pa.struct(
        [("string_value", pa.string()), ("int_value", pa.int64()), ("float_value", pa.float64()),
         ("double_value", pa.float64())]
    )  # fmt: skip
    repeated = pa.list_(pa.field("element", pa.struct([("key", pa.string()), ("value", value)])))
    schema = pa.schema(
        [("event_date", pa.string()), ("event_timestamp", pa.int64()), ("event_name", pa.string()),
         ("event_params", repeated), ("user_id", pa.string()), ("user_pseudo_id", pa.string()),
         ("stream_id", pa.string()), ("platform", pa.string()),
         ("device", pa.struct([("operating_system", pa.string()),
                               ("web_info", pa.struct([("browser", pa.string())]))])),
         ("geo", pa.struct([("country", pa.string())])), ("app_info", pa.struct([("version", pa.string())]))]
    )  # fmt: skip

    def typed(record: dict[str, Any]) -> dict[str, Any]:
        params = [
            {
                "key": each["key"],
                "value": {k: int(v) if k == "int_value" else v for k, v in each["value"].items()},
            }
            for each in record["event_params"]
        ]
        return {**record, "event_timestamp": int(record["event_timestamp"]), "event_params": params}

    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist([typed(record) for record in records], schema=schema), path)


def test_a_record_becomes_a_row(home: Home, tmp_path: Path) -> None:
    put(tmp_path / DAILY, zipped([ga4_record(3, user_id="ada")]))
    run(ga4(tmp_path), home)
    (row,) = events(home).drop("event_id", "ingest_run", "properties").iter_rows(named=True)
    assert row == {
        "source": "site",
        "event": "page_view",
        "source_event": "page_view",
        "ts": datetime(2026, 3, 1, 12, 0, 3, tzinfo=UTC),
        "received_at": None,
        "distinct_id": "ada",
        "user_id": "ada",
        "device_id": "device1.1",
        "session_id": "device1.1.1772323200",
        "platform": "web",
        "os": "Linux",
        "browser": "Firefox",
        "app_version": "1.2",
        "country": "Chad",
        "url": "https://shop.example/?n=3",
    }


def test_parameters_become_properties_with_every_name_type_and_digit(home: Home, tmp_path: Path) -> None:
    params = [
        param("id", int_value=str(2**63 - 1)),
        param("big", int_value=str(BIG)),
        param("Plan", string_value="pro"),
        param("plan", string_value="free"),
        param("$a.b'c\"d", double_value=1.5),
        param("😀 text", string_value=HARD_TEXT),
        param("none"),
        param("session_engaged", string_value="1"),
    ]
    put(tmp_path / DAILY, zipped([ga4_record(1, event_params=params)]))
    run(ga4(tmp_path), home)
    (found,) = properties(home)
    found.pop("$ga4")
    assert found == {
        "id": 2**63 - 1,
        "big": BIG,
        "Plan": "pro",
        "plan": "free",
        "$a.b'c\"d": 1.5,
        "😀 text": HARD_TEXT,
        "none": None,
        "session_engaged": "1",
    }


def test_the_rest_of_the_record_is_kept_as_it_came(home: Home, tmp_path: Path) -> None:
    rest = {
        "traffic_source": {"medium": "(none)", "Medium": "odd"},
        "items": [{"item_id": "1", "price": 1.10}],
        "user_properties": [param("plan", string_value="pro", set_timestamp_micros="1772323200000000")],
        "user_ltv": None,
    }
    put(tmp_path / DAILY, zipped([ga4_record(1, **rest)]))
    run(ga4(tmp_path), home)
    (found,) = properties(home)
    assert found["user_properties.plan"] == "pro"
    assert "user_ltv" not in found["$ga4"]
    assert {name: found["$ga4"][name] for name in ("traffic_source", "items", "user_properties")} == {
        name: rest[name] for name in ("traffic_source", "items", "user_properties")
    }


@pytest.mark.parametrize(
    "params",
    [
        [param("a", string_value="1"), param("a", string_value="2")],
        [param("a", string_value="1", int_value="2")],
        [param("$ga4", string_value="mine")],
        [{"key": "a", "value": {"string_value": "1"}, "extra": 1}, {"value": {"int_value": "1"}}],
        [param("a", int_value="9" * 40), param("b", string_value="x"), {"key": 5, "value": None}],
    ],
)
def test_parameters_that_cannot_be_told_by_name_are_kept_whole(
    home: Home, tmp_path: Path, params: list[dict[str, Any]]
) -> None:
    put(tmp_path / DAILY, zipped([ga4_record(1, event_params=params)]))
    run(ga4(tmp_path), home)
    (found,) = properties(home)
    assert found["$ga4"]["event_params"] == params


def test_parquet_gives_the_same_events_as_json(home: Home, tmp_path: Path) -> None:
    records = [
        ga4_record(n, event_params=[param("x", double_value=2.0), param("y", int_value=str(BIG)),
                                    param("z", string_value=HARD_TEXT + "&<>")])
        for n in range(5)
    ]  # fmt: skip
    put(tmp_path / "json" / DAILY, zipped(records))
    as_parquet(records, tmp_path / "parquet" / "events_20260301-000000000000.parquet")
    other = Home(tmp_path / "other")
    run(ga4(tmp_path / "json"), home)
    run(ga4(tmp_path / "parquet"), other)
    left_out = ("ingest_run", "properties")
    assert_frame_equal(events(home).drop(left_out), events(other).drop(left_out))
    for one, two in zip(properties(home), properties(other), strict=True):
        one["$ga4"]["event_timestamp"] = int(one["$ga4"]["event_timestamp"])
        assert one == two


def test_the_lists_of_other_parquet_writers_are_understood() -> None:
    plain = ga4_record(1)
    wrapped = {**plain, "event_params": {"list": [{"element": each} for each in plain["event_params"]]}}
    settings = ga4(Path("x"))
    one, two = (
        settings.parse_records(RawLines.of([json.dumps(each).encode()])).rows for each in (plain, wrapped)
    )
    assert_frame_equal(one.drop("properties"), two.drop("properties"))
    assert json.loads(one["properties"][0])["n"] == json.loads(two["properties"][0])["n"] == 1


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("events_20260301-000000000000.json.gz", ("", FIRST)),
        ("events_20260301.parquet", ("", FIRST)),
        ("analytics_1/events_20260301/000000000001.json", ("", FIRST)),
        ("analytics_1/events_20260301/part-0.parquet", ("", FIRST)),
        ("events_intraday_20260301-000000000000.json.gz", ("intraday_", FIRST)),
        ("proj.analytics_1.events_intraday_20260301.json", ("intraday_", FIRST)),
        ("events_fresh_20260301-000000000000.json.gz", ("fresh_", FIRST)),
        ("pseudonymous_users_20260301.json.gz", None),
        ("myevents_20260301.json.gz", None),
        ("events_20261301.json.gz", None),
        ("events_202603010.json.gz", None),
    ],
)
def test_tables_are_told_by_name(name: str, found: tuple[str, date] | None) -> None:
    assert table_of(name) == found


def test_the_daily_table_replaces_the_intraday_one(home: Home, tmp_path: Path) -> None:
    put(tmp_path / INTRADAY, zipped([ga4_record(n) for n in range(3)]))
    landed, cleaned = run(ga4(tmp_path), home)
    assert cleaned.canonical == 3
    assert landed.complete_through is None
    put(tmp_path / DAILY, zipped([ga4_record(n) for n in range(1, 8)]))
    landed, cleaned = run(ga4(tmp_path), home)
    assert landed.changed == ("2026-03-01",)
    assert (cleaned.canonical, cleaned.duplicates) == (7, 0)
    assert landed.complete_through == datetime(2026, 3, 2, tzinfo=UTC)


def test_an_intraday_table_that_comes_after_the_daily_one_changes_nothing(home: Home, tmp_path: Path) -> None:
    put(tmp_path / DAILY, zipped([ga4_record(n) for n in range(3)]))
    run(ga4(tmp_path), home)
    put(tmp_path / INTRADAY, zipped([ga4_record(n) for n in range(9)]))
    landed, cleaned = run(ga4(tmp_path), home)
    assert (landed.deliveries, cleaned.canonical) == ((), 3)


def test_parts_that_are_deleted_later_take_nothing_with_them(home: Home, tmp_path: Path) -> None:
    """Buckets delete old objects one by one."""
    for part in range(3):
        put(tmp_path / f"events_20260301-{part:012}.json.gz", zipped([ga4_record(part)]))
    put(tmp_path / INTRADAY, zipped([ga4_record(0)]))
    run(ga4(tmp_path), home)
    for part in (2, 1, 0):
        (tmp_path / f"events_20260301-{part:012}.json.gz").unlink()
        landed, cleaned = run(ga4(tmp_path), home)
        assert (landed.deliveries, cleaned.canonical) == ((), 3)


def test_a_part_that_cannot_be_used_keeps_the_day_as_it_was(home: Home, tmp_path: Path) -> None:
    names = [f"events_20260301-{part:012}.json.gz" for part in range(2)]
    for part, name in enumerate(names):
        put(tmp_path / name, zipped([ga4_record(part)]))
    run(ga4(tmp_path), home)
    put(tmp_path / names[1], b"no gzip")
    landed, cleaned = run(ga4(tmp_path), home)
    assert cleaned.canonical == 2
    assert names[1] in landed.problems[0]


def test_all_parts_of_a_table_are_one_delivery(home: Home, tmp_path: Path) -> None:
    for part in range(3):
        put(tmp_path / f"events_20260301-{part:012}.json.gz", zipped([ga4_record(part)]))
    landed, cleaned = run(ga4(tmp_path), home)
    assert landed.deliveries == ("2026-03-01",)
    assert cleaned.canonical == 3


def test_a_table_with_a_missing_part_is_waited_for(home: Home, tmp_path: Path) -> None:
    for part in (0, 2):
        put(tmp_path / f"events_20260301-{part:012}.json.gz", zipped([ga4_record(part)]))
    put(tmp_path / "events_20260302-000000000000.json.gz", zipped([ga4_record(0, day=date(2026, 3, 2))]))
    landed = land(ga4(tmp_path), home)
    assert landed.deliveries == ("2026-03-02",)
    assert landed.not_yet is not None
    assert "2026-03-01: part(s) 000000000001" in landed.not_yet
    put(tmp_path / "events_20260301-000000000001.json.gz", zipped([ga4_record(1)]))
    assert land(ga4(tmp_path), home).deliveries == ("2026-03-01",)


def test_late_events_of_a_reloaded_table_change_only_its_day(home: Home, tmp_path: Path) -> None:
    days = [FIRST + timedelta(days=offset) for offset in range(3)]
    for day in days:
        put(tmp_path / f"events_{day:%Y%m%d}.json.gz", zipped([ga4_record(n, day=day) for n in range(3)]))
    run(ga4(tmp_path), home)
    put(tmp_path / "events_20260302.json.gz", zipped([ga4_record(n, day=days[1]) for n in range(5)]))
    landed, cleaned = run(ga4(tmp_path), home)
    assert landed.changed == cleaned.parsed == ("2026-03-02",)
    assert cleaned.days == {days[1]: (3, 5)}


def test_events_of_a_local_day_lie_on_their_utc_days_and_repeat_nothing(home: Home, tmp_path: Path) -> None:
    """A day in Los Angeles spans two UTC days; replacing it must take both halves with it."""
    late = datetime(2026, 3, 2, 3, tzinfo=UTC)
    records = [ga4_record(0), ga4_record(1, event_timestamp=str(round(late.timestamp() * 1e6)))]
    settings = ga4(tmp_path, property_timezone="America/Los_Angeles")
    put(tmp_path / DAILY, zipped(records))
    run(settings, home)
    assert events(home)["ts"].dt.date().to_list() == [FIRST, date(2026, 3, 2)]
    put(tmp_path / DAILY, zipped(records[:1]))
    run(settings, home)
    assert events(home)["ts"].dt.date().to_list() == [FIRST]


def test_a_missing_day_holds_completeness_back_unless_it_was_empty(home: Home, tmp_path: Path) -> None:
    for day in (FIRST, LAST):
        put(tmp_path / f"events_{day:%Y%m%d}.json", jsonl([ga4_record(1, day=day)]))
    landed = land(ga4(tmp_path), home)
    assert landed.complete_through == datetime(2026, 3, 2, tzinfo=UTC)
    assert landed.not_yet is not None
    assert "2026-03-02 to 2026-03-04" in landed.not_yet
    empty = [date(2026, 3, 2), date(2026, 3, 3), date(2026, 3, 4)]
    assert land(ga4(tmp_path, empty_days=empty), home).complete_through == datetime(2026, 3, 6, tzinfo=UTC)


def test_repeated_rows_are_one_event_whatever_the_order_of_their_parameters(
    home: Home, tmp_path: Path
) -> None:
    one = ga4_record(1)
    turned = {**one, "event_params": one["event_params"][::-1]}
    other = {**one, "event_params": [*one["event_params"], param("tap", int_value="2")]}
    put(tmp_path / DAILY, zipped([one, turned, other, {**one, "batch_ordering_id": "2"}]))
    _, cleaned = run(ga4(tmp_path), home)
    assert (cleaned.canonical, cleaned.duplicates) == (3, 1)


@pytest.mark.parametrize("signed_in_first", [True, False])
def test_an_event_with_and_without_its_user_is_one_that_names_the_user(
    home: Home, tmp_path: Path, signed_in_first: bool
) -> None:
    both = [ga4_record(1, user_id="ada"), ga4_record(1)]
    put(tmp_path / DAILY, zipped(both if signed_in_first else both[::-1]))
    _, cleaned = run(ga4(tmp_path), home)
    assert (cleaned.canonical, cleaned.duplicates) == (1, 1)
    assert events(home)["user_id"].to_list() == ["ada"]


def test_events_without_consent_are_no_one_person(home: Home, tmp_path: Path) -> None:
    records = [ga4_record(n) for n in range(4)]
    for record in records:
        record["user_pseudo_id"] = None
    put(tmp_path / DAILY, zipped(records))
    run(ga4(tmp_path), home)
    assert rebuild(home, ["site"]).unidentified == 4
    assert events(home)["session_id"].null_count() == 4


def test_two_users_of_one_device_stay_two_persons(home: Home, tmp_path: Path) -> None:
    records = [
        ga4_record(0),
        ga4_record(2, user_id="ada"),
        ga4_record(4, user_id="bob"),
        ga4_record(6),
    ]
    put(tmp_path / DAILY, zipped(records))
    run(ga4(tmp_path), home)
    rebuild(home, ["site"])
    persons = {(kind, id_): person for kind, id_, person in
               read_persons(home).select("id_kind", "id", "person").iter_rows()}  # fmt: skip
    assert persons == {("user", "ada"): "ada", ("user", "bob"): "bob", ("device", "device0.1"): "ada"}


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (b"{broken", "not_json"),
        (b"[1]", "not_an_object"),
        (b'{"event_name": "x", "caf\xe9": 1}', "not_utf8"),
        (json.dumps(ga4_record(1, event_name=None)).encode(), "no_event"),
        (json.dumps(ga4_record(1, event_timestamp="yesterday")).encode(), "no_time"),
        (json.dumps(ga4_record(1, event_timestamp="1772323200")).encode(), "no_time"),
        (b'{"event_name": "x", "event_timestamp": NaN}', "not_json"),
    ],
)
def test_unreadable_records_go_to_quarantine(home: Home, tmp_path: Path, record: bytes, reason: str) -> None:
    put(tmp_path / DAILY, zipped([ga4_record(1), record, ga4_record(2)]))
    _, cleaned = run(ga4(tmp_path), home)
    assert cleaned.canonical == 2
    aside = quarantined(home, "site")
    assert aside["reason"].to_list() == [reason]
    assert aside["record"].to_list() == [2]
    assert aside["raw"].to_list() == [record]


def test_a_file_that_is_no_such_table_is_named(home: Home, tmp_path: Path) -> None:
    put(tmp_path / "events_20260301.json", jsonl([{"event": "x", "time": 1}]))
    put(tmp_path / "events_20260302.json", jsonl([ga4_record(1, day=date(2026, 3, 2))]))
    landed, cleaned = run(ga4(tmp_path), home)
    assert cleaned.canonical == 1
    (problem,) = landed.problems
    assert str(tmp_path / "events_20260301.json") in problem
    assert "no event_name and no event_timestamp" in problem


def test_unknown_zones_are_refused() -> None:
    with pytest.raises(ValidationError, match="IANA"):
        ga4(Path("x"), property_timezone="Mars/Olympus")


def test_files_of_days_that_nobody_asked_for_are_left_alone(home: Home, tmp_path: Path) -> None:
    put(tmp_path / "events_20260210.json", jsonl([ga4_record(1, day=date(2026, 2, 10))]))
    put(tmp_path / "events_20260301.json", jsonl([ga4_record(1)]))
    assert land(ga4(tmp_path), home, now=NOON).deliveries == ("2026-03-01",)


def test_arrow_reads_the_records_of_the_tests(tmp_path: Path) -> None:
    """They are JSON lines that another reader accepts."""
    path = put(tmp_path / "x.json", jsonl([ga4_record(1), ga4_record(2)]))
    assert pj.read_json(path).num_rows == 2


SCALARS = st.one_of(st.none(), st.text(max_size=5), st.integers(-(2**70), 2**70), st.floats(), st.booleans())
VALUES = st.dictionaries(
    st.sampled_from(["string_value", "int_value", "float_value", "double_value", "odd"]), SCALARS, max_size=2
)
PARAMS = st.lists(
    st.fixed_dictionaries({"key": st.text(max_size=3)}, optional={"value": st.none() | VALUES}), max_size=4
)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    params=PARAMS,
    user=PARAMS,
    fields=st.dictionaries(
        st.sampled_from(
            ["event_name", "event_timestamp", "event_date", "user_id", "user_pseudo_id", "stream_id",
             "platform", "device", "geo", "app_info", "batch_page_id", "event_params", "$ga4"]
        ),
        st.one_of(SCALARS, st.dictionaries(st.sampled_from(["country", "web_info", "version"]), SCALARS)),
        max_size=3,
    ),
)  # fmt: skip
def test_the_fast_reader_finds_what_the_careful_one_does(
    params: list[Any], user: list[Any], fields: dict[str, Any]
) -> None:
    record = {**ga4_record(1, event_params=params, user_properties=user), **fields}
    line = json.dumps(record).encode()
    source = ga4(Path("x"))
    lines = RawLines.of([line])
    fast, careful = source.parse_records(lines), EventSourceSettings.parse_records(source, lines)
    assert fast.rejected == careful.rejected
    assert_frame_equal(fast.rows.drop("properties"), careful.rows.drop("properties"))
    assert read(fast) == read(careful)


def read(parsed: ParsedLines) -> list[str]:
    return [repr(json.loads(text)) for text in parsed.rows["properties"]]
