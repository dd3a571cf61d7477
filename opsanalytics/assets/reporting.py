"""The report pages, one a week."""

from datetime import date, timedelta

import dagster as dg
import polars as pl

from opsanalytics.analysis.report import refresh_page
from opsanalytics.analysis.scope import Scope
from opsanalytics.assets import keys
from opsanalytics.assets.partitions import weekly
from opsanalytics.assets.previews import table_preview
from opsanalytics.behavior.source_comparison import SOURCE_COMPARISON
from opsanalytics.behavior.tables import FUNNEL_STEPS, RETENTION_CELLS
from opsanalytics.config import Settings
from opsanalytics.config.settings import Report
from opsanalytics.feedback.tables import FEEDBACK_THEMES
from opsanalytics.improvement.tables import BACKLOG
from opsanalytics.reports.publish import write_index

DEPS = [
    # Weeks of the reporting zone do not line up with UTC days: a page looks at all of them.
    dg.AssetDep(keys.EVENTS, partition_mapping=dg.AllPartitionMapping()),
    *(dg.AssetDep(key) for key in (keys.PERSONS, keys.LEDGER, keys.FEEDBACK)),
    *(
        dg.AssetDep(table.name)
        for table in (FUNNEL_STEPS, RETENTION_CELLS, SOURCE_COMPARISON, FEEDBACK_THEMES, BACKLOG)
    ),
]


def report(settings: Settings, report: Report) -> dg.AssetsDefinition:
    """The pages of one configured report."""
    project = settings.project

    @dg.asset(
        key=keys.report(report.name),
        deps=DEPS,
        partitions_def=weekly(settings),
        backfill_policy=dg.BackfillPolicy.single_run(),
        group_name=keys.REPORTING,
        kinds={"plotly", "html"},
        owners=list(project.owners),
        freshness_policy=dg.FreshnessPolicy.cron(
            deadline_cron=report.cron, lower_bound_delta=timedelta(hours=6), timezone=project.timezone
        )
        if project.end is None
        else None,
        description=(
            "What to fix next, funnels, retention, pain points and themes as of the end of the week: one "
            "self-contained page a week, and an index over all of them."
        ),
    )
    def weekly_report(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        scope = Scope.of(settings)
        written = []
        for key in context.partition_keys:
            page = refresh_page(scope, report, date.fromisoformat(key))
            because = ", ".join(page.because) or "unchanged: nothing it depends on has changed"
            context.log.info(f"week of {key}: {page.path} ({because})")
            written.append({"week": key, "computed": because, "page": str(page.path)})
        write_index(settings.home)
        return dg.MaterializeResult(
            metadata={
                "pages": table_preview(pl.DataFrame(written), 20),
                "index": dg.MetadataValue.url((settings.home.reports / "index.html").resolve().as_uri()),
            }
        )

    return weekly_report
