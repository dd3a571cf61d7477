"""Pages and errors by name: the same place has one name, whatever ids its URL carries."""

import polars as pl

from opsanalytics.behavior.filters import property_text
from opsanalytics.behavior.urls import url_path


def page(columns: list[str], page_property: str) -> pl.Expr | None:
    """Page of an event: its page property, else the path of its URL; None if events can have neither.

    Host, query and fragment are dropped and ids in the path become `:id`.
    """
    sources = []
    if page_property in columns or "properties" in columns:
        sources.append(property_text(page_property, columns))
    if "url" in columns:
        sources.append(pl.col("url"))
    if not sources:
        return None
    return url_path(pl.coalesce(sources))


def error_place(columns: list[str], keys: tuple[str, ...], page_property: str) -> pl.Expr:
    """Name of an error: "CODE on /page", or what is known of it; without any, the event's name."""
    codes = [property_text(key, columns) for key in keys if key not in ("page", page_property)]
    code = pl.concat_str(codes, separator=" ", ignore_nulls=True) if codes else pl.lit("")
    name = pl.when(code != "").then(code).otherwise(pl.col("event"))
    where = page(columns, page_property) if {"page", page_property} & set(keys) else None
    if where is None:
        return name
    return pl.when(where.is_not_null()).then(pl.concat_str(name, pl.lit(" on "), where)).otherwise(name)


def optional_text(name: str, columns: list[str]) -> pl.Expr:
    """Value of a property as text; null for all where events can have no such property."""
    known = name in columns or "properties" in columns
    return property_text(name, columns) if known else pl.lit(None, pl.String)
