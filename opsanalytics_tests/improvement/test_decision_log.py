"""The log of decisions: kept apart from what a run computes, all or nothing, one after the other."""

import os
import shutil
import signal
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from opsanalytics.improvement.decision_log import LOCK, Sighting, decide, read_log, remember
from opsanalytics.improvement.decisions import DecisionError
from opsanalytics.lake.locks import LockHeldError, exclusive
from opsanalytics.lake.paths import Home
from opsanalytics_tests.conftest import ROOT
from opsanalytics_tests.improvement.items import AS_OF, ITEMS, NOW, take

A, B = ITEMS[:2]
KILLED = """
import os, signal, sqlite3, sys
from datetime import UTC, datetime
from pathlib import Path
from opsanalytics.improvement import decision_log
from opsanalytics.lake.paths import Home

class Dying(sqlite3.Connection):
    def executemany(self, sql, rows):
        done = super().executemany(sql, list(rows))
        if sys.argv[2] == "before the end":
            os.kill(os.getpid(), signal.SIGKILL)
        return done

connect = sqlite3.connect
decision_log.sqlite3.connect = lambda path, **options: connect(path, factory=Dying, **options)
decision_log.decide(
    Home(Path(sys.argv[1])), datetime.now(UTC), "ann",
    lambda log: [("PP-aaaaaaaa", "accept", {}), ("PP-bbbbbbbb", "accept", {})],
)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "data")


@pytest.mark.parametrize(("moment", "kept"), [("before the end", 0), ("after the end", 2)])
def test_a_killed_process_leaves_all_or_nothing(home: Home, moment: str, kept: int) -> None:
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(home.root), moment],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        check=False,
        timeout=120,
    )
    assert done.returncode == -signal.SIGKILL
    assert len(read_log(home).decisions) == kept
    take(home, ITEMS[2], "accept")
    assert [each.seq for each in read_log(home).decisions] == list(range(1, kept + 2))


def test_of_several_decisions_one_that_does_not_follow_undoes_all(home: Home) -> None:
    with pytest.raises(DecisionError):
        decide(home, NOW, "ann", lambda _: [(A, "accept", {}), (B, "worked", {})])
    assert read_log(home).decisions == ()


def test_decisions_outlive_everything_that_can_be_computed_again(home: Home) -> None:
    take(home, A, "accept")
    for folder in (home.lake, home.marts, home.index, home.fingerprints, home.reports):
        folder.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(folder)
    assert read_log(home).lives[A].state == "accepted"


def test_a_decision_is_checked_against_the_one_before_it(home: Home) -> None:
    seen = []

    def wanted(log: object) -> list[tuple[str, str, dict[str, str]]]:
        seen.append(log)
        return [(A, "accept", {})]

    take(home, A, "assign", owner="Ann")
    decide(home, NOW, "bo", wanted)
    assert seen[0].lives[A].owner == "Ann"  # type: ignore[attr-defined]


def test_who_decides_waits_for_who_is_deciding(home: Home) -> None:
    with exclusive(home, LOCK), pytest.raises(LockHeldError), exclusive(home, LOCK, wait_seconds=0.01):
        pytest.fail("two held the lock")


def test_a_run_does_not_know_what_later_runs_saw(home: Home) -> None:
    def sighting(weeks: int) -> Sighting:
        return Sighting(A, AS_OF + timedelta(weeks=weeks), 1, "accepted", seen=True, evidence={})

    remember(home, [sighting(0), sighting(1)])
    remember(home, [sighting(1)])
    log = read_log(home)
    assert len(log.sightings) == 2
    assert [each.as_of for each in log.before(AS_OF + timedelta(weeks=1)).sightings] == [AS_OF]


def test_text_of_people_comes_back_as_it_was_written(home: Home) -> None:
    reason = 'Zu selten – "siehe" #12; DROP TABLE x;\n日本'
    take(home, A, "wont_fix", by="Zoë", reason=reason)
    decision = read_log(home).decisions[0]
    assert (decision.by, decision.details["reason"], decision.at) == ("Zoë", reason, NOW)
