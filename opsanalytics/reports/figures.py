"""Charts as Plotly figures, made of nothing but the rows of marts. User text in them is neutralised.

Frames passed in hold one funnel, segment or retention, sorted as their tables say. Rates go from 0 to 1.
"""

from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

import plotly.graph_objects as go
import polars as pl

from opsanalytics.reports import formats
from opsanalytics.reports.chart_style import (
    BAND,
    BAR,
    BLUE,
    DOT_ROW,
    GREY,
    INCOMPLETE,
    PALE_SCALE,
    ROW,
    RUST,
    SCALE,
    TRACK,
    axis,
    error_bar,
    figure,
    hidden_axis,
    row_labels,
)
from opsanalytics.reports.text import plotly_label

LABEL_LIMIT = 30
"""Characters of a row label that fit beside a value on a phone."""

CELL_TEXT_COLUMNS = 14
"""More periods than this leave no room for a number in the cells of a heat map on a phone."""

FINDING_Q = 0.05
"""Breakdown values with a q value below this differ from the others; the rest is noise until shown."""


def funnel_figure(steps: pl.DataFrame) -> go.Figure:
    """Share of entrants that reached each step, with its 95 % interval (rows of FUNNEL_STEPS)."""
    rows = steps.sort("step").to_dicts()
    rates = [row["rate"] or 0.0 for row in rows]
    places = list(range(len(rows)))
    hover = [
        [
            plotly_label(row["step_name"]),
            formats.count(row["persons"]),
            formats.count(row["entered"]),
            formats.percent(row["rate"]),
            formats.percent_interval(row["rate_low"], row["rate_high"]),
        ]
        for row in rows
    ]
    bar = {"orientation": "h", "y": places, "width": 0.36}
    track = go.Bar(x=[1.0] * len(rows), marker={"color": TRACK}, hoverinfo="skip", **bar)
    reached = go.Bar(
        x=rates,
        marker={"color": BAR},
        error_x=error_bar(
            rates, [row["rate_low"] or 0.0 for row in rows], [row["rate_high"] or 0.0 for row in rows]
        ),
        customdata=hover,
        hovertemplate="<b>%{customdata[0]}</b><br>%{customdata[1]} of %{customdata[2]} persons"
        "<br>%{customdata[3]} (%{customdata[4]})<extra></extra>",
        **bar,
    )
    labels = [f"{row['step']}. {plotly_label(row['step_name'], LABEL_LIMIT)}" for row in rows]
    values = [f"{formats.count(row['persons'])} · <b>{formats.percent(row['rate'])}</b>" for row in rows]
    return figure(
        [track, reached],
        height=ROW * len(rows) + 16,
        barmode="overlay",
        xaxis=hidden_axis(range=[0, 1]),
        yaxis=hidden_axis(range=[len(rows) - 0.6, -0.75]),
        annotations=row_labels(labels, values),
    )


def funnel_trend_figure(trend: pl.DataFrame, *, markers: bool = True) -> go.Figure:
    """Conversion by week of entry with its interval band (rows of FUNNEL_TREND).

    Weeks without a row break the line. Incomplete weeks are hollow, on a dashed line.
    """
    weeks = _every_week(trend)
    complete = weeks.with_columns(
        pl.when(pl.col("complete")).then(pl.col(name)).alias(name)
        for name in ("rate", "rate_low", "rate_high")
    )
    traces: list[Any] = [_band(weeks["period_start"], complete["rate_low"], complete["rate_high"])]
    traces.append(
        go.Scatter(
            x=_dates(weeks["period_start"]),
            y=complete["rate"].to_list(),
            mode="lines+markers" if markers else "lines",
            line={"color": BLUE, "width": 2 if markers else 1},
            marker={"size": 6},
            customdata=_week_hover(weeks),
            hovertemplate=_WEEK_HOVER,
            name="complete weeks",
        )
    )
    open_weeks = weeks.filter(~pl.col("complete") & pl.col("rate").is_not_null())
    if open_weeks.height:
        last_complete = weeks.filter(
            pl.col("complete") & (pl.col("period_start") < open_weeks["period_start"].min())
        ).tail(1)
        joined = pl.concat([last_complete, open_weeks])
        traces.append(
            go.Scatter(
                x=_dates(joined["period_start"]),
                y=joined["rate"].to_list(),
                mode="lines+markers",
                line={"color": BLUE, "width": 1.4, "dash": "dot"},
                marker={
                    "size": [0] * last_complete.height + [8] * open_weeks.height,
                    "symbol": "circle-open",
                    "line": {"width": 1.6},
                },
                customdata=_week_hover(joined),
                hovertemplate=_WEEK_HOVER,
                name="incomplete weeks",
            )
        )
    return figure(
        traces,
        height=240 if markers else 180,
        margin={"l": 8, "r": 12, "t": 8, "b": 8},
        xaxis=axis(type="date", showgrid=False, **_week_ticks(weeks["period_start"], markers=markers)),
        yaxis=axis(tickformat=".0%" if _wide(complete) else ".1%", rangemode="tozero", nticks=5),
    )


