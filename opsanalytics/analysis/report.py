"""Everything a weekly page shows, as of the end of its week."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path

import polars as pl

from opsanalytics.analysis import behavior
from opsanalytics.analysis.backlog import log_fact, log_for, occurrences, plans_for
from opsanalytics.analysis.diagnosis import diagnosis_rows
from opsanalytics.analysis.improvement import feedback_themes, improvement
from opsanalytics.analysis.monitoring import Monitoring, monitoring
from opsanalytics.analysis.refresh import refresh_files
from opsanalytics.analysis.scope import Scope, frame_digest
from opsanalytics.analysis.verification import known_titles, verified
from opsanalytics.behavior.source_comparison import SOURCE_COMPARISON
from opsanalytics.behavior.spec import Funnel, Retention
from opsanalytics.behavior.tables import FUNNEL_TREND
from opsanalytics.behavior.tables_diagnosis import DROP_OFF_DIAGNOSIS, DROP_OFF_NEXT, DROP_OFF_STEPS
from opsanalytics.config import Settings
from opsanalytics.config.settings import Report
from opsanalytics.feedback.themes import Themes
from opsanalytics.improvement.analysis import Improvement
from opsanalytics.improvement.backlog import make_backlog
from opsanalytics.improvement.verification.ledger import calibration_row
from opsanalytics.improvement.verification.verify import Verifications
from opsanalytics.lake.day_changes import read_day_changes
from opsanalytics.lake.marts import read_mart
from opsanalytics.lake.schemas import INGESTION_LEDGER
from opsanalytics.lake.tables import UTC_TIME
from opsanalytics.quality.tables import QUALITY_RESULTS
from opsanalytics.reports.data import ReportData
from opsanalytics.reports.publish import page_files, write_report
from opsanalytics.reports.states import begun


@dataclass(frozen=True)
class WrittenPage:
    """A page, and what made it necessary to write it."""

    path: Path
    because: tuple[str, ...]
    """Names of the inputs that changed; none: the page was left alone."""


def refresh_page(scope: Scope, report: Report, week: date) -> WrittenPage:
    """Write the page of the week that starts on `week`, a day of the reporting zone, if it is out of date.

    The page is as of the end of the week, or as of `scope` if that is earlier.
    """
    project = scope.settings.project
    end = datetime.combine(week + timedelta(days=7), time(), project.zone).astimezone(UTC)
    chosen = scope.until(end).only(
        funnels=[each for each in scope.settings.funnels if _on_page(each.name, report.funnels)],
        retentions=[each for each in scope.settings.retentions if _on_page(each.name, report.retentions)],
        diagnoses=[
            each
            for each in scope.settings.diagnoses
            if isinstance(each.funnel, Funnel) and _on_page(each.funnel.name, report.funnels)
        ],
    )
    path, entry = page_files(scope.home, report.name, week)
    because = refresh_files(
        chosen,
        f"report-{report.name}-{week}",
        (path, entry),
        _facts(chosen, report, week),
        lambda: write_report(scope.home, report_data(chosen, report, week)),
    )
    return WrittenPage(path, because)


def _on_page(name: str, chosen: Sequence[str] | None) -> bool:
    return chosen is None or name in chosen


def _facts(scope: Scope, report: Report, week: date) -> dict[str, str]:
    """Everything that a page shows comes from these."""
    settings = scope.settings
    definitions: tuple[Funnel | Retention, ...] = (*settings.funnels, *settings.retentions)
    diagnoses = {f"diagnosis {each.name}": each.model_dump_json() for each in settings.diagnosed}
    return {
        **scope.facts([]),
        **scope.feedback_facts(),
        **{f"definition {each.name}": each.model_dump_json() for each in definitions},
        **diagnoses,
        "report": report.model_dump_json(),
        "project": " ".join((settings.project.name, settings.project.notice or "", _inboxes(settings))),
        "quality checks": frame_digest(_results(scope)),
        **log_fact(log_for(scope), plans_for(scope)),
        "ledger": frame_digest(_ledger(scope)),
        "source comparison": frame_digest(_comparison(scope, week)),
        "days that changed since the last report": frame_digest(_changes(scope, week)),
    }


def _inboxes(settings: Settings) -> str:
    return ", ".join(f"{settings.home.inbox(each.name)}" for each in settings.feedback_sources)


def _results(scope: Scope) -> pl.DataFrame:
    """QUALITY_RESULTS as a page shows them, without those of monitoring.

    A result about a source as a whole says how much was checked by today. Of one that passed, a page of an
    earlier week keeps only that it did.
    """
    day = pl.col("partition").str.to_date("%Y-%m-%d", strict=False)
    whole = day.is_null() & pl.col("passed")
    return scope.known_results.with_columns(
        pl.when(whole).then(0).otherwise("checked").alias("checked"),
        pl.when(whole).then(pl.lit("")).otherwise("data_version").alias("data_version"),
        pl.when(whole).then(pl.lit(scope.as_of)).otherwise("checked_at").alias("checked_at"),
    )


def _monitored(arrived: Monitoring) -> pl.DataFrame:
    """What monitoring found as of the page, as QUALITY_RESULTS."""
    rows = [
        vars(outcome) | {"examples": list(outcome.examples), "data_version": "", "checked_at": arrived.as_of}
        for outcome in arrived.outcomes()
    ]
    return pl.DataFrame(rows, schema=QUALITY_RESULTS.schema)


def _ledger(scope: Scope) -> pl.DataFrame:
    return read_mart(scope.home, INGESTION_LEDGER).filter(begun(pl.col("day"), scope.as_of))


def _changes(scope: Scope, week: date) -> pl.DataFrame:
    """DAY_CHANGES of days before `as_of` that were noticed since the week began, when the report of the week
    before was due. Days that came for the first time, in their turn, are no change."""
    since = datetime.combine(week, time(), scope.settings.project.zone)
    return read_day_changes(scope.home).filter(
        (pl.col("change") != "new")
        & (pl.col("noticed_at") >= since.astimezone(UTC))
        & begun(pl.col("day"), scope.as_of)
    )


def _backlog(
    scope: Scope, found: Improvement, themes: Themes, report: Report, known: Verifications
) -> pl.DataFrame:
    """BACKLOG with what people decided. On a page of some funnels, what is gone may be another page's."""
    made = make_backlog(
        found.pain_points,
        scope.settings.backlog,
        scope.settings.pain_points,
        as_of=scope.as_of,
        log=log_for(scope),
        occurrences=occurrences(
            found.pain_points, found.pain_point_persons, themes.assignments, scope.feedback
        ),
        verdicts=known.items,
        calibration=known.calibration,
    )
    return made.items if report.funnels is None else made.items.filter("seen")


