"""Chart of a drop-off diagnosis."""

import plotly.graph_objects as go
import polars as pl

from opsanalytics.reports import formats
from opsanalytics.reports.diagnosis_words import KINDS, VERDICTS, what
from opsanalytics.reports.figures.style import (
    BLUE,
    DOT_ROW,
    GREY,
    LABEL_LIMIT,
    POINTS,
    RUST,
    error_bar,
    figure,
    hidden_axis,
    points_axis,
    row_labels,
    vertical,
)
from opsanalytics.reports.text import plotly_label

MOST_ROWS = 16
COLORS = {"drops_more": RUST, "stays_more": BLUE}


def diagnosis_figure(compared: pl.DataFrame) -> go.Figure:
    """Effects with their intervals (rows of DROP_OFF_DIAGNOSIS): findings filled, unclear ones hollow.

    What goes with dropping out stands on top. Comparisons that are neither are not shown.
    """
    order = pl.col("verdict").replace_strict({"drops_more": 0, "stays_more": 1, "unclear": 2})
    rows = (
        compared.filter(pl.col("verdict") != "no_finding")
        .sort(order, pl.col("effect").abs(), "kind", "name", "value", descending=[False, True, *[False] * 3])
        .head(MOST_ROWS)
        .to_dicts()
    )
    effects, low, high = (
        [None if row[name] is None else row[name] * POINTS for row in rows]
        for name in ("effect", "effect_low", "effect_high")
    )
    colors = [COLORS.get(row["verdict"], GREY) for row in rows]
    dots = go.Scatter(
        x=effects,
        y=list(range(len(rows))),
        mode="markers",
        marker={
            "size": 10,
            "color": colors,
            "symbol": ["circle" if row["verdict"] in COLORS else "circle-open" for row in rows],
            "line": {"width": 1.6, "color": colors},
        },
        error_x=error_bar(effects, low, high),
        customdata=[
            [
                plotly_label(f"{KINDS.get(row['kind'], row['kind'])} {what(row)}", 80),
                VERDICTS[row["verdict"]],
                formats.percent(row["rate_with"]),
                formats.percent(row["rate_without"]),
                formats.points_interval(row["effect_low"], row["effect_high"]),
                f"{formats.count(row['n_with'])} of {formats.count(row['n'])}",
            ]
            for row in rows
        ],
        hovertemplate="<b>%{customdata[0]}</b>: %{customdata[1]}<br>%{customdata[2]} went on, comparable "
        "others %{customdata[3]}<br>(%{customdata[4]}), %{customdata[5]} persons<extra></extra>",
    )
    widest = max([abs(end) for end in (*low, *high) if end is not None], default=10.0) * 1.08
    return figure(
        [dots],
        height=DOT_ROW * len(rows) + 60,
        xaxis=points_axis(range=[-widest, widest], nticks=5),
        yaxis=hidden_axis(range=[len(rows) - 0.5, -0.85]),
        annotations=row_labels(
            [plotly_label(what(row), LABEL_LIMIT + 8) for row in rows],
            [f"<b>{formats.points(row['effect'])}</b>" for row in rows],
        ),
        shapes=[vertical(0.0)],
    )
