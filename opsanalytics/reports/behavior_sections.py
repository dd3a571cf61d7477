"""What the page says about funnels and retention: rows, sentences and charts, made of the marts."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from typing import Any

import polars as pl

from opsanalytics.behavior.duration import format_duration, parse_duration
from opsanalytics.reports import figures, formats
from opsanalytics.reports.charts import Chart
from opsanalytics.reports.comparison import WeekChange, by_year, week_change
from opsanalytics.reports.data import ReportData
from opsanalytics.reports.diagnosis_section import DropOffView, drop_off_views
from opsanalytics.reports.text import anchor

RECENT_WEEKS = 26
RECENT_COHORTS = 16
"""What fits on a page; older weeks and cohorts are shown condensed, and stand in the marts in full."""

MOST_VALUES = 12

_WINDOW_UNITS = {"d": "day", "h": "hour", "m": "minute", "s": "second"}
_COHORT_LABELS: dict[str, Callable[[date], str]] = {
    "day": formats.short_day,
    "week": formats.short_day,
    "month": formats.month,
}


@dataclass(frozen=True)
class Breakdown:
    """One segment of a funnel: its last step by value."""

    segment: str
    rows: list[dict[str, Any]]
    chart: Chart
    findings: int
    left_out: int


@dataclass(frozen=True)
class FunnelView:
    """One funnel, ready for the template."""

    name: str
    title: str
    anchor: str
    entered: int
    steps: list[dict[str, Any]]
    chart: Chart
    window: str | None
    immature: int
    immature_converted: int
    change: WeekChange | str
    trend: list[dict[str, Any]]
    trend_chart: Chart | None
    few_a_week: bool
    """Most of the weeks shown have fewer entrants than `small_n`."""
    older_weeks: int
    long_chart: Chart | None
    breakdowns: list[Breakdown]
    drop_offs: list[DropOffView]


@dataclass(frozen=True)
class RetentionView:
    """One retention, ready for the template."""

    name: str
    title: str
    anchor: str
    unit: str
    periods: list[int]
    cohorts: list[dict[str, Any]]
    chart: Chart
    few_a_cohort: bool
    """Most of the cohorts shown have fewer persons than `small_n`."""
    pooled: list[dict[str, Any]]
    curve: Chart | None
    older_cohorts: int
    years: list[dict[str, Any]]
    years_chart: Chart | None


def funnel_views(data: ReportData) -> list[FunnelView]:
    """Funnels that have numbers, the configured ones first."""
    titles = data.titles("funnel")
    return [_funnel(data, name, titles.get(name, name)) for name in data.funnel_names()]


def retention_views(data: ReportData) -> list[RetentionView]:
    """Retentions that have cohorts, by name."""
    titles = data.titles("retention")
    cohorts = data.retention_cells.filter(pl.col("cohort").is_not_null())
    names = cohorts["retention"].unique(maintain_order=True).to_list()
    return [_retention(data, name, titles.get(name, name)) for name in names]


def _funnel(data: ReportData, name: str, title: str) -> FunnelView:
    steps = data.funnel_steps.filter(pl.col("funnel") == name)
    trend = data.funnel_trend.filter(pl.col("funnel") == name)
    recent, here = trend.tail(RECENT_WEEKS), anchor("funnel", name)
    first, last = steps.row(0, named=True), steps.row(-1, named=True)
    spoken = "; ".join(
        f"{row['step']}. {row['step_name']}: {formats.count(row['persons'])} persons, "
        f"{formats.percent(row['rate'])}"
        for row in steps.to_dicts()
    )
    return FunnelView(
        name=name,
        title=title,
        anchor=here,
        entered=first["entered"],
        steps=steps.to_dicts(),
        chart=Chart(f"{here}-steps", figures.funnel_figure(steps), f"Bar chart of {title}. {spoken}."),
        window=_window(data.rules("funnel", name).get("window")),
        immature=last["immature_entered"],
        immature_converted=last["immature_persons"],
        change=week_change(trend, data.first_day),
        trend=recent.reverse().to_dicts(),
        trend_chart=_trend_chart(recent, f"{here}-trend", title, markers=True),
        few_a_week=_mostly_few(recent["entered"], data.small_n),
        older_weeks=trend.height - recent.height,
        long_chart=_trend_chart(trend, f"{here}-history", title, markers=False)
        if trend.height > recent.height
        else None,
        breakdowns=_breakdowns(data, name, title, last["rate"]),
        drop_offs=drop_off_views(data, name, title),
    )


def _trend_chart(trend: pl.DataFrame, chart_id: str, title: str, *, markers: bool) -> Chart | None:
    known = trend.filter(pl.col("complete") & pl.col("rate").is_not_null())
    if trend["rate"].null_count() == trend.height:
        return None
    alt = f"Line chart of the conversion of {title} by week of entry."
    if known.height:
        first, last = known.row(0, named=True), known.row(-1, named=True)
        alt += (
            f" From {formats.percent(first['rate'])} in the week of {formats.day(first['period_start'])}"
            f" to {formats.percent(last['rate'])} in the week of {formats.day(last['period_start'])}."
        )
    return Chart(chart_id, figures.funnel_trend_figure(trend, markers=markers), alt)


def _breakdowns(data: ReportData, name: str, title: str, overall: float | None) -> list[Breakdown]:
    rows = data.funnel_breakdown.filter(
        (pl.col("funnel") == name) & (pl.col("step") == pl.col("step").max().over("funnel", "segment"))
    )
    rest = pl.col("value").is_in(["(none)", "(other)"])
    views = []
    for number, segment in enumerate(rows["segment"].unique(maintain_order=True).to_list(), start=1):
        values = rows.filter(pl.col("segment") == segment).sort(
            rest, "entered", "value", descending=[False, True, False]
        )
        shown = values.head(MOST_VALUES)
        findings = shown.filter(pl.col("q_value") < figures.FINDING_Q).height
        spoken = "; ".join(
            f"{row['value']}: {formats.percent(row['rate'])} of {formats.count(row['entered'])}"
            for row in shown.to_dicts()
        )
        chart = Chart(
            f"{anchor('funnel', name)}-segment-{number}",
            figures.breakdown_figure(shown, overall),
            f"Dot chart of the conversion of {title} by {segment}. {spoken}.",
        )
        left_out = values.height - shown.height
        views.append(Breakdown(segment, shown.to_dicts(), chart, findings, left_out))
    return sorted(views, key=lambda view: view.findings == 0)


def _retention(data: ReportData, name: str, title: str) -> RetentionView:
    cells = data.retention_cells.filter(pl.col("retention") == name)
    cohort_cells = cells.filter(pl.col("cohort").is_not_null())
    pooled = cells.filter(pl.col("cohort").is_null()).sort("period")
    cohorts = cohort_cells["cohort"].unique().sort()
    recent = cohort_cells.filter(pl.col("cohort").is_in(cohorts.tail(RECENT_COHORTS).to_list()))
    unit, here = str(data.rules("retention", name).get("period", "period")), anchor("retention", name)
    older = max(0, cohorts.len() - RECENT_COHORTS)
    years = by_year(cohort_cells) if older else cells.clear()
    alt = (
        f"Heat map of {title}: {min(cohorts.len(), RECENT_COHORTS)} cohorts by {unit}s after their start. "
        "The numbers are in the table below."
    )
    spoken = "; ".join(f"{unit} {row['period']}: {formats.percent(row['rate'])}" for row in pooled.to_dicts())
    return RetentionView(
        name=name,
        title=title,
        anchor=here,
        unit=unit,
        periods=recent["period"].unique().sort().to_list(),
        cohorts=_matrix(recent, _COHORT_LABELS.get(unit, formats.short_day)),
        chart=Chart(
            f"{here}-cohorts",
            figures.retention_heatmap(
                recent, small_n=data.small_n, label=_COHORT_LABELS.get(unit, formats.short_day)
            ),
            alt,
        ),
        few_a_cohort=_mostly_few(recent.filter(pl.col("period") == 0)["n"], data.small_n),
        pooled=pooled.to_dicts(),
        curve=Chart(
            f"{here}-curve", figures.retention_curve(pooled), f"Line chart of {title}, all cohorts. {spoken}."
        )
        if pooled["rate"].drop_nulls().len()
        else None,
        older_cohorts=older,
        years=_matrix(years, lambda start: str(start.year)),
        years_chart=Chart(
            f"{here}-years",
            figures.retention_heatmap(years, small_n=data.small_n, label=lambda start: str(start.year)),
            f"Heat map of {title} by year of the cohort. The numbers are in the table below.",
        )
        if years.height
        else None,
    )


def _matrix(cells: pl.DataFrame, label: Callable[[date], str]) -> list[dict[str, Any]]:
    """Rows of a cohort table: `label`, `n` (of period 0 or the first there is), `cells` by period."""
    periods = cells["period"].unique().sort().to_list()
    rows = []
    for (cohort,), group in cells.sort("cohort", "period").group_by("cohort", maintain_order=True):
        by_period = {row["period"]: row for row in group.to_dicts()}
        rows.append(
            {
                "label": label(cohort) if isinstance(cohort, date) else formats.NONE,
                "n": group["n"][0],
                "cells": [by_period.get(period) for period in periods],
            }
        )
    return rows


def _mostly_few(n: pl.Series, small_n: int) -> bool:
    return n.len() > 0 and 2 * int((n < small_n).sum()) > n.len()


def _window(value: object) -> str | None:
    """`7d` as `7 days`."""
    if not isinstance(value, str):
        return None
    text = format_duration(parse_duration(value))
    amount, unit = int(text[:-1]), text[-1]
    if unit == "w":
        amount, unit = amount * 7, "d"
    return f"{amount} {_WINDOW_UNITS[unit]}{'s' if amount != 1 else ''}"
