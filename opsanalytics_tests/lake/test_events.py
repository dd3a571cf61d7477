from datetime import date
from pathlib import Path

from opsanalytics.lake.events import event_days, read_persons, scan_events, scan_raw_events
from opsanalytics.lake.paths import Home
from opsanalytics.lake.schemas import EVENTS, PERSONS
from opsanalytics_tests.samples import MONDAY, event, person, write_events, write_persons

TUESDAY, WEDNESDAY = date(2024, 1, 2), date(2024, 1, 3)


def ids(frame: object) -> list[str]:
    return sorted(frame.select("event_id").collect()["event_id"].to_list())  # type: ignore[attr-defined]


def write_days(home: Home) -> None:
    for number, day in enumerate((MONDAY, TUESDAY, WEDNESDAY), start=1):
        write_events(home, [event(str(number), day)], day)


def test_an_empty_lake_has_no_days_and_an_empty_scan(home: Home) -> None:
    assert event_days(home) == []
    assert scan_raw_events(home).collect_schema() == EVENTS.schema
    assert scan_events(home).collect_schema().names() == ["person", *EVENTS.names]


def test_days_come_in_order_and_only_with_files(home: Home) -> None:
    write_events(home, [event("2", TUESDAY)], TUESDAY)
    write_events(home, [event("1")])
    (home.events / "day=2024-01-03").mkdir()
    assert event_days(home) == [MONDAY, TUESDAY]


def test_a_file_that_is_still_being_written_is_not_read(home: Home) -> None:
    write_events(home, [event("1")])
    (home.events / "day=2024-01-01" / ".web.parquet.x.tmp").write_bytes(b"half")
    assert ids(scan_raw_events(home)) == ["1"]


def test_the_range_of_days_includes_both_ends(home: Home) -> None:
    write_days(home)
    assert ids(scan_raw_events(home, first=TUESDAY, last=WEDNESDAY)) == ["2", "3"]
    assert ids(scan_raw_events(home, last=MONDAY)) == ["1"]


def test_a_range_without_events_is_empty(home: Home) -> None:
    write_days(home)
    assert ids(scan_events(home, first=date(2025, 1, 1))) == []


def test_sources_can_be_chosen(home: Home) -> None:
    write_events(home, [event("1")])
    write_events(home, [event("2", source="app")], source="app")
    assert ids(scan_events(home, sources=["app"])) == ["2"]


def test_a_folder_named_like_a_pattern_is_read(tmp_path: Path) -> None:
    home = Home(tmp_path / "we[i]rd*")
    write_events(home, [event("1")])
    write_persons(home, [person("user", "ada", "p1")])
    assert scan_events(home).collect()["person"].to_list() == ["p1"]


def test_persons_are_empty_before_they_are_built(home: Home) -> None:
    assert read_persons(home).schema == PERSONS.schema


def test_an_event_belongs_to_the_user_before_the_device_before_the_distinct_id(home: Home) -> None:
    write_persons(
        home,
        [
            person("user", "u", "by user"),
            person("device", "d", "by device"),
            person("distinct", "x", "by distinct id"),
        ],
    )
    write_events(
        home,
        [
            event("1", user_id="u", device_id="d", distinct_id="x"),
            event("2", user_id=None, device_id="d", distinct_id="x"),
            event("3", user_id=None, device_id=None, distinct_id="x"),
            event("4", user_id=None, device_id=None, distinct_id="unknown"),
        ],
    )
    found = scan_events(home).sort("event_id").collect()["person"].to_list()
    assert found == ["by user", "by device", "by distinct id", None]


def test_ids_of_different_sources_do_not_mix(home: Home) -> None:
    write_persons(home, [person("user", "ada", "p1"), person("user", "ada", "p2", source="app")])
    write_events(home, [event("1")])
    write_events(home, [event("2", source="app")], source="app")
    found = scan_events(home).select("event_id", "person").sort("event_id").collect().rows()
    assert found == [("1", "p1"), ("2", "p2")]


def test_joining_persons_neither_adds_nor_loses_events(home: Home) -> None:
    write_persons(home, [person(kind, "ada", f"p-{kind}") for kind in ("user", "device", "distinct")])
    write_events(home, [event(str(number), device_id="ada") for number in range(5)])
    assert len(ids(scan_events(home))) == 5
