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
from opsanalytics.sources.fetching import FetchProgress, fetch
from opsanalytics.sources.paging import ApiFeedbackSourceSettings
from opsanalytics.sources.pulling import pull

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
        description=(
            f"Events of source `{source.name}` exactly as {source.kind} exported them, with a manifest "
            f"for each fetched window in `{settings.home.landing / source.name}`. Only complete windows "
            "count."
        ),
    )
    def landing(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        days = days_of(context, settings)

        def say(progress: FetchProgress) -> None:
            context.log.info(
                f"{progress.message}; {progress.done.days} of {progress.total.days} days, "
                f"{progress.requests} requests, {progress.records:,} records"
            )

        with clear_failures():
            report = fetch(
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
        return dg.MaterializeResult(metadata=metadata)

    return landing


def feedback_landing(settings: Settings, source: FeedbackSourceSettings) -> dg.AssetsDefinition:
    """Feedback of one source: files, taken in once each by content, and what its API has that is new."""
    if isinstance(source, ApiFeedbackSourceSettings) and source.pulls:
        return pulled_feedback_landing(settings, source)
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


def pulled_feedback_landing(settings: Settings, source: ApiFeedbackSourceSettings) -> dg.AssetsDefinition:
    """Pages of a vendor's API, each landed once, and dumps of the same records from the inbox."""
    inbox = settings.home.inbox(source.name)

    @dg.asset(
        key=keys.landing(source.name),
        group_name=keys.INGESTION,
        kinds={source.kind, "json"},
        owners=list(settings.project.owners),
        retry_policy=RETRY,
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
                "new pages": dg.MetadataValue.md("\n".join(f"- {name}" for name in report.landed) or "none"),
                "new files": dg.MetadataValue.md("\n".join(f"- {name}" for name in dropped.landed) or "none"),
                "pages without anything new": report.unchanged,
                "requests": report.requests,
                "doubts": "; ".join(report.doubts) or "none",
                "opsanalytics/source": source.name,
                "folder": dg.MetadataValue.path(settings.home.landing / source.name),
            }
        )

    return landing
