"""The backlog of a home and its trackers: which items have an issue, and what came of a sync."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import polars as pl

from opsanalytics.analysis.backlog import current_backlog, decide_about
from opsanalytics.config import Settings
from opsanalytics.improvement.decision_log import read_log
from opsanalytics.improvement.decisions import head_of
from opsanalytics.improvement.tables import PAIN_POINTS, TRACKER_ISSUES
from opsanalytics.improvement.trackers.connect import connect
from opsanalytics.improvement.trackers.evidence import Draft, draft, issue_key
from opsanalytics.improvement.trackers.outbox import Line, read_lines
from opsanalytics.improvement.trackers.settings import TrackerSettings
from opsanalytics.improvement.trackers.sync import Step, plan, sync
from opsanalytics.lake.marts import read_mart, write_mart


def planned(settings: Settings, tracker: TrackerSettings) -> list[Step]:
    """What a sync of a tracker would send; asks nobody and writes nothing."""
    lines = read_lines(settings.home)
    return plan(tracker, lines, _drafts(settings, tracker, lines))


def synced(
    settings: Settings, tracker: TrackerSettings, environ: Mapping[str, str], *, now: datetime, **options: Any
) -> list[Step]:
    """Bring a tracker and the backlog together; see `improvement.trackers.sync`.

    Args:
        environ: where the credentials are.
        now: UTC.
        options: of the tracker's HTTP client, for tests.

    Raises:
        TrackerError: the tracker cannot be used.
        LockHeldError: another process has been at it for ten minutes.
    """
    home = settings.home

    def decide(item: str, action: str, details: Mapping[str, Any]) -> bool:
        head = head_of(read_log(home).lives, item)
        return bool(decide_about(settings, [head], action, details, at=now, by=tracker.name))

    return sync(
        home,
        tracker,
        connect(tracker, home, environ, **options),
        lambda: _drafts(settings, tracker, read_lines(home)),
        decide,
        now=now,
        zone=settings.project.zone,
    )


def tracker_issues(settings: Settings) -> pl.DataFrame:
    """As TRACKER_ISSUES, of the trackers that are configured."""
    projects = {each.name: each.project for each in settings.trackers}
    rows = [
        {
            "tracker": line.tracker,
            "item_id": line.item_id,
            "standing": line.standing,
            "issue": line.name,
            "url": line.url,
            "status": line.status,
            "closed_at": line.closed_at,
            "problem": line.problem,
        }
        for line in read_lines(settings.home)
        if projects.get(line.tracker) == line.project
    ]
    return TRACKER_ISSUES.conform(pl.DataFrame(rows, schema=TRACKER_ISSUES.schema))


def tracker_mart(settings: Settings) -> pl.DataFrame:
    """Write TRACKER_ISSUES."""
    return write_mart(settings.home, TRACKER_ISSUES, tracker_issues(settings))


def _drafts(settings: Settings, tracker: TrackerSettings, lines: Sequence[Line]) -> list[Draft]:
    """An issue for each item in one of the tracker's states, and for each that has one already."""
    known = read_log(settings.home).lives
    points = {row["item_id"]: row for row in read_mart(settings.home, PAIN_POINTS).iter_rows(named=True)}
    rows = {row["item_id"]: row for row in current_backlog(settings).items.iter_rows(named=True)}
    have = {line.item_id for line in lines if (line.tracker, line.project) == (tracker.name, tracker.project)}

    def of(item: str, head: str) -> Draft:
        row = rows[head] | {"item_id": item}
        told = [] if item == head else [f"It was merged into {head}: {row['title']}."]
        if row["verdict"]:
            told.append(f"Verification of the fix: {row['verdict']}.")
        return draft(
            row,
            points.get(row["evidence_id"]),
            product=settings.project.name,
            key=issue_key(settings.project.name, tracker.name, tracker.project, item),
            quotes=tracker.quotes,
            verdicts=told,
        )

    wanted = {item for item, row in rows.items() if row["state"] in tracker.states}
    heads = {item: head_of(known, item) for item in sorted(wanted | have)}
    return [of(item, head) for item, head in heads.items() if head in rows]
