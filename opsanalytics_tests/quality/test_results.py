from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from opsanalytics.lake.paths import Home
from opsanalytics.quality.results import CheckOutcome, latest, record, recorded, state

NOW = datetime(2024, 2, 1, tzinfo=UTC)
LATER = NOW + timedelta(days=1)

PASSED = CheckOutcome(
    table="events",
    check="volume",
    partition="2024-01-01",
    passed=True,
    severity="error",
    description="There are events.",
    checked=1,
    unexpected=0,
)
FAILED = replace(PASSED, passed=False, unexpected=1, examples=("rows=0",))


def write(home: Home, *outcomes: CheckOutcome, **options: Any) -> None:
    record(home, outcomes, **{"producer": "suite", "checked_at": NOW, "data_version": "v1"} | options)


def figures(home: Home) -> list[tuple[Any, ...]]:
    return latest(home).select("check", "partition", "passed").rows()


def test_nothing_is_recorded_at_first(home: Home) -> None:
    assert latest(home).is_empty()


def test_results_come_back_as_recorded(home: Home) -> None:
    write(home, FAILED)
    (row,) = latest(home).to_dicts()
    assert row | {"examples": tuple(row["examples"])} == vars(FAILED) | {
        "data_version": "v1",
        "checked_at": NOW,
    }


def test_a_new_result_replaces_the_old_one(home: Home) -> None:
    write(home, FAILED)
    write(home, PASSED, checked_at=LATER)
    assert figures(home) == [("volume", "2024-01-01", True)]
    assert latest(home)["checked_at"].to_list() == [LATER]


def test_an_equal_result_keeps_its_time_and_file(home: Home) -> None:
    write(home, FAILED, PASSED)
    (path,) = home.quality.rglob("*.parquet")
    before = path.stat().st_ino
    write(home, FAILED, PASSED, checked_at=LATER)
    assert path.stat().st_ino == before
    assert set(latest(home)["checked_at"]) == {NOW}


def test_only_the_result_that_changed_gets_a_new_time(home: Home) -> None:
    other = replace(PASSED, check="other")
    write(home, PASSED, other)
    write(home, FAILED, other, checked_at=LATER)
    assert dict(latest(home).select("check", "checked_at").iter_rows()) == {"volume": LATER, "other": NOW}


def test_the_same_result_about_other_data_gets_a_new_time(home: Home) -> None:
    write(home, PASSED)
    write(home, PASSED, checked_at=LATER, data_version="v2")
    assert latest(home)["checked_at"].to_list() == [LATER]


def test_a_check_that_is_no_longer_made_disappears(home: Home) -> None:
    write(home, replace(FAILED, check="retired"), PASSED)
    write(home, PASSED)
    assert figures(home) == [("volume", "2024-01-01", True)]


def test_other_partitions_and_tables_stay(home: Home) -> None:
    write(home, PASSED, replace(PASSED, partition="2024-01-02"), replace(PASSED, table="feedback"))
    write(home, FAILED)
    assert latest(home).select("table", "partition", "passed").rows() == [
        ("events", "2024-01-01", False),
        ("events", "2024-01-02", True),
        ("feedback", "2024-01-01", True),
    ]


def test_the_results_of_another_producer_stay(home: Home) -> None:
    write(home, replace(FAILED, check="reconciled"), producer="reconciliation")
    write(home, PASSED)
    assert figures(home) == [("reconciled", "2024-01-01", False), ("volume", "2024-01-01", True)]


def test_each_partition_may_have_its_own_version(home: Home) -> None:
    tuesday = replace(PASSED, partition="2024-01-02")
    write(home, PASSED, tuesday, data_version={"2024-01-01": "a", "2024-01-02": "b"})
    assert latest(home)["data_version"].to_list() == ["a", "b"]


def test_recorded_gives_results_of_the_wanted_version_only(home: Home) -> None:
    tuesday = replace(PASSED, partition="2024-01-02")
    write(home, FAILED, tuesday)
    wanted = {"2024-01-01": "v1", "2024-01-02": "v2"}
    assert recorded(home, "events", producer="suite", versions=wanted) == [FAILED]


def test_results_are_kept_by_month(home: Home) -> None:
    write(home, PASSED, replace(PASSED, partition="2024-02-01"), replace(PASSED, partition="survey"))
    assert sorted(path.name for path in (home.quality / "events").iterdir()) == [
        "2024-01.parquet",
        "2024-02.parquet",
        "all.parquet",
    ]


WARNING = replace(FAILED, severity="warning")
FEEDBACK = replace(PASSED, table="feedback")


@pytest.mark.parametrize(
    ("outcomes", "expected"),
    [
        ((), "not_checked"),
        ((PASSED,), "not_checked"),
        ((WARNING,), "not_checked"),
        ((PASSED, FEEDBACK), "passed"),
        ((WARNING, FEEDBACK), "warning"),
        ((FAILED,), "failed"),
        ((FAILED, FEEDBACK), "failed"),
        ((PASSED, FEEDBACK, replace(FAILED, table="persons")), "passed"),
    ],
)
def test_the_state_is_that_of_the_worst_table(
    home: Home, outcomes: tuple[CheckOutcome, ...], expected: str
) -> None:
    write(home, *outcomes)
    assert state(home, ["events", "feedback"]) == expected


checks = st.builds(
    replace,
    st.just(PASSED),
    check=st.sampled_from(["a", "b"]),
    partition=st.sampled_from(["2024-01-01", "2024-01-02", "2024-02-01", "survey"]),
    passed=st.booleans(),
    unexpected=st.none() | st.integers(0, 9),
    examples=st.lists(st.text(), max_size=2).map(tuple),
)
batches = st.lists(checks, max_size=6, unique_by=lambda outcome: (outcome.check, outcome.partition))


@settings(max_examples=30, deadline=None)
@given(st.lists(batches, max_size=3))
def test_recording_everything_again_changes_nothing(
    tmp_path_factory: pytest.TempPathFactory, history: list[list[CheckOutcome]]
) -> None:
    home = Home(tmp_path_factory.mktemp("home"))
    for batch in history:
        write(home, *batch)
    before = {path: path.read_bytes() for path in home.quality.rglob("*.parquet")}
    current = [
        CheckOutcome(**row | {"examples": tuple(row["examples"])})
        for row in latest(home).drop("data_version", "checked_at").to_dicts()
    ]
    write(home, *current, checked_at=LATER)
    assert {path: path.read_bytes() for path in home.quality.rglob("*.parquet")} == before
