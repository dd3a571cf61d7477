"""Runs whose process is gone: ended and told about, instead of waiting for hours in the UI.

Dagster's default launcher does not notice that a run's process was killed; the run stays STARTED and
keeps its place in the queue.
"""

import os
import socket
from pathlib import Path

import dagster as dg

HOST_TAG = "opsanalytics/host"
"""Machine of a run that was started from the command line; others run where the daemon runs."""


def orphan_sensor() -> dg.SensorDefinition:
    """Marks runs as failed whose process on this machine has ended."""

    @dg.sensor(
        name="orphaned_runs",
        minimum_interval_seconds=60,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Ends runs whose process was killed: they would hang in the UI and block the queue.",
    )
    def orphaned_runs(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        ended = [run.run_id for run in end_orphans(context.instance)]
        return dg.SkipReason(f"ended {', '.join(ended)}" if ended else "every run has its process")

    return orphaned_runs


def end_orphans(instance: dg.DagsterInstance) -> list[dg.DagsterRun]:
    """Report every started run as failed whose process on this machine is gone. Returns these runs."""
    started = instance.get_runs(
        dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING])
    )
    orphans = [run for run in started if _is_orphan(instance, run)]
    for run in orphans:
        instance.report_run_failed(
            run,
            "The process of this run is gone: it was killed, or the machine stopped. "
            "Nothing half-done counts; start the run again and it goes on from what had landed.",
        )
    return orphans


def _is_orphan(instance: dg.DagsterInstance, run: dg.DagsterRun) -> bool:
    if run.tags.get(HOST_TAG, socket.gethostname()) != socket.gethostname():
        return False
    pid = _process_of(instance, run)
    return pid is not None and not _is_alive(pid)


def _process_of(instance: dg.DagsterInstance, run: dg.DagsterRun) -> int | None:
    """The process that executes the run's steps, as it said itself when it began."""
    records = instance.get_records_for_run(run.run_id, of_type=dg.DagsterEventType.ENGINE_EVENT).records
    for record in records:
        event = record.event_log_entry.dagster_event
        if event is not None and "pid" in event.engine_event_data.metadata:
            return int(str(event.engine_event_data.metadata["pid"].value))
    return None


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    try:
        # A killed process whose parent has not asked for its end is still listed, as a zombie.
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[-1].split()[0] != "Z"
    except OSError:
        return True
