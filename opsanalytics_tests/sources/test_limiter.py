import multiprocessing
import os
import signal
import sqlite3
import time

from hypothesis import given
from hypothesis import strategies as st
from pyrate_limiter import validate_rate_list

from opsanalytics.lake.paths import Home
from opsanalytics.sources.limiter import Limit, SharedLimiter, binding_rates, padded_milliseconds

CONTEXT = multiprocessing.get_context("spawn")


def take(home: Home, times: int, limits: tuple[Limit, ...]) -> None:
    limiter = SharedLimiter(home, "vendor", "project", limits)
    for _ in range(times):
        limiter.acquire()


def take_and_die(home: Home, limits: tuple[Limit, ...]) -> None:
    take(home, 2, limits)
    os.kill(os.getpid(), signal.SIGKILL)


def stamps(home: Home) -> list[int]:
    connection = sqlite3.connect(home.state)
    (table,) = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchone()
    found = [row[0] for row in connection.execute(f"SELECT item_timestamp FROM {table} ORDER BY 1")]
    connection.close()
    return found


def test_limits_hold_over_processes(home: Home) -> None:
    limits = (Limit(3, 0.4), Limit(100, 60.0))
    workers = [CONTEXT.Process(target=take, args=(home, 3, limits)) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    taken = stamps(home)
    assert [worker.exitcode for worker in workers] == [0, 0, 0]
    assert len(taken) == 9
    assert all(late - early >= 400 for early, late in zip(taken, taken[3:], strict=False))


def test_a_killed_process_leaks_no_slot_and_frees_the_lock(home: Home) -> None:
    limits = (Limit(2, 1.0), Limit(50, 60.0))
    victim = CONTEXT.Process(target=take_and_die, args=(home, limits))
    victim.start()
    victim.join()
    assert victim.exitcode == -signal.SIGKILL
    time.sleep(1.3)
    pauses: list[float] = []
    SharedLimiter(home, "vendor", "project", limits).acquire(pauses.append)
    assert pauses == []
    assert len(stamps(home)) == 3


def test_waiting_is_announced(home: Home) -> None:
    limiter = SharedLimiter(home, "vendor", "project", (Limit(1, 0.2),))
    pauses: list[float] = []
    limiter.acquire(pauses.append)
    limiter.acquire(pauses.append)
    assert pauses
    assert all(0 < pause <= 0.25 for pause in pauses)


def test_projects_do_not_share_a_limit(home: Home) -> None:
    pauses: list[float] = []
    for project in ("one", "two"):
        SharedLimiter(home, "vendor", project, (Limit(1, 60.0),)).acquire(pauses.append)
    assert pauses == []


def test_the_project_key_is_not_stored(home: Home) -> None:
    SharedLimiter(home, "vendor", "secret-project-key", (Limit(1, 60.0),)).acquire()
    assert b"secret-project-key" not in home.state.read_bytes()


@given(st.lists(st.builds(Limit, st.integers(1, 500), st.integers(1, 5_000)), min_size=1, max_size=4))
def test_any_combination_of_limits_can_be_configured(limits: list[Limit]) -> None:
    rates = binding_rates(limits)
    assert validate_rate_list(rates)
    for limit in limits:
        assert any(rate.interval >= 1_000 * limit.seconds and rate.limit <= limit.requests for rate in rates)


def test_windows_leave_room_for_travel_time() -> None:
    assert padded_milliseconds(1.0) == 1_250
    assert padded_milliseconds(3_600.0) == 3_602_000
