"""Charts of lifecycle, stickiness, usage interval and trends, made of rows of their marts."""

from typing import Any

import plotly.graph_objects as go
import polars as pl

from opsanalytics.reports import formats
from opsanalytics.reports.figures.style import (
    BAR,
    BLUE,
    GREY,
    INCOMPLETE,
    RUST,
    axis,
    band,
    dates,
    error_bar,
    figure,
)
from opsanalytics.reports.text import plotly_label

STATE_COLORS = {"new": "#17486b", "returning": BAR, "resurrected": BLUE, "dormant": RUST}
LINE_COLORS = (BLUE, RUST, "#17486b", GREY, "#7a9e4a", "#8d6ab0", BAR, "#c49a3a")
MOST_LINES = 12
"""More lines cannot be told apart."""
MOST_MARKERS = 100
"""More points than this hide the line between them."""


def lifecycle_figure(periods: pl.DataFrame) -> go.Figure:
    """Active persons by state above the axis, dormant ones below it (rows of LIFECYCLE of one definition).

    A running period is pale; nobody is shown as dormant in it.
    """
    when = _when(periods)
    complete = periods["complete"].to_list()
    traces = []
    for state, color in STATE_COLORS.items():
        counts = periods[state].to_list()
        sign = -1 if state == "dormant" else 1
        traces.append(
            go.Bar(
                x=when,
                y=[None if count is None else sign * count for count in counts],
                name=state,
                marker={"color": color, "opacity": [1.0 if over else 0.45 for over in complete]},
                customdata=[
                    [formats.count(count), "" if over else "<br>not complete"]
                    for count, over in zip(counts, complete, strict=True)
                ],
                hovertemplate=f"<b>%{{x}}</b><br>{state}: %{{customdata[0]}}%{{customdata[1]}}"
                "<extra></extra>",
            )
        )
    return figure(
        traces,
        height=300,
        barmode="relative",
        showlegend=True,
        legend={"orientation": "h", "y": -0.2},
        xaxis=axis(showgrid=False, nticks=8),
        yaxis=axis(nticks=6),
    )


def stickiness_figure(cells: pl.DataFrame, unit: str) -> go.Figure:
    """Share of persons active in so many units or more, with intervals (rows of STICKINESS of one period)."""
    known = cells.filter(pl.col("at_least_share").is_not_null()).sort("units")
    rows = known.to_dicts()
    bars = go.Bar(
        x=known["units"].to_list(),
        y=known["at_least_share"].to_list(),
        marker={"color": [BAR if row["complete"] else INCOMPLETE for row in rows]},
        error_y=error_bar(
            known["at_least_share"].to_list(),
            known["at_least_low"].to_list(),
            known["at_least_high"].to_list(),
        ),
        customdata=[
            [
                f"{formats.count(row['at_least'])} of {formats.count(row['n'])}",
                formats.percent(row["at_least_share"]),
                formats.percent_interval(row["at_least_low"], row["at_least_high"]),
                "" if row["complete"] else "<br>not complete",
            ]
            for row in rows
        ],
        hovertemplate=f"<b>%{{x}} {unit}s or more</b><br>%{{customdata[0]}} persons<br>%{{customdata[1]}} "
        "(%{customdata[2]})%{customdata[3]}<extra></extra>",
    )
    return figure(
        [bars],
        height=230,
        xaxis=axis(showgrid=False, tickformat="d", nticks=12),
        yaxis=axis(tickformat=".0%", rangemode="tozero", nticks=5),
    )


def active_figure(days: pl.DataFrame) -> go.Figure:
    """Persons active by day and in the 7 and 30 days before (rows of ACTIVE_PERSONS), complete days only."""
    known = days.filter("complete")
    named = (
        ("dau", "in a day", None),
        ("wau", "in 7 days", "full_week"),
        ("mau", "in 30 days", "full_month"),
    )
    traces = []
    for number, (name, words, full) in enumerate(named):
        shown = known if full is None else known.filter(full)
        traces.append(
            _line(dates(shown["day"]), shown[name].to_list(), f"active {words}", LINE_COLORS[number])
        )
    return _lines(traces)


