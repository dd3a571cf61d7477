"""What a report is made of: marts as Polars frames, and what must be known about them."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import date, datetime
from typing import Literal, get_args
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import polars as pl

from opsanalytics.behavior.source_comparison import SOURCE_COMPARISON
from opsanalytics.behavior.tables import (
    FUNNEL_BREAKDOWN,
    FUNNEL_STEPS,
    FUNNEL_TREND,
    METRIC_DEFINITIONS,
    RETENTION_CELLS,
)
from opsanalytics.behavior.tables_diagnosis import DROP_OFF_DIAGNOSIS, DROP_OFF_NEXT, DROP_OFF_STEPS
from opsanalytics.feedback.tables import FEEDBACK_THEMES
from opsanalytics.improvement.tables import BACKLOG, FRICTION, PAIN_POINT_OVERLAPS, PAIN_POINTS
from opsanalytics.improvement.verification.tables import (
    CALIBRATION,
    PREDICTION_LEDGER,
    VERIFICATION_DAYS,
    VERIFICATIONS,
)
from opsanalytics.lake.day_changes import DAY_CHANGES
from opsanalytics.lake.schemas import INGESTION_LEDGER
from opsanalytics.quality.tables import EVENT_DRIFT, EVENT_FRESHNESS, QUALITY_RESULTS, VOLUME_ANOMALIES

Section = Literal["funnels", "retention", "behaviour", "voice", "themes", "friction"]
"""Parts of the page that are withheld on their own. `behaviour` and `voice` are the lanes of the backlog."""

SECTIONS: tuple[Section, ...] = get_args(Section)


class ReportError(ValueError):
    """A report cannot be made or read; the message says what to do."""


FRAMES = {
    "funnel_steps": FUNNEL_STEPS,
    "funnel_trend": FUNNEL_TREND,
    "funnel_breakdown": FUNNEL_BREAKDOWN,
    "drop_off_steps": DROP_OFF_STEPS,
    "drop_off_diagnosis": DROP_OFF_DIAGNOSIS,
    "drop_off_next": DROP_OFF_NEXT,
    "retention_cells": RETENTION_CELLS,
    "metric_definitions": METRIC_DEFINITIONS,
    "feedback_themes": FEEDBACK_THEMES,
    "friction": FRICTION,
    "pain_points": PAIN_POINTS,
    "pain_point_overlaps": PAIN_POINT_OVERLAPS,
    "backlog": BACKLOG,
    "verifications": VERIFICATIONS,
    "verification_days": VERIFICATION_DAYS,
    "prediction_ledger": PREDICTION_LEDGER,
    "prediction_calibration": CALIBRATION,
    "quality_results": QUALITY_RESULTS,
    "ingestion_ledger": INGESTION_LEDGER,
    "event_drift": EVENT_DRIFT,
    "volumes": VOLUME_ANOMALIES,
    "freshness": EVENT_FRESHNESS,
    "day_changes": DAY_CHANGES,
    "source_comparison": SOURCE_COMPARISON,
}
"""The fields of `ReportData` that are frames, and the table each has to fit."""


@dataclass(frozen=True, kw_only=True)
class ReportData:
    """Everything one weekly page shows. Frames are conformed to their tables, so their order is fixed.

    Raises:
        SchemaError: a frame does not fit its table.
        ReportError: the time zone or a withheld section is unknown, or the week ends before it starts.
    """

    product: str
    report: str = "weekly"
    """Name of the report: which folder its pages lie in."""
    title: str = ""
    """Title of the report, shown where there is more than one."""
    first_day: date
    """First day of the week, reporting time zone."""
    last_day: date
    """Last day of the week, inclusive."""
    time_zone: str
    as_of: datetime | None = None
    """Events up to here were complete, UTC; null if there are none."""
    notice: str = ""
    """Shown at the top of the page, such as "This data is generated"."""
    small_n: int = 30
    """Rates with fewer persons than this are marked "small n"."""
    funnels: tuple[str, ...] = ()
    """Names in order of configuration; the first one is the headline. Others follow by name."""
    withheld: Mapping[str, str] = field(default_factory=dict)
    """Section to reason, for what the caller already knows must not be shown."""
    feedback_inbox: str = ""
    """Where feedback dumps are dropped, as told to a reader who has none; empty: no source configured."""

    funnel_steps: pl.DataFrame = field(default_factory=FUNNEL_STEPS.empty)
    funnel_trend: pl.DataFrame = field(default_factory=FUNNEL_TREND.empty)
    funnel_breakdown: pl.DataFrame = field(default_factory=FUNNEL_BREAKDOWN.empty)
    drop_off_steps: pl.DataFrame = field(default_factory=DROP_OFF_STEPS.empty)
    drop_off_diagnosis: pl.DataFrame = field(default_factory=DROP_OFF_DIAGNOSIS.empty)
    drop_off_next: pl.DataFrame = field(default_factory=DROP_OFF_NEXT.empty)
    retention_cells: pl.DataFrame = field(default_factory=RETENTION_CELLS.empty)
    metric_definitions: pl.DataFrame = field(default_factory=METRIC_DEFINITIONS.empty)
    feedback_themes: pl.DataFrame = field(default_factory=FEEDBACK_THEMES.empty)
    friction: pl.DataFrame = field(default_factory=FRICTION.empty)
    pain_points: pl.DataFrame = field(default_factory=PAIN_POINTS.empty)
    pain_point_overlaps: pl.DataFrame = field(default_factory=PAIN_POINT_OVERLAPS.empty)
    backlog: pl.DataFrame = field(default_factory=BACKLOG.empty)
    verifications: pl.DataFrame = field(default_factory=VERIFICATIONS.empty)
    verification_days: pl.DataFrame = field(default_factory=VERIFICATION_DAYS.empty)
    prediction_ledger: pl.DataFrame = field(default_factory=PREDICTION_LEDGER.empty)
    prediction_calibration: pl.DataFrame = field(default_factory=CALIBRATION.empty)
    quality_results: pl.DataFrame = field(default_factory=QUALITY_RESULTS.empty)
    ingestion_ledger: pl.DataFrame = field(default_factory=INGESTION_LEDGER.empty)
    event_drift: pl.DataFrame = field(default_factory=EVENT_DRIFT.empty)
    volumes: pl.DataFrame = field(default_factory=VOLUME_ANOMALIES.empty)
    freshness: pl.DataFrame = field(default_factory=EVENT_FRESHNESS.empty)
    has_plan: bool = False
    """Whether a tracking plan is configured."""
    day_changes: pl.DataFrame = field(default_factory=DAY_CHANGES.empty)
    """Days that changed after the report of the week before."""
    source_comparison: pl.DataFrame = field(default_factory=SOURCE_COMPARISON.empty)
    """Days of the week of sources that tell of the same product."""

    def __post_init__(self) -> None:
        if self.last_day < self.first_day:
            raise ReportError(f"the week ends on {self.last_day} before it starts on {self.first_day}")
        try:
            ZoneInfo(self.time_zone)
        except (ZoneInfoNotFoundError, ValueError) as error:
            raise ReportError(
                f"unknown time zone {self.time_zone!r}; write one as in Europe/Berlin"
            ) from error
        unknown = sorted(set(self.withheld) - set(SECTIONS))
        if unknown:
            raise ReportError(f"unknown sections to withhold: {unknown}; the sections are {list(SECTIONS)}")
        for name, table in FRAMES.items():
            object.__setattr__(self, name, table.conform(getattr(self, name)))

    @property
    def fingerprint(self) -> str:
        """SHA-256 of everything in here: equal input has an equal fingerprint."""
        digest = hashlib.sha256()
        meta = {}
        for item in fields(self):
            value = getattr(self, item.name)
            if isinstance(value, pl.DataFrame):
                digest.update(f"{item.name}\n".encode())
                digest.update(value.write_ndjson().encode())
            else:
                meta[item.name] = dict(value) if isinstance(value, Mapping) else value
        digest.update(json.dumps(meta, sort_keys=True, default=str).encode())
        return digest.hexdigest()

    def titles(self, kind: str) -> dict[str, str]:
        """Title by name of the metric definitions of one kind: funnel or retention."""
        rows = self.metric_definitions.filter(pl.col("kind") == kind)
        return dict(zip(rows["name"].to_list(), rows["title"].to_list(), strict=True))

    def rules(self, kind: str, name: str) -> dict[str, object]:
        """The rules of a definition as they were written; empty if it is unknown."""
        rows = self.metric_definitions.filter((pl.col("kind") == kind) & (pl.col("name") == name))
        return dict(json.loads(rows["rules"][0])) if rows.height else {}

    def funnel_names(self) -> list[str]:
        """Funnels that have numbers, as configured, the rest by name."""
        present = self.funnel_steps["funnel"].unique(maintain_order=True).to_list()
        return [name for name in self.funnels if name in present] + [
            name for name in present if name not in self.funnels
        ]
