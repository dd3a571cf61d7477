"""All tables of the published file: the data dictionary in one list."""

import polars as pl

from opsanalytics.behavior.activity_tables import (
    ACTIVE_PERSONS,
    LIFECYCLE,
    STICKINESS,
    TRENDS,
    USAGE_INTERVAL_PAUSES,
    USAGE_INTERVALS,
)
from opsanalytics.behavior.source_comparison import SOURCE_COMPARISON
from opsanalytics.behavior.tables import (
    FUNNEL_BREAKDOWN,
    FUNNEL_COMPARISON,
    FUNNEL_STEPS,
    FUNNEL_TIMES,
    FUNNEL_TREND,
    METRIC_DEFINITIONS,
    RETENTION_CELLS,
)
from opsanalytics.behavior.tables_diagnosis import DROP_OFF_DIAGNOSIS, DROP_OFF_NEXT, DROP_OFF_STEPS
from opsanalytics.behavior.tables_journeys import COHORT_PERSONS, COHORTS, PATHS, SESSIONS
from opsanalytics.feedback.tables import FEEDBACK_ASSIGNMENTS, FEEDBACK_THEMES, THEME_HISTORY
from opsanalytics.improvement.tables import (
    BACKLOG,
    BACKLOG_HISTORY,
    FRICTION,
    PAIN_POINT_GROUPS,
    PAIN_POINT_OVERLAPS,
    PAIN_POINT_PERSONS,
    PAIN_POINTS,
    TRACKER_ISSUES,
)
from opsanalytics.improvement.verification.tables import (
    CALIBRATION,
    PREDICTION_LEDGER,
    VERIFICATION_DAYS,
    VERIFICATIONS,
)
from opsanalytics.lake.day_changes import DAY_CHANGES, read_day_changes
from opsanalytics.lake.marts import read_mart
from opsanalytics.lake.paths import Home
from opsanalytics.lake.schemas import INGESTION_LEDGER
from opsanalytics.lake.tables import Table
from opsanalytics.quality.results import latest
from opsanalytics.quality.tables import EVENT_DRIFT, EVENT_FRESHNESS, QUALITY_RESULTS, VOLUME_ANOMALIES
from opsanalytics.reports.index import report_index
from opsanalytics.reports.tables import REPORT_INDEX

MARTS: tuple[Table, ...] = (
    FUNNEL_STEPS,
    FUNNEL_TREND,
    FUNNEL_TIMES,
    FUNNEL_COMPARISON,
    FUNNEL_BREAKDOWN,
    DROP_OFF_STEPS,
    DROP_OFF_DIAGNOSIS,
    DROP_OFF_NEXT,
    RETENTION_CELLS,
    LIFECYCLE,
    STICKINESS,
    ACTIVE_PERSONS,
    USAGE_INTERVALS,
    USAGE_INTERVAL_PAUSES,
    TRENDS,
    SESSIONS,
    PATHS,
    COHORTS,
    COHORT_PERSONS,
    METRIC_DEFINITIONS,
    SOURCE_COMPARISON,
    FRICTION,
    FEEDBACK_THEMES,
    FEEDBACK_ASSIGNMENTS,
    THEME_HISTORY,
    PAIN_POINTS,
    PAIN_POINT_GROUPS,
    PAIN_POINT_OVERLAPS,
    PAIN_POINT_PERSONS,
    BACKLOG,
    BACKLOG_HISTORY,
    VERIFICATIONS,
    VERIFICATION_DAYS,
    PREDICTION_LEDGER,
    CALIBRATION,
    TRACKER_ISSUES,
    INGESTION_LEDGER,
    EVENT_DRIFT,
    VOLUME_ANOMALIES,
    EVENT_FRESHNESS,
)
"""Tables kept as Parquet in `marts/`."""


def published_tables(home: Home) -> list[tuple[Table, pl.DataFrame]]:
    """What goes into the published file besides events, feedback and persons."""
    return [
        *((table, read_mart(home, table)) for table in MARTS),
        (DAY_CHANGES, read_day_changes(home)),
        (QUALITY_RESULTS, latest(home)),
        (REPORT_INDEX, report_index(home)),
    ]
