"""Charts of sessions, paths and cohorts."""

import plotly.graph_objects as go
import polars as pl

from opsanalytics.reports import formats
from opsanalytics.reports.figures.style import (
    BAR,
    BLUE,
    GREY,
    LABEL_LIMIT,
    ROW,
    TRACK,
    axis,
    dates,
    error_bar,
    figure,
    hidden_axis,
    row_labels,
)
from opsanalytics.reports.text import plotly_label

SANKEY_ROW = 34
"""Pixels of height for each label of the fullest step."""


def sessions_figure(periods: pl.DataFrame) -> go.Figure:
    """Bounce rate by period with its interval (rows of SESSIONS); incomplete periods are hollow."""
    rows = periods.filter(pl.col("period_start").is_not_null(), pl.col("n") > 0).sort("period_start")
    rates = rows["bounce_rate"].to_list()
    customdata = [
        [
            formats.day(row["period_start"]),
            formats.percent(row["bounce_rate"]),
            f"{formats.count(row['bounced'])} of {formats.count(row['n'])}",
            formats.percent_interval(row["bounce_low"], row["bounce_high"]),
            formats.duration(row["median_seconds"]),
        ]
        for row in rows.to_dicts()
    ]
    dots = go.Scatter(
        x=dates(rows["period_start"]),
        y=rates,
        mode="lines+markers",
        line={"color": BLUE, "width": 2},
        marker={
            "size": 8,
            "color": BLUE,
            "symbol": ["circle" if complete else "circle-open" for complete in rows["complete"]],
        },
        error_y=error_bar(rates, rows["bounce_low"].to_list(), rows["bounce_high"].to_list()),
        customdata=customdata,
        hovertemplate="<b>%{customdata[0]}</b><br>%{customdata[1]} bounced (%{customdata[3]}), "
        "%{customdata[2]}<br>median length %{customdata[4]}<extra></extra>",
    )
    return figure(
        [dots], height=280, xaxis=axis(), yaxis=axis(rangemode="tozero", tickformat=".0%", nticks=5)
    )


def paths_figure(steps: pl.DataFrame) -> go.Figure:
    """Steps as a Sankey diagram in order of time (rows of PATHS); flows of small n are pale."""
    rows = steps.to_dicts()
    backwards = any(row["step"] < 0 for row in rows)
    deepest = max((abs(row["step"]) for row in rows), default=0)
    places: dict[tuple[int, str], int] = {}

    def place(level: int, label: str) -> int:
        return places.setdefault((level, label), len(places))

    links = []
    for row in rows:
        level = abs(row["step"])
        ends = [place(level - 1, row["from_event"]), place(level, row["to_event"])]
        source, target = reversed(ends) if backwards else ends
        links.append((source, target, row))
    shown = list(places)
    columns = [deepest - level if backwards else level for level, _ in shown]
    sankey = go.Sankey(
        arrangement="snap",
        node={
            "label": [plotly_label(label, LABEL_LIMIT) for _, label in shown],
            "x": [0.001 + 0.998 * column / max(deepest, 1) for column in columns],
            "y": _heights(shown, rows),
            "color": [GREY if label.startswith("(") else BLUE for _, label in shown],
            "pad": 14,
            "thickness": 12,
            "line": {"width": 0},
            "hovertemplate": "<b>%{label}</b><br>%{value} paths<extra></extra>",
        },
        link={
            "source": [source for source, _, _ in links],
            "target": [target for _, target, _ in links],
            "value": [row["count"] for _, _, row in links],
            "color": [TRACK if row["small"] else "rgba(61, 133, 184, 0.3)" for _, _, row in links],
            "customdata": [
                [
                    f"{formats.count(row['count'])} of {formats.count(row['n'])}",
                    formats.percent(row["rate"]),
                    formats.percent_interval(row["rate_low"], row["rate_high"]),
                    formats.duration(row["median_seconds"]),
                ]
                for _, _, row in links
            ],
            "hovertemplate": "%{source.label} › %{target.label}<br>%{customdata[0]} paths, %{customdata[1]} "
            "(%{customdata[2]})<br>median time %{customdata[3]}<extra></extra>",
        },
    )
    fullest = max((columns.count(column) for column in set(columns)), default=1)
    return figure([sankey], height=max(240, SANKEY_ROW * fullest + 40))


def _heights(shown: list[tuple[int, str]], rows: list[dict[str, object]]) -> list[float]:
    """Where each label stands in its column: largest on top, ends at the bottom."""
    size: dict[tuple[int, str], int] = {}
    for row in rows:
        level, count = abs(int(str(row["step"]))), int(str(row["count"]))
        key = (level, str(row["to_event"]))
        size[key] = size.get(key, 0) + count
        if level == 1:
            start = (0, str(row["from_event"]))
            size[start] = size.get(start, 0) + count
    ranks: dict[tuple[int, str], float] = {}
    for level in {level for level, _ in shown}:
        column = [key for key in shown if key[0] == level]
        column.sort(key=lambda key: (key[1].startswith("("), -size.get(key, 0), key[1]))
        whole = sum(size.get(key, 0) for key in column) or 1
        above = 0.0
        for key in column:
            share = size.get(key, 0) / whole
            ranks[key] = min(max(above + share / 2, 0.001), 0.999)
            above += share
    return [ranks[key] for key in shown]


def cohort_figure(cohorts: pl.DataFrame) -> go.Figure:
    """Share of persons in each cohort with its interval (rows of COHORTS)."""
    rows = cohorts.sort("cohort").to_dicts()
    shares = [row["rate"] or 0.0 for row in rows]
    bars = go.Bar(
        x=shares,
        y=list(range(len(rows))),
        width=0.3,
        orientation="h",
        marker={"color": [TRACK if row["small"] else BAR for row in rows]},
        error_x=error_bar(shares, [row["rate_low"] for row in rows], [row["rate_high"] for row in rows]),
        customdata=[
            [
                plotly_label(row["cohort"]),
                f"{formats.count(row['persons'])} of {formats.count(row['n'])}",
                formats.percent_interval(row["rate_low"], row["rate_high"]),
            ]
            for row in rows
        ],
        hovertemplate="<b>%{customdata[0]}</b><br>%{customdata[1]} persons (%{customdata[2]})<extra></extra>",
    )
    top = max([row["rate_high"] or 0.0 for row in rows], default=1.0) or 1.0
    return figure(
        [bars],
        height=ROW * len(rows) + 16,
        xaxis=hidden_axis(range=[0, top * 1.04]),
        yaxis=hidden_axis(range=[len(rows) - 0.6, -0.75]),
        annotations=row_labels(
            [plotly_label(row["cohort"], LABEL_LIMIT) for row in rows],
            [f"{formats.count(row['persons'])} · <b>{formats.percent(row['rate'])}</b>" for row in rows],
        ),
    )
