"""Which sections may be shown: a number on top of a failed blocking check is withheld, not printed."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import polars as pl

from opsanalytics.reports.data import SECTIONS, ReportData, Section

State = Literal["passed", "warning", "failed", "not_checked"]

_FROM_EVENTS: tuple[Section, ...] = ("funnels", "retention", "behaviour", "friction")
_FROM_FEEDBACK: tuple[Section, ...] = ("voice", "themes")
_SECTIONS_OF: dict[str, tuple[Section, ...]] = {
    "events": _FROM_EVENTS,
    "persons": _FROM_EVENTS,
    "feedback": _FROM_FEEDBACK,
    "feedback_assignments": _FROM_FEEDBACK,
    "feedback_themes": _FROM_FEEDBACK,
    "funnel_steps": ("funnels",),
    "funnel_trend": ("funnels",),
    "funnel_breakdown": ("funnels",),
    "retention_cells": ("retention",),
    "friction": ("friction", "behaviour"),
}
_WORST: tuple[State, ...] = ("failed", "warning", "not_checked", "passed")


@dataclass(frozen=True)
class SectionState:
    """State of the checks upstream of one section, and why."""

    state: State
    reasons: tuple[str, ...] = ()

    @property
    def withheld(self) -> bool:
        return self.state == "failed"


def check_summary(results: pl.DataFrame) -> pl.DataFrame:
    """Quality results by table and check, failures first.

    Adds to `table`, `check`, `severity`, `description`: `partitions`, `failed` (partitions), `checked` and
    `unexpected` (rows), `failed_partitions` (up to five, newest first), `examples` (up to five).
    """
    failed = ~pl.col("passed")
    return (
        results.group_by("table", "check", "severity", "description")
        .agg(
            partitions=pl.len(),
            failed=failed.sum(),
            checked=pl.col("checked").sum(),
            unexpected=pl.col("unexpected").sum(),
            failed_partitions=pl.col("partition").filter(failed).sort(descending=True).head(5),
            examples=pl.col("examples").filter(failed).explode().drop_nulls().unique().sort().head(5),
        )
        .with_columns(
            _order=pl.when(pl.col("failed") == 0)
            .then(2)
            .when(pl.col("severity") == "error")
            .then(0)
            .otherwise(1)
        )
        .sort("_order", "table", "check", "severity", "description")
        .drop("_order")
    )


def relevant_results(data: ReportData) -> pl.DataFrame:
    """Quality results without those of days after `as_of`: a later day changes no earlier week."""
    if data.as_of is None:
        return data.quality_results
    day = pl.col("partition").str.to_date("%Y-%m-%d", strict=False)
    return data.quality_results.filter(begun(day, data.as_of))


def begun(day: pl.Expr, as_of: datetime) -> pl.Expr:
    """Whether a UTC day has begun before `as_of`; true for what has no day."""
    return (day.cast(pl.Datetime("us")).dt.replace_time_zone("UTC") < as_of).fill_null(value=True)


def section_states(data: ReportData) -> dict[Section, SectionState]:
    """State of every section from the caller, the failed checks, and the `quality` column of its marts.

    A failed check of severity error withholds every section that is computed from the checked table; a
    table that is not known here withholds all of them, because what depends on it is not known either.
    """
    failed = check_summary(relevant_results(data)).filter(pl.col("failed") > 0).to_dicts()
    states: dict[Section, SectionState] = {}
    for section in SECTIONS:
        upstream = [row for row in failed if section in _SECTIONS_OF.get(row["table"], SECTIONS)]
        errors = tuple(_reason(row) for row in upstream if row["severity"] == "error")
        warnings = tuple(_reason(row) for row in upstream if row["severity"] == "warning")
        marked = _marked(data, section)
        if section in data.withheld:
            states[section] = SectionState("failed", (data.withheld[section], *errors))
        elif errors:
            states[section] = SectionState("failed", errors)
        elif "failed" in marked:
            reason = "It was computed from data that failed a blocking check."
            states[section] = SectionState("failed", (reason,))
        elif warnings or "warning" in marked:
            reason = "A check of the data upstream gave a warning when it was computed."
            states[section] = SectionState("warning", warnings or (reason,))
        elif "not_checked" in marked:
            reason = "No quality check has run on the data upstream."
            states[section] = SectionState("not_checked", (reason,))
        elif data.quality_results.is_empty():
            states[section] = SectionState("not_checked")
        else:
            states[section] = SectionState("passed")
    return states


def worst(states: dict[Section, SectionState]) -> State:
    """The worst state of all sections."""
    present = {state.state for state in states.values()}
    return next((state for state in _WORST if state in present), "passed")


def _marked(data: ReportData, section: Section) -> set[str]:
    lane = pl.col("lane") == section
    frames = {
        "funnels": [data.funnel_steps, data.funnel_trend, data.funnel_breakdown],
        "retention": [data.retention_cells],
        "behaviour": [data.pain_points.filter(lane), data.backlog.filter(lane)],
        "voice": [data.pain_points.filter(lane), data.backlog.filter(lane)],
        "themes": [data.feedback_themes],
        "friction": [data.friction],
    }[section]
    return {value for frame in frames for value in frame["quality"].to_list()}


def _reason(row: dict[str, object]) -> str:
    partitions = row["failed_partitions"]
    named = ", ".join(str(name) for name in partitions) if isinstance(partitions, list) else ""
    more = ", …" if int(str(row["failed"])) > 5 else ""
    return f"{row['table']}, {row['check']}: {str(row['description']).rstrip('.')}. Failed for {named}{more}."
