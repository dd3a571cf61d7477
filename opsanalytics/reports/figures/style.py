"""The look all charts share. Text and grid colours are taken over by the page's style sheet (dark, print)."""

from collections.abc import Sequence
from datetime import date
from typing import Any

import plotly.graph_objects as go
import polars as pl

FONT = (
    '-apple-system, BlinkMacSystemFont, "Segoe UI", Roboto, "Noto Sans", "Liberation Sans", Arial, sans-serif'
)

BLUE = "#3d85b8"
BAR = "#6fa8cd"
BAND = "rgba(61, 133, 184, 0.2)"
RUST = "#bd5a2e"
GREY = "#868e98"
INK = "#1f252c"
TRACK = "rgba(128, 136, 146, 0.16)"
PAPER = "#faf9f6"
GRID = "rgba(128, 136, 146, 0.24)"

SCALE = ((0.0, "#eef4f7"), (0.55, "#a9cadd"), (0.8, "#4f8fb8"), (1.0, "#17486b"))
"""Low to high rates, readable without colour: it only gets darker."""

PALE_SCALE = ((0.0, "#f1f4f6"), (1.0, "#c5d3dc"))
"""The same for rates of few persons."""

INCOMPLETE = "rgba(128, 136, 146, 0.28)"

POINTS = 100.0
"""Percentage points in a difference of shares of 1: an axis in % would be read as relative."""

LABEL_LIMIT = 30
"""Characters of a row label that fit beside a value on a phone."""

ROW = 54
"""Pixels a labelled bar takes."""

DOT_ROW = 46


def figure(traces: list[Any], *, height: int, **layout: Any) -> go.Figure:
    """A figure in the shared style. Zoom and drag are off, so that a finger on it scrolls the page."""
    base: dict[str, Any] = {
        "template": "none",
        "height": height,
        "margin": {"l": 8, "r": 8, "t": 8, "b": 8},
        "font": {"family": FONT, "size": 13, "color": INK},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "showlegend": False,
        "dragmode": False,
        "hovermode": "closest",
        "hoverlabel": {
            "bgcolor": INK,
            "bordercolor": INK,
            "font": {"family": FONT, "size": 13, "color": "#ffffff"},
            "align": "left",
        },
    }
    return go.Figure(data=traces, layout=base | layout)


def hidden_axis(**settings: Any) -> dict[str, Any]:
    """An axis that only places things."""
    return {"visible": False, "fixedrange": True} | settings


def axis(**settings: Any) -> dict[str, Any]:
    """A quiet axis: thin grid, no line, no zero line."""
    return {
        "fixedrange": True,
        "showline": False,
        "zeroline": False,
        "gridcolor": GRID,
        "ticks": "",
        "tickfont": {"size": 12},
        "automargin": True,
    } | settings


def points_axis(what: str = "", **settings: Any) -> dict[str, Any]:
    """An axis of differences of shares, which are drawn times `POINTS`."""
    title = {"text": f"{what}percentage points", "font": {"size": 12}}
    return axis(title=title, tickformat="+~g", **settings)


def row_labels(labels: list[str], values: list[str]) -> list[dict[str, Any]]:
    """Annotations above rows 0, 1, 2, ... : label at the left edge, value at the right one.

    Labels above their mark instead of beside it leave the whole width of a phone to the chart.
    """
    notes: list[dict[str, Any]] = []
    for row, (label, value) in enumerate(zip(labels, values, strict=True)):
        for x, side, text in ((0, "left", label), (1, "right", value)):
            notes.append(
                {
                    "text": text,
                    "x": x,
                    "xref": "paper",
                    "xanchor": side,
                    "y": row - 0.24,
                    "yanchor": "bottom",
                    "showarrow": False,
                    "font": {"size": 13},
                    "bgcolor": PAPER,
                    "borderpad": 1,
                }
            )
    return notes


def error_bar(
    values: Sequence[float | None], low: Sequence[float | None], high: Sequence[float | None]
) -> dict[str, Any]:
    """Asymmetric whiskers from absolute bounds; none where a bound or the value is missing."""
    return {
        "type": "data",
        "symmetric": False,
        "array": [_distance(value, top) for value, top in zip(values, high, strict=True)],
        "arrayminus": [_distance(bottom, value) for value, bottom in zip(values, low, strict=True)],
        "color": GREY,
        "thickness": 1.6,
        "width": 4,
    }


def _distance(low: float | None, high: float | None) -> float | None:
    return None if low is None or high is None else high - low


def band(x: pl.Series, low: pl.Series, high: pl.Series) -> Any:
    """The interval as one closed shape for every run of weeks or periods without a gap."""
    xs: list[Any] = []
    ys: list[float | None] = []
    run: list[tuple[Any, float, float]] = []
    for place, bottom, top in [*zip(dates(x), low, high, strict=True), (None, None, None)]:
        if bottom is not None and top is not None:
            run.append((place, bottom, top))
        elif run:
            xs += [point[0] for point in run] + [point[0] for point in reversed(run)] + [None]
            ys += [point[2] for point in run] + [point[1] for point in reversed(run)] + [None]
            run = []
    return go.Scatter(
        x=xs, y=ys, mode="lines", line={"width": 0}, fill="toself", fillcolor=BAND, hoverinfo="skip"
    )


def dates(values: pl.Series) -> list[Any]:
    """Days as Plotly reads them; other values as they are."""
    return [value.isoformat() if isinstance(value, date) else value for value in values.to_list()]


def vertical(x: float) -> dict[str, Any]:
    """A dotted line over the whole height."""
    ends = {"x0": x, "x1": x, "y0": 0, "y1": 1, "yref": "paper"}
    return {"type": "line", "layer": "below", "line": {"color": GREY, "width": 1, "dash": "dot"}, **ends}
