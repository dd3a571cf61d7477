"""An item in sentences, for whoever has to decide: in short, what changed lately, how sure, and what to do.

The same on the page, on the command line and on a tracker's issue.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

SURE, FAIR = 0.6, 0.3
"""Confidence from which on words say high, and fair. What is only watched is never more than fair."""
LITTLE = 0.1
"""An interval of the ratio that stays so close to 1 says that nothing changed."""


@dataclass(frozen=True)
class Briefing:
    """Sentences about an item; empty where there is nothing to say."""

    short: str
    lately: str
    trust: str
    """high, fair or low."""
    next: str


def briefing(row: Mapping[str, Any], point: Mapping[str, Any] | None) -> Briefing:
    """Sentences about an item.

    Args:
        row: of BACKLOG.
        point: its row of PAIN_POINTS; None: the data no longer shows it.
    """
    return Briefing(
        short="" if point is None else _short(point),
        lately="" if point is None else _lately(point),
        trust=trust(row["confidence"]),
        next=_next(row, point),
    )


def trust(confidence: float | None) -> str:
    """Confidence from 0 to 1 as a word."""
    value = confidence or 0.0
    return "high" if value >= SURE else "fair" if value >= FAIR else "low"


def _short(point: Mapping[str, Any]) -> str:
    if point["lane"] != "behaviour":
        return ""
    people = _about(point["reach_per_week"] or 0.0)
    met = f"About {people} meet it, {_percent(point['share'])} of those who get there."
    if point["effect"] is None or point["lost_per_week"] is None:
        return f"{met} What it costs cannot be told: {point['caveat']}."
    went = (
        f"{_percent(point['rate_affected'])} of them go on; of comparable others, "
        f"{_percent(point['rate_others'])} do."
    )
    low, high = point["lost_low"], point["lost_high"]
    lost = f"{_number(low)} to {_number(high)}"
    if point["status"] != "finding":
        return f"{met} {went} That may be chance: {lost} conversions a week."
    return f"{met} {went} That is {_number(point['lost_per_week'])} conversions a week ({lost})."


def _lately(point: Mapping[str, Any]) -> str:
    now, before = point["lately"], point["before_lately"]
    if now is None:
        return ""
    met = f"in the last four weeks {now:,} met it, in the four before {before:,}"
    if before == 0:
        return f"New: {met}." if now else ""
    if now == 0:
        return f"Gone quiet: in the last four weeks nobody met it, in the four before {before:,}."
    if point["lately_ratio"] is None:
        return ""
    ratio, low, high = point["lately_ratio"], point["lately_low"], point["lately_high"]
    spread = f"({low:.1f} to {high:.1f} times, per active person)"
    if low > 1:
        return f"Getting worse: {met}, {ratio:.1f} times as often {spread}."
    if high < 1:
        return f"Getting better: {met}, {ratio:.1f} times as often {spread}."
    if low > 1 - LITTLE and high < 1 + LITTLE:
        return f"Steady: {met}."
    return f"No clear change: {met} {spread}."


def _next(row: Mapping[str, Any], point: Mapping[str, Any] | None) -> str:
    item, state = row["item_id"], row["state"]
    command = f"opsanalytics backlog {{}} {item}"
    if point is None:
        return f"The data no longer shows it: close it ({command.format('wont-fix')} --reason ...), or wait."
    if state in ("did_not_work", "harmed"):
        return (
            "The fix missed the cause: look at example persons from after it shipped, then "
            f"{command.format('accept')} for another try."
        )
    if state == "regressed":
        return f"It is back: find what changed on the day it came back, then {command.format('accept')}."
    if state in ("shipped", "verifying"):
        return "Wait for the next look; nothing to decide."
    if state in ("accepted", "planned", "in_progress"):
        if row["effort_source"] == "default":
            return f"Say what it takes, so that its rank is yours: {command.format('effort')} WEEKS."
        return f"Once it is out: {command.format('ship')}."
    if state == "snoozed":
        return "Nothing until the snooze is over."
    if state in ("worked", "wont_fix"):
        return "Nothing; it is watched for coming back."
    accept = command.format("accept")
    if point["lane"] == "voice":
        return _voiced(row, point, accept)
    if row["status"] != "finding":
        return _watched(point)
    return (
        f"Look at two or three of the example persons, then decide: {accept} freezes how the fix will be "
        "judged."
    )


def _voiced(row: Mapping[str, Any], point: Mapping[str, Any], accept: str) -> str:
    if row["status"] != "finding":
        return ""
    mute = f"opsanalytics themes mute {point['theme_id']}" if point["theme_id"] else "snooze it"
    return f"Read the quotes. If one fix would answer them, {accept}; if they are many things, {mute}."


def _watched(point: Mapping[str, Any]) -> str:
    if point["effect"] is None:
        return "Nothing yet: too few people, or nobody to compare them with."
    low, high = point["effect_low"], point["effect_high"]
    estimate, half = point["effect"], (high - low) / 2
    if estimate >= 0 or half <= 0:
        return "Nothing: it does not seem to hurt."
    # An interval shrinks with the root of n; it excludes zero once half of it is shorter than the estimate.
    factor = (half / -estimate) ** 2
    if factor > 1.1:
        return f"Nothing yet: if the estimate holds, {factor:.1f} times as many people would settle it."
    return "Look at it if it is cheap to fix: the estimate holds, and a caveat keeps it from being a finding."


def _about(per_week: float) -> str:
    """Such as "144 people a week", "3 people a month"."""
    if per_week >= 2:
        return f"{per_week:,.0f} people a week"
    return f"{per_week * 52 / 12:,.0f} people a month" if per_week * 52 / 12 >= 2 else "a person a month"


def _number(value: float) -> str:
    return (
        f"{value:,.0f}" if value >= 10 else f"{value:.1f}" if value >= 0.1 or value == 0 else f"{value:.2f}"
    )


def _percent(share: float | None) -> str:
    return "an unknown share" if share is None else f"{share * 100:.0f} %"
