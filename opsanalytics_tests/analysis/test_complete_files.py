"""Up to when results may be computed, where events come from files."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from opsanalytics.analysis.scope import NothingLandedError, complete_through
from opsanalytics.config import Settings
from opsanalytics.config.settings import Project
from opsanalytics.lake.paths import Home
from opsanalytics.sources.files import EventFileSettings
from opsanalytics_tests.sources.file_support import (
    FIRST,
    LAST,
    NOON,
    ga4,
    ga4_record,
    jsonl,
    mapped,
    put,
    run,
)


def through(source: EventFileSettings, tmp_path: Path, *, start: date = FIRST) -> datetime:
    """Land, clean and ask."""
    project = Project(name="Site", start=start, home=tmp_path / "data")
    settings = Settings.model_construct(project=project, sources=(source,))
    run(source, settings.home, first=start, last=LAST)
    return complete_through(settings)


def tables(folder: Path, *days: int, name: str = "events_{:%Y%m%d}.json") -> None:
    for number in days:
        day = FIRST + timedelta(days=number - 1)
        put(folder / name.format(day), jsonl([ga4_record(1, day=day)]))


def test_daily_tables_count_to_their_end(tmp_path: Path) -> None:
    tables(tmp_path / "in", 1, 2, 3)
    assert through(ga4(tmp_path / "in"), tmp_path) == datetime(2026, 3, 4, tzinfo=UTC)


def test_an_intraday_table_is_not_complete(tmp_path: Path) -> None:
    tables(tmp_path / "in", 1, 2)
    tables(tmp_path / "in", 3, name="events_intraday_{:%Y%m%d}.json")
    assert through(ga4(tmp_path / "in"), tmp_path) == datetime(2026, 3, 3, tzinfo=UTC)


def test_days_end_in_the_zone_of_the_property(tmp_path: Path) -> None:
    tables(tmp_path / "in", 1, 2)
    source = ga4(tmp_path / "in", property_timezone="America/Los_Angeles")
    assert through(source, tmp_path) == datetime(2026, 3, 3, 8, tzinfo=UTC)


def test_a_missing_day_holds_back(tmp_path: Path) -> None:
    tables(tmp_path / "in", 1, 3)
    assert through(ga4(tmp_path / "in"), tmp_path) == datetime(2026, 3, 2, tzinfo=UTC)


def test_what_came_before_the_first_file_holds_nothing_back(tmp_path: Path) -> None:
    tables(tmp_path / "in", 3, 4)
    found = through(ga4(tmp_path / "in"), tmp_path, start=date(2026, 2, 1))
    assert found == datetime(2026, 3, 5, tzinfo=UTC)


def record(day: int, **fields: Any) -> dict[str, Any]:
    return {"event": "x", "time": f"2026-03-0{day}T12:00:00Z", "user": "u", **fields}


def test_undated_files_count_to_the_end_of_their_last_day(tmp_path: Path) -> None:
    put(tmp_path / "in" / "a.jsonl", jsonl([record(1), record(4)]))
    assert through(mapped(tmp_path / "in"), tmp_path) == datetime(2026, 3, 5, tzinfo=UTC)


def test_an_undated_file_counts_no_further_than_it_was_written(tmp_path: Path) -> None:
    written = datetime(2026, 3, 4, 13, tzinfo=UTC)
    put(tmp_path / "in" / "a.jsonl", jsonl([record(1), record(4)]), at=written)
    assert through(mapped(tmp_path / "in"), tmp_path) == written


def test_without_files_nothing_can_be_computed(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    with pytest.raises(NothingLandedError, match="site"):
        through(ga4(tmp_path / "in"), tmp_path)


def test_the_moment_does_not_depend_on_the_clock(tmp_path: Path) -> None:
    put(tmp_path / "in" / "a.jsonl", jsonl([record(1)]))
    first = through(mapped(tmp_path / "in"), tmp_path)
    source = mapped(tmp_path / "in")
    run(source, Home(tmp_path / "data"), now=NOON + timedelta(days=9))
    assert through(source, tmp_path) == first
