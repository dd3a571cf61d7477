"""Landing assets: one a configured source, holding bytes exactly as received."""

import os
from datetime import UTC, datetime, timedelta

import dagster as dg

from opsanalytics.assets import keys
from opsanalytics.assets.failures import clear_failures
from opsanalytics.assets.launch import AGAIN
from opsanalytics.assets.partitions import days_of, of_days
from opsanalytics.config import Settings
from opsanalytics.quality.inbox import FILES_USABLE, record_inbox
from opsanalytics.sources.base import EventSourceSettings, FeedbackSourceSettings
from opsanalytics.sources.collecting import CollectReport, collect
from opsanalytics.sources.event_pulling import pull_events
from opsanalytics.sources.fetching import FetchProgress
from opsanalytics.sources.files import EventFileSettings
from opsanalytics.sources.page_fetching import pull
from opsanalytics.sources.paging import ApiFeedbackSourceSettings

RETRY = dg.RetryPolicy(max_retries=2, delay=30, backoff=dg.Backoff.EXPONENTIAL, jitter=dg.Jitter.PLUS_MINUS)
"""On top of the retries inside a fetch: for a vendor that is down for minutes."""


def event_landing(settings: Settings, source: EventSourceSettings) -> dg.AssetsDefinition:
    """Raw event export of one source, by UTC day. A range of days is one run with few requests."""

    @dg.asset(
        key=keys.landing(source.name),
        partitions_def=of_days(settings),
        backfill_policy=dg.BackfillPolicy.single_run(),
        group_name=keys.INGESTION,
        kinds={source.kind, "json"},
        owners=list(settings.project.owners),
        retry_policy=RETRY,
        check_specs=[files_usable(source)] if isinstance(source, EventFileSettings) else None,
        description=description_of(settings, source),
    )
    def landing(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        days = days_of(context, settings)

        def say(progress: FetchProgress) -> None:
            context.log.info(f"{progress.text}; {progress.requests} requests, {progress.records:,} records")

        for notice in source.notices:
            context.log.warning(f"source {source.name}: {notice}")
        with clear_failures():
            report = pull_events(
                source,
                settings.home,
                days.first,
                days.last,
                environ=os.environ,
                now=datetime.now(UTC),
                progress=say,
                force=AGAIN in context.run.tags,
            )
        metadata: dict[str, dg.MetadataValue | int | str] = {
            "dagster/row_count": report.records,
            "days": str(days),
            "requests": report.requests,
            "bytes": report.bytes,
            "windows": dg.MetadataValue.md("\n".join(f"- {name}" for name in report.deliveries) or "none"),
            "windows with new content": len(report.changed),
            "settled days not asked for again": report.skipped // timedelta(days=1),
            "opsanalytics/source": source.name,
            "folder": dg.MetadataValue.path(settings.home.landing / source.name),
        }
        if report.complete_through is not None:
            metadata["complete through"] = dg.MetadataValue.timestamp(report.complete_through)
        if report.not_yet is not None:
            context.log.warning(report.not_yet)
            metadata["not complete yet"] = report.not_yet
        if not isinstance(source, EventFileSettings):
            return dg.MaterializeResult(metadata=metadata)
        for problem in report.problems:
            context.log.error(problem)
        listed = dg.MetadataValue.md("\n".join(f"- {problem}" for problem in report.problems) or "none")
        return dg.MaterializeResult(
            metadata=metadata,
            check_results=[
                dg.AssetCheckResult(
                    asset_key=keys.landing(source.name),
                    check_name=FILES_USABLE,
                    passed=not report.problems,
                    metadata={"files that cannot be used": listed},
                )
            ],
        )

    return landing


def files_usable(source: EventFileSettings) -> dg.AssetCheckSpec:
    """Not blocking: a broken file keeps no other file from being analysed, but somebody must see it."""
    return dg.AssetCheckSpec(
        FILES_USABLE,
        asset=keys.landing(source.name),
        description="Every file in the folder is whole, of the format it claims, and has the mapped columns.",
    )


def description_of(settings: Settings, source: EventSourceSettings) -> str:
    """What a landing asset holds, for the Dagster UI."""
    folder = settings.home.landing / source.name
    if isinstance(source, EventFileSettings):
        return (
            f"Files of source `{source.name}` ({source.kind}) exactly as they were delivered, with a "
            f"manifest for each set of files in `{folder}`. A file that changes replaces what it held."
        )
    return (
        f"Events of source `{source.name}` exactly as {source.kind} exported them, with a manifest "
        f"for each fetched window in `{folder}`. Only complete windows count."
    )


def feedback_landing(settings: Settings, source: FeedbackSourceSettings) -> dg.AssetsDefinition:
    """Feedback of one source: files, taken in once each by content, and what its API has that is new."""
    if isinstance(source, ApiFeedbackSourceSettings) and source.pulls:
        return pulled_feedback_landing(settings, source)
    inbox = settings.home.inbox(source.name)
    key = keys.landing(source.name)

    @dg.asset(
        key=key,
        group_name=keys.INGESTION,
        kinds={"csv"},
        owners=list(settings.project.owners),
        check_specs=[inbox_check(key)],
        description=(
            f"Feedback files dropped into `{inbox}`, kept exactly as delivered. A file that comes again "
            "under another name is taken in once; one that is still being written waits for the next run, "
            "and one that cannot be used stays where it is and is tried again."
        ),
    )
    def landing(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        now = datetime.now(UTC)
        with clear_failures():
            report = collect(source, settings.home, now=now)
        return dg.MaterializeResult(
            metadata={
                "dagster/row_count": report.records,
                "new files": dg.MetadataValue.md("\n".join(f"- {name}" for name in report.landed) or "none"),
                "known already": len(report.known),
                "still being written": len(report.waiting),
                "not usable": len(report.refused),
                "opsanalytics/source": source.name,
                "inbox": dg.MetadataValue.path(inbox),
            },
            check_results=[inbox_result(context, settings, key, report, now)],
        )

    return landing


def pulled_feedback_landing(settings: Settings, source: ApiFeedbackSourceSettings) -> dg.AssetsDefinition:
    """Pages of a vendor's API, each landed once, and dumps of the same records from the inbox."""
    inbox = settings.home.inbox(source.name)
    key = keys.landing(source.name)

    @dg.asset(
        key=key,
        group_name=keys.INGESTION,
        kinds={source.kind, "json"},
        owners=list(settings.project.owners),
        retry_policy=RETRY,
        check_specs=[inbox_check(key)],
        description=(
            f"Feedback of source `{source.name}` exactly as {source.kind} answered, a manifest a page, and "
            f"dumps from `{inbox}`. A run goes on after the last page that landed."
        ),
    )
    def landing(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        now = datetime.now(UTC)
        with clear_failures():
            dropped = collect(source, settings.home, now=now)
            report = pull(source, settings.home, environ=os.environ, now=now, progress=context.log.info)
        for doubt in report.doubts:
            context.log.warning(doubt)
        return dg.MaterializeResult(
            metadata={
                "dagster/row_count": dropped.records + report.records,
                "new pages and documents": len(report.landed),
                "new files": dg.MetadataValue.md("\n".join(f"- {name}" for name in dropped.landed) or "none"),
                "pages without anything new": report.unchanged,
                "requests": report.requests,
                "doubts": "; ".join(report.doubts) or "none",
                "opsanalytics/source": source.name,
                "folder": dg.MetadataValue.path(settings.home.landing / source.name),
            },
            check_results=[inbox_result(context, settings, key, dropped, now)],
        )

    return landing


def inbox_check(key: dg.AssetKey) -> dg.AssetCheckSpec:
    """Not blocking: a file that cannot be used holds up no other, but somebody must see it."""
    return dg.AssetCheckSpec(FILES_USABLE, asset=key, description="Every file in the inbox can be used.")


def inbox_result(
    context: dg.AssetExecutionContext,
    settings: Settings,
    key: dg.AssetKey,
    report: CollectReport,
    now: datetime,
) -> dg.AssetCheckResult:
    """Tell of files that could not be used: in the log, in `quality_results`, and as the check's result."""
    with clear_failures():
        record_inbox(settings.home, report, checked_at=now)
    for message in report.refused:
        context.log.error(message)
    return dg.AssetCheckResult(
        asset_key=key,
        check_name=FILES_USABLE,
        passed=not report.refused,
        severity=dg.AssetCheckSeverity.WARN,
        description="\n".join(report.refused) or "Every file in the inbox can be used.",
        metadata={"files": len(report.refused)},
    )
