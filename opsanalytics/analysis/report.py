"""Everything a weekly page shows, as of the end of its week."""

from datetime import UTC, date, datetime, time, timedelta

import polars as pl

from opsanalytics.analysis import behavior
from opsanalytics.analysis.improvement import feedback_themes, improvement
from opsanalytics.analysis.monitoring import monitoring
from opsanalytics.analysis.scope import Scope, complete_through
from opsanalytics.behavior.tables import FUNNEL_TREND
from opsanalytics.config import Settings
from opsanalytics.config.settings import Report
from opsanalytics.lake.marts import read_mart
from opsanalytics.lake.schemas import INGESTION_LEDGER
from opsanalytics.quality.results import latest
from opsanalytics.reports.data import ReportData


def report_data(settings: Settings, report: Report, week: date) -> ReportData:
    """Compute the page of the week that starts on `week`, a day of the reporting zone.

    The page is as of the end of the week, or as of the latest complete data if that is earlier.

    Raises:
        NothingLandedError: there is no complete data.
    """
    project = settings.project
    end = datetime.combine(week + timedelta(days=7), time(), project.zone).astimezone(UTC)
    chosen = settings.model_copy(
        update={
            "funnels": tuple(
                each for each in settings.funnels if report.funnels is None or each.name in report.funnels
            ),
            "retentions": tuple(
                each
                for each in settings.retentions
                if report.retentions is None or each.name in report.retentions
            ),
        }
    )
    scope = Scope(chosen, min(end, complete_through(settings)))
    themes = feedback_themes(scope)
    found = improvement(scope, themes)
    first_trend = week - timedelta(weeks=settings.thresholds.trend_weeks - 1)
    trend = behavior.funnel_trends(scope)
    arrived = monitoring(settings, scope.as_of)
    return ReportData(
        product=project.name,
        report=report.name,
        title=report.title or "",
        first_day=week,
        last_day=week + timedelta(days=6),
        time_zone=project.timezone,
        as_of=scope.as_of,
        notice=project.notice or "",
        small_n=settings.thresholds.min_n,
        funnels=tuple(each.name for each in chosen.funnels),
        feedback_inbox=", ".join(f"{settings.home.inbox(each.name)}" for each in settings.feedback_sources),
        funnel_steps=behavior.funnel_steps(scope, behavior.funnel_results(scope)),
        funnel_trend=FUNNEL_TREND.conform(trend.filter(pl.col("period_start") >= first_trend)),
        funnel_breakdown=behavior.funnel_breakdowns(scope),
        retention_cells=behavior.retention_cells(scope),
        metric_definitions=behavior.metric_definitions(chosen),
        feedback_themes=themes.themes,
        friction=found.friction,
        pain_points=found.pain_points,
        backlog=found.backlog,
        quality_results=latest(settings.home),
        ingestion_ledger=read_mart(settings.home, INGESTION_LEDGER),
        event_drift=arrived.drift,
        volumes=arrived.volumes,
        freshness=arrived.freshness,
        has_plan=bool(settings.quality.tracking_plan.events),
    )
