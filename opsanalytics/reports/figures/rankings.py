"""Charts of ranked things: feedback themes, backlog items."""

import plotly.graph_objects as go
import polars as pl

from opsanalytics.reports import formats
from opsanalytics.reports.figures.style import (
    BAR,
    DOT_ROW,
    GREY,
    LABEL_LIMIT,
    ROW,
    RUST,
    axis,
    error_bar,
    figure,
    hidden_axis,
    row_labels,
    vertical,
)
from opsanalytics.reports.text import plotly_label


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
        shapes=[vertical(0.0)],
    )
