"""What the page says about dropping out of a funnel: findings, what misleads, and what people did instead."""

from dataclasses import dataclass
from typing import Any

import polars as pl

from opsanalytics.reports import figures, formats
from opsanalytics.reports.charts import Chart
from opsanalytics.reports.data import ReportData
from opsanalytics.reports.diagnosis_words import KINDS, what
from opsanalytics.reports.text import anchor

MOST_FINDINGS = 8
"""Of each direction; the others stand in the mart."""
MOST_NEXT = 6


@dataclass(frozen=True)
class DropOffView:
    """One diagnosed step, ready for the template."""

    name: str
    step: dict[str, Any]
    """The row of DROP_OFF_STEPS."""
    harmful: list[dict[str, Any]]
    helpful: list[dict[str, Any]]
    left_out: int
    """Findings that are not listed."""
    misleading: list[dict[str, Any]]
    """What a crude comparison would show, and comparable persons do not."""
    unclear: int
    chart: Chart | None
    instead: list[dict[str, Any]]


def drop_off_views(data: ReportData, funnel: str, title: str) -> list[DropOffView]:
    """The diagnoses of one funnel, by name."""
    steps = data.drop_off_steps.filter(pl.col("funnel") == funnel)
    return [_view(data, row, title) for row in steps.to_dicts()]


def _view(data: ReportData, step: dict[str, Any], title: str) -> DropOffView:
    name = step["diagnosis"]
    compared = data.drop_off_diagnosis.filter(pl.col("diagnosis") == name)
    harmful, helpful = (
        [_told(row) for row in rows.sort(pl.col("effect").abs(), descending=True).to_dicts()]
        for rows in (
            compared.filter(pl.col("verdict") == "drops_more"),
            compared.filter(pl.col("verdict") == "stays_more"),
        )
    )
    misleading = compared.filter(pl.col("confounding") != "none").sort(
        pl.col("crude_effect").abs(), "kind", "name", "value", descending=[True, False, False, False]
    )
    instead = data.drop_off_next.filter(pl.col("diagnosis") == name)
    chart = None
    if harmful or helpful:
        spoken = "; ".join(
            f"{row['what']}: {formats.points(row['effect'])}" for row in [*harmful, *helpful][:MOST_FINDINGS]
        )
        chart = Chart(
            f"{anchor('diagnosis', name)}-effects",
            figures.diagnosis_figure(compared.filter(pl.col("verdict") != "unclear")),
            f"Dot chart of what goes with dropping out of {title} after {step['step_name']}. {spoken}.",
        )
    return DropOffView(
        name=name,
        step=step,
        harmful=harmful[:MOST_FINDINGS],
        helpful=helpful[:MOST_FINDINGS],
        left_out=max(0, len(harmful) - MOST_FINDINGS) + max(0, len(helpful) - MOST_FINDINGS),
        misleading=[_told(row) for row in misleading.head(MOST_FINDINGS).to_dicts()],
        unclear=compared.filter(pl.col("verdict") == "unclear").height,
        chart=chart,
        instead=instead.sort("count", "event", descending=[True, False]).head(MOST_NEXT).to_dicts(),
    )


def _told(row: dict[str, Any]) -> dict[str, Any]:
    """A row with what it is about in words; `after` is how soon after the step, None if known before."""
    return row | {"what": what(row), "how": KINDS.get(row["kind"], row["kind"])}
