import json
import os

import pytest

from opsanalytics.lake.locks import LockHeldError, exclusive
from opsanalytics.lake.paths import Home
from opsanalytics_tests.lake.processes import hear, python, tell

HOLD = """
import sys
from pathlib import Path
from opsanalytics.lake.locks import exclusive
from opsanalytics.lake.paths import Home
with exclusive(Home(Path(sys.argv[1])), "publish"):
    print("held", flush=True)
    sys.stdin.readline()
print("released", flush=True)
"""


def test_another_process_cannot_take_a_held_lock(home: Home) -> None:
    with python(HOLD, str(home.root)) as process:
        assert hear(process) == "held"
        with (
            pytest.raises(LockHeldError, match=f'"pid": {process.pid}'),
            exclusive(home, "publish", wait_seconds=0.1),
        ):
            pass


def test_a_lock_can_be_taken_once_its_holder_is_done(home: Home) -> None:
    with python(HOLD, str(home.root)) as process:
        assert hear(process) == "held"
        tell(process)
        assert hear(process) == "released"
        with exclusive(home, "publish", wait_seconds=5):
            pass


def test_a_waiting_process_gets_the_lock_when_its_holder_is_killed(home: Home) -> None:
    waiting_aloud = HOLD.replace("with exclusive", 'print("waiting", flush=True)\nwith exclusive')
    with python(HOLD, str(home.root)) as holder:
        assert hear(holder) == "held"
        with python(waiting_aloud, str(home.root)) as waiting:
            assert hear(waiting) == "waiting"
            holder.kill()
            assert hear(waiting) == "held"


def test_the_lock_of_a_killed_process_is_free_and_its_name_is_replaced(home: Home) -> None:
    with python(HOLD, str(home.root)) as process:
        assert hear(process) == "held"
        process.kill()
        process.wait()
    holder = home.locks / "publish.holder.json"
    assert holder.exists()
    with exclusive(home, "publish", wait_seconds=5):
        assert json.loads(holder.read_text())["pid"] == os.getpid()


def test_locks_of_other_names_and_homes_are_independent(home: Home) -> None:
    with (
        exclusive(home, "publish"),
        exclusive(home, "quality", wait_seconds=0),
        exclusive(Home(home.root / "other"), "publish", wait_seconds=0),
    ):
        assert sorted(path.name for path in home.locks.glob("*.lock")) == ["publish.lock", "quality.lock"]


def test_an_exception_frees_the_lock(home: Home) -> None:
    with pytest.raises(RuntimeError, match="stop"), exclusive(home, "publish"):
        raise RuntimeError("stop")
    with exclusive(home, "publish", wait_seconds=0):
        assert (home.locks / "publish.holder.json").exists()
    assert not (home.locks / "publish.holder.json").exists()
