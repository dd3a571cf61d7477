"""Landing files: byte for byte, once, whole, and again only when they change."""

import gzip
import os
import shutil
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from opsanalytics.cleaning.coverage import windows_of_undated
from opsanalytics.lake.manifests import deliveries
from opsanalytics.lake.paths import Home
from opsanalytics.sources import file_landing
from opsanalytics.sources.errors import SourceError
from opsanalytics.sources.file_landing import fetch_files, probe_files
from opsanalytics.sources.files import Folder, SourceFile
from opsanalytics.sources.record_files import RecordFile
from opsanalytics.sources.windows import Window, midnight
from opsanalytics_tests.sources.file_support import (
    FIRST,
    LAST,
    NOON,
    events,
    ga4,
    ga4_record,
    jsonl,
    land,
    mapped,
    put,
    run,
    zipped,
)


def record(n: int, day: int = 1, **fields: Any) -> dict[str, Any]:
    return {"event": "x", "time": f"2026-03-{day:02}T12:00:{n:02}Z", "user": f"u{n}", **fields}


def landed_files(home: Home, source: str = "log") -> list[Path]:
    return [
        home.delivery(source, manifest.delivery) / file.name
        for manifest in deliveries(home, source)
        for file in manifest.files
    ]


def test_bytes_are_landed_as_they_came(home: Home, tmp_path: Path) -> None:
    body = gzip.compress(jsonl([record(1)])[:-1], mtime=7) + gzip.compress(b"\n" + jsonl([record(2)]))
    put(tmp_path / "a.jsonl.gz", body)
    _, cleaned = run(mapped(tmp_path), home)
    assert cleaned.canonical == 2
    (landed,) = landed_files(home)
    assert landed.read_bytes() == body


def test_gzip_is_told_by_its_bytes_not_by_its_name(home: Home, tmp_path: Path) -> None:
    put(tmp_path / "a.jsonl", zipped([record(1)]))
    _, cleaned = run(mapped(tmp_path), home)
    assert cleaned.canonical == 1


def test_unchanged_files_are_not_read_again(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path / "a.jsonl", jsonl([record(1)]))
    land(mapped(tmp_path), home)
    monkeypatch.setattr(file_landing, "examine", None)
    again = land(mapped(tmp_path), home)
    assert (again.deliveries, again.records, again.bytes) == ((), 0, 0)


def test_a_file_with_new_content_replaces_the_old(home: Home, tmp_path: Path) -> None:
    path = put(tmp_path / "a.jsonl", jsonl([record(1, day=1), record(2, day=2)]))
    put(tmp_path / "b.jsonl", jsonl([record(3, day=3)]))
    run(mapped(tmp_path), home)
    stat = path.stat()
    path.write_bytes(path.read_bytes().replace(b"u2", b"v2"))
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))  # size and time as before
    landed, cleaned = run(mapped(tmp_path), home)
    assert landed.changed == cleaned.parsed
    assert list(cleaned.days) == [date(2026, 3, 1), date(2026, 3, 2)]
    assert events(home)["user_id"].to_list() == ["u1", "v2", "u3"]
    assert len(landed_files(home)) == 2


def test_a_touched_file_changes_nothing(home: Home, tmp_path: Path) -> None:
    path = put(tmp_path / "a.jsonl", jsonl([record(1)]))
    run(mapped(tmp_path), home)
    path.touch()
    landed, cleaned = run(mapped(tmp_path), home)
    assert (landed.changed, cleaned.parsed, cleaned.days) == ((), (), {})


def test_the_same_content_under_another_name_adds_no_event(home: Home, tmp_path: Path) -> None:
    path = put(tmp_path / "a.jsonl", jsonl([record(1)]))
    run(mapped(tmp_path), home)
    shutil.copy(path, tmp_path / "b.jsonl")
    _, cleaned = run(mapped(tmp_path), home)
    assert (cleaned.canonical, cleaned.duplicates) == (1, 1)


def test_a_file_that_was_taken_away_stays_landed(home: Home, tmp_path: Path) -> None:
    path = put(tmp_path / "a.jsonl", jsonl([record(1)]))
    run(mapped(tmp_path), home)
    path.unlink()
    _, cleaned = run(mapped(tmp_path), home)
    assert cleaned.canonical == 1


@pytest.mark.parametrize(
    "name", ["a.jsonl.part", "a.jsonl.tmp", ".a.jsonl", "_SUCCESS", "_temporary/a.jsonl"]
)
def test_files_that_are_not_delivered_yet_are_left_alone(home: Home, tmp_path: Path, name: str) -> None:
    put(tmp_path / name, jsonl([record(1)]))
    assert land(mapped(tmp_path), home).records == 0


