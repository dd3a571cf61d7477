"""Pages by their URL: the same page has one name, whatever ids its URL carries."""

import polars as pl

_ID = r"/(?:\d+|[0-9a-fA-F]{8}-[0-9a-fA-F-]{27}|[0-9a-fA-F]{12,})(/|$)"


def url_path(url: pl.Expr) -> pl.Expr:
    """The path of URLs (or paths), null if empty.

    Host, query, fragment and a slash at the end are dropped; ids become `:id`.
    """
    path = (
        url.str.strip_chars()
        .str.replace(r"^[A-Za-z][A-Za-z0-9+.-]*://[^/?#]*", "/")
        .str.replace(r"[?#].*$", "")
        .str.replace(r"^/+", "/")
    )
    for _ in range(2):  # neighbouring ids share a slash, so one pass sees every other one
        path = path.str.replace_all(_ID, "/:id$1")
    return path.str.replace(r"(.)/+$", "$1").replace("", None)
