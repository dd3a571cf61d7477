"""Charts of what fixes did: the gap by week, what was predicted and measured, how predictions held."""

from typing import Any

import plotly.graph_objects as go
import polars as pl

from opsanalytics.reports import formats
from opsanalytics.reports.figures.style import (
    BLUE,
    DOT_ROW,
    GREY,
    LABEL_LIMIT,
    POINTS,
    RUST,
    axis,
    band,
    dates,
    error_bar,
    figure,
    hidden_axis,
    points_axis,
    row_labels,
    vertical,
)
from opsanalytics.reports.text import plotly_label

CALIBRATION_SIDE = 320


def gap_figure(weeks: pl.DataFrame, shipped: str | None, *, money: bool, compared: bool = True) -> go.Figure:
    """The gap by stretches of seven days around shipping: `day` (their middle), `y`, `low`, `high`.

    `shipped`: the day, ISO; a dotted line. `money`: the unit is not a share. `compared`: `y` is a difference
    of two shares, which is in percentage points; without, it is a share.
    """
    if money:
        told, between, side = formats.number, formats.number_interval, axis(nticks=5)
    elif compared:
        told, between, side = formats.points, formats.points_interval, points_axis(nticks=5)
    else:
        told, between, side = formats.percent, formats.percent_interval, axis(tickformat=".0%", nticks=5)
    by = POINTS if compared and not money else 1.0
    weeks = weeks.with_columns((pl.col(name) * by).alias(f"{name}_shown") for name in ("y", "low", "high"))
    line = go.Scatter(
        x=dates(weeks["day"]),
        y=weeks["y_shown"].to_list(),
        mode="lines+markers",
        line={"color": BLUE, "width": 2},
        marker={"size": 6, "color": BLUE},
        customdata=[
            [
                told(row["y"]),
                "" if row["low"] is None else f" ({between(row['low'], row['high'])})",
                formats.count(row["units"]),
            ]
            for row in weeks.iter_rows(named=True)
        ],
        hovertemplate="%{x}<br>%{customdata[0]}%{customdata[1]}<br>n %{customdata[2]}<extra></extra>",
        cliponaxis=False,
    )
    marks = [] if shipped is None else [vertical(shipped)]  # type: ignore[arg-type]
    notes = (
        []
        if shipped is None
        else [
            {
                "text": "shipped",
                "x": shipped,
                "y": 1,
                "yref": "paper",
                "xanchor": "left",
                "yanchor": "top",
                "showarrow": False,
                "font": {"size": 12},
            }
        ]
    )
    return figure(
        [band(weeks["day"], weeks["low_shown"], weeks["high_shown"]), line],
        height=220,
        margin={"l": 8, "r": 12, "t": 8, "b": 8},
        xaxis=axis(type="date", showgrid=False, nticks=6, tickformat="%d %b"),
        yaxis=side,
        shapes=marks,
        annotations=notes,
    )