def breakdown_figure(values: pl.DataFrame, overall: float | None) -> go.Figure:
    """Conversion over the whole funnel by value of one segment (last step's rows of FUNNEL_BREAKDOWN).

    Values with q below 0.05 are filled, others hollow; the vertical line is everybody's rate.
    """
    rows = values.filter(pl.col("rate").is_not_null()).to_dicts()
    rates = [row["rate"] for row in rows]
    finding = [row["q_value"] is not None and row["q_value"] < FINDING_Q for row in rows]
    dots = go.Scatter(
        x=rates,
        y=list(range(len(rows))),
        mode="markers",
        marker={
            "size": 10,
            "color": [RUST if is_finding else GREY for is_finding in finding],
            "symbol": ["circle" if is_finding else "circle-open" for is_finding in finding],
            "line": {"width": 1.6, "color": [RUST if is_finding else GREY for is_finding in finding]},
        },
        error_x=error_bar(rates, [row["rate_low"] for row in rows], [row["rate_high"] for row in rows]),
        customdata=[
            [
                plotly_label(row["value"]),
                formats.count(row["entered"]),
                formats.points(row["difference"]),
                formats.points_interval(row["difference_low"], row["difference_high"]),
                formats.q_value(row["q_value"]),
            ]
            for row in rows
        ],
        hovertemplate="<b>%{customdata[0]}</b>, n %{customdata[1]}<br>%{customdata[2]} against all others"
        "<br>(%{customdata[3]}), q %{customdata[4]}<extra></extra>",
    )
    top = max([row["rate_high"] for row in rows] + [overall or 0.0], default=1.0)
    lines = [] if overall is None else [_vertical(overall)]
    return figure(
        [dots],
        height=DOT_ROW * len(rows) + 44,
        xaxis=axis(range=[0, min(1.02, top * 1.08)], tickformat=".0%", nticks=5),
        yaxis=hidden_axis(range=[len(rows) - 0.5, -0.85]),
        annotations=row_labels(
            [plotly_label(row["value"], LABEL_LIMIT) for row in rows],
            [f"n {formats.count(row['entered'])} · <b>{formats.percent(row['rate'])}</b>" for row in rows],
        ),
        shapes=lines,
    )


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
            text=each(lambda row: _cell_text(row, mark), otherwise=""),
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
        [_band(pooled["period"], pooled["rate_low"], pooled["rate_high"]), line],
        height=230,
        margin={"l": 8, "r": 12, "t": 8, "b": 8},
        xaxis=axis(showgrid=False, tickformat="d", nticks=10),
        yaxis=axis(tickformat=".0%", rangemode="tozero", nticks=5),
    )


def theme_figure(themes: pl.DataFrame) -> go.Figure:
    """Share of authors that speak of each theme, with its interval (rows of FEEDBACK_THEMES)."""
    rows = themes.sort("rank", "theme_id").to_dicts()
    shares = [row["share"] or 0.0 for row in rows]
    bars = go.Bar(
        x=shares,
        y=list(range(len(rows))),
        width=0.3,
        orientation="h",
        marker={"color": BAR},
        error_x=error_bar(
            shares, [row["share_low"] or 0.0 for row in rows], [row["share_high"] or 0.0 for row in rows]
        ),
        customdata=[
            [
                plotly_label(row["label"], 60),
                f"{formats.count(row['authors'])} of {formats.count(row['n'])}",
                formats.percent_interval(row["share_low"], row["share_high"]),
            ]
            for row in rows
        ],
        hovertemplate="<b>%{customdata[0]}</b><br>%{customdata[1]} authors (%{customdata[2]})<extra></extra>",
    )
    top = max([row["share_high"] or 0.0 for row in rows], default=1.0)
    return figure(
        [bars],
        height=ROW * len(rows) + 16,
        xaxis=hidden_axis(range=[0, top * 1.04]),
        yaxis=hidden_axis(range=[len(rows) - 0.6, -0.75]),
        annotations=row_labels(
            [plotly_label(row["label"], LABEL_LIMIT) for row in rows],
            [f"{formats.count(row['authors'])} · <b>{formats.percent(row['share'])}</b>" for row in rows],
        ),
    )


