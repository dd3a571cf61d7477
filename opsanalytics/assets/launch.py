"""Running a job from the command line, in this process, recorded where the Dagster UI finds it."""

import logging
import socket
import uuid
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import dagster as dg
from dagster._core.events.log import EventLogEntry

from opsanalytics.assets.failures import reason_of
from opsanalytics.assets.orphans import HOST_TAG, end_orphans
from opsanalytics.lake.files import write_bytes
from opsanalytics.lake.locks import exclusive
from opsanalytics.lake.paths import Home

RANGE_START = "dagster/asset_partition_range_start"
RANGE_END = "dagster/asset_partition_range_end"
WORKSPACE = "workspace.yaml"
AGAIN = "opsanalytics/again"
"""Tag of a run that asks the vendors for settled days too, whatever its value."""


@dataclass(frozen=True)
class StepUpdate:
    """What happened in a run: a step `started`, said something (`log`), `succeeded` or `failed`.

    `problem`: what it said needs somebody's attention, although it went on.
    """

    step: str
    kind: str
    message: str


def prepare_dagster_home(home: Home) -> Path:
    """Make the folder for Dagster's storage, with instance settings and a workspace; keep edited files."""
    # Two processes that create Dagster's SQLite files at once leave them unusable for good.
    with exclusive(home, "dagster-storage"):
        for name in ("dagster.yaml", WORKSPACE):
            target = home.dagster / name
            if not target.exists():
                write_bytes(target, files("opsanalytics.assets").joinpath(name).read_bytes())
        dg.DagsterInstance.from_config(str(home.dagster)).dispose()
    return home.dagster


def run_job(
    definitions: dg.Definitions,
    job: str,
    home: Home,
    *,
    partitions: Sequence[str],
    on_update: Callable[[StepUpdate], None] = lambda _: None,
    again: bool = False,
) -> bool:
    """Execute `job` in one run, from the first to the last key of `partitions` if there are any.

    `again`: also what landed long ago is asked for once more. Returns whether it succeeded.

    The run appears in the Dagster UI of this home folder like any other.
    """
    tags = {HOST_TAG: socket.gethostname()} | ({AGAIN: "true"} if again else {})
    if partitions:
        tags |= {RANGE_START: partitions[0], RANGE_END: partitions[-1]}
    run_id = str(uuid.uuid4())
    with ExitStack() as stack:
        instance = stack.enter_context(dg.DagsterInstance.from_config(str(prepare_dagster_home(home))))
        instance.add_event_listener(run_id, lambda entry: _forward(entry, on_update))
        result = definitions.resolve_job_def(job).execute_in_process(
            run_id=run_id,
            instance=instance,
            tags=tags,
            run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
            raise_on_error=False,
        )
    return result.success


def running(home: Home) -> list[str]:
    """Runs of this home folder that have not ended; those whose process is gone are ended first."""
    with dg.DagsterInstance.from_config(str(prepare_dagster_home(home))) as instance:
        end_orphans(instance)
        active = [dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING]
        return sorted(run.run_id for run in instance.get_runs(dg.RunsFilter(statuses=active)))


def _forward(entry: EventLogEntry, on_update: Callable[[StepUpdate], None]) -> None:
    step = entry.step_key or ""
    event = entry.dagster_event
    if event is None:
        if step:
            grave = isinstance(entry.level, int) and entry.level >= logging.ERROR
            kind = "problem" if grave else "log"
            on_update(StepUpdate(step, kind, entry.user_message))
    elif event.is_step_start:
        on_update(StepUpdate(step, "started", ""))
    elif event.is_step_success:
        on_update(StepUpdate(step, "succeeded", ""))
    elif event.is_step_failure:
        on_update(StepUpdate(step, "failed", reason_of(event)))