def change_figure(row: dict[str, object], *, money: bool) -> go.Figure:
    """What was predicted, what was measured, and what pretended shippings showed (a row of VERIFICATIONS)."""
    told, by = (formats.number, 1.0) if money else (formats.points, POINTS)
    rows = [
        ("Predicted", row["expected"], row["expected_low"], row["expected_high"], BLUE),
        ("Measured", row["change"], row["change_low"], row["change_high"], RUST),
    ]
    shown = [each for each in rows if each[1] is not None]
    values = [float(str(each[1])) for each in shown]
    places = [value * by for value in values]
    lows, highs = ([_float(each[at], by) for each in shown] for at in (2, 3))
    dots = go.Scatter(
        x=places,
        y=list(range(len(shown))),
        mode="markers",
        marker={"size": 10, "color": [each[4] for each in shown]},
        error_x=error_bar(places, lows, highs),
        customdata=[[name, told(value)] for (name, *_), value in zip(shown, values, strict=True)],
        hovertemplate="<b>%{customdata[0]}</b> %{customdata[1]}<extra></extra>",
    )
    placebos = [float(each) for each in row["placebo_changes"]]  # type: ignore[attr-defined]
    traces = [dots]
    labels, texts = [each[0] for each in shown], [f"<b>{told(value)}</b>" for value in values]
    if placebos:
        traces.append(
            go.Scatter(
                x=[value * by for value in placebos],
                y=[len(shown)] * len(placebos),
                mode="markers",
                marker={"size": 8, "color": GREY, "symbol": "circle-open", "line": {"width": 1.6}},
                customdata=[
                    [str(day), told(value)]
                    for day, value in zip(row["placebo_days"], placebos, strict=True)  # type: ignore[call-overload]
                ],
                hovertemplate="had it shipped on %{customdata[0]}: %{customdata[1]}<extra></extra>",
            )
        )
        labels.append("Pretended shippings before")
        texts.append(formats.count(len(placebos)))
    ends = [*lows, *highs, *places, *(value * by for value in placebos)]
    known = [each for each in ends if each is not None]
    low, high = min([0.0, *known]), max([0.0, *known])
    room = (high - low or 0.01 * by) * 0.06
    span: dict[str, Any] = {"range": [low - room, high + room], "nticks": 6}
    return figure(
        traces,
        height=DOT_ROW * len(labels) + 60,
        xaxis=axis(**span) if money else points_axis(**span),
        yaxis=hidden_axis(range=[len(labels) - 0.5, -0.85]),
        annotations=row_labels(labels, texts),
        shapes=[vertical(0.0)],
    )


def calibration_figure(ledger: pl.DataFrame) -> go.Figure:
    """Measured against predicted change (rows of PREDICTION_LEDGER): on the line, predictions come true."""
    rows = ledger.to_dicts()
    predicted, measured = (
        [row[f"{which}_change"] * POINTS for row in rows] for which in ("predicted", "measured")
    )
    dots = go.Scatter(
        x=predicted,
        y=measured,
        mode="markers",
        marker={
            "size": 10,
            "color": [RUST if row["agrees"] else GREY for row in rows],
            "symbol": ["circle" if row["agrees"] else "circle-open" for row in rows],
            "line": {"width": 1.6, "color": [RUST if row["agrees"] else GREY for row in rows]},
        },
        error_x=error_bar(
            predicted,
            [row["predicted_change_low"] * POINTS for row in rows],
            [row["predicted_change_high"] * POINTS for row in rows],
        ),
        error_y=error_bar(
            measured,
            [row["measured_change_low"] * POINTS for row in rows],
            [row["measured_change_high"] * POINTS for row in rows],
        ),
        customdata=[
            [
                plotly_label(row["title"], LABEL_LIMIT * 2),
                formats.points(row["predicted_change"]),
                formats.points(row["measured_change"]),
            ]
            for row in rows
        ],
        hovertemplate="<b>%{customdata[0]}</b><br>predicted %{customdata[1]}, measured %{customdata[2]}"
        "<extra></extra>",
    )
    ends = [
        row[f"{which}_change_{end}"] * POINTS
        for row in rows
        for which in ("predicted", "measured")
        for end in ("low", "high")
    ]
    low, high = min([0.0, *ends]), max([1.0, *ends])
    room = (high - low) * 0.05
    line = {"x0": low, "y0": low, "x1": high, "y1": high, "type": "line", "layer": "below"}
    span = [low - room, high + room]
    across = [row[f"predicted_change_{end}"] * POINTS for row in rows for end in ("low", "high")]
    width = [min([0.0, *across]) - room, max([1.0, *across]) + room]
    return figure(
        [dots],
        height=CALIBRATION_SIDE,
        xaxis=points_axis("predicted, ", range=width, nticks=6),
        yaxis=points_axis("measured, ", range=span, nticks=6),
        shapes=[line | {"line": {"color": GREY, "width": 1, "dash": "dot"}}],
    )


def _float(value: object, by: float) -> float | None:
    return None if value is None else float(str(value)) * by
