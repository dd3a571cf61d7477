"""Where items of the backlog stand: what people decided, joined with what the data shows now.

Nothing here changes a decision. Data adds five things to it: a snooze ends on its day, what was shipped is
being verified as soon as there is data after it, then has the verdict of its plan (`verification`), what was
shipped and fell silent comes back (regressed), and what the data no longer shows stays, said to be so.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import polars as pl

from opsanalytics.improvement.decision_log import Log, Sighting
from opsanalytics.improvement.decisions import SHIPPED, Life, head_of, members
from opsanalytics.improvement.settings import BacklogSettings
from opsanalytics.improvement.verification.verdict import FINAL

USUAL = timedelta(weeks=8)
"""How often an item was met is counted over so long before it was shipped."""
BY_CHANCE = 0.01
"""A silence counts if it would come about by chance, were nothing changed, less often than this."""
RECORDED = ("lane", "title", "funnel", "theme_id", "first_seen", "last_seen", "lost_per_week", "lost_low",
            "lost_high")  # fmt: skip
"""What is kept of an item that somebody decides about, so that it can be named when it is gone."""
BY_DATA = "opsanalytics"


@dataclass(frozen=True)
class Entry:
    """An item of the backlog: its own evidence, or that of the items it stands for."""

    item_id: str
    life: Life
    evidence: Mapping[str, Any] | None
    """Row of PAIN_POINTS; None: the data no longer shows it."""
    share: float
    """Of the evidence; less than 1 for a part of a split item."""
    merged: tuple[str, ...]
    own_title: str | None
    """What data calls the item itself, if it still shows it."""


@dataclass(frozen=True)
class Standing:
    """Where an item stands."""

    state: str
    since: datetime | None
    by: str | None
    notes: tuple[str, ...]


def entries(pain_points: Sequence[Mapping[str, Any]], log: Log) -> list[Entry]:
    """Items by id: those found, joined and divided as people decided, and those decided about but gone."""
    found = {item["item_id"]: item for item in pain_points}
    known = log.lives
    heads = sorted({head_of(known, item) for item in found.keys() | known.keys()})
    result = []
    for head in heads:
        life = known.get(head, Life(head))
        if life.parts:
            continue
        shares: dict[str, float] = {}
        for item, share in _sources(known, head):
            if item in found:
                shares[item] = min(1.0, shares.get(item, 0.0) + share)
        best = min(shares, key=lambda item: _weight(found[item], shares[item]), default=None)
        if best is None and life.state == "new" and life.owner is None and life.effort_weeks is None:
            continue  # nobody has decided anything that would be lost
        result.append(
            Entry(
                head,
                life,
                None if best is None else found[best],
                1.0 if best is None else shares[best],
                tuple(members(known, head)),
                found[head]["title"] if head in found else None,
            )
        )
    return result


def _sources(known: Mapping[str, Life], item_id: str) -> Iterator[tuple[str, float]]:
    """Found items whose evidence an item has, with its share of each."""
    life = known.get(item_id, Life(item_id))
    if life.part_of is None:
        yield item_id, 1.0
    else:
        parts = len(known[life.part_of].parts)
        for origin, share in _sources(known, life.part_of):
            yield origin, share / parts
    for other in sorted(known):
        if known[other].merged_into == item_id:
            yield from _sources(known, other)


def _weight(item: Mapping[str, Any], share: float) -> tuple[bool, bool, float, float, str]:
    """For the item whose numbers stand for all: they meet the same persons, so numbers do not add up."""
    return (
        item["lane"] != "behaviour",
        item["status"] != "finding",
        -(item["lost_per_week"] or 0.0) * share,
        -(item["reach_per_week"] or 0.0) * share,
        item["item_id"],
    )


def stand(
    entry: Entry,
    log: Log,
    settings: BacklogSettings,
    met: Sequence[datetime],
    themes: Mapping[str, str],
    *,
    as_of: datetime,
    verdict: Mapping[str, Any] | None = None,
) -> Standing:
    """Where an item stands as of a moment.

    Args:
        entry: the item.
        log: decisions, and what runs up to earlier moments saw.
        met: when persons first met it, or messages of it were written; sorted, UTC.
        themes: theme -> item that speaks of it now.
        as_of: data up to here is complete, UTC.
        verdict: its row of VERIFICATIONS, if there is one.
    """
    life = entry.life
    standing = Standing(life.state, life.since, life.by, ())
    if life.state == "snoozed" and life.snoozed_until is not None and as_of >= _midnight(life.snoozed_until):
        over = f"snoozed until {life.snoozed_until}"
        standing = Standing(life.before_snooze, _midnight(life.snoozed_until), BY_DATA, (over,))
    elif life.state == "snoozed":
        standing = Standing("snoozed", life.since, life.by, (f"until {life.snoozed_until}",))
    elif life.shipped_on is not None and life.state in (*SHIPPED, "worked"):
        found = _found_by_plan(verdict, life)
        standing = _after_shipping(entry, log, settings, met, life.shipped_on, as_of, found)
    if life.since is None and entry.evidence is not None:
        standing = Standing(life.state, entry.evidence["first_seen"], None, standing.notes)
    notes = list(standing.notes)
    if life.reason:
        notes.append(life.reason)
    if life.state == "wont_fix" and entry.evidence is not None:
        notes += _costlier(life, entry)
    if entry.evidence is None:
        notes.append(_gone(last_known(entry, log), themes))
    if entry.merged:
        numbers = entry.evidence["item_id"] if entry.evidence else entry.item_id
        notes.append(f"with {', '.join(entry.merged)}; its numbers are those of {numbers}, as they overlap")
    if life.part_of is not None:
        notes.append(f"part of {life.part_of}: has {entry.share:.0%} of its numbers, by assumption")
    return Standing(standing.state, standing.since, standing.by, tuple(notes))


def _after_shipping(
    entry: Entry,
    log: Log,
    settings: BacklogSettings,
    met: Sequence[datetime],
    shipped_on: date,
    as_of: datetime,
    verdict: Mapping[str, Any] | None,
) -> Standing:
    life = entry.life
    shipped = _midnight(shipped_on + timedelta(days=1))
    seen = [each for each in log.sightings if each.item_id == entry.item_id and each.after >= life.moved]
    for each in seen:
        if each.state == "regressed":
            told = each.evidence.get("state_since")
            since = each.as_of if told is None else datetime.fromisoformat(str(told))
            return Standing("regressed", since, BY_DATA, tuple(each.evidence.get("notes", ())))
    back = came_back(met, shipped, settings)
    if back is not None:
        return Standing("regressed", back[0], BY_DATA, (back[1],))
    # Messages that were settled, or a place that nobody passed, leave no occurrences to look at.
    silent = [each.as_of for each in seen if not each.seen and each.as_of > shipped]
    if silent and entry.evidence is not None and _later(entry.evidence["last_seen"], silent[0]):
        note = f"shipped on {shipped_on}, not seen on {silent[0]:%Y-%m-%d}, seen again"
        return Standing("regressed", entry.evidence["last_seen"], BY_DATA, (note,))
    if verdict is not None and verdict["outcome"] in FINAL:
        since = _midnight(verdict["since"])
        # Whoever said that it worked is only overruled by what happened since.
        if life.state != "worked" or (verdict["outcome"] == "regressed" and _later(since, life.since)):
            return Standing(
                verdict["outcome"], since, BY_DATA, (f"shipped on {shipped_on}", verdict["reason"])
            )
    elif verdict is not None and verdict["outcome"] == "withheld" and seen and seen[-1].state in FINAL:
        before = seen[-1]
        since = moment(before.evidence.get("state_since")) or before.as_of
        note = f"as of {before.as_of:%Y-%m-%d}; not judged again, as {verdict['reason']}"
        return Standing(before.state, since, BY_DATA, (f"shipped on {shipped_on}", note))
    if life.state == "worked":
        return Standing("worked", life.since, life.by, (f"shipped on {shipped_on}",))
    after = sum(1 for moment in met if moment >= shipped)
    note = f"shipped on {shipped_on}" + (f"; met {after} times since" if after else "; not met since")
    if verdict is not None and verdict["next_look"] is not None and verdict["outcome"] == "verifying":
        note += f"; next look on {verdict['next_look']}"
    if verdict is not None and verdict["outcome"] == "inconclusive":
        note += f"; inconclusive: {verdict['reason']}"
    if as_of <= shipped:
        return Standing("shipped", life.since, life.by, (f"shipped on {shipped_on}",))
    return Standing("verifying", shipped, BY_DATA, (note,))


def _found_by_plan(verdict: Mapping[str, Any] | None, life: Life) -> Mapping[str, Any] | None:
    """A verdict, if it is about this shipping: a later decision may have been made since it was computed."""
    return verdict if verdict is not None and verdict["shipped_on"] == life.shipped_on else None


def came_back(
    met: Sequence[datetime], shipped: datetime, settings: BacklogSettings
) -> tuple[datetime, str] | None:
    """When something shipped came back, with the reason to think so; None if it did not.

    It came back if it fell silent for `quiet_days`, and for so long that a Poisson process at the rate of
    the eight weeks before would do that less than once in a hundred times, and then `back_persons` met it.
    Something that was never silent has not come back: it has not gone.

    Args:
        met: when it was met, sorted, UTC.
        shipped: from when on it should not be met, UTC.
    """
    usual = sum(1 for moment in met if shipped - USUAL <= moment < shipped) / USUAL.days
    by_chance = -math.log(BY_CHANCE) / usual if usual else 0.0
    quiet = timedelta(days=max(settings.quiet_days, min(by_chance, float(USUAL.days))))
    after = [moment for moment in met if moment >= shipped]
    before = shipped
    for at, moment in enumerate(after):
        again = len(after) - at
        if moment - before >= quiet and again >= settings.back_persons:
            silent = f"silent from {before:%Y-%m-%d} to {moment:%Y-%m-%d}, then met {again} times"
            return moment, f"was shipped, {silent}"
        before = moment
    return None


def _costlier(life: Life, entry: Entry) -> list[str]:
    """Whether something that was set aside costs beyond doubt more than twice what it did then."""
    evidence = entry.evidence or {}
    now, then = evidence["lost_low"], life.evidence.get("lost_high")
    if now is None or then is None or now <= 2 * then:
        return []
    return ["costs more than twice what it did when that was decided: look again"]


def last_known(entry: Entry, log: Log) -> Mapping[str, Any]:
    """What is known of an item: its evidence, or what was kept when it was last seen or decided about."""
    if entry.evidence is not None:
        return entry.evidence
    seen = [each for each in log.sightings if each.item_id == entry.item_id and each.seen]
    if seen:
        return max(seen, key=lambda each: each.as_of).evidence
    return entry.life.evidence


def title_of(entry: Entry, log: Log) -> str:
    """What a person calls the item, or else what data calls it."""
    return entry.life.title or _data_title(entry, log)


def _data_title(entry: Entry, log: Log) -> str:
    """Its own title, now or as it was last known; that of what it stands for only if it never had one."""
    kept = [each.evidence.get("title") for each in log.sightings if each.item_id == entry.item_id]
    known = (entry.own_title, *reversed(kept), entry.life.evidence.get("title"))
    return next((title for title in known if title), None) or str(
        (entry.evidence or {}).get("title") or entry.item_id
    )


def _gone(known: Mapping[str, Any], themes: Mapping[str, str]) -> str:
    last = moment(known.get("last_seen"))
    note = "no longer seen" + (f" since {last:%Y-%m-%d}" if last else "")
    other = themes.get(str(known.get("theme_id")))
    return f"{note}; what people write of it now counts for {other}" if other else note


def recorded(item: Mapping[str, Any]) -> dict[str, Any]:
    """What is kept of an item for when the data no longer shows it."""
    return {name: item.get(name) for name in RECORDED}


def moment(value: object) -> datetime | None:
    """A time as it was recorded: text once it went through the log."""
    if value is None or isinstance(value, datetime):
        return value
    return datetime.fromisoformat(str(value))


def sightings(found: Sequence[tuple[Entry, Standing]], log: Log, *, as_of: datetime) -> list[Sighting]:
    """What a run saw of the items that people decided about."""
    return [
        Sighting(
            entry.item_id,
            as_of,
            entry.life.last,
            standing.state,
            entry.evidence is not None,
            recorded(last_known(entry, log))
            | {"title": _data_title(entry, log)}
            | {"state_since": standing.since, "notes": list(standing.notes)},
        )
        for entry, standing in found
        if entry.life.last
    ]


def occurrences_by_item(occurrences: pl.DataFrame) -> dict[str, list[datetime]]:
    """Sorted times by item of columns item_id, ts."""
    grouped = occurrences.sort("item_id", "ts").group_by("item_id", maintain_order=True).agg("ts")
    return {str(item): list(times) for item, times in grouped.iter_rows()}


def _later(one: datetime | None, other: datetime | None) -> bool:
    return one is not None and other is not None and one > other


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)
