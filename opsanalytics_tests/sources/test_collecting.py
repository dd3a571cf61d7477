import os
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from opsanalytics.lake.manifests import deliveries
from opsanalytics.lake.paths import Home
from opsanalytics.sources.collecting import CollectReport, collect
from opsanalytics_tests.sources.support import tree
from opsanalytics_tests.sources.test_feedback_csv import HEADER, ROW, survey

NOW = datetime(2026, 3, 10, tzinfo=UTC)
CONTENT = f"{HEADER}\n{ROW}\n"


def drop(home: Home, name: str, content: str = CONTENT) -> Path:
    path = home.inbox("survey") / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    return path


def run(home: Home, quiet_seconds: float = 0.0) -> CollectReport:
    return collect(survey(), home, now=NOW, quiet_seconds=quiet_seconds)


def test_a_file_is_landed_as_it_is_and_left_in_place(home: Home) -> None:
    path = drop(home, "März 2026.csv")
    report = run(home)
    (manifest,) = deliveries(home, "survey")
    landed = home.delivery("survey", manifest.delivery) / manifest.files[0].name
    assert landed.read_bytes() == path.read_bytes()
    assert (report.landed, report.records) == ((manifest.delivery,), 1)
    assert manifest.delivery.startswith("M-rz-2026-")


def test_the_same_content_is_landed_once_whatever_its_name(home: Home) -> None:
    drop(home, "a.csv")
    run(home)
    before = tree(home.landing)
    drop(home, "a.csv")
    drop(home, "again/b.csv")
    assert run(home).known == ("a.csv", "b.csv")
    assert tree(home.landing) == before


def test_two_new_files_with_the_same_content_are_one_delivery(home: Home) -> None:
    drop(home, "a.csv")
    drop(home, "b.csv")
    report = run(home)
    assert (len(report.landed), report.known) == (1, ("b.csv",))


def test_a_changed_file_is_another_delivery(home: Home) -> None:
    drop(home, "a.csv")
    run(home)
    drop(home, "a.csv", f"{HEADER}\n" + ROW.replace("1,", "2,", 1) + "\n")
    assert len(run(home).landed) == 1
    assert len(list(deliveries(home, "survey"))) == 2


@pytest.mark.parametrize("name", ["a.csv.part", "a.tmp", "a.csv.crdownload"])
def test_unfinished_names_wait(home: Home, name: str) -> None:
    drop(home, name)
    report = run(home)
    assert (report.landed, report.waiting) == ((), (name,))


@pytest.mark.parametrize("name", [".DS_Store", "~$a.csv"])
def test_hidden_files_are_ignored(home: Home, name: str) -> None:
    drop(home, name, "no csv")
    assert run(home) == CollectReport("survey", (), (), (), 0)


def test_a_file_that_grows_waits(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    path = drop(home, "a.csv")
    monkeypatch.setattr(time, "sleep", lambda seconds: path.write_text(CONTENT + "2,2026-"))
    report = run(home, quiet_seconds=60)
    assert (report.landed, report.waiting) == ((), ("a.csv",))


def test_an_old_file_is_not_waited_for(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    path = drop(home, "a.csv")
    os.utime(path, (1, 1))
    monkeypatch.setattr(time, "sleep", lambda seconds: pytest.fail("waited"))
    assert len(run(home, quiet_seconds=60).landed) == 1


def test_a_file_that_cannot_be_used_keeps_no_other_from_landing(home: Home) -> None:
    drop(home, "a.csv", "when,body\n1,2\n")
    drop(home, "b.csv")
    report = run(home)
    (message,) = report.refused
    assert "a.csv" in message
    assert "'created_at'" in message
    assert len(report.landed) == 1
    assert not list((home.landing / "survey").glob(".*"))


def test_an_empty_inbox_is_fine(home: Home) -> None:
    assert run(home) == CollectReport("survey", (), (), (), 0)


def test_new_settings_count_landed_files_anew(home: Home) -> None:
    drop(home, "a.csv", "id,created_at,text\n1,2026-03-01,x\n2,2026-03-01,y\n")
    columns = {"id": "id", "created_at": "created_at", "text": "text"}
    before = survey(columns=columns)
    assert collect(before, home, now=NOW, quiet_seconds=0).records == 2
    run(home)
    assert [manifest.records for manifest in deliveries(home, "survey")] == [1]
    collect(before, home, now=NOW, quiet_seconds=0)
    assert [manifest.records for manifest in deliveries(home, "survey")] == [2]


def test_the_time_a_file_was_written_is_kept(home: Home) -> None:
    os.utime(drop(home, "a.csv"), (1, 1_772_323_200))
    run(home)
    (manifest,) = deliveries(home, "survey")
    assert manifest.request["modified"] == "2026-03-01T00:00:00+00:00"
