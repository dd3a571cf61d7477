"""Answers as HTML, for notebooks and files."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from opsanalytics.reports import formats

PAGE = (
    '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
    '<meta name="viewport" content="width=device-width, initial-scale=1">'
    "<style>body{{font-family:system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}}"
    "table{{border-collapse:collapse;margin:1rem 0}}th,td{{padding:.25rem .75rem;text-align:right}}"
    "th:first-child,td:first-child{{text-align:left}}caption{{text-align:left;font-weight:600}}"
    "tr:nth-child(even){{background:#f4f4f1}}</style></head>\n<body>\n{body}\n</body></html>\n"
)


def table(caption: str, heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table; every text is escaped."""
    head = "".join(f"<th>{escape(one)}</th>" for one in heads)
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    title = f"<caption>{escape(caption)}</caption>"
    return f"<table>{title}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def page(title: str, parts: Sequence[str]) -> str:
    """A page by itself, without anything from a network."""
    return PAGE.format(title=escape(title), body="\n".join(parts))


def share(row: Mapping[str, Any], name: str = "rate") -> str:
    """`12.3 % (10.1 to 14.8 %)`; the sign for nothing where there is no rate."""
    if row[name] is None:
        return formats.NONE
    interval = formats.percent_interval(row[f"{name}_low"], row[f"{name}_high"])
    return f"{formats.percent(row[name])} ({interval})"