def _comparison(scope: Scope, week: date) -> pl.DataFrame:
    """SOURCE_COMPARISON of the days of the week, of sources that tell of the same product."""
    return (
        read_mart(scope.home, SOURCE_COMPARISON)
        .filter(
            (pl.col("relation") != "apart")
            & pl.col("day").is_between(week, week + timedelta(days=6))
            & begun(pl.col("day"), scope.as_of)
        )
        .with_columns(
            pl.lit(scope.as_of).cast(UTC_TIME).alias("as_of"), pl.lit(scope.event_quality).alias("quality")
        )
    )


def report_data(scope: Scope, report: Report, week: date) -> ReportData:
    """Compute what the page of a week shows, of the definitions and as of the moment of `scope`."""
    settings = scope.settings
    project = settings.project
    themes = feedback_themes(scope)
    found = improvement(scope, themes)
    first_trend = week - timedelta(weeks=settings.thresholds.trend_weeks - 1)
    trend = behavior.funnel_trends(scope)
    arrived = monitoring(settings, scope.as_of)
    log, whole = log_for(scope), scope.wider if scope.wider is not None else scope
    # The ledger is of all fixes, whatever funnels the page shows.
    fixes = verified(whole.until(scope.as_of), log, plans_for(scope), known_titles(log, found.pain_points))
    shown = pl.lit(report.funnels is None) | pl.col("funnel").is_in([each.name for each in settings.funnels])
    items = fixes.items.filter(shown.fill_null(value=False))
    results = behavior.funnel_results(scope)
    dropped = diagnosis_rows(scope, scope.settings.diagnosed)
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
        funnels=tuple(each.name for each in settings.funnels),
        feedback_inbox=_inboxes(settings),
        funnel_steps=behavior.funnel_steps(scope, results),
        funnel_trend=FUNNEL_TREND.conform(trend.filter(pl.col("period_start") >= first_trend)),
        funnel_breakdown=behavior.funnel_breakdowns(scope, results),
        drop_off_steps=dropped[DROP_OFF_STEPS.name],
        drop_off_diagnosis=dropped[DROP_OFF_DIAGNOSIS.name],
        drop_off_next=dropped[DROP_OFF_NEXT.name],
        retention_cells=behavior.retention_cells(scope),
        metric_definitions=behavior.metric_definitions(settings),
        feedback_themes=themes.audible.themes,
        friction=found.friction,
        pain_points=found.pain_points,
        pain_point_overlaps=found.pain_point_overlaps,
        backlog=_backlog(scope, found, themes, report, fixes),
        verifications=items,
        verification_days=fixes.days.filter(pl.col("item_id").is_in(items["item_id"].implode())),
        prediction_ledger=fixes.ledger,
        prediction_calibration=calibration_row(fixes.ledger, scope.as_of),
        quality_results=pl.concat([_results(scope), _monitored(arrived)]),
        ingestion_ledger=_ledger(scope),
        day_changes=_changes(scope, week),
        source_comparison=_comparison(scope, week),
        event_drift=arrived.drift,
        volumes=arrived.volumes,
        freshness=arrived.freshness,
        has_plan=bool(settings.quality.tracking_plan.events),
    )
