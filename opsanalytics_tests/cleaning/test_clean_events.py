"""From landed bytes to days of events, each day rewritten only when it changes."""

import gzip
import io
import json
import zipfile
from datetime import UTC, date, datetime, timedelta
from typing import Any

import polars as pl
import pytest

from opsanalytics.cleaning.events import clean_events
from opsanalytics.cleaning.report import CleanReport
from opsanalytics.lake.events import event_days, scan_raw_events
from opsanalytics.lake.paths import Home
from opsanalytics.lake.schemas import DUPLICATES, EVENTS, QUARANTINE
from opsanalytics.sources.base import EventSourceSettings
from opsanalytics.sources.landing import commit, receive, temporary_file
from opsanalytics_tests.sources.support import amplitude, mixpanel, tree

PRODUCT = mixpanel("http://x")
APP = amplitude("http://x")
DAY = date(2026, 3, 2)


def event(n: int, *, day: date = DAY, hour: int = 12, name: str = "Paid", **properties: Any) -> bytes:
    time = datetime(day.year, day.month, day.day, hour, tzinfo=UTC) + timedelta(seconds=n)
    own = {
        "time": round(time.timestamp() * 1_000),
        "distinct_id": f"u{n}",
        "$insert_id": f"i{n}",
        "mp_processing_time_ms": round(time.timestamp() * 1_000),
        "n": n,
        **properties,
    }
    return json.dumps({"event": name, "properties": own}, ensure_ascii=False).encode()


def sent(n: int, *, uuid: str, day: date = DAY, hour: int = 12, upload: date = DAY, **fields: Any) -> bytes:
    record = {
        "event_type": "Paid",
        "event_time": f"{day} {hour:02}:00:{n:02}.000000",
        "server_upload_time": f"{upload} 13:00:00.000000",
        "uuid": uuid,
        "device_id": "d",
        "$insert_id": f"i{n}",
        "event_properties": {"n": n},
        **fields,
    }
    return json.dumps(record).encode()


def land(
    home: Home,
    lines: list[bytes],
    first: date = DAY,
    last: date | None = None,
    *,
    hour: int = 0,
    settings: EventSourceSettings = PRODUCT,
    name: str | None = None,
) -> None:
    """Land lines as one delivery, fetched `hour` hours after the others."""
    body = gzip.compress(b"".join(line + b"\n" for line in lines), mtime=0)
    if settings.body == "zip":
        archive = io.BytesIO()
        with zipfile.ZipFile(archive, "w") as members:
            members.writestr("1/1_2026-03-02_13#0.json.gz", body)
        body = archive.getvalue()
    last = last or first
    with temporary_file(home, settings.name) as (file, path):
        received = receive(
            [body], file, path, body=settings.body, gzipped=settings.body == "jsonl",
            expected_bytes=len(body), framed=True, believed=None, progress=lambda total: None,
        )  # fmt: skip
        commit(
            home, source=settings.name, kind=settings.kind, delivery=name or f"{first}--{last}",
            first_day=first, last_day=last, covers=None, request={}, status=200, attempts=1,
            fetched_at=datetime(2026, 3, 20, tzinfo=UTC) + timedelta(hours=hour), received=received,
        )  # fmt: skip


def clean(home: Home, settings: EventSourceSettings = PRODUCT, **names: str) -> CleanReport:
    return clean_events(settings, home, names)


def numbers(home: Home) -> list[int]:
    texts = scan_raw_events(home).sort("ts").collect()["properties"]
    return [json.loads(text)["n"] for text in texts]


def duplicates(home: Home, day: date = DAY, source: str = "product") -> pl.DataFrame:
    path = home.duplicates_file(source, day)
    return pl.read_parquet(path) if path.exists() else DUPLICATES.empty()


def quarantine(home: Home) -> pl.DataFrame:
    files = sorted(home.quarantine("product").glob("*.parquet"))
    return pl.concat([pl.read_parquet(file) for file in files]) if files else QUARANTINE.empty()


