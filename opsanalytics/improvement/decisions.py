"""What people decide about items of the backlog: the states, what leads from one to another, and the fold.

Decisions are inputs, as landed files are. An item's standing is the fold of its decisions in the order in
which they were made; what data alone can say (that it came back, that a snooze is over) is added by
`standing`, and is never written over a decision.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from typing import Any

OPEN = ("new", "accepted", "planned", "in_progress", "regressed", "did_not_work", "harmed")
SHIPPED = ("shipped", "verifying")
APART = ("worked", "wont_fix", "snoozed")
STAGES = ("open", "shipped", "apart")
STATES = (*OPEN, *SHIPPED, *APART)
"""`verifying`, `regressed` and `harmed` are found by data, `worked` and `did_not_work` by data or decided;
all others are decided."""
FAILED = ("regressed", "did_not_work", "harmed")
"""Open again after a fix."""

MOVES: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "accept": ("accepted", ("new", *FAILED, "snoozed", "planned", "in_progress")),
    "plan": ("planned", ("new", "accepted", "in_progress", *FAILED, "snoozed")),
    "start": ("in_progress", ("new", "accepted", "planned", *FAILED, "snoozed")),
    "ship": ("shipped", (*OPEN, "snoozed")),
    "worked": ("worked", (*SHIPPED, "did_not_work", "harmed")),
    "did_not_work": ("did_not_work", (*SHIPPED, "worked", "harmed")),
    "wont_fix": ("wont_fix", (*OPEN, "snoozed")),
    "snooze": ("snoozed", (*OPEN, "snoozed")),
    "reopen": ("", (*SHIPPED, *APART)),
}
"""Action -> the state it leads to, and the states it may start from."""
CHANGES = ("assign", "effort", "rename", "merge", "release", "split")
"""Actions that leave the state as it is."""


class DecisionError(ValueError):
    """A decision that cannot be taken; the message says why, and what can be done."""


@dataclass(frozen=True)
class Decision:
    """One line of the log. `seq` counts from 1 in the order in which decisions were made."""

    seq: int
    at: datetime
    """When it was made, UTC."""
    by: str
    item_id: str
    action: str
    details: Mapping[str, Any] = field(default_factory=dict)
    """`on`, `until` (ISO days), `reason`, `owner`, `weeks`, `title`, `into`, `titles`; `from`: the state in
    which whoever decided saw it; `evidence`: what was known of it then."""


@dataclass(frozen=True)
class Life:
    """What people have decided about an item so far."""

    item_id: str
    state: str = "new"
    since: datetime | None = None
    """When that was decided; None: nobody has decided anything."""
    by: str | None = None
    accepted: bool = False
    """Whether somebody has taken it on at some time: where `reopen` leads."""
    owner: str | None = None
    effort_weeks: float | None = None
    effort_by: str | None = None
    title: str | None = None
    """Given by a person, or with the part of a split item."""
    shipped_on: date | None = None
    snoozed_until: date | None = None
    before_snooze: str = "new"
    reason: str | None = None
    merged_into: str | None = None
    parts: tuple[str, ...] = ()
    """Ids of the items that took its place when it was split."""
    part_of: str | None = None
    evidence: Mapping[str, Any] = field(default_factory=dict)
    """What was known of it when it was given its state."""
    last: int = 0
    """`seq` of the last decision about it."""
    moved: int = 0
    """`seq` of the last decision that gave it a state: what data showed before that no longer counts."""


def part_id(item_id: str, title: str) -> str:
    """Id of a part of a split item: of its origin and the title it was given."""
    return "PP-" + hashlib.sha256(f"v2|part|{item_id}|{title}".encode()).hexdigest()[:8]


def lives(decisions: Iterable[Decision]) -> dict[str, Life]:
    """Fold decisions; items that nobody has decided about are not in it."""
    known: dict[str, Life] = {}
    for decision in sorted(decisions, key=lambda decision: decision.seq):
        known = applied(known, decision)
    return known


def check(known: Mapping[str, Life], decision: Decision) -> None:
    """Whether a decision follows from where its item stands.

    Raises:
        DecisionError: it does not; the message says what is possible.
    """
    life = known.get(decision.item_id, Life(decision.item_id))
    details = decision.details
    if decision.action == "release":
        if life.merged_into is None:
            raise DecisionError(f"{life.item_id} is not merged into another item")
        return
    _refuse_replaced(life)
    if decision.action in MOVES:
        state = state_before(life, decision)
        if decision.action not in follow_up(state):
            ways = ", ".join(action.replace("_", "-") for action in follow_up(state))
            raise DecisionError(
                f"{life.item_id} is {spoken(state)}: {decision.action.replace('_', '-')} does not follow; "
                f"possible: {ways}"
            )
    elif decision.action == "merge":
        into = known.get(details["into"], Life(details["into"]))
        if into.item_id == life.item_id:
            raise DecisionError(f"{life.item_id} cannot be merged into itself")
        _refuse_replaced(into)
    elif decision.action == "split":
        titles = details["titles"]
        if len(titles) < 2 or len(set(titles)) < len(titles):
            raise DecisionError("a split needs two titles or more, each another")
    elif decision.action not in CHANGES:
        raise DecisionError(f"there is no action {decision.action!r}")


def applied(known: Mapping[str, Life], decision: Decision) -> dict[str, Life]:
    """The standing after one more decision, which `check` has let through."""
    life = known.get(decision.item_id, Life(decision.item_id))
    details = decision.details
    told = details.get("evidence")
    kept = told if told and (decision.action in MOVES or not life.evidence) else life.evidence
    changed = replace(life, last=decision.seq, evidence=kept)
    result = dict(known)
    if decision.action in MOVES:
        changed = _moved(changed, decision)
    elif decision.action == "assign":
        changed = replace(changed, owner=details["owner"])
    elif decision.action == "effort":
        changed = replace(changed, effort_weeks=details["weeks"], effort_by=decision.by)
    elif decision.action == "rename":
        changed = replace(changed, title=details["title"])
    elif decision.action == "merge":
        changed = replace(changed, merged_into=details["into"])
    elif decision.action == "release":
        changed = replace(changed, merged_into=None)
    elif decision.action == "split":
        titles = details["titles"]
        parts = tuple(part_id(life.item_id, title) for title in titles)
        changed = replace(changed, parts=parts)
        for part, title in zip(parts, titles, strict=True):
            # A part starts where its origin stood; what the whole would take says nothing of it.
            result[part] = replace(
                changed,
                item_id=part,
                title=title,
                parts=(),
                part_of=life.item_id,
                effort_weeks=None,
                effort_by=None,
            )
    result[life.item_id] = changed
    return result


def state_before(life: Life, decision: Decision) -> str:
    """The state in which a decision met the item: data may have moved it on, which the log does not hold."""
    state: str = decision.details.get("from", life.state)
    return state


def _moved(life: Life, decision: Decision) -> Life:
    target = MOVES[decision.action][0]
    if decision.action == "reopen":
        target = "accepted" if life.accepted else "new"
    details = decision.details
    moved = replace(
        life,
        state=target,
        since=decision.at,
        by=decision.by,
        accepted=life.accepted or target not in ("new", "snoozed", "wont_fix"),
        reason=details.get("reason"),
        snoozed_until=None,
        moved=decision.seq,
    )
    if decision.action == "ship":
        return replace(moved, shipped_on=date.fromisoformat(details["on"]))
    if decision.action == "snooze":
        state = state_before(life, decision)
        before = life.before_snooze if state == "snoozed" else state
        return replace(moved, snoozed_until=date.fromisoformat(details["until"]), before_snooze=before)
    return moved


def _refuse_replaced(life: Life) -> None:
    if life.merged_into is not None:
        raise DecisionError(
            f"{life.item_id} is merged into {life.merged_into}: decide about that one, or take it out first: "
            f"opsanalytics backlog split {life.merged_into} {life.item_id}"
        )
    if life.parts:
        raise DecisionError(f"{life.item_id} was split into {', '.join(life.parts)}: decide about these")


def head_of(known: Mapping[str, Life], item_id: str) -> str:
    """The item that `item_id` is part of by merges; itself if it is not merged."""
    while item_id in known and (into := known[item_id].merged_into) is not None:
        item_id = into
    return item_id


def members(known: Mapping[str, Life], head: str) -> list[str]:
    """Ids of the items merged into `head`, over any number of merges; sorted, without itself."""
    return sorted(item for item in known if item != head and head_of(known, item) == head)


def stage_of(state: str) -> str:
    """Which of STAGES a state belongs to: to be done, done and being verified, or set aside."""
    return "open" if state in OPEN else "shipped" if state in SHIPPED else "apart"


def spoken(state: str) -> str:
    """A state as people say it."""
    return {"wont_fix": "won't fix"}.get(state, state.replace("_", " "))


def follow_up(state: str) -> Sequence[str]:
    """Actions that are possible in a state, in the order of `MOVES`."""
    return [action for action, (_, starts) in MOVES.items() if state in starts]
