"""Verdicts in words, the same on the command line, on the page, in the backlog and on a tracker's issue."""

from collections.abc import Mapping
from typing import Any

from opsanalytics.improvement.verification.plan import Plan
from opsanalytics.improvement.verification.verdict import SPOKEN


def spoken_outcome(row: Mapping[str, Any]) -> str:
    """Such as "worked", or "not enough data yet"."""
    return SPOKEN[row["outcome"]]


def size(row: Mapping[str, Any], name: str, *, signed: bool = True) -> str:
    """A change with its unit: "+4.1 points", or for revenue "+0.31"; "" if it is not known."""
    value = row[name]
    if value is None:
        return ""
    sign = "+" if signed else ""
    if row["metric"] == "revenue":
        return f"{value:{sign}.2f}"
    return f"{value * 100:{sign}.1f} points"


def interval(row: Mapping[str, Any], low: str, high: str) -> str:
    """Such as "+1.2 to +7.0"; "" if it is not known."""
    if row[low] is None or row[high] is None:
        return ""
    by, digits = (1, 2) if row["metric"] == "revenue" else (100, 1)
    return f"{row[low] * by:+.{digits}f} to {row[high] * by:+.{digits}f}"


def promise(plan: Plan) -> str:
    """One line about a plan, such as "platform android against ios, web; +4.0 points expected; looked at 14,
    28, 56 days after shipping"."""
    if plan.method == "none":
        return f"not measured, as {plan.reason}"
    told = {"metric": plan.metric, "expected": plan.expected, "least_change": plan.least_change}
    size_told = f"{size(told, 'expected')} expected" if plan.expected is not None else "nothing predicted"
    days = ", ".join(map(str, plan.looks))
    return f"{compared(plan)}; {size_told}; looked at {days} days after shipping"


def compared(plan: Plan) -> str | None:
    """Who is compared with whom, in words."""
    if plan.method == "difference" and plan.split is not None:
        return plan.split.told()
    if plan.method == "heard":
        return "before against after, among all messages"
    if plan.method == "structural":
        return "everybody at this step, against the other steps of the funnel"
    return None


def summary(row: Mapping[str, Any]) -> str:
    """One line about a row of VERIFICATIONS, such as "worked: +4.1 points (+1.2 to +7.0), after 28 days,
    predicted +3.8 points (+2.0 to +5.6)"."""
    parts = [f"{spoken_outcome(row)}"]
    if row["change"] is not None:
        parts[0] += f": {size(row, 'change')} ({interval(row, 'change_low', 'change_high')})"
        parts.append(f"after {row['look_days']} days")
    if row["expected"] is not None:
        predicted = f"predicted {size(row, 'expected')}"
        if row["expected_low"] != row["expected_high"]:
            predicted += f" ({interval(row, 'expected_low', 'expected_high')})"
        parts.append(predicted)
    if row["outcome"] in ("planned", "not_measured", "withheld", "inconclusive"):
        parts.append(row["reason"])
    if row["next_look"] is not None and row["outcome"] == "verifying":
        parts.append(f"next look on {row['next_look']}")
    if row["more_days"] is not None:
        parts.append(f"it would take {row['more_days']} more days")
    return ", ".join(parts)