def test_files_have_the_declared_schema_and_order(home: Home) -> None:
    land(home, [event(3), event(1), event(2), event(2)])
    clean(home)
    events = pl.read_parquet(home.events_file("product", DAY))
    assert events.schema == EVENTS.schema
    assert events.equals(events.sort("ts", "event_id"))
    assert duplicates(home).schema == DUPLICATES.schema


def test_events_go_to_their_utc_day(home: Home) -> None:
    land(
        home, [event(1, hour=23), event(2, day=DAY + timedelta(days=1), hour=0)], DAY, DAY + timedelta(days=1)
    )
    clean(home)
    assert event_days(home) == [DAY, DAY + timedelta(days=1)]


def test_line_separators_inside_text_do_not_tear_records(home: Home) -> None:
    """Airbyte 11018: `splitlines` ends lines at U+2028, U+0085 and six more characters."""
    text = "a\u2028b\u2029c\x85d\x0be\x0cf\x1cg\x1dh\x1ei Å 😀"
    land(home, [event(1, note=text, **{text: 1})])
    report = clean(home)
    kept = json.loads(scan_raw_events(home).collect()["properties"][0])
    assert (kept["note"], kept[text], report.quarantined) == (text, 1, 0)


def test_names_that_differ_by_case_survive(home: Home) -> None:
    """Airbyte 36724 and Estuary 1893: readers with one column a property fail on these."""
    land(home, [event(1, utm_medium="a", UTM_Medium="b", Id=1, id=2)])
    clean(home)
    kept = json.loads(scan_raw_events(home).collect()["properties"][0])
    assert (kept["utm_medium"], kept["UTM_Medium"], kept["Id"], kept["id"]) == ("a", "b", 1, 2)


def test_properties_named_like_columns_overwrite_nothing(home: Home) -> None:
    """tap-mixpanel let a property named `event` replace the event's name."""
    land(home, [event(1, event="Fake", source="Fake", ts="Fake", user_id="Fake")])
    clean(home)
    row = scan_raw_events(home).collect().row(0, named=True)
    assert (row["event"], row["source"], row["user_id"]) == ("Paid", "product", None)
    assert json.loads(row["properties"])["event"] == "Fake"


def test_types_stay_what_they_were(home: Home) -> None:
    """Airbyte turned every value into Python's text for it."""
    own = {"yes": True, "none": None, "int": 2**63, "float": 1.5, "list": [1, "1"], "map": {"a": {}}}
    land(home, [event(1, **own)])
    clean(home)
    kept = json.loads(scan_raw_events(home).collect()["properties"][0])
    assert {name: kept[name] for name in own} == own


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b'{"event": "half', "not_json"), ('{"event":"K\u00e4se"}'.encode("latin-1"), "not_utf8"),
        (b"terminated", "not_json"), (b'{"event":"a","properties":{"distinct_id":1}}', "no_time"),
        (b"\xff\xfe\x00", "not_utf8"), (b"7", "not_an_object"),
    ],
)  # fmt: skip
def test_records_that_cannot_be_read_are_kept_with_their_bytes(home: Home, line: bytes, reason: str) -> None:
    land(home, [event(1), line, event(2)])
    report = clean(home)
    row = quarantine(home).row(0, named=True)
    assert (row["record"], row["reason"], row["raw"]) == (2, reason, line)
    assert numbers(home) == [1, 2]
    assert (report.records, report.canonical, report.quarantined) == (3, 2, 1)


def test_of_equal_keys_the_one_processed_last_is_kept(home: Home) -> None:
    land(home, [event(1, v="new", mp_processing_time_ms=1_772_900_000_000), event(1, v="old")])
    clean(home)
    assert json.loads(scan_raw_events(home).collect()["properties"][0])["v"] == "new"
    assert duplicates(home).select("record", "reason").rows() == [(2, "same_key")]


def test_equal_rows_without_insert_id_are_one_and_others_are_not(home: Home) -> None:
    land(
        home,
        [
            event(1, **{"$insert_id": None}),
            event(1, **{"$insert_id": None}),
            event(1, v=1, **{"$insert_id": None}),
        ],
    )
    assert clean(home).canonical == 2


