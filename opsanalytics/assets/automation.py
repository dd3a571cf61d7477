"""Jobs, schedules and sensors: when what runs."""

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

import dagster as dg

from opsanalytics.assets import keys
from opsanalytics.assets.failures import reason_of
from opsanalytics.assets.launch import RANGE_END, RANGE_START
from opsanalytics.assets.partitions import first_week, key_of
from opsanalytics.config import Settings
from opsanalytics.config.settings import Report
from opsanalytics.lake.events import event_days
from opsanalytics.operations.notifications import Notification, NotificationError, post, record
from opsanalytics.sources.inbox import UNFINISHED, everything

if TYPE_CHECKING:
    from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

DEEP_LOOK_BACK_DAYS = 45
"""How far the weekly run reaches back: Mixpanel's days get a last look when they are 30 days old (the
settings of a source say when), in weeks; only what is due is asked for."""
MAX_RUNTIME = {"dagster/max_runtime": "21600"}
LOOK_BACK_DAYS = 5
"""Days before yesterday that the daily run fetches again: late data of mobile clients (Mixpanel
looks back as far as this by default; more is in the settings of a source)."""


def jobs(settings: Settings) -> "list[UnresolvedAssetJobDefinition]":
    """The jobs a data engineer starts by hand or by schedule."""
    reports = dg.AssetSelection.assets(*[keys.report(report.name) for report in settings.reports])
    daily = dg.AssetSelection.all() - reports
    feedback = dg.AssetSelection.assets(*[keys.landing(source.name) for source in settings.feedback_sources])
    after_feedback = (dg.AssetSelection.assets(keys.FEEDBACK).downstream() | feedback) - reports
    report_jobs = [
        dg.define_asset_job(
            f"report_{report.name}",
            selection=dg.AssetSelection.assets(keys.report(report.name), keys.DATABASE),
            description="Write the report page of a week, and publish what it says.",
            tags=MAX_RUNTIME,
        )
        for report in settings.reports
    ]
    return [
        *report_jobs,
        dg.define_asset_job(
            "daily",
            selection=daily,
            description="Pull a range of UTC days from every source, then everything that follows from it.",
            tags=MAX_RUNTIME,
        ),
        dg.define_asset_job(
            "intraday",
            selection=daily,
            description="The same for today so far. Today stays incomplete until midnight UTC.",
            tags=MAX_RUNTIME,
        ),
        dg.define_asset_job(
            "feedback_inbox",
            selection=after_feedback,
            description="Take in new feedback files and everything that follows from feedback.",
            tags=MAX_RUNTIME,
        ),
    ]


