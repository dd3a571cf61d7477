"""Small looks at a result for the Dagster UI: Markdown tables and pictures."""

import base64
from collections.abc import Sequence
from xml.sax.saxutils import escape

import dagster as dg
import polars as pl

from opsanalytics.cleaning.redaction import redact


def table_preview(frame: pl.DataFrame, rows: int = 10) -> dg.MarkdownMetadataValue:
    """The first rows as a Markdown table; text is redacted, shortened and escaped."""
    head = frame.head(rows)
    lines = ["| " + " | ".join(head.columns) + " |", "|" + " --- |" * len(head.columns)]
    lines += ["| " + " | ".join(_cell(value) for value in row) + " |" for row in head.iter_rows()]
    if frame.height > rows:
        lines.append(f"\n{rows} of {frame.height:,} rows")
    return dg.MetadataValue.md("\n".join(lines))


def bars_preview(labels: Sequence[str], values: Sequence[float | None]) -> dg.MarkdownMetadataValue:
    """Horizontal bars of rates from 0 to 1, as a picture in Markdown."""
    height = 26 * len(labels) + 6
    shapes = []
    for row, (label, value) in enumerate(zip(labels, values, strict=True)):
        top = 26 * row + 4
        width = round(300 * (value or 0), 1)
        shown = "no data" if value is None else f"{value:.1%}"
        shapes.append(
            f'<rect x="180" y="{top}" width="{width}" height="18" rx="3" fill="#4c6fff"/>'
            f'<text x="172" y="{top + 14}" text-anchor="end">{escape(label[:26])}</text>'
            f'<text x="{186 + width}" y="{top + 14}">{shown}</text>'
        )
    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="560" height="{height}" '
        f'font-family="sans-serif" font-size="12" fill="#777">{"".join(shapes)}</svg>'
    )
    encoded = base64.b64encode(svg.encode()).decode()
    return dg.MetadataValue.md(f"![bars](data:image/svg+xml;base64,{encoded})")


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.4g}"
    text = redact(str(value)) if isinstance(value, str | list) else str(value)
    text = " ".join(text.split())
    text = text if len(text) <= 60 else text[:57] + "..."
    return text.translate({ord(char): f"\\{char}" for char in "|<>`*_[]"})