@pytest.mark.parametrize(
    ("name", "whole"),
    [
        ("a.jsonl.gz", zipped([record(n) for n in range(50)])),
        ("a.jsonl", jsonl([record(n) for n in range(50)])),
    ],
)
def test_a_file_without_its_end_is_waited_for_then_named(
    home: Home, tmp_path: Path, name: str, whole: bytes
) -> None:
    put(tmp_path / name, whole[:-12], at=NOON - timedelta(minutes=1))
    put(tmp_path / "b.jsonl", jsonl([record(51)]))
    landed = land(mapped(tmp_path), home)
    assert landed.problems == ()
    assert landed.not_yet is not None
    assert name in landed.not_yet
    put(tmp_path / name, whole)
    _, cleaned = run(mapped(tmp_path), home)
    assert cleaned.canonical == 51


def test_a_gzip_that_stays_cut_is_a_problem(home: Home, tmp_path: Path) -> None:
    put(tmp_path / "a.jsonl.gz", zipped([record(n) for n in range(50)])[:-12])
    put(tmp_path / "b.jsonl", jsonl([record(1)]))
    (problem,) = land(mapped(tmp_path), home).problems
    assert "a.jsonl.gz: the gzip stream ends before its end" in problem


def test_a_last_line_that_stays_cut_goes_to_quarantine(home: Home, tmp_path: Path) -> None:
    put(tmp_path / "a.jsonl", jsonl([record(1), record(2)])[:-12])
    _, cleaned = run(mapped(tmp_path), home)
    assert (cleaned.canonical, cleaned.quarantined) == (1, 1)


def test_a_parquet_file_that_is_damaged_inside_is_a_problem(home: Home, tmp_path: Path) -> None:
    import polars as pl

    path = tmp_path / "a.parquet"
    pl.DataFrame([record(n % 60, t=f"{n * 7919}") for n in range(5_000)]).write_parquet(path)
    body = bytearray(path.read_bytes())
    body[100:2000] = b"\xff" * 1900
    put(path, bytes(body))
    put(tmp_path / "b.jsonl", jsonl([record(1)]))
    (problem,) = land(mapped(tmp_path), home).problems
    assert "a.parquet: cannot be read as Parquet" in problem


def test_a_file_that_is_written_during_the_run_is_waited_for(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path / "a.jsonl", jsonl([record(1)]))
    put(tmp_path / "b.jsonl", jsonl([record(2)]))
    monkeypatch.setattr(
        file_landing, "still", lambda paths, _: {each for each in paths if each.name == "b.jsonl"}
    )
    landed = land(mapped(tmp_path), home)
    assert landed.records == 1
    assert landed.not_yet is not None
    assert "a.jsonl is still being written" in landed.not_yet


def test_a_file_that_may_not_be_read_stops_no_other(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path / "a.jsonl", jsonl([record(1)]))
    put(tmp_path / "b.jsonl", jsonl([record(2)]))
    original = Folder.open

    def guarded(folder: Folder, file: SourceFile) -> Any:
        if file.name == "a.jsonl":
            raise PermissionError(13, "Permission denied")
        return original(folder, file)

    monkeypatch.setattr(Folder, "open", guarded)
    landed = land(mapped(tmp_path), home)
    assert landed.records == 1
    assert landed.problems == (f"{tmp_path / 'a.jsonl'}: cannot be read: [Errno 13] Permission denied",)


def test_when_no_file_can_be_used_the_run_fails(home: Home, tmp_path: Path) -> None:
    put(tmp_path / "a.jsonl.gz", b"{}\n")
    with pytest.raises(
        SourceError, match=r"source log: none of the files can be used:\n.*a.jsonl.gz: is named"
    ):
        land(mapped(tmp_path), home)


def test_a_missing_folder_is_named(home: Home, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"source log: there is no folder .*nowhere"):
        land(mapped(tmp_path / "nowhere"), home)


def test_the_landing_area_is_never_taken_for_a_delivery(tmp_path: Path) -> None:
    """A home folder below the source's own must not feed on itself."""
    home = Home(tmp_path / "home")
    put(tmp_path / "a.jsonl", jsonl([record(1)]))
    for _ in range(2):
        _, cleaned = run(mapped(tmp_path), home)
        assert cleaned.records == 1


