"""Charts of funnels, made of nothing but the rows of marts of one funnel. Rates go from 0 to 1."""

from datetime import timedelta
from typing import Any

import plotly.graph_objects as go
import polars as pl

from opsanalytics.reports import formats
from opsanalytics.reports.figures.style import (
    BAR,
    BLUE,
    DOT_ROW,
    GREY,
    LABEL_LIMIT,
    ROW,
    RUST,
    TRACK,
    axis,
    band,
    dates,
    error_bar,
    figure,
    hidden_axis,
    row_labels,
    vertical,
)
from opsanalytics.reports.text import plotly_label

TIME_TICKS = 6
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
    traces: list[Any] = [band(weeks["period_start"], complete["rate_low"], complete["rate_high"])]
    traces.append(
        go.Scatter(
            x=dates(weeks["period_start"]),
            y=complete["rate"].to_list(),
            mode="lines+markers" if markers else "lines",
            line={"color": BLUE, "width": 2 if markers else 1},
            marker={"size": 6},
            error_y=_alone(complete["rate"], complete["rate_low"], complete["rate_high"]),
            cliponaxis=False,
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
                x=dates(joined["period_start"]),
                y=joined["rate"].to_list(),
                mode="lines+markers",
                line={"color": BLUE, "width": 1.4, "dash": "dot"},
                marker={
                    "size": [0] * last_complete.height + [8] * open_weeks.height,
                    "symbol": "circle-open",
                    "line": {"width": 1.6},
                },
                error_y=error_bar(
                    *(
                        [None] * last_complete.height + open_weeks[name].to_list()
                        for name in ("rate", "rate_low", "rate_high")
                    )
                ),
                cliponaxis=False,
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


def times_figure(histogram: pl.DataFrame) -> go.Figure:
    """How long conversions took (`from_seconds`, `to_seconds`, `persons` of bins)."""
    rows = histogram.to_dicts()
    spans = [
        f"{formats.duration(row['from_seconds'])} to {formats.duration(row['to_seconds'])}" for row in rows
    ]
    bars = go.Bar(
        x=list(range(len(rows))),
        y=[row["persons"] for row in rows],
        marker={"color": BAR},
        customdata=[[span, formats.count(row["persons"])] for span, row in zip(spans, rows, strict=True)],
        hovertemplate="<b>%{customdata[0]}</b><br>%{customdata[1]} persons<extra></extra>",
    )
    every = -(-len(rows) // TIME_TICKS) or 1
    shown = list(range(0, len(rows), every))
    return figure(
        [bars],
        height=220,
        bargap=0.08,
        xaxis=axis(
            showgrid=False,
            tickmode="array",
            tickvals=[place - 0.5 for place in shown],
            ticktext=[formats.duration(rows[place]["from_seconds"]) for place in shown],
        ),
        yaxis=axis(rangemode="tozero", nticks=5),
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
    lines = [] if overall is None else [vertical(overall)]
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


def _alone(rate: pl.Series, low: pl.Series, high: pl.Series) -> dict[str, Any]:
    """Whiskers for points without a neighbour, where the band has no width to be seen."""
    rates = [None, *rate.to_list(), None]
    alone = [
        before is None and here is not None and after is None
        for before, here, after in zip(rates, rates[1:], rates[2:], strict=False)
    ]
    return error_bar(
        *(
            [value if single else None for value, single in zip(values.to_list(), alone, strict=True)]
            for values in (rate, low, high)
        )
    )


def _wide(weeks: pl.DataFrame) -> bool:
    top = weeks["rate_high"].max()
    return isinstance(top, float) and top >= 0.05