def schedules(settings: Settings) -> list[dg.ScheduleDefinition]:
    """Daily at 06:00, intraday every two hours, reports at their weekday and hour; reporting zone."""
    project = settings.project

    @dg.schedule(
        name="daily",
        job_name="daily",
        cron_schedule="0 6 * * *",
        execution_timezone=project.timezone,
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description=f"Yesterday and the {LOOK_BACK_DAYS} days before it, in one run.",
    )
    def daily(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        yesterday = context.scheduled_execution_time.astimezone(UTC).date() - timedelta(days=1)
        return _range_request(settings, yesterday - timedelta(days=LOOK_BACK_DAYS), yesterday)

    @dg.schedule(
        name="intraday",
        job_name="intraday",
        cron_schedule="30 8-22/2 * * *",
        execution_timezone=project.timezone,
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="Today so far.",
    )
    def intraday(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        today = context.scheduled_execution_time.astimezone(UTC).date()
        return _range_request(settings, today, today)

    @dg.schedule(
        name="late_data",
        job_name="daily",
        cron_schedule="0 3 * * 1",
        execution_timezone=project.timezone,
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description=f"The last {DEEP_LOOK_BACK_DAYS} days, of which only those are asked for that are due.",
    )
    def late_data(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        yesterday = context.scheduled_execution_time.astimezone(UTC).date() - timedelta(days=1)
        return _range_request(settings, yesterday - timedelta(days=DEEP_LOOK_BACK_DAYS), yesterday)

    return [daily, intraday, late_data, *(_report_schedule(settings, report) for report in settings.reports)]


def _range_request(settings: Settings, first: date, last: date) -> dg.RunRequest | dg.SkipReason:
    """One run over the days of the range that are partitions."""
    project = settings.project
    first, last = max(first, project.start), min(last, project.end or last)
    if last < first:
        return dg.SkipReason(f"no day to pull: the configuration covers {project.start} to {project.end}")
    return dg.RunRequest(tags={RANGE_START: key_of(settings, first), RANGE_END: key_of(settings, last)})


def _report_schedule(settings: Settings, report: Report) -> dg.ScheduleDefinition:
    project = settings.project

    @dg.schedule(
        name=f"report_{report.name}",
        job_name=f"report_{report.name}",
        cron_schedule=report.cron,
        execution_timezone=project.timezone,
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="The page of the last complete week.",
    )
    def weekly(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        today = context.scheduled_execution_time.astimezone(project.zone).date()
        week = first_week(today, project.week_start_number) - timedelta(days=7)
        if week < first_week(project.start, project.week_start_number):
            return dg.SkipReason(f"the week of {week} lies before the first day, {project.start}")
        if project.end is not None and week > project.end:
            return dg.SkipReason(f"the week of {week} lies after the last day, {project.end}")
        return dg.RunRequest(partition_key=week.isoformat())

    return weekly


def inbox_sensor(settings: Settings) -> dg.SensorDefinition:
    """Starts `feedback_inbox` when files in an inbox are new or changed, once per state of the inbox."""

    @dg.sensor(
        name="feedback_inbox",
        job_name="feedback_inbox",
        minimum_interval_seconds=60,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Watches data/inbox/feedback/<source>/ for files.",
    )
    def feedback_inbox(context: dg.SensorEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        files = list(_inbox_files(settings))
        if not files:
            return dg.SkipReason("the inboxes are empty")
        if settings.event_sources and not event_days(settings.home):
            return dg.SkipReason("there are no events yet; the first daily run takes the files in")
        state = hashlib.sha256("\n".join(files).encode("utf-8", "surrogateescape")).hexdigest()
        if context.cursor == state:
            return dg.SkipReason("no file is new or changed")
        context.update_cursor(state)
        # A file that is still being written is left alone by the run and makes a new state when done.
        return dg.RunRequest(run_key=state)

    return feedback_inbox


def _inbox_files(settings: Settings) -> Iterator[str]:
    """Each file that a run would look at, its state, and the rules it would be read by."""
    for source in settings.feedback_sources:
        inbox = settings.home.inbox(source.name)
        rules = json.dumps(source.cleaning_fingerprint(), sort_keys=True, default=str)
        for file in everything(inbox):
            if file.suffix.lower() in UNFINISHED or (file.is_dir() and not file.is_symlink()):
                continue
            with suppress(
                FileNotFoundError
            ):  # gone since it was listed: the next tick sees what became of it
                state = file.lstat()
                yield f"{file}:{state.st_size}:{state.st_mtime_ns}:{state.st_mode}:{rules}"


def failure_sensor(settings: Settings) -> dg.SensorDefinition:
    """Records every failed run in notifications.jsonl, and posts it to the configured webhook."""

    @dg.run_failure_sensor(
        name="run_failures",
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Tells people about failed runs.",
        minimum_interval_seconds=30,
    )
    def run_failures(context: dg.RunFailureSensorContext) -> None:
        run = context.dagster_run
        steps = [event.step_key or "" for event in context.get_step_failure_events()]
        notification = Notification(
            key=run.run_id,
            title=f"{settings.project.name}: {_name_of(run)} failed",
            text=f"{failure_message(context)}\nsteps: {', '.join(steps) or 'none'}; run {run.run_id}",
            at=datetime.now(UTC),
        )
        record(settings.home, notification)
        variable = settings.notify.webhook_env
        webhook = os.environ.get(variable, "") if variable else ""
        if not webhook:
            return
        try:
            post(webhook, notification)
        except NotificationError as error:
            # The message is in the file; failing the sensor would repeat it at every tick.
            context.log.error(str(error))

    return run_failures


def _name_of(run: dg.DagsterRun) -> str:
    return "a run of single assets" if run.job_name.startswith("__") else f"run of {run.job_name}"


def failure_message(context: dg.RunFailureSensorContext) -> str:
    """The steps' own messages; what people can act on, without stack traces."""
    messages = [reason_of(event) for event in context.get_step_failure_events()]
    return "\n".join(dict.fromkeys(messages)) or context.failure_event.message or "no message"
