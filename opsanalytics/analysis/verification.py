"""Plans and verdicts of a home: frozen when items are taken on, judged at every run."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from functools import cached_property
from typing import Any

import polars as pl

from opsanalytics.analysis.scope import Scope
from opsanalytics.behavior.spec import Funnel
from opsanalytics.config import Settings
from opsanalytics.feedback.tables import FEEDBACK_ASSIGNMENTS
from opsanalytics.improvement.decision_log import Log, read_log
from opsanalytics.improvement.decisions import SHIPPED, Life, members
from opsanalytics.improvement.standing import entries
from opsanalytics.improvement.tables import PAIN_POINT_PERSONS, PAIN_POINTS
from opsanalytics.improvement.verification.observed import Attempts, attempts
from opsanalytics.improvement.verification.plan import Choices, Plan, make_plan, unplanned
from opsanalytics.improvement.verification.plan_log import Frozen, PlanLog, freeze, read_plans
from opsanalytics.improvement.verification.verify import Verifications, verify
from opsanalytics.lake.day_prints import day_prints
from opsanalytics.lake.events import event_days
from opsanalytics.lake.marts import read_mart

TAKEN_ON = ("accepted", "planned", "in_progress")
BY_RUN = "opsanalytics"


class Evidence:
    """Events of a scope as plans and verdicts need them; each funnel is counted once."""

    def __init__(self, scope: Scope) -> None:
        self.scope = scope
        self._tried: dict[str, Attempts] = {}

    def tried(self, name: str) -> Attempts | None:
        """Attempts at a configured funnel; None if there is none of that name, or nothing to count."""
        funnels = {each.name: each for each in self.scope.settings.funnels}
        if name not in funnels:
            return None
        if name not in self._tried:
            self._tried[name] = attempts(
                self._events_of(funnels[name]), funnels[name], as_of=self.scope.as_of
            )
        return self._tried[name]

    def _events_of(self, funnel: Funnel) -> pl.LazyFrame:
        return self.scope.events_for(funnel.sources)

    @cached_property
    def events(self) -> pl.LazyFrame:
        return self.scope.events

    @cached_property
    def messages(self) -> pl.DataFrame:
        """ts, theme_id of all feedback, by the themes of the last run."""
        themes = read_mart(self.scope.home, FEEDBACK_ASSIGNMENTS).select("feedback_id", "theme_id")
        return (
            self.scope.feedback.select("feedback_id", "ts")
            .join(themes, on="feedback_id", how="inner")
            .select("ts", "theme_id")
        )


def scope_of_marts(settings: Settings) -> Scope | None:
    """The scope of the last run; None: nothing was found yet, or its events are not here."""
    pain_points = read_mart(settings.home, PAIN_POINTS)
    if pain_points.is_empty() or not event_days(settings.home):
        return None
    as_of: datetime = pain_points["as_of"][0]
    return Scope(settings, as_of, day_prints(settings.home)).until(as_of)


def plan_item(
    scope: Scope,
    item: Mapping[str, Any],
    met: pl.DataFrame,
    *,
    shipped: date | None = None,
    choices: Choices | None = None,
    evidence: Evidence | None = None,
) -> Plan:
    """A plan for an item from the data of a scope.

    Args:
        item: row of PAIN_POINTS, by the id the plan is to have.
        met: rows of PAIN_POINT_PERSONS of the item and of those merged into it.
    """
    settings = scope.settings
    data = evidence or Evidence(scope)
    tried = None if item["funnel"] is None else data.tried(item["funnel"])
    return make_plan(
        dict(item),
        tried,
        data.events,
        met,
        settings.verification,
        as_of=scope.as_of,
        zone=settings.project.zone,
        shipped=shipped,
        choices=choices,
        messages=data.messages if item["funnel"] is None else None,
    )


def freeze_missing(
    scope: Scope,
    log: Log,
    pain_points: pl.DataFrame,
    persons: pl.DataFrame,
    *,
    at: datetime,
    by: str = BY_RUN,
    only: Sequence[str] = (),
) -> list[Frozen]:
    """Freeze a plan for every item that was taken on or shipped and has none for that.

    Args:
        log: decisions.
        pain_points: as PAIN_POINTS.
        persons: as PAIN_POINT_PERSONS.
        at: when that is, UTC.
        by: who decided, if somebody just did.
        only: these items alone; all if none are given.

    Raises:
        LockHeldError: another process has been deciding for ten minutes.
    """
    known = read_plans(scope.home)
    wanted = [
        life
        for item_id, life in sorted(log.lives.items())
        if (not only or item_id in only) and _needs_plan(life, known.latest.get(item_id), log)
    ]
    if not wanted:
        return []
    evidence, shown = Evidence(scope), _shown(pain_points, log)
    frozen = []
    for life in wanted:
        plan = _plan_of(scope, life, log, shown.get(life.item_id), persons, evidence)
        because = "shipped" if life.state in SHIPPED else "accepted"
        frozen += freeze(scope.home, [plan], at=at, by=by, because=because)
    return frozen


def _shown(pain_points: pl.DataFrame, log: Log) -> dict[str, Mapping[str, Any]]:
    """The row of PAIN_POINTS whose numbers each item has."""
    found = pain_points.to_dicts()
    return {each.item_id: each.evidence for each in entries(found, log) if each.evidence is not None}


def _plan_of(
    scope: Scope,
    life: Life,
    log: Log,
    row: Mapping[str, Any] | None,
    persons: pl.DataFrame,
    evidence: Evidence,
    choices: Choices | None = None,
) -> Plan:
    if row is None:
        return unplanned(life.item_id, "the data no longer showed it when it was taken on", scope.as_of)
    of = [life.item_id, *members(log.lives, life.item_id), str(row["item_id"])]
    shipped = life.shipped_on if life.state in SHIPPED else None
    met = persons.filter(pl.col("item_id").is_in(of)).select("person", "first_ts")
    item = dict(row) | {"item_id": life.item_id}
    return plan_item(scope, item, met, shipped=shipped, choices=choices, evidence=evidence)


def _needs_plan(life: Life, frozen: Frozen | None, log: Log) -> bool:
    """Whether an item was taken on since its last plan was used up by a shipping, or never had one."""
    if life.merged_into is not None or life.parts or life.state not in (*TAKEN_ON, *SHIPPED):
        return False
    if frozen is None:
        return True
    ships = [each for each in log.decisions if each.item_id == life.item_id and each.action == "ship"]
    used = [each for each in ships if each.at > frozen.at and each.seq < life.moved]
    if life.state in SHIPPED and ships:
        used = [each for each in used if each.seq != ships[-1].seq]
    return bool(used)


def change_plan(
    settings: Settings, item_id: str, choices: Choices, *, at: datetime, by: str, because: str
) -> Frozen | None:
    """Freeze a new version of a plan as somebody wants it; None: it would say what the latest one does.

    Raises:
        LookupError: there is no data to plan with, or the item cannot be measured so; the message says why.
        LockHeldError: another process has been deciding for ten minutes.
    """
    scope, log = scope_of_marts(settings), read_log(settings.home)
    if scope is None:
        raise LookupError(
            f"there is no data in {settings.home.root} to plan with: run `opsanalytics run` first"
        )
    plan = _plan_of(
        scope,
        log.lives.get(item_id, Life(item_id)),
        log,
        _shown(read_mart(settings.home, PAIN_POINTS), log).get(item_id),
        read_mart(settings.home, PAIN_POINT_PERSONS),
        Evidence(scope),
        choices,
    )
    if plan.method == "none" and choices.told():
        raise LookupError(f"{item_id} cannot be measured so: {plan.reason}")
    added = freeze(settings.home, [plan], at=at, by=by, because=because)
    return added[0] if added else None


def verified(scope: Scope, log: Log, plans: PlanLog, titles: Mapping[str, str]) -> Verifications:
    """What is known of every fix as of a scope."""
    if not plans.latest:
        return Verifications()
    evidence = Evidence(scope)
    return verify(
        plans,
        log.lives,
        titles,
        evidence.tried,
        evidence.events,
        as_of=scope.as_of,
        zone=scope.settings.project.zone,
        quality=scope.event_quality,
        messages=evidence.messages if heard(plans) else None,
    )


def heard(plans: PlanLog) -> bool:
    """Whether any plan is about what people write."""
    return any(each.plan.method == "heard" for each in plans.latest.values())


def plan_facts(log: Log, plans: PlanLog, titles: Mapping[str, str]) -> dict[str, str]:
    """What verdicts depend on besides data: the plans, and of their items what was decided and the title."""
    lives = [log.lives[item] for item in sorted(plans.latest) if item in log.lives]
    decided = [
        (each.item_id, each.state, str(each.shipped_on), each.merged_into, each.parts) for each in lives
    ]
    told = json.dumps([plans.told(), decided, [titles.get(item) for item in sorted(plans.latest)]])
    return {"plans and what shipped": hashlib.sha256(told.encode()).hexdigest()[:16]}


def known_titles(log: Log, pain_points: pl.DataFrame) -> dict[str, str]:
    """What items are called: by a person, by the data now, or when it was last decided about."""
    titles = {
        item: str(life.evidence["title"]) for item, life in log.lives.items() if life.evidence.get("title")
    }
    titles |= {
        each.item_id: str(each.evidence["title"]) for each in log.sightings if each.evidence.get("title")
    }
    titles |= dict(pain_points.select("item_id", "title").iter_rows())
    return titles | {item: life.title for item, life in log.lives.items() if life.title}
