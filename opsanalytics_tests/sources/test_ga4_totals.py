"""Google's own totals: asked, landed, compared."""

from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

import pytest

from opsanalytics.cleaning.events import clean_events
from opsanalytics.lake.paths import Home
from opsanalytics.quality.vendor_totals import compare_totals
from opsanalytics.sources.event_pulling import pull_events
from opsanalytics.sources.fetching import FetchReport
from opsanalytics.sources.ga4 import Ga4Settings
from opsanalytics.sources.totals import read_totals
from opsanalytics_tests.simulators.data_api import TOKEN, DataApi, serve_data_api
from opsanalytics_tests.sources.file_support import FIRST, LAST, NOON, ga4, ga4_record, jsonl, put

SECOND = FIRST + timedelta(days=1)
COUNTED = [("20260301", "page_view", 3), ("20260301", "purchase", 1), ("20260302", "page_view", 2)]


@pytest.fixture
def api() -> Iterator[DataApi]:
    with serve_data_api(DataApi(list(COUNTED))) as served:
        yield served


@pytest.fixture
def source(api: DataApi, tmp_path: Path) -> Ga4Settings:
    folder = tmp_path / "in"
    put(folder / "events_20260301.json", jsonl(ga4_record(n) for n in range(3)))
    put(folder / "events_20260302.json", jsonl(ga4_record(n, day=SECOND) for n in range(2)))
    return ga4(folder, totals={"property_id": 42, "base_url": api.url, "backoff_seconds": 0})


def pull(source: Ga4Settings, home: Home, api: DataApi, folder: Path) -> FetchReport:
    environ = {"GOOGLE_APPLICATION_CREDENTIALS": str(api.key_file(folder / "key.json"))}
    return pull_events(source, home, FIRST, LAST, environ=environ, now=NOON)


def test_totals_are_landed_page_by_page(
    home: Home, source: Ga4Settings, api: DataApi, tmp_path: Path
) -> None:
    assert pull(source, home, api, tmp_path).problems == ()
    days = read_totals(home, "site").days
    assert {day: totals.events for day, totals in days.items()} == {
        FIRST: {"page_view": 3, "purchase": 1},
        SECOND: {"page_view": 2},
    }
    assert [asked["offset"] for asked in api.asked] == ["0", "2"]
    assert TOKEN not in home.vendor_totals_file("site").read_text()


def test_totals_stand_beside_our_counts(
    home: Home, source: Ga4Settings, api: DataApi, tmp_path: Path
) -> None:
    pull(source, home, api, tmp_path)
    clean_events(source, home, {"page_view": "seen"})
    compared = compare_totals(home, source)
    assert compared.select("day", "event", "vendor", "ours", "difference", "exact").rows() == [
        (FIRST, "page_view", 3, 3, 0, True),
        (FIRST, "purchase", 1, 0, -1, True),
        (SECOND, "page_view", 2, 2, 0, True),
    ]


def test_it_is_told_when_google_left_something_out(
    home: Home, source: Ga4Settings, api: DataApi, tmp_path: Path
) -> None:
    api.metadata = {"subjectToThresholding": True}
    pull(source, home, api, tmp_path)
    assert not any(totals.exact for totals in read_totals(home, "site").days.values())


def test_a_later_answer_replaces_its_days_and_keeps_the_others(
    home: Home, source: Ga4Settings, api: DataApi, tmp_path: Path
) -> None:
    pull(source, home, api, tmp_path)
    api.rows = [("20260302", "page_view", 5)]
    pull(source, home, api, tmp_path)
    days = read_totals(home, "site").days
    assert days[FIRST].events["page_view"] == 3
    assert days[SECOND].events == {"page_view": 5}


@pytest.mark.parametrize("failures", [[429], [503, 500], [429, 503, 500, 429]])
def test_answers_that_another_try_can_help_are_tried_again(
    home: Home, source: Ga4Settings, api: DataApi, tmp_path: Path, failures: list[int]
) -> None:
    api.failures = list(failures)
    assert pull(source, home, api, tmp_path).problems == ()
    assert len(read_totals(home, "site").days) == 2


@pytest.mark.parametrize(
    ("failures", "message"),
    [([403], "role Viewer"), ([400], "totals.property_id"), ([429] * 5, "quota is used up")],
)
def test_what_cannot_be_had_is_a_problem_and_the_files_are_landed(
    home: Home, source: Ga4Settings, api: DataApi, tmp_path: Path, failures: list[int], message: str
) -> None:
    api.failures = list(failures)
    report = pull(source, home, api, tmp_path)
    assert report.records == 5
    (problem,) = report.problems
    assert problem.startswith("source site: totals of property 42: HTTP ")
    assert message in problem
    assert TOKEN not in problem


def test_a_missing_key_file_names_the_variable(home: Home, source: Ga4Settings) -> None:
    report = pull_events(source, home, FIRST, LAST, environ={}, now=NOON)
    (problem,) = report.problems
    assert "GOOGLE_APPLICATION_CREDENTIALS (totals.credentials_env)" in problem


def test_days_that_are_not_over_are_not_asked_for(
    home: Home, source: Ga4Settings, api: DataApi, tmp_path: Path
) -> None:
    today = date(2026, 3, 10)
    environ = {"GOOGLE_APPLICATION_CREDENTIALS": str(api.key_file(tmp_path / "key.json"))}
    pull_events(source, home, today, today, environ=environ, now=NOON)
    assert api.asked == []
