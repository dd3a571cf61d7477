"""The backlog: pain points ranked by reach x impact x confidence / effort (RICE; McBride, Intercom).

Confidence is a product of what is known, each factor between 0 and 1:

behaviour
    0.8, because a comparison is not an experiment; the chance that the effect is harmful beyond the
    least effect of interest (from its interval); the share of affected persons that could be compared;
    0.9 if no affected persons speak of it, 1 if they do; 0.5 if quality checks upstream failed. At most
    0.3 for an item that is only watched, 0.1 if no effect could be stated.
voice
    0.5 if rated, 0.35 if the severity is assumed from the kind of message, 0.25 if nothing is known;
    p / (p + 5) for p authors and votes; 0.5 if nobody has spoken of a theme for eight weeks; 0.5 if
    quality checks upstream failed.
"""

import math
from datetime import datetime
from typing import Any

import polars as pl

from opsanalytics.improvement.settings import BacklogSettings, PainPointSettings
from opsanalytics.improvement.tables import BACKLOG
from opsanalytics.improvement.voice import SILENT

STATUSES = ("finding", "watch", "dormant")
"""In order of rank."""
NOT_CAUSAL = 0.8
NO_AGREEMENT = 0.9
BAD_QUALITY = 0.5
WATCHED = 0.3
NO_EFFECT = 0.1
RATED, OF_KIND, UNRATED = 0.5, 0.35, 0.25
STALE = 0.5
FEW_PEOPLE = 5


def rank_backlog(
    pain_points: pl.DataFrame,
    settings: BacklogSettings,
    thresholds: PainPointSettings,
    *,
    as_of: datetime,
) -> pl.DataFrame:
    """Rank pain points within their lane: findings first, dormant ones last, then by score.

    Themes that are mere discussion by the kind of their messages come after all that ask for something: many
    take part in a discussion, and no one has to decide on it.

    The score of a behavioural item is conversions regained per week and person-week of effort, were
    affected persons to fare like comparable ones; its interval is that of lost conversions. In the
    voice lane it is unhappy people per week (authors, and who votes for their messages); scores of the
    two lanes do not compare.

    Args:
        pain_points: as PAIN_POINTS.
        settings: effort and severity where nobody has given them.
        thresholds: those the pain points were found with.
        as_of: data up to here is complete, UTC.

    Returns:
        As BACKLOG.
    """
    items = list(pain_points.iter_rows(named=True))
    rows = [_row(item, settings, thresholds, as_of) for item in items]
    talk = {item["item_id"] for item in items if item["severity_from"] == "kinds" and item["kind"] == "other"}
    rows.sort(
        key=lambda row: (
            row["lane"],
            STATUSES.index(row["status"]),
            row["item_id"] in talk,
            -(row["score"] or 0.0),
            row["item_id"],
        )
    )
    ranks: dict[str, int] = {}
    for row in rows:
        row["rank"] = ranks[row["lane"]] = ranks.get(row["lane"], 0) + 1
    return BACKLOG.conform(pl.DataFrame(rows, schema=BACKLOG.schema))


def _row(
    item: dict[str, Any], settings: BacklogSettings, thresholds: PainPointSettings, as_of: datetime
) -> dict[str, Any]:
    effort = settings.effort.get(item["item_id"])
    weeks = effort if effort is not None else settings.default_effort_weeks
    if item["lane"] == "behaviour":
        confidence, reason = _behaviour_confidence(item, thresholds)
        lost = (item["lost_per_week"], item["lost_low"], item["lost_high"])
        values = None if lost[0] is None else lost
        impact = None if lost[0] is None else lost[0] / item["reach_per_week"]
    else:
        confidence, reason = _voice_confidence(item, settings, as_of)
        impact = item["severity"]
        values = _unhappy_people(item, settings)
    scores = [value * confidence / weeks for value in values] if values else [None, None, None]
    return {
        "item_id": item["item_id"],
        "lane": item["lane"],
        "title": item["title"],
        "reach": item["reach_per_week"],
        "impact": impact,
        "confidence": confidence,
        "confidence_reason": reason,
        "effort_weeks": weeks,
        "effort_source": "default" if effort is None else "configuration",
        "score": scores[0],
        "score_low": scores[1],
        "score_high": scores[2],
        "status": item["status"],
        "evidence": f"#{item['item_id']}",
        "as_of": item["as_of"],
        "quality": item["quality"],
    }


def _behaviour_confidence(item: dict[str, Any], thresholds: PainPointSettings) -> tuple[float, str]:
    from scipy.stats import norm

    caveat = f"; {item['caveat']}" if item["caveat"] else ""
    if item["effect"] is None:
        return NO_EFFECT * _quality(item), f"no effect can be stated: {item['caveat']}"
    # The wider side: towards no harm the interval has room for the time-matched comparison.
    half = max(item["effect_high"] - item["effect"], item["effect"] - item["effect_low"])
    chance = float(norm.cdf((-thresholds.min_effect - item["effect"]) / (half / norm.ppf(0.975))))
    agreed = item["theme_link_by"] == "persons"
    confidence = NOT_CAUSAL * chance * item["overlap"] * (1.0 if agreed else NO_AGREEMENT) * _quality(item)
    reason = (
        f"{item['affected']} affected; {_percent(chance)} sure of harm above "
        f"{thresholds.min_effect * 100:g} points; {item['overlap']:.0%} comparable; "
        f"q = {item['q_value']:.2g}; "
        + ("feedback of affected persons agrees" if agreed else "no feedback of affected persons")
        + "; not an experiment"
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


def _percent(share: float) -> str:
    """Never "100 %": no comparison is that sure."""
    return "over 99 %" if share > 0.99 else f"{share * 100:.0f} %"
