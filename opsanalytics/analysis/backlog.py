"""The backlog of a home: what was found, joined with what people decided."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import partial
from typing import Any

import polars as pl

from opsanalytics.analysis.improvement import feedback_themes, improvement
from opsanalytics.analysis.scope import Scope
from opsanalytics.analysis.verification import TAKEN_ON, freeze_missing, scope_of_marts
from opsanalytics.config import Settings
from opsanalytics.feedback.tables import FEEDBACK_ASSIGNMENTS
from opsanalytics.improvement.backlog import OCCURRENCES, Backlog, make_backlog
from opsanalytics.improvement.decision_log import Log, decide, read_log
from opsanalytics.improvement.decisions import MOVES, SHIPPED, Decision, DecisionError, Life, stage_of
from opsanalytics.improvement.standing import recorded
from opsanalytics.improvement.tables import BACKLOG, PAIN_POINT_PERSONS, PAIN_POINTS
from opsanalytics.improvement.verification.ledger import NONE, Calibration, calibration_of
from opsanalytics.improvement.verification.plan_log import PlanLog, read_plans
from opsanalytics.improvement.verification.tables import CALIBRATION, VERIFICATIONS
from opsanalytics.lake.marts import read_mart
from opsanalytics.lake.publish import read_feedback

PAGE = timedelta(days=7)
"""So long a page of an earlier week takes in decisions; then the page of the next week does."""


def occurrences(
    pain_points: pl.DataFrame, persons: pl.DataFrame, assignments: pl.DataFrame, feedback: pl.DataFrame
) -> pl.DataFrame:
    """When persons first met each item, or its messages were written: item_id, ts.

    Args:
        pain_points: as PAIN_POINTS.
        persons: as PAIN_POINT_PERSONS.
        assignments: as FEEDBACK_ASSIGNMENTS.
        feedback: feedback_id, ts.
    """
    met = persons.select("item_id", ts="first_ts")
    voice = pain_points.filter((pl.col("lane") == "voice") & (pl.col("messages") > 1))
    written = (
        voice.select("item_id", "theme_id")
        .join(assignments.select("theme_id", "feedback_id"), on="theme_id")
        .join(feedback.select("feedback_id", "ts"), on="feedback_id")
        .select("item_id", "ts")
    )
    return pl.concat([met.cast(OCCURRENCES), written.cast(OCCURRENCES)])


@dataclass(frozen=True)
class Known:
    """What is known when somebody looks or decides: by the last run, or as of an earlier moment."""

    pain_points: pl.DataFrame
    persons: pl.DataFrame
    assignments: pl.DataFrame
    feedback: pl.DataFrame
    verdicts: pl.DataFrame
    calibration: Calibration
    scope: Callable[[], Scope | None]
    """Its events, asked for only when a plan is made of them; None: they are not here."""

    @classmethod
    def by_last_run(cls, settings: Settings) -> "Known":
        """The marts of a home."""
        home = settings.home
        return cls(
            read_mart(home, PAIN_POINTS),
            read_mart(home, PAIN_POINT_PERSONS),
            read_mart(home, FEEDBACK_ASSIGNMENTS),
            read_feedback(home),
            read_mart(home, VERIFICATIONS),
            calibration_of(read_mart(home, CALIBRATION)),
            partial(scope_of_marts, settings),
        )

    @classmethod
    def as_of(cls, scope: Scope) -> "Known":
        """Computed from the data of a scope, where nothing has shipped yet."""
        themes = feedback_themes(scope)
        found = improvement(scope, themes)
        return cls(
            found.pain_points,
            found.pain_point_persons,
            themes.assignments,
            scope.feedback,
            VERIFICATIONS.empty(),
            NONE,
            lambda: scope,
        )


def current_backlog(settings: Settings, log: Log | None = None, known: Known | None = None) -> Backlog:
    """The backlog from the marts of the last run, with decisions as they are now; writes nothing.

    Args:
        log: decisions, if they are at hand.
        known: what is known, if not by the last run.
    """
    home = settings.home
    decided = read_log(home) if log is None else log
    what = known or Known.by_last_run(settings)
    as_of = _as_of(what.pain_points, read_mart(home, BACKLOG), decided)
    if as_of is None:
        return Backlog.empty()
    said = what.feedback.filter(pl.col("ts") < as_of)
    return make_backlog(
        what.pain_points,
        settings.backlog,
        settings.pain_points,
        as_of=as_of,
        log=decided,
        occurrences=occurrences(what.pain_points, what.persons, what.assignments, said),
        verdicts=what.verdicts,
        calibration=what.calibration,
    )


def decide_about(
    settings: Settings,
    items: Sequence[str],
    action: str,
    details: Mapping[str, Any] | None = None,
    *,
    at: datetime,
    by: str,
    known: Known | None = None,
) -> list[Decision]:
    """Take one decision about each of some items: about all of them, or about none.

    An item that is in the decided state already is passed over, so that a decision can be repeated.

    Args:
        items: ids.
        action: one of `decisions.MOVES` or `decisions.CHANGES`.
        details: as `Decision.details`, without what is known of the item, which is added.
        at: now, UTC.
        by: who decides.
        known: what they know, if not what the last run found.

    Returns what was added to the log. Items that are taken on or shipped have their verification plan frozen.

    Raises:
        DecisionError: an item is not known, or the decision does not follow from where it stands.
        LockHeldError: another process has been deciding for ten minutes.
    """
    what = known or Known.by_last_run(settings)
    evidence = {row["item_id"]: row for row in what.pain_points.iter_rows(named=True)}

    def wanted(log: Log) -> list[tuple[str, str, dict[str, Any]]]:
        standing = {
            row["item_id"]: row for row in current_backlog(settings, log, what).items.iter_rows(named=True)
        }
        result = []
        for item in items:
            row, life = standing.get(item), log.lives.get(item)
            if row is None and life is None and item not in evidence:
                raise DecisionError(f"there is no item {item} in the backlog")
            told = dict(details or {})
            if row is not None:
                shown = evidence.get(row["evidence_id"])
                told |= {"from": row["state"]}
                if shown is not None:
                    title = shown["title"] if shown["item_id"] == item else row["title"]
                    told["evidence"] = recorded(shown) | {"title": title}
            if life is None or not _decided_already(life, row, action, told):
                result.append((item, action, told))
        return result

    made = decide(settings.home, at, by, wanted)
    if action in MOVES and MOVES[action][0] in (*TAKEN_ON, *SHIPPED):
        _freeze_plans(settings, what, [decision.item_id for decision in made], at=at, by=by)
    return made


def record_shipped(
    settings: Settings, item: str, day: date, *, at: datetime, by: str, reason: str
) -> list[Decision]:
    """Ship an item because something else says that its fix is out: a release, or a tracker's close date.

    `by` ships an item once; whatever people decide afterwards stays. An item that is shipped or set aside
    already, merged, split or not there is left alone.

    Args:
        day: on which the fix went out.
        at: now, UTC.
        by: what says so, such as "release 3.3.1" or "github".
        reason: what it said.

    Returns what was added to the log.

    Raises:
        LockHeldError: another process has been deciding for ten minutes.
    """
    log = read_log(settings.home)
    if any(each.item_id == item and each.by == by and each.action == "ship" for each in log.decisions):
        return []
    try:
        return decide_about(settings, [item], "ship", {"on": day.isoformat(), "reason": reason}, at=at, by=by)
    except DecisionError:
        return []


def _freeze_plans(settings: Settings, known: Known, items: Sequence[str], *, at: datetime, by: str) -> None:
    """Freeze what is promised of items that were just taken on. Without data the next run does."""
    scope = known.scope() if items else None
    if scope is None:
        return
    log = read_log(settings.home)
    freeze_missing(scope, log, known.pain_points, known.persons, at=at, by=by, only=items)


def _decided_already(
    life: Life, row: Mapping[str, Any] | None, action: str, details: Mapping[str, Any]
) -> bool:
    if action not in MOVES or row is None:
        return False
    dated = {"ship": ("shipped_on", "on"), "snooze": ("snoozed_until", "until")}
    if action in dated:
        column, name = dated[action]
        same_stage = str(row["stage"]) == stage_of(MOVES[action][0])
        return same_stage and str(row[column]) == str(details[name])
    target: str = MOVES[action][0]
    return life.state == target and str(row["state"]) == target


def _as_of(pain_points: pl.DataFrame, backlog: pl.DataFrame, log: Log) -> datetime | None:
    """Up to when what is known was complete; None: nothing is known."""
    for frame in (pain_points, backlog):
        if frame.height:
            moment: datetime = frame["as_of"][0]
            return moment
    return max((each.as_of for each in log.sightings), default=None)


def log_for(scope: Scope) -> Log:
    """Decisions that count for a scope: all of them; for a look back to a week that later complete weeks
    follow, those made until the next week's page was due, so that old pages stay as they were."""
    log = read_log(scope.home).before(scope.as_of)
    due = scope.as_of + PAGE
    if _complete(scope) < due:
        return log
    return Log.of([each for each in log.decisions if each.at < due], log.sightings)


def plans_for(scope: Scope) -> PlanLog:
    """Verification plans that count for a scope, as `log_for` has it."""
    plans, due = read_plans(scope.home), scope.as_of + PAGE
    return plans if _complete(scope) < due else plans.made_before(due)


def log_fact(log: Log, plans: PlanLog | None = None) -> dict[str, str]:
    """What a result depends on besides data, if it shows the backlog, and the plans of verification."""
    facts = {"decisions": hashlib.sha256(log.told().encode()).hexdigest()[:16]}
    if plans is not None:
        facts["verification plans"] = hashlib.sha256(plans.told().encode()).hexdigest()[:16]
    return facts


def _complete(scope: Scope) -> datetime:
    """Up to when data is complete, whatever the scope looks at."""
    return scope.as_of if scope.wider is None else max(scope.as_of, _complete(scope.wider))