def test_the_newest_delivery_of_a_day_replaces_the_others(home: Home) -> None:
    land(home, [event(1), event(2)], DAY, DAY + timedelta(days=1))
    clean(home)
    land(home, [event(2), event(3)], DAY - timedelta(days=1), DAY, hour=1)
    report = clean(home)
    assert numbers(home) == [2, 3]
    assert duplicates(home)["reason"].to_list() == ["redelivered", "redelivered"]
    assert report.days == {DAY: (2, 2)}


def test_a_newer_empty_delivery_empties_the_day(home: Home) -> None:
    land(home, [event(1)])
    clean(home)
    land(home, [], DAY, DAY + timedelta(days=2), hour=1)
    assert clean(home).days == {DAY: (1, 0)}
    assert not home.events_file("product", DAY).exists()


def test_days_a_newer_delivery_does_not_cover_stay(home: Home) -> None:
    land(home, [event(1), event(2, day=DAY + timedelta(days=1))], DAY, DAY + timedelta(days=1))
    land(home, [event(3, day=DAY + timedelta(days=1))], DAY + timedelta(days=1), hour=1)
    clean(home)
    assert numbers(home) == [1, 3]


def test_only_days_that_changed_are_rewritten(home: Home) -> None:
    for offset in range(3):
        land(home, [event(offset, day=DAY + timedelta(days=offset))], DAY + timedelta(days=offset))
    clean(home)
    stamps = {day: home.events_file("product", day).stat().st_mtime_ns for day in event_days(home)}
    land(home, [event(0), event(9)], hour=1)
    report = clean(home)
    rewritten = [
        day for day in event_days(home) if home.events_file("product", day).stat().st_mtime_ns != stamps[day]
    ]
    assert rewritten == [DAY]
    assert report.days == {DAY: (1, 2)}
    assert report.parsed == (f"{DAY}--{DAY}",)


def test_a_second_run_changes_no_byte(home: Home) -> None:
    land(home, [event(1), event(1), b"broken", event(2)])
    clean(home)
    before = tree(home.lake)
    report = clean(home)
    assert tree(home.lake) == before
    assert (report.parsed, report.days) == ((), {})


def test_a_delivery_fetched_again_unchanged_changes_no_byte(home: Home) -> None:
    land(home, [event(1), event(2)])
    clean(home)
    before = tree(home.lake)
    land(home, [event(1), event(2)], hour=5)
    assert clean(home).days == {}
    assert tree(home.lake) == before


def test_event_names_are_mapped_and_remapped_without_parsing(home: Home) -> None:
    land(home, [event(1), event(2, name="Other")])
    clean(home, Paid="purchase")
    assert sorted(scan_raw_events(home).collect().select("event", "source_event").rows()) == [
        ("Other", "Other"),
        ("purchase", "Paid"),
    ]
    report = clean(home, Paid="bought")
    assert report.parsed == ()
    assert "bought" in scan_raw_events(home).collect()["event"].to_list()


def test_a_changed_zone_moves_events(home: Home) -> None:
    land(home, [event(1, hour=23)])
    clean(home)
    moved = mixpanel("http://x", project_timezone="America/New_York")
    clean_events(moved, home, {})
    assert event_days(home) == [DAY + timedelta(days=1)]


def test_a_delivery_that_vanishes_takes_its_events_along(home: Home) -> None:
    land(home, [b"broken", event(1)])
    clean(home)
    for path in home.delivery("product", f"{DAY}--{DAY}").iterdir():
        path.unlink()
    clean(home)
    assert event_days(home) == []
    assert quarantine(home).is_empty()
    assert not list(home.cleaned("product").glob("2026*"))


def test_a_lost_lake_file_is_made_again(home: Home) -> None:
    land(home, [event(1), event(1)])
    clean(home)
    before = tree(home.lake)
    home.events_file("product", DAY).unlink()
    home.duplicates_file("product", DAY).unlink()
    clean(home)
    assert tree(home.lake) == before


