"""Issues in trackers about items of the backlog."""

import os
from datetime import UTC, datetime

import dagster as dg
import polars as pl

from opsanalytics.analysis.trackers import planned, synced, tracker_mart
from opsanalytics.assets import keys
from opsanalytics.assets.behavior import mart_spec
from opsanalytics.assets.previews import table_preview
from opsanalytics.config import Settings
from opsanalytics.improvement.tables import BACKLOG, TRACKER_ISSUES
from opsanalytics.improvement.trackers.errors import TrackerError

CHECK = "trackers_in_step"


def trackers(settings: Settings) -> list[dg.AssetsDefinition]:
    """The issues, if any tracker is configured. What a tracker refuses warns; it fails no run."""
    if not settings.trackers:
        return []
    spec = mart_spec(settings, TRACKER_ISSUES, keys.IMPROVEMENT, [dg.AssetKey(BACKLOG.name)])

    @dg.multi_asset(
        name="tracker_issues",
        specs=[spec.replace_attributes(kinds={kind.kind for kind in settings.trackers})],
        check_specs=[
            dg.AssetCheckSpec(
                CHECK, asset=TRACKER_ISSUES.name, description="Trackers took what was sent, and answered."
            )
        ],
    )
    def tracker_issues(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        done, problems = [], []
        for tracker in settings.trackers:
            try:
                steps = (
                    synced(settings, tracker, os.environ, now=datetime.now(UTC))
                    if tracker.send
                    else planned(settings, tracker)
                )
            except TrackerError as error:
                problems.append(str(error))
                continue
            problems += [f"{step.item_id}: {step.detail}" for step in steps if step.what == "problem"]
            how = "sent" if tracker.send else "dry run: set send = true"
            done += [
                {
                    "tracker": tracker.name,
                    "how": how,
                    "item": step.item_id,
                    "what": step.what,
                    "issue": step.name,
                    "detail": step.detail,
                }
                for step in steps
            ]
        for problem in problems:
            context.log.warning(problem)
        frame = tracker_mart(settings)
        return dg.MaterializeResult(
            asset_key=TRACKER_ISSUES.name,
            metadata={
                "dagster/row_count": frame.height,
                "preview": table_preview(frame),
                "steps": table_preview(pl.DataFrame(done), 50),
            },
            check_results=[
                dg.AssetCheckResult(
                    check_name=CHECK,
                    passed=not problems,
                    severity=dg.AssetCheckSeverity.WARN,
                    metadata={"problems": "\n".join(problems)} if problems else {},
                )
            ],
        )

    return [tracker_issues]
