"""Puts all assets, jobs, schedules and sensors of a configuration together."""

import dagster as dg

from opsanalytics.assets import (
    activity,
    automation,
    behavior,
    clock,
    events,
    feedback,
    improvement,
    ingestion,
    journeys,
    keys,
    monitoring,
    orphans,
    profiles,
    publishing,
    reporting,
    sources,
    trackers,
)
from opsanalytics.config import Settings


def build_definitions(settings: Settings) -> dg.Definitions:
    """Everything Dagster needs for this configuration. Reads no data and opens no file."""
    landing = [
        *(ingestion.event_landing(settings, source) for source in settings.event_sources),
        *(ingestion.feedback_landing(settings, source) for source in settings.feedback_sources),
    ]
    marts = [
        monitoring.event_monitoring(settings),
        behavior.funnels(settings),
        behavior.retention(settings),
        activity.use_over_time(settings),
        *journeys.journeys(settings),
        sources.source_comparison(settings),
        feedback.themes(settings),
        improvement.friction_and_backlog(settings),
        *trackers.trackers(settings),
    ]
    reports = [reporting.report(settings, report) for report in settings.reports]
    books = [keys.LEDGER, keys.FEEDBACK, keys.PERSONS]
    produced = [key for mart in marts for key in sorted(mart.keys)]
    pages = [keys.report(report.name) for report in settings.reports]
    assets = [
        *landing,
        events.events(settings),
        events.persons(settings),
        *profiles.profiles(settings),
        events.ingestion_ledger(settings),
        feedback.feedback(settings),
        *marts,
        *reports,
        publishing.database(settings, [*books, *produced, *pages]),
    ]
    return dg.Definitions(
        assets=dg.with_source_code_references(assets),
        asset_checks=[clock.project_clock(settings)],
        jobs=automation.jobs(settings),
        schedules=automation.schedules(settings),
        sensors=[
            automation.inbox_sensor(settings),
            automation.failure_sensor(settings),
            orphans.orphan_sensor(),
        ],
        # One process a run: the steps are short, and starting a process for each costs 5 s.
        executor=dg.in_process_executor,
    )
