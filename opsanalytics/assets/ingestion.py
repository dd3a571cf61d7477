"""Landing assets: one a configured source, holding bytes exactly as received."""

import os
from datetime import UTC, datetime, timedelta

import dagster as dg

from opsanalytics.assets import keys
from opsanalytics.assets.failures import clear_failures
from opsanalytics.assets.partitions import days_of, of_days
from opsanalytics.config import Settings
from opsanalytics.sources.base import EventSourceSettings, FeedbackSourceSettings
from opsanalytics.sources.collecting import collect
from opsanalytics.sources.event_pulling import pull_events
from opsanalytics.sources.fetching import FetchProgress
from opsanalytics.sources.files import EventFileSettings

RETRY = dg.RetryPolicy(max_retries=2, delay=30, backoff=dg.Backoff.EXPONENTIAL, jitter=dg.Jitter.PLUS_MINUS)
"""On top of the retries inside a fetch: for a vendor that is down for minutes."""
FILES_USABLE = "files_usable"


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
            context.log.info(
                f"{progress.message}; {progress.done.days} of {progress.total.days} days, "
                f"{progress.requests} requests, {progress.records:,} records"
            )

        with clear_failures():
            report = pull_events(
                source,
                settings.home,
                days.first,
                days.last,
                environ=os.environ,
                now=datetime.now(UTC),
                progress=say,
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
    """Feedback files of one source, taken in once each by content."""
    inbox = settings.home.inbox(source.name)

    @dg.asset(
        key=keys.landing(source.name),
        group_name=keys.INGESTION,
        kinds={"csv"},
        owners=list(settings.project.owners),
        description=(
            f"Feedback files dropped into `{inbox}`, kept exactly as delivered. A file that comes again "
            "under another name is taken in once; one that is still being written waits for the next run."
        ),
    )
    def landing() -> dg.MaterializeResult:
        with clear_failures():
            report = collect(source, settings.home, now=datetime.now(UTC))
        return dg.MaterializeResult(
            metadata={
                "dagster/row_count": report.records,
                "new files": dg.MetadataValue.md("\n".join(f"- {name}" for name in report.landed) or "none"),
                "known already": len(report.known),
                "still being written": len(report.waiting),
                "opsanalytics/source": source.name,
                "inbox": dg.MetadataValue.path(inbox),
            }
        )

    return landing
