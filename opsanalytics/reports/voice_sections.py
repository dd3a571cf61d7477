"""What the page says about feedback themes and friction signals."""

from dataclasses import dataclass
from typing import Any

import polars as pl

from opsanalytics.reports import figures, formats
from opsanalytics.reports.charts import Chart
from opsanalytics.reports.data import ReportData
from opsanalytics.reports.text import anchor

MOST_IN_CHART = 10
MOST_OPEN = 6
MOST_PLACES = 12
KINDS = {
    "bugs": ("bug report", "bug reports"),
    "complaints": ("complaint", "complaints"),
    "requests": ("request", "requests"),
    "questions": ("question", "questions"),
    "praise": ("praise", "praise"),
    "other": ("other message", "other messages"),
}


@dataclass(frozen=True)
class ThemesView:
    """Feedback themes: the first ones open, the rest folded."""

    themes: list[dict[str, Any]]
    open: int
    authors: int
    chart: Chart | None


@dataclass(frozen=True)
class FrictionView:
    """Friction signals: what was seen, by persons met; what the data cannot tell."""

    signals: list[dict[str, Any]]
    unavailable: list[dict[str, Any]]


def themes_view(data: ReportData) -> ThemesView:
    """Themes by rank."""
    themes = data.feedback_themes
    rows = [
        row
        | {
            "anchor": anchor("theme", row["theme_id"]),
            "kinds": _kinds(row),
            "said": list(zip(row["quotes"], row["quote_ids"], strict=False)),
        }
        for row in themes.to_dicts()
    ]
    spoken = "; ".join(f"{row['label']}: {formats.percent(row['share'])}" for row in rows[:MOST_IN_CHART])
    chart = Chart(
        "themes-share",
        figures.theme_figure(themes.head(MOST_IN_CHART)),
        f"Bar chart of the share of authors by theme. {spoken}.",
    )
    return ThemesView(rows, MOST_OPEN, rows[0]["n"] if rows else 0, chart if rows else None)


def _kinds(theme: dict[str, Any]) -> str:
    """What its current messages are: `2 bug reports, 1 request`; empty if unknown."""
    counted = ((theme[column], words) for column, words in KINDS.items() if theme[column])
    return ", ".join(f"{formats.count(size)} {one if size == 1 else more}" for size, (one, more) in counted)


def friction_view(data: ReportData) -> FrictionView:
    """Signals in order of the persons who met them; each with its most met places."""
    seen = data.friction.filter(pl.col("available"))
    signals = []
    for (signal,), places in seen.group_by("signal", maintain_order=True):
        rows = places.sort("persons", "place", descending=[True, False], nulls_last=True).to_dicts()
        signals.append(
            {
                "signal": signal,
                "title": rows[0]["title"],
                "definition": rows[0]["reason"],
                "places": rows[:MOST_PLACES],
                "left_out": max(0, len(rows) - MOST_PLACES),
                "most": rows[0]["persons"] or 0,
            }
        )
    signals.sort(key=lambda entry: (-entry["most"], str(entry["signal"])))
    return FrictionView(signals, data.friction.filter(~pl.col("available")).to_dicts())