def usage_interval_figure(pauses: pl.DataFrame, interval: float | None, unit: str) -> go.Figure:
    """Share of persons by the pause within which they come again (rows of USAGE_INTERVAL_PAUSES)."""
    known = pauses.sort("pause")
    line = go.Scatter(
        x=known["pause"].to_list(),
        y=known["share"].to_list(),
        mode="lines+markers",
        line={"color": BLUE, "width": 2, "shape": "hv"},
        marker={"size": 5},
        customdata=[
            [
                f"{formats.count(row['within'])} of {formats.count(row['n'])}",
                formats.percent(row["share"]),
                formats.percent_interval(row["share_low"], row["share_high"]),
            ]
            for row in known.to_dicts()
        ],
        hovertemplate=f"<b>within %{{x}} {unit}s</b><br>%{{customdata[0]}} persons<br>%{{customdata[1]}} "
        "(%{customdata[2]})<extra></extra>",
    )
    ends = {"y0": 0, "y1": 1, "yref": "paper"}
    mark = {"type": "line", "layer": "below", "line": {"color": GREY, "width": 1, "dash": "dot"}}
    return figure(
        [band(known["pause"], known["share_low"], known["share_high"]), line],
        height=230,
        xaxis=axis(showgrid=False, tickformat="d", nticks=10, rangemode="tozero"),
        yaxis=axis(tickformat=".0%", rangemode="tozero", nticks=5),
        shapes=[] if interval is None else [{**mark, **ends, "x0": interval, "x1": interval}],
    )


def trends_figure(rows: pl.DataFrame) -> go.Figure:
    """One line a series and value (rows of TRENDS of one definition), with a band where one line alone has
    intervals; formulas dashed, beside series on an axis of their own. Periods that are not complete are left
    out: they are no drop."""
    known = rows.filter("complete")
    lines = [
        (str(label) + (f", {value}" if value else ""), len(str(series)) > 1, group.sort("starts_at"))
        for (series, label, value), group in known.group_by("series", "label", "value", maintain_order=True)
    ][:MOST_LINES]
    traces: list[Any] = []
    if len(lines) == 1:
        only = lines[0][2]
        traces.append(band(only["starts_at"].dt.date(), only["number_low"], only["number_high"]))
    apart = len({formula for _, formula, _ in lines}) > 1
    for number, (name, formula, group) in enumerate(lines):
        line = _line(_when(group), group["number"].to_list(), name, LINE_COLORS[number % len(LINE_COLORS)])
        if formula and apart:
            line.update(yaxis="y2", line_dash="dash")
        traces.append(line)
    right = axis(overlaying="y", side="right", showgrid=False, rangemode="tozero", nticks=6)
    return _lines(traces, **({"yaxis2": right} if apart else {}))


def _when(periods: pl.DataFrame) -> list[str]:
    """Days, or moments where periods are shorter."""
    hours = periods["period_start"].is_duplicated().any() and periods["starts_at"].is_unique().all()
    return periods["starts_at"].dt.to_string("iso").to_list() if hours else dates(periods["period_start"])


def _line(x: list[Any], y: list[Any], name: str, color: str) -> Any:
    safe = plotly_label(name)
    return go.Scatter(
        x=x,
        y=y,
        mode="lines+markers" if len(x) <= MOST_MARKERS else "lines",
        name=safe,
        line={"color": color, "width": 2},
        marker={"size": 4},
        hovertemplate="<b>%{x}</b><br>%{fullData.name}: %{y:,.4g}<extra></extra>",
    )


def _lines(traces: list[Any], **layout: Any) -> go.Figure:
    return figure(
        traces,
        height=300,
        showlegend=True,
        legend={"orientation": "h", "y": -0.2},
        xaxis=axis(showgrid=False, nticks=8),
        yaxis=axis(rangemode="tozero", nticks=6),
        **layout,
    )
