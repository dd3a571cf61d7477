"""A run whose process was killed is ended; one that is alive, or elsewhere, is left alone."""

import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from opsanalytics.assets.orphans import HOST_TAG, end_orphans
from opsanalytics_tests.conftest import ROOT

SCRIPT = textwrap.dedent(
    """
    import sys, time
    import dagster as dg

    @dg.op
    def wait():
        print("waiting", flush=True)
        time.sleep(600)

    @dg.job
    def daily():
        wait()

    with dg.DagsterInstance.from_config(sys.argv[1]) as instance:
        tags = {"opsanalytics/host": sys.argv[2]} if sys.argv[2] else {}
        daily.execute_in_process(instance=instance, tags=tags)
    """
)


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    (tmp_path / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    with dg.DagsterInstance.from_config(str(tmp_path)) as opened:
        yield opened


def start(folder: Path, host: str = "") -> subprocess.Popen[str]:
    running = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(folder), host],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert running.stdout is not None
    assert any("waiting" in line for line in running.stdout)
    return running


def kill(running: subprocess.Popen[str]) -> None:
    running.send_signal(signal.SIGKILL)
    running.wait()


def test_a_killed_run_is_ended_and_says_why(instance: dg.DagsterInstance, tmp_path: Path) -> None:
    running = start(tmp_path)
    try:
        assert end_orphans(instance) == []
    finally:
        running.send_signal(signal.SIGKILL)
    # Nobody has waited for the process yet: it is a zombie, as under Dagster's code server.
    os.waitid(os.P_PID, running.pid, os.WEXITED | os.WNOWAIT)
    (ended,) = end_orphans(instance)
    running.wait()
    run = instance.get_run_by_id(ended.run_id)
    assert run is not None
    assert run.status == dg.DagsterRunStatus.FAILURE
    messages = [entry.message for entry in instance.all_logs(ended.run_id)]
    assert any("The process of this run is gone" in message for message in messages)
    assert end_orphans(instance) == []


def test_a_run_on_another_machine_is_left_alone(instance: dg.DagsterInstance, tmp_path: Path) -> None:
    kill(start(tmp_path, "another-machine"))
    assert end_orphans(instance) == []
    (run,) = instance.get_runs()
    assert run.tags[HOST_TAG] == "another-machine"
    assert run.status == dg.DagsterRunStatus.STARTED
