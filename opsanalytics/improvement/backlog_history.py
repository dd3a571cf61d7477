"""The history of the backlog as a table: every decision, and what data changed between decisions."""

from collections.abc import Sequence
from typing import Any

import polars as pl

from opsanalytics.improvement.decision_log import Log, Sighting
from opsanalytics.improvement.decisions import Decision, Life, applied
from opsanalytics.improvement.tables import BACKLOG_HISTORY

SEEN = "seen"
COSTS = ("lost_per_week", "lost_low", "lost_high")


def history(log: Log, seen: Sequence[Sighting] = ()) -> pl.DataFrame:
    """Lines by item in order.

    Args:
        log: decisions, and what earlier runs saw.
        seen: what this run saw.

    Returns:
        As BACKLOG_HISTORY. What runs saw is a line where it changed the state, or where the item was no
        longer seen or seen again.
    """
    later: dict[tuple[str, int], list[Sighting]] = {}
    for sighting in sorted([*log.sightings, *seen], key=lambda each: each.as_of):
        later.setdefault((sighting.item_id, sighting.after), []).append(sighting)
    known: dict[str, Life] = {}
    lines: dict[str, list[dict[str, Any]]] = {}
    for decision in log.decisions:
        known = applied(known, decision)
        touched = [decision.item_id]
        if decision.action == "split":
            touched += known[decision.item_id].parts
        if decision.action in ("merge", "release"):
            touched.append(decision.details["into"])
        for item_id in touched:
            life = known.get(item_id, Life(item_id))
            lines.setdefault(item_id, []).append(_decided(decision, life))
            lines[item_id] += _found(later.get((item_id, decision.seq), []), life.state)
    rows = [
        line | {"item_id": item_id, "line": at + 1}
        for item_id, its in sorted(lines.items())
        for at, line in enumerate(its)
    ]
    return BACKLOG_HISTORY.conform(pl.DataFrame(rows, schema=BACKLOG_HISTORY.schema))


def _decided(decision: Decision, life: Life) -> dict[str, Any]:
    evidence = decision.details.get("evidence") or {}
    return {
        "seq": decision.seq,
        "at": decision.at,
        "by": decision.by,
        "action": decision.action,
        "state": life.state,
        "detail": detail(decision) if life.item_id == decision.item_id else f"of {decision.item_id}",
        **{name: evidence.get(name) for name in COSTS},
    }


def _found(sightings: Sequence[Sighting], state: str) -> list[dict[str, Any]]:
    lines, seen = [], True
    for each in sightings:
        if (each.state, each.seen) == (state, seen):
            continue
        state, seen = each.state, each.seen
        lines.append(
            {
                "seq": None,
                "at": each.as_of,
                "by": "opsanalytics",
                "action": SEEN,
                "state": state,
                "detail": "; ".join(each.evidence.get("notes", ())),
                **{name: each.evidence.get(name) for name in COSTS},
            }
        )
    return lines


def detail(decision: Decision) -> str:
    """What a decision says besides its action."""
    told = decision.details
    if decision.action == "assign":
        return f"to {told['owner']}" if told["owner"] else "to nobody"
    if decision.action == "effort":
        return f"{told['weeks']:g} person-weeks"
    if decision.action == "rename":
        return f"to “{told['title']}”" if told["title"] else "back to its own title"
    if decision.action in ("merge", "release"):
        return f"{'into' if decision.action == 'merge' else 'out of'} {told['into']}"
    if decision.action == "split":
        return "into " + ", ".join(f"“{title}”" for title in told["titles"])
    dated = [f"{word} {told[word]}" for word in ("on", "until") if told.get(word)]
    return "; ".join([*dated, *([told["reason"]] if told.get("reason") else [])])
