"""Bringing a tracker and the backlog together: what is to be sent, what was read back, what came of it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any, Literal
from zoneinfo import ZoneInfo

from opsanalytics.improvement.decisions import DecisionError
from opsanalytics.improvement.trackers.errors import IssueGoneError, TrackerError, UnclearError
from opsanalytics.improvement.trackers.evidence import Draft
from opsanalytics.improvement.trackers.issues import Issue, RemoteStatus, Tracker
from opsanalytics.improvement.trackers.outbox import Line, read_lines, write_line
from opsanalytics.improvement.trackers.settings import TrackerSettings
from opsanalytics.lake.locks import exclusive
from opsanalytics.lake.paths import Home

What = Literal["create", "found", "update", "same", "decide", "waiting", "problem"]
Decide = Callable[[str, str, Mapping[str, Any]], bool]
"""(item, action, details): whether that decision was new. Raises DecisionError where it does not follow."""


@dataclass(frozen=True)
class Step:
    """One thing that was done, or would be done, about an item."""

    item_id: str
    what: What
    name: str | None = None
    """Of the issue."""
    url: str | None = None
    detail: str = ""


def plan(settings: TrackerSettings, lines: Sequence[Line], drafts: Sequence[Draft]) -> list[Step]:
    """What a sync would send, from what is known here; asks nobody and writes nothing."""
    known = {line.item_id: line for line in lines if _of(line, settings)}
    steps = []
    for draft in drafts:
        line = known.get(draft.item_id)
        if line is None or line.standing == "refused":
            steps.append(Step(draft.item_id, "create", detail=draft.title))
        elif line.standing == "pending":
            steps.append(Step(draft.item_id, "waiting", detail="look for the issue, then make it if need be"))
        elif line.standing == "linked":
            what: What = "same" if line.digest == draft.digest else "update"
            steps.append(Step(draft.item_id, what, line.name, line.url))
    return steps


def sync(
    home: Home,
    settings: TrackerSettings,
    tracker: Tracker,
    drafts: Callable[[], Sequence[Draft]],
    decide: Decide,
    *,
    now: datetime,
    zone: ZoneInfo,
) -> list[Step]:
    """Make, find and update the issues of items, and take back what people did to them.

    Status is read first, so that evidence shows what people decided in the tracker. What they change there
    becomes a decision about the item once, when it changes; the command line and the tracker may take turns.
    A problem with one issue stops none of the others.

    Args:
        drafts: an issue for each item that is to have one, as decided by then.
        decide: takes a decision.
        now: when this is, UTC.
        zone: whose days `shipped_on` is in.

    Raises:
        LockHeldError: another process has been syncing this tracker for ten minutes.
        TrackerError: the tracker cannot be read at all; nothing was sent.
    """
    with exclusive(home, f"tracker-{settings.name}"):
        known = {line.item_id: line for line in read_lines(home) if _of(line, settings)}
        steps = _take_back(home, tracker, list(known.values()), decide, zone)
        known = {line.item_id: line for line in read_lines(home) if _of(line, settings)}
        for draft in drafts():
            line = known.get(draft.item_id)
            try:
                steps.append(_sent(home, settings, tracker, draft, line, now))
            except TrackerError as error:
                name, url = (None, None) if line is None else (line.name, line.url)
                steps.append(Step(draft.item_id, "problem", name, url, str(error)))
        return steps


def _sent(
    home: Home, settings: TrackerSettings, tracker: Tracker, draft: Draft, line: Line | None, now: datetime
) -> Step:
    if line is not None and line.standing == "gone":
        return Step(draft.item_id, "same", line.name, line.url, "the issue was deleted; no other one is made")
    if line is not None and line.standing == "linked":
        return _updated(home, tracker, draft, line)
    if line is not None and line.standing == "pending":
        found = tracker.find(draft, line.tried_at)
        if found is not None:
            return _found(home, tracker, line, found, draft)
        if not tracker.absent(line.tried_at, now):
            return Step(
                draft.item_id, "waiting", detail="its creation is in doubt; looked for it, not found yet"
            )
    return _created(home, settings, tracker, draft, now)


def _created(home: Home, settings: TrackerSettings, tracker: Tracker, draft: Draft, now: datetime) -> Step:
    line = Line(settings.name, settings.project, draft.item_id, draft.key, "pending", now)
    write_line(home, line)
    try:
        made = tracker.create(draft)
    except UnclearError as error:
        found = tracker.find(draft, now)
        if found is not None:
            return _found(home, tracker, line, found, draft)
        write_line(home, replace(line, problem=str(error)))
        return Step(draft.item_id, "waiting", detail=f"{error}; the next sync looks for it again")
    except TrackerError as error:
        write_line(home, replace(line, standing="refused", problem=str(error)))
        raise
    write_line(home, line.linked(made, draft.digest))
    return Step(draft.item_id, "create", made.name, made.url, made.warning or "")


def _found(home: Home, tracker: Tracker, line: Line, issue: Issue, draft: Draft) -> Step:
    # What an earlier attempt made may show the evidence of another day.
    linked = line.linked(issue, None)
    write_line(home, linked)
    _updated(home, tracker, draft, linked)
    return Step(draft.item_id, "found", issue.name, issue.url, "an earlier attempt had made it")


def _updated(home: Home, tracker: Tracker, draft: Draft, line: Line) -> Step:
    if line.remote_id is None:
        raise TrackerError(f"tracker {line.tracker}: the issue of {line.item_id} has no id in state.sqlite")
    if line.digest == draft.digest:
        return Step(draft.item_id, "same", line.name, line.url)
    try:
        tracker.update(line.remote_id, draft)
    except IssueGoneError:
        write_line(home, replace(line, standing="gone"))
        return Step(draft.item_id, "problem", line.name, line.url, "the issue was deleted or moved away")
    write_line(home, replace(line, digest=draft.digest))
    return Step(draft.item_id, "update", line.name, line.url)


def _take_back(
    home: Home, tracker: Tracker, lines: Sequence[Line], decide: Decide, zone: ZoneInfo
) -> list[Step]:
    linked = {line.remote_id: line for line in lines if line.standing == "linked" and line.remote_id}
    issues = tracker.read(sorted(linked)) if linked else {}
    steps = []
    for remote_id, line in sorted(linked.items(), key=lambda pair: pair[1].item_id):
        issue = issues.get(remote_id)
        if issue is None:
            write_line(home, replace(line, standing="gone"))
            steps.append(
                Step(line.item_id, "problem", line.name, line.url, "the issue was deleted or moved away")
            )
            continue
        if issue.status != line.status:
            steps += _decided(line, issue, decide, zone)
        current = line.linked(issue, line.digest)
        if (changed := replace(current, status=issue.status)) != line:
            write_line(home, changed)
    return steps


def _decided(line: Line, issue: Issue, decide: Decide, zone: ZoneInfo) -> list[Step]:
    told = f"{issue.name} went from {line.status} to {issue.status}"
    try:
        action, details = _decision(line.status or "open", issue, zone)
        new = decide(line.item_id, action, details | {"reason": f"{issue.name} in {line.tracker}"})
    except DecisionError as error:
        return [Step(line.item_id, "problem", issue.name, issue.url, f"{told}, but {error}")]
    return [Step(line.item_id, "decide", issue.name, issue.url, f"{told}: {action}")] if new else []


def _decision(before: RemoteStatus, issue: Issue, zone: ZoneInfo) -> tuple[str, dict[str, Any]]:
    if issue.status == "done":
        return "ship", {"on": _day(issue, zone).isoformat()}
    if issue.status == "dropped":
        return "wont_fix", {}
    if before in ("done", "dropped"):
        return "reopen", {}
    return ("start", {}) if issue.status == "started" else ("plan", {})


def _day(issue: Issue, zone: ZoneInfo) -> date:
    if issue.closed_at is None:
        raise DecisionError(f"{issue.name} is closed without a date: opsanalytics backlog ship --on DAY")
    return issue.closed_at.astimezone(zone).date()


def _of(line: Line, settings: TrackerSettings) -> bool:
    return line.tracker == settings.name and line.project == settings.project
