"""Charts as Plotly figures, made of nothing but the rows of marts. User text in them is neutralised."""

from opsanalytics.reports.figures.activity import (
    active_figure,
    lifecycle_figure,
    stickiness_figure,
    trends_figure,
    usage_interval_figure,
)
from opsanalytics.reports.figures.diagnosis import diagnosis_figure
from opsanalytics.reports.figures.fixes import calibration_figure, change_figure, gap_figure
from opsanalytics.reports.figures.funnels import (
    FINDING_Q,
    breakdown_figure,
    funnel_figure,
    funnel_trend_figure,
    times_figure,
)
from opsanalytics.reports.figures.journeys import cohort_figure, paths_figure, sessions_figure
from opsanalytics.reports.figures.rankings import loss_figure, theme_figure
from opsanalytics.reports.figures.retention import retention_curve, retention_heatmap

__all__ = [
    "FINDING_Q",
    "active_figure",
    "breakdown_figure",
    "calibration_figure",
    "change_figure",
    "cohort_figure",
    "diagnosis_figure",
    "funnel_figure",
    "funnel_trend_figure",
    "gap_figure",
    "lifecycle_figure",
    "loss_figure",
    "paths_figure",
    "retention_curve",
    "retention_heatmap",
    "sessions_figure",
    "stickiness_figure",
    "theme_figure",
    "times_figure",
    "trends_figure",
    "usage_interval_figure",
]
