"""What the page says about the events that arrived: what stopped, what is unusual, what changed."""

from dataclasses import dataclass
from typing import Any

import polars as pl

from opsanalytics.reports import formats
from opsanalytics.reports.data import ReportData

MOST_SHOWN = 8
"""Findings shown at once; the others are folded."""

_CHANGES = {
    "vanished_event": "stopped coming",
    "vanished_property": "property no longer sent",
    "retyped": "property changed its type",
    "cardinality": "far more different values",
    "names_exploded": "too many property names",
    "undeclared_event": "not in the tracking plan",
    "undeclared_property": "property not in the tracking plan",
    "required_missing": "required property missing",
    "wrong_type": "wrong type",
    "never_sent": "declared, but not sent",
    "new_event": "new event",
    "new_property": "new property",
}


@dataclass(frozen=True)
class QualityView:
    """Findings that warn, newest first; what is only worth knowing; what could not be judged."""

    warnings: list[dict[str, Any]]
    shown: int
    notes: list[dict[str, Any]]
    events: int
    sources: int
    plan: bool
    unjudged: list[str]


def quality_view(data: ReportData) -> QualityView:
    """Put drift, volumes and silences into rows of `subject`, `what`, `since` and `detail`."""
    changes = data.event_drift.to_dicts()
    silent = data.freshness.filter(pl.col("verdict") == "silent").to_dicts()
    # An event that is told as silent is not told as vanished too.
    told = {(row["source"], row["event"]) for row in silent}
    changes = [
        row for row in changes if row["kind"] != "vanished_event" or (row["source"], row["event"]) not in told
    ]
    warnings = [
        *(_silence(row) for row in silent),
        *_volumes(data.volumes),
        *(_change(row) for row in changes if row["warns"]),
    ]
    warnings.sort(key=lambda row: (row["subject"], row["what"]))
    warnings.sort(key=lambda row: row["since"], reverse=True)
    series = data.freshness.filter(pl.col("event").is_not_null())
    newest = data.volumes.filter(pl.col("day") == pl.col("day").max())
    unjudged = newest.filter((pl.col("verdict") == "too_little_history") & pl.col("event").is_not_null())
    return QualityView(
        warnings=warnings,
        shown=MOST_SHOWN,
        notes=[_change(row) for row in changes if not row["warns"]],
        events=series.height,
        sources=series["source"].n_unique(),
        plan=data.has_plan,
        unjudged=[_subject(row) for row in unjudged.to_dicts()],
    )


def _subject(row: dict[str, Any]) -> str:
    event = row["event"] or "all events"
    return f"{event} ({row['source']})" if row["source"] else event


def _silence(row: dict[str, Any]) -> dict[str, Any]:
    gap = (
        "it came every day before"
        if not row["longest_gap"]
        else f"longest gap before: {row['longest_gap']} days"
    )
    return {
        "subject": _subject(row),
        "what": "silent",
        "since": row["last_seen"],
        "detail": f"none for {row['silent_days']} days; {gap}",
    }


def _volumes(volumes: pl.DataFrame) -> list[dict[str, Any]]:
    """One row a series and direction, with its newest day."""
    alarms = volumes.filter(pl.col("verdict").is_in(["drop", "spike"]))
    rows = []
    for part in alarms.partition_by("source", "event", "verdict", maintain_order=True):
        newest = part.row(-1, named=True)
        others = part.height - 1
        rows.append(
            {
                "subject": _subject(newest),
                "what": "fewer than usual" if newest["verdict"] == "drop" else "more than usual",
                "since": newest["day"],
                "detail": f"{formats.count(newest['observed'])} on {formats.day(newest['day'])}; usual are "
                f"{formats.count(newest['expected_low'])} to {formats.count(newest['expected_high'])}"
                + (f"; {others} more such {'day' if others == 1 else 'days'} before" if others else ""),
            }
        )
    return rows


def _change(row: dict[str, Any]) -> dict[str, Any]:
    subject = _subject(row) if row["property"] is None else f"{row['property']} of {_subject(row)}"
    if row["share"] is None:
        volume = ""
    else:
        volume = f"; {formats.count(row['n'])} events, {formats.percent(row['share'])}"
    return {
        "subject": subject,
        "what": _CHANGES[row["kind"]],
        "since": row["first_seen"],
        "detail": f"{row['observed']}; expected: {row['expected']}{volume}",
    }
