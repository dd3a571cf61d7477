"""The backlog: pain points ranked by reach x impact x confidence / effort (RICE; McBride, Intercom), or as
`ranking` says.

Confidence is a product of what is known, each factor between 0 and 1:

behaviour
    `causal_share` (0.8), because a comparison is not an experiment; the chance that the effect is harmful
    beyond the least effect of interest (`harm_chance`); the share of affected persons that could be
    compared; 1 if affected persons speak of it, 0.95 if they met other signals of it, else 0.9; 0.5 if
    quality checks upstream failed. At most 0.3 for an item that is only watched, 0.1 if no effect could be
    stated.
voice
    0.5 if rated, 0.35 if the severity is assumed from the kind of message, 0.25 if nothing is known;
    p / (p + 5) for p authors and votes; 0.5 if nobody has spoken of a theme for eight weeks; 0.5 if
    quality checks upstream failed.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import polars as pl

from opsanalytics.improvement.backlog_history import history
from opsanalytics.improvement.calibration import spoken_points
from opsanalytics.improvement.decision_log import Log, Sighting
from opsanalytics.improvement.decisions import STAGES, stage_of
from opsanalytics.improvement.ranking import Ranked, scored, sureness, urgencies
from opsanalytics.improvement.settings import BacklogSettings, PainPointSettings
from opsanalytics.improvement.standing import (
    Entry,
    Standing,
    entries,
    last_known,
    moment,
    occurrences_by_item,
    sightings,
    stand,
    title_of,
)
from opsanalytics.improvement.tables import BACKLOG, BACKLOG_HISTORY
from opsanalytics.improvement.verification.ledger import NONE, Calibration
from opsanalytics.improvement.verification.tables import VERIFICATIONS
from opsanalytics.improvement.verification.words import summary
from opsanalytics.improvement.voice import SILENT

OCCURRENCES = pl.Schema({"item_id": pl.String(), "ts": pl.Datetime("us", "UTC")})
SHARED = ("reach_per_week", "reach_low", "reach_high", "lost_per_week", "lost_low", "lost_high")
"""What the parts of a split item share."""
STATUSES = ("finding", "watch", "dormant", "gone")
"""In order of rank."""
NO_AGREEMENT = 0.9
ALSO_SEEN = 0.95
BAD_QUALITY = 0.5
WATCHED = 0.3
NO_EFFECT = 0.1
RATED, OF_KIND, UNRATED = 0.5, 0.35, 0.25
STALE = 0.5
FEW_PEOPLE = 5


@dataclass(frozen=True)
class Backlog:
    """The ranked backlog, its history, and what is to be remembered of items that people decided about."""

    items: pl.DataFrame
    """As BACKLOG."""
    history: pl.DataFrame
    """As BACKLOG_HISTORY."""
    sightings: list[Sighting]

    @classmethod
    def empty(cls) -> "Backlog":
        """Where nothing has been found yet."""
        return cls(BACKLOG.empty(), BACKLOG_HISTORY.empty(), [])


def rank_backlog(
    pain_points: pl.DataFrame,
    settings: BacklogSettings,
    thresholds: PainPointSettings,
    *,
    as_of: datetime,
) -> pl.DataFrame:
    """The ranked items of `make_backlog` where nobody has decided anything yet, as BACKLOG."""
    return make_backlog(pain_points, settings, thresholds, as_of=as_of).items


def make_backlog(
    pain_points: pl.DataFrame,
    settings: BacklogSettings,
    thresholds: PainPointSettings,
    *,
    as_of: datetime,
    log: Log | None = None,
    occurrences: pl.DataFrame | None = None,
    verdicts: pl.DataFrame | None = None,
    calibration: Calibration = NONE,
) -> Backlog:
    """Rank pain points within their lane, and say where each stands.

    Open items come first, then those shipped, then those set aside (worked, won't fix, snoozed). Among the
    open ones findings are first, dormant ones and those no longer seen last, then by score.

    Themes that are mere discussion by the kind of their messages come after all that ask for something: many
    take part in a discussion, and no one has to decide on it.

    The score of a behavioural item is conversions regained per week and person-week of effort, were
    affected persons to fare like comparable ones; its interval is that of lost conversions. In the
    voice lane it is unhappy people per week (authors, and who votes for their messages); scores of the
    two lanes do not compare. Other ways to score: `ranking`.

    Args:
        pain_points: as PAIN_POINTS.
        settings: effort and severity where nobody has given them, and how to rank.
        thresholds: those the pain points were found with.
        as_of: data up to here is complete, UTC.
        log: what people decided; what earlier runs saw is taken up to `as_of`, exclusively.
        occurrences: item_id, ts: when persons first met it, or messages of it were written.
        verdicts: as VERIFICATIONS: what was measured of fixes.
        calibration: how earlier predictions held; confidence in behavioural items is multiplied by it.
    """
    judged = {
        row["item_id"]: row
        for row in (VERIFICATIONS.empty() if verdicts is None else verdicts).iter_rows(named=True)
    }
    known = (log or Log()).before(as_of)
    met = occurrences if occurrences is not None else pl.DataFrame(schema=OCCURRENCES)
    times, urgency = occurrences_by_item(met), urgencies(met, as_of)
    items = list(pain_points.iter_rows(named=True))
    themes = {theme: item["item_id"] for item in reversed(items) for theme in item["theme_ids"] or ()}
    found = []
    for entry in entries(items, known):
        of = {entry.item_id, *entry.merged, *([entry.evidence["item_id"]] if entry.evidence else [])}
        when = sorted(ts for item in of for ts in times.get(item, ()))
        verdict = judged.get(entry.item_id)
        standing = stand(entry, known, settings, when, themes, as_of=as_of, verdict=verdict)
        found.append((entry, standing))
    talk = {
        entry.item_id
        for entry, _ in found
        if entry.evidence and entry.evidence["severity_from"] == "kinds" and entry.evidence["kind"] == "other"
    }
    rows = [
        _row(entry, standing, known, settings, thresholds, as_of, urgency)
        | {"verdict": summary(judged[entry.item_id]) if entry.item_id in judged else None}
        for entry, standing in found
    ]
    _calibrate(rows, calibration)
    _score(rows, settings)
    rows.sort(key=lambda row: (*_tier(row, talk), -(row["score"] or 0.0), row["item_id"]))
    for lane in sorted({row["lane"] for row in rows}):
        _place([row for row in rows if row["lane"] == lane], settings, talk)
    seen = sightings(found, known, as_of=as_of)
    shown_rows = [{name: row[name] for name in BACKLOG.names} for row in rows]
    return Backlog(
        BACKLOG.conform(pl.DataFrame(shown_rows, schema=BACKLOG.schema)), history(known, seen), seen
    )


def _calibrate(rows: list[dict[str, Any]], calibration: Calibration) -> None:
    """Take confidence in behavioural items as far as earlier predictions came true."""
    if not calibration.entries:
        return
    for row in rows:
        if row["lane"] == "behaviour" and row["seen"]:
            row["confidence"] = round(min(1.0, row["confidence"] * calibration.factor), 4)
            row["confidence_reason"] += f"; times {calibration.factor:.2f} by the ledger ({calibration.told})"


def _tier(row: dict[str, Any], talk: set[str]) -> tuple[str, int, int, bool]:
    """What comes before the score."""
    stage = STAGES.index(row["stage"])
    return row["lane"], stage, STATUSES.index(row["status"]), row["item_id"] in talk


def _score(rows: list[dict[str, Any]], settings: BacklogSettings) -> None:
    """Fill in value and score, with their intervals."""
    most: dict[str, float] = {}
    for row in rows:
        if row["values"] and row["stage"] == "open":
            most[row["lane"]] = max(most.get(row["lane"], 0.0), row["values"][0])
    for row in rows:
        row["value"], row["value_low"], row["value_high"] = row["values"] or (None, None, None)
        triple: tuple[float | None, ...] = (None, None, None)
        if row["values"]:
            triple = scored(
                settings.ranking,
                row["values"],
                confidence=row["confidence"],
                weeks=row["effort_weeks"],
                urgency=row["urgency"],
                most=most.get(row["lane"], row["values"][0]),
            )
        row["score"], row["score_low"], row["score_high"] = triple


def _place(rows: list[dict[str, Any]], settings: BacklogSettings, talk: set[str]) -> None:
    """Number the sorted rows of a lane; say of the open ones how sure their place is."""
    for at, row in enumerate(rows):
        row |= {"rank": at + 1, "tied": None, "rank_low": None, "rank_high": None, "top_5": None}
    ranked = [row for row in rows if row["stage"] == "open"]
    items = [
        Ranked(
            row["item_id"],
            # What is only watched may turn out to matter more than a finding: its chances are its score's.
            tier=-1 if row["lane"] == "behaviour" and row["score"] is not None else at,
            group=_tier(row, talk),
            score=None if row["score"] is None else (row["score"], row["score_low"], row["score_high"]),
        )
        for row, at in zip(ranked, _numbered([_tier(row, talk) for row in ranked]), strict=True)
    ]
    for row, sure in zip(ranked, sureness(items, tie_below=settings.tie_below), strict=True):
        row |= {
            "tied": sure.tied,
            "rank_low": sure.rank_low,
            "rank_high": sure.rank_high,
            "top_5": sure.top,
        }


def _numbered(tiers: Sequence[Any]) -> list[int]:
    order = sorted(set(tiers))
    return [order.index(tier) for tier in tiers]


def _row(
    entry: Entry,
    standing: Standing,
    log: Log,
    settings: BacklogSettings,
    thresholds: PainPointSettings,
    as_of: datetime,
    urgency: Mapping[str, float],
) -> dict[str, Any]:
    life, told = entry.life, last_known(entry, log)
    if life.effort_weeks is not None:
        weeks, source = life.effort_weeks, str(life.effort_by)
    elif entry.item_id in settings.effort:
        weeks, source = settings.effort[entry.item_id], "configuration"
    else:
        weeks, source = settings.default_effort_weeks, "default"
    return {
        "item_id": entry.item_id,
        "lane": told.get("lane") or "behaviour",
        "title": title_of(entry, log),
        "effort_weeks": weeks,
        "effort_source": source,
        "evidence": f"#{entry.item_id}",
        "evidence_id": entry.evidence["item_id"] if entry.evidence else None,
        "as_of": as_of,
        "ranking": settings.ranking,
        "state": standing.state,
        "stage": stage_of(standing.state),
        "state_since": standing.since,
        "state_by": standing.by,
        "owner": life.owner,
        "shipped_on": life.shipped_on,
        "snoozed_until": life.snoozed_until,
        "seen": entry.evidence is not None,
        "last_seen": moment(told.get("last_seen")),
        "merged": list(entry.merged),
        "note": "; ".join(standing.notes),
        **_worth(entry, settings, thresholds, as_of, urgency),
    }


def _worth(
    entry: Entry,
    settings: BacklogSettings,
    thresholds: PainPointSettings,
    as_of: datetime,
    urgency: Mapping[str, float],
) -> dict[str, Any]:
    """Reach, impact, confidence, and the value per week with its interval (`values`)."""
    if entry.evidence is None:
        return {
            "reach": 0.0,
            "impact": None,
            "confidence": 0.0,
            "confidence_reason": "the data no longer shows it",
            "status": "gone",
            "quality": "not_checked",
            "urgency": 1.0,
            "values": None,
        }
    item = dict(entry.evidence) | {
        name: None if entry.evidence[name] is None else entry.evidence[name] * entry.share for name in SHARED
    }
    if item["lane"] == "behaviour":
        confidence, reason = _behaviour_confidence(item, settings, thresholds)
        lost = (item["lost_per_week"], item["lost_low"], item["lost_high"])
        values = None if lost[0] is None else lost
        impact = None if lost[0] is None else lost[0] / item["reach_per_week"]
    else:
        confidence, reason = _voice_confidence(item, settings, as_of)
        impact = item["severity"]
        values = _unhappy_people(item, settings)
    return {
        "reach": item["reach_per_week"],
        "impact": impact,
        "confidence": confidence,
        "confidence_reason": reason,
        "status": item["status"],
        "quality": item["quality"],
        "urgency": urgency.get(item["item_id"], 1.0),
        "values": values,
    }


def _behaviour_confidence(
    item: dict[str, Any], settings: BacklogSettings, thresholds: PainPointSettings
) -> tuple[float, str]:
    caveat = f"; {item['caveat']}" if item["caveat"] else ""
    if item["effect"] is None:
        return NO_EFFECT * _quality(item), f"no effect can be stated: {item['caveat']}"
    chance = item["harm_chance"]
    agreed = item["theme_link_by"] == "persons"
    agreement = 1.0 if agreed else ALSO_SEEN if item["also_seen_as"] else NO_AGREEMENT
    confidence = settings.causal_share * chance * item["overlap"] * agreement * _quality(item)
    reason = (
        f"{item['affected']} affected; {_percent(chance)} sure of harm above "
        f"{spoken_points(thresholds.min_effect)}; {_percent(item['overlap'], exact=True)} comparable; "
        f"q = {item['q_value']:.2g}; "
        + ("feedback of affected persons agrees" if agreed else "no feedback of affected persons")
        + ("; other signals of the same persons agree" if item["also_seen_as"] else "")
        + f"; not an experiment: {settings.causal_share * 100:.0f} % taken to be caused by it"
        + caveat
    )
    if item["status"] != "finding":
        confidence = min(confidence, WATCHED)
    return round(confidence, 4), reason


def _unhappy_people(item: dict[str, Any], settings: BacklogSettings) -> tuple[float, float, float]:
    """Reach times severity, and an interval that joins both, as if independent."""
    severity, least, most = (item["severity"], item["severity_low"], item["severity_high"])
    if severity is None:
        severity, least, most = settings.unrated_severity, 0.0, 1.0
    reach = item["reach_per_week"]
    below = math.hypot((reach - item["reach_low"]) * severity, reach * (severity - least))
    above = math.hypot((item["reach_high"] - reach) * severity, reach * (most - severity))
    return reach * severity, max(0.0, reach * severity - below), reach * severity + above


def _voice_confidence(item: dict[str, Any], settings: BacklogSettings, as_of: datetime) -> tuple[float, str]:
    # Votes carry no date: of a single message nobody knows when it was last agreed with.
    stale = item["messages"] > 1 and item["last_seen"] < as_of - SILENT
    people = item["affected"] + (item["votes"] or 0)
    confidence = (
        {"ratings": RATED, "kinds": OF_KIND, None: UNRATED}[item["severity_from"]]
        * people
        / (people + FEW_PEOPLE)
        * (STALE if stale else 1.0)
        * _quality(item)
    )
    rests_on = {
        "ratings": f", {item['rated']} ratings",
        "kinds": f"; severity {item['severity'] or 0:.2g} assumed from the kind of message",
        None: f"; severity {settings.unrated_severity:g} assumed for the score",
    }
    votes = f", {item['votes']} votes" if item["votes"] else ""
    authors = "1 author" if item["affected"] == 1 else f"{item['affected']} authors"
    return round(confidence, 4), f"{authors}{votes}{rests_on[item['severity_from']]}; {item['caveat']}"


def _quality(item: dict[str, Any]) -> float:
    return BAD_QUALITY if item["quality"] == "failed" else 1.0


def _percent(share: float, *, exact: bool = False) -> str:
    """Of a chance never "100 %": no comparison is that sure."""
    return "over 99 %" if share > 0.99 and not exact else f"{share * 100:.0f} %"