def test_identity_verbs_are_kept_and_counted(home: Home) -> None:
    land(home, [event(1), event(2, name="$identify"), event(3, name="$merge")])
    report = clean(home)
    assert (report.canonical, report.identity_verbs) == (3, 2)


def test_batches_do_not_change_the_result(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    land(home, [b"broken"] * 3 + [event(n % 40) for n in range(100)])
    clean(home)
    whole = tree(home.events)
    monkeypatch.setattr("opsanalytics.cleaning.parsing.BATCH_BYTES", 700)
    monkeypatch.setattr("opsanalytics.cleaning.lines.READ_BYTES", 300)
    monkeypatch.setattr("opsanalytics.cleaning.batches.BATCH_BYTES", 10_000)
    monkeypatch.setattr("opsanalytics.cleaning.large_keys.SHARE_ROWS", 9)
    monkeypatch.setattr("opsanalytics.cleaning.large_days.BUCKET_ROWS", 7)
    monkeypatch.setattr("opsanalytics.cleaning.day_rows.READ_ROWS", 16)
    for path in [*home.cleaned("product").iterdir(), *home.events.rglob("*.parquet")]:
        path.unlink()
    clean(home)
    assert tree(home.events) == whole


def test_amplitude_resends_are_one_event_the_first_to_arrive(home: Home) -> None:
    """The server forgets insert ids after 7 days: a later resend has a new uuid."""
    later = DAY + timedelta(days=9)
    land(home, [sent(1, uuid="second", upload=later)], later, settings=APP)
    land(home, [sent(1, uuid="first"), sent(2, uuid="other")], settings=APP)
    report = clean(home, APP)
    assert (report.canonical, report.duplicates) == (2, 1)
    assert duplicates(home, source="app")["delivery"].to_list() == [f"{later}--{later}"]


def test_amplitude_resends_may_fall_on_the_next_day(home: Home) -> None:
    following = DAY + timedelta(days=1)
    land(home, [sent(1, uuid="first", hour=23)], settings=APP)
    land(home, [sent(1, uuid="again", day=following, hour=0, upload=following)], following, settings=APP)
    assert clean(home, APP).canonical == 1
    assert event_days(home) == [DAY]


def test_amplitude_devices_may_reuse_an_insert_id(home: Home) -> None:
    land(home, [sent(1, uuid="a"), sent(1, uuid="b", device_id="other")], settings=APP)
    assert clean(home, APP).canonical == 2


def test_amplitude_overlaps_do_not_replace_each_other(home: Home) -> None:
    land(home, [sent(1, uuid="a"), sent(2, uuid="b")], settings=APP, name="2026-03-02T00--2026-03-02T12")
    land(
        home,
        [sent(2, uuid="b"), sent(3, uuid="c")],
        settings=APP,
        name="2026-03-02T10--2026-03-02T15",
        hour=1,
    )
    report = clean(home, APP)
    assert (report.canonical, report.duplicates) == (3, 1)


def test_late_deliveries_rebuild_the_days_they_touch(home: Home) -> None:
    """Amplitude's cursor is the upload: late events come in new hours, for old days."""
    later = DAY + timedelta(days=30)
    land(home, [sent(1, uuid="a")], settings=APP)
    clean(home, APP)
    land(home, [sent(2, uuid="b", upload=later)], later, settings=APP)
    assert clean(home, APP).days == {DAY: (1, 2)}


def test_sources_do_not_touch_each_other(home: Home) -> None:
    land(home, [event(1)])
    land(home, [sent(1, uuid="a")], settings=APP)
    clean(home)
    clean(home, APP)
    before = tree(home.lake / "events")
    for path in home.delivery("app", f"{DAY}--{DAY}").iterdir():
        path.unlink()
    clean(home, APP)
    assert tree(home.lake / "events") == {
        name: content for name, content in before.items() if name.endswith("product.parquet")
    }
