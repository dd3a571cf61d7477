"""Charts of one retention, made of rows of RETENTION_CELLS. Rates go from 0 to 1."""

from collections.abc import Callable
from datetime import date
from typing import Any

import plotly.graph_objects as go
import polars as pl

from opsanalytics.reports import formats
from opsanalytics.reports.figures.style import (
    BLUE,
    GREY,
    INCOMPLETE,
    PALE_SCALE,
    SCALE,
    axis,
    band,
    figure,
)

CELL_TEXT_COLUMNS = 14
"""More periods than this leave no room for a number in the cells of a heat map on a phone."""

FINE_CELL_COLUMNS = 9
"""Up to so many periods, rates below 10 % have room for a decimal."""


def retention_heatmap(
    cells: pl.DataFrame, *, small_n: int, label: Callable[[date], str] = formats.short_day
) -> go.Figure:
    """Share of each cohort that returned, by period (rows of RETENTION_CELLS with a cohort).

    Incomplete cells are grey and marked `*`; cells of fewer than `small_n` persons are pale. The oldest
    cohort is on top; its number of persons stands beside it.
    """
    cohorts = cells["cohort"].unique().sort().to_list()
    periods = cells["period"].unique().sort().to_list()
    by_cell = {(row["cohort"], row["period"]): row for row in cells.to_dicts()}
    size = {cohort: by_cell[cohort, period]["n"] for cohort, period in sorted(by_cell, reverse=True)}
    names = [f"{label(cohort)} · {formats.count(size[cohort])}" for cohort in cohorts]
    top = max([row["rate"] for row in by_cell.values() if row["complete"] and row["rate"]], default=1.0)

    fine = top < 0.1 and len(periods) <= FINE_CELL_COLUMNS

    def layer(wanted: Callable[[dict[str, Any]], bool], scale: Any, mark: str, color: str | None) -> Any:
        def each(show: Callable[[dict[str, Any]], Any], otherwise: Any = None) -> list[list[Any]]:
            return [
                [
                    show(row)
                    if (row := by_cell.get((cohort, period))) and row["rate"] is not None and wanted(row)
                    else otherwise
                    for period in periods
                ]
                for cohort in cohorts
            ]

        return go.Heatmap(
            x=periods,
            y=list(range(len(cohorts))),
            z=each(lambda row: row["rate"]),
            zmin=0,
            zmax=top,
            text=each(lambda row: _cell_text(row, mark, fine=fine), otherwise=""),
            texttemplate="%{text}" if len(periods) <= CELL_TEXT_COLUMNS else None,
            textfont={"size": 12} | ({"color": color} if color else {}),
            customdata=each(
                lambda row: [
                    label(row["cohort"]),
                    f"{formats.count(row['returned'])} of {formats.count(row['n'])}",
                    formats.percent(row["rate"]),
                    formats.percent_interval(row["rate_low"], row["rate_high"]),
                    "" if row["complete"] else "<br>not over yet",
                ]
            ),
            hovertemplate="<b>%{customdata[0]}</b>, period %{x}<br>%{customdata[1]} persons returned"
            "<br>%{customdata[2]} (%{customdata[3]})%{customdata[4]}<extra></extra>",
            hoverongaps=False,
            colorscale=scale,
            showscale=False,
            xgap=2,
            ygap=2,
        )

    return figure(
        [
            layer(lambda row: row["complete"] and row["n"] >= small_n, SCALE, "", None),
            layer(lambda row: row["complete"] and row["n"] < small_n, PALE_SCALE, "", "#59626c"),
            layer(lambda row: not row["complete"], [[0, INCOMPLETE], [1, INCOMPLETE]], "*", GREY),
        ],
        height=27 * len(cohorts) + 40,
        xaxis=axis(side="top", showgrid=False, tickmode="array", tickvals=periods, tickfont={"size": 12}),
        yaxis=axis(
            showgrid=False,
            tickmode="array",
            tickvals=list(range(len(cohorts))),
            ticktext=names,
            range=[len(cohorts) - 0.5, -0.5],
            tickfont={"size": 12},
        ),
    )


def retention_curve(cells: pl.DataFrame) -> go.Figure:
    """The pooled curve with its interval band (rows of RETENTION_CELLS without a cohort)."""
    pooled = cells.filter(pl.col("rate").is_not_null()).sort("period")
    line = go.Scatter(
        x=pooled["period"].to_list(),
        y=pooled["rate"].to_list(),
        mode="lines+markers",
        line={"color": BLUE, "width": 2},
        marker={"size": 6},
        customdata=[
            [
                f"{formats.count(row['returned'])} of {formats.count(row['n'])}",
                formats.percent(row["rate"]),
                formats.percent_interval(row["rate_low"], row["rate_high"]),
            ]
            for row in pooled.to_dicts()
        ],
        hovertemplate="<b>Period %{x}</b><br>%{customdata[0]} persons<br>%{customdata[1]} (%{customdata[2]})"
        "<extra></extra>",
    )
    return figure(
        [band(pooled["period"], pooled["rate_low"], pooled["rate_high"]), line],
        height=230,
        margin={"l": 8, "r": 12, "t": 8, "b": 8},
        xaxis=axis(showgrid=False, tickformat="d", nticks=10),
        yaxis=axis(tickformat=".0%", rangemode="tozero", nticks=5),
    )


def _cell_text(row: dict[str, Any], mark: str, *, fine: bool) -> str:
    """No number where nobody could return yet: a cell that has just begun is not a cell of zero."""
    if mark and not row["returned"]:
        return mark
    return f"{row['rate'] * 100:.{1 if fine and row['rate'] else 0}f}{mark}"