def loss_figure(items: pl.DataFrame) -> go.Figure:
    """Final conversions lost per week with their interval, in the order of `items`.

    Takes `title`, `status`, `lost_per_week`, `lost_low` and `lost_high`. Findings are filled, items on
    watch hollow.
    """
    rows = items.filter(pl.col("lost_per_week").is_not_null()).to_dicts()
    losses = [row["lost_per_week"] for row in rows]
    low = [row["lost_low"] if row["lost_low"] is not None else row["lost_per_week"] for row in rows]
    high = [row["lost_high"] if row["lost_high"] is not None else row["lost_per_week"] for row in rows]
    finding = [row["status"] == "finding" for row in rows]
    dots = go.Scatter(
        x=losses,
        y=list(range(len(rows))),
        mode="markers",
        marker={
            "size": 10,
            "color": [RUST if is_finding else GREY for is_finding in finding],
            "symbol": ["circle" if is_finding else "circle-open" for is_finding in finding],
            "line": {"width": 1.6, "color": [RUST if is_finding else GREY for is_finding in finding]},
        },
        error_x=error_bar(losses, low, high),
        customdata=[
            [
                plotly_label(row["title"], 60),
                formats.number(row["lost_per_week"]),
                formats.number_interval(row["lost_low"], row["lost_high"]),
            ]
            for row in rows
        ],
        hovertemplate="<b>%{customdata[0]}</b><br>%{customdata[1]} lost a week (%{customdata[2]})"
        "<extra></extra>",
    )
    return figure(
        [dots],
        height=DOT_ROW * len(rows) + 44,
        xaxis=axis(range=[min([*low, 0.0]) * 1.08, max([*high, 1.0]) * 1.08], nticks=6),
        yaxis=hidden_axis(range=[len(rows) - 0.5, -0.85]),
        annotations=row_labels(
            [plotly_label(row["title"], LABEL_LIMIT + 8) for row in rows],
            [f"<b>{formats.number(row['lost_per_week'])}</b>" for row in rows],
        ),
        shapes=[_vertical(0.0)],
    )


def _cell_text(row: dict[str, Any], mark: str) -> str:
    """No number where nobody could return yet: a cell that has just begun is not a cell of zero."""
    return mark if mark and not row["returned"] else f"{row['rate'] * 100:.0f}{mark}"


_WEEK_HOVER = (
    "<b>Week of %{customdata[0]}</b><br>%{customdata[1]} persons<br>%{customdata[2]} (%{customdata[3]})"
    "%{customdata[4]}<extra></extra>"
)


def _week_hover(weeks: pl.DataFrame) -> list[list[str]]:
    return [
        [
            formats.day(row["period_start"]),
            f"{formats.count(row['converted'])} of {formats.count(row['entered'])}",
            formats.percent(row["rate"]),
            formats.percent_interval(row["rate_low"], row["rate_high"]),
            "" if row["complete"] else "<br>incomplete",
        ]
        for row in weeks.to_dicts()
    ]


def _every_week(trend: pl.DataFrame) -> pl.DataFrame:
    """One row a week from first to last; weeks without a row have a null rate."""
    if trend.is_empty():
        return trend
    starts = trend["period_start"].to_list()
    first, last = min(starts), max(starts)
    calendar = [first + timedelta(days=7 * week) for week in range((last - first).days // 7 + 1)]
    weeks = pl.DataFrame({"period_start": sorted({*calendar, *starts})}, schema={"period_start": pl.Date})
    joined = weeks.join(trend, on="period_start", how="left", maintain_order="left")
    return joined.with_columns(pl.col("complete").fill_null(value=True))


def _band(x: pl.Series, low: pl.Series, high: pl.Series) -> Any:
    """The interval as one closed shape for every run of weeks or periods without a gap."""
    xs: list[Any] = []
    ys: list[float | None] = []
    run: list[tuple[Any, float, float]] = []
    for place, bottom, top in [*zip(_dates(x), low, high, strict=True), (None, None, None)]:
        if bottom is not None and top is not None:
            run.append((place, bottom, top))
        elif run:
            xs += [point[0] for point in run] + [point[0] for point in reversed(run)] + [None]
            ys += [point[2] for point in run] + [point[1] for point in reversed(run)] + [None]
            run = []
    return go.Scatter(
        x=xs, y=ys, mode="lines", line={"width": 0}, fill="toself", fillcolor=BAND, hoverinfo="skip"
    )


def _week_ticks(starts: pl.Series, *, markers: bool) -> dict[str, Any]:
    """At most six ticks, each at the start of a week, the last week among them; years in the long view."""
    if not markers:
        return {"tickformat": "%Y", "nticks": 8}
    shown = starts.to_list()[::-1][:: -(-starts.len() // 6)][::-1]
    return {
        "tickmode": "array",
        "tickvals": [start.isoformat() for start in shown],
        "ticktext": [formats.short_day(start).rsplit(" ", 1)[0] for start in shown],
    }


def _dates(values: pl.Series) -> list[Any]:
    return [value.isoformat() if isinstance(value, date) else value for value in values.to_list()]


def _vertical(x: float) -> dict[str, Any]:
    ends = {"x0": x, "x1": x, "y0": 0, "y1": 1, "yref": "paper"}
    return {"type": "line", "layer": "below", "line": {"color": GREY, "width": 1, "dash": "dot"}, **ends}


def _wide(weeks: pl.DataFrame) -> bool:
    top = weeks["rate_high"].max()
    return isinstance(top, float) and top >= 0.05