def test_a_killed_landing_leaves_nothing_that_counts(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for day in range(1, 4):
        put(tmp_path / f"events_2026030{day}.json", jsonl([ga4_record(1, day=date(2026, 3, day))]))
    commits = iter([False, True])

    def killed(*arguments: Any) -> None:
        if next(commits):
            raise KeyboardInterrupt
        original(*arguments)

    original = file_landing.write_manifest
    monkeypatch.setattr(file_landing, "write_manifest", killed)
    with pytest.raises(KeyboardInterrupt):
        land(ga4(tmp_path), home)
    monkeypatch.undo()
    assert [manifest.delivery for manifest in deliveries(home, "site")] == ["2026-03-01"]
    landed, cleaned = run(ga4(tmp_path), home)
    assert landed.deliveries == ("2026-03-02", "2026-03-03")
    assert cleaned.canonical == 3
    everything = {path for path in (home.landing / "site").rglob("*") if path.is_file()}
    named = {path for path in everything if path.name == "manifest.json"} | set(landed_files(home, "site"))
    assert everything == named


def test_a_file_of_today_covers_only_what_is_over(home: Home, tmp_path: Path) -> None:
    put(tmp_path / "2026-03-10.jsonl", jsonl([record(1, day=10)]))
    source = mapped(tmp_path, day="%Y-%m-%d")
    today = date(2026, 3, 10)
    assert land(source, home, first=today, last=today).complete_through == NOON
    tomorrow = NOON + timedelta(days=1)
    later = land(source, home, first=today, last=today, now=tomorrow)
    assert later.deliveries == ()
    assert later.complete_through == datetime(2026, 3, 11, tzinfo=UTC)


@pytest.mark.parametrize(
    ("written", "end"),
    [
        (datetime(2026, 3, 5, 6, tzinfo=UTC), midnight(date(2026, 3, 4))),
        (datetime(2026, 3, 3, 18, tzinfo=UTC), midnight(date(2026, 3, 3)) + timedelta(hours=18)),
    ],
)
def test_undated_files_cover_from_their_first_to_their_last_day(
    home: Home, tmp_path: Path, written: datetime, end: datetime
) -> None:
    put(tmp_path / "dump.jsonl", jsonl([record(1, day=1), record(1, day=3)]), at=written)
    run(mapped(tmp_path), home)
    assert windows_of_undated(mapped(tmp_path), home) == [Window(midnight(FIRST), end)]


def test_a_probe_tells_what_is_there_and_lands_nothing(home: Home, tmp_path: Path) -> None:
    put(tmp_path / "events_20260301.json", jsonl([ga4_record(1)]), at=NOON - timedelta(days=2))
    put(tmp_path / "events_20260302.json", jsonl([ga4_record(1), ga4_record(2)]))
    found = probe_files(ga4(tmp_path), home, now=NOON)
    assert found == "2 file(s); the newest, events_20260302.json, has 2 record(s)"
    assert list(deliveries(home, "site")) == []


def test_a_probe_names_a_wrong_mapping(home: Home, tmp_path: Path) -> None:
    put(tmp_path / "a.jsonl", jsonl([{"name": "x", "time": 1}]))
    with pytest.raises(SourceError, match=r"source log: .*a.jsonl: has no 'event' \(event\)"):
        probe_files(mapped(tmp_path), home, now=NOON)


STEPS = st.lists(
    st.tuples(st.integers(0, 2), st.lists(st.integers(0, 30), max_size=6), st.booleans()),
    min_size=1,
    max_size=6,
)


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(steps=STEPS)
def test_any_history_of_deliveries_ends_like_one_delivery_of_the_last_state(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[int, list[int], bool]]
) -> None:
    root = tmp_path_factory.mktemp("history")
    folder, step_by_step, at_once = root / "in", Home(root / "one"), Home(root / "two")
    last: dict[int, list[int]] = {}
    for number, content, landed in steps:
        last[number] = content
        put(folder / f"events_2026030{number + 1}.json", lines(number, content))
        if landed:
            run(ga4(folder), step_by_step)
    run(ga4(folder), step_by_step)
    run(ga4(folder), at_once)
    columns = [name for name in events(at_once).columns if name != "ingest_run"]
    assert events(step_by_step).select(columns).equals(events(at_once).select(columns))
    assert events(at_once).height == sum(len(set(content)) for content in last.values())


def lines(number: int, content: list[int]) -> bytes:
    return jsonl([ga4_record(n, day=FIRST + timedelta(days=number)) for n in content])


def test_large_tables_are_read_in_blocks(tmp_path: Path) -> None:
    rows = "".join(f"x,2026-03-01T12:00:00Z,{n}\n" for n in range(10_000))
    path = put(tmp_path / "a.csv", b"event,time,user\n" + rows.encode())
    blocks = list(RecordFile.landed(path).json_blocks())
    assert len(blocks) > 2
    assert sum(block.count(b"\n") + 1 for block in blocks) == 10_000


def test_files_are_waited_for_only_while_they_are_young(home: Home, tmp_path: Path) -> None:
    put(tmp_path / "a.jsonl", jsonl([record(1)]))
    assert fetch_files(mapped(tmp_path), home, FIRST, LAST, now=NOON).records == 1
