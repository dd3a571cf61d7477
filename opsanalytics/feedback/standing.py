"""Where a message stands: what kind it is, whether it is settled, how many agree with it."""

from collections.abc import Mapping
from datetime import datetime, timedelta

import polars as pl

from opsanalytics.lake.schemas import KINDS, Kind

KIND_SEVERITY: Mapping[Kind, float] = {
    "bug": 1.0,
    "complaint": 0.8,
    "request": 0.5,
    "question": 0.5,
    "other": 0.25,
    "praise": 0.0,
}
"""How bad it is that somebody writes such a message, 0 to 1: an assumption, not a measurement."""
ASKING: tuple[Kind, ...] = ("bug", "complaint", "request")
"""Kinds that ask for a change of the product, each message for one of its own."""


def with_standing(
    messages: pl.DataFrame,
    as_of: datetime,
    *,
    window_weeks: int,
    own_item_votes: int,
    kind_severity: Mapping[Kind, float],
) -> pl.DataFrame:
    """Add what the counts of themes are made of.

    Args:
        messages: columns ts, kind, votes, resolved, text, duplicate_of, theme_id.
        as_of: end of the window, UTC.
        window_weeks: its length.
        own_item_votes: with so many votes a message that asks for a change stands alone.
        kind_severity: severities that differ from `KIND_SEVERITY`.

    Returns:
        messages with `agree` (votes, those against count as none), `severity` (assumed; null if the kind is
        unknown), `open` (not known to be resolved), `alone` (open, within the window, of the kinds `ASKING`,
        enough votes, no duplicate), `active` (open, within the window, not alone) and `current` (active; in
        themes with no active message: open and not alone).
    """
    assumed = {**KIND_SEVERITY, **kind_severity}
    recent = pl.col("ts") > as_of - timedelta(weeks=window_weeks)
    asks = pl.col("kind").is_in(ASKING).fill_null(False)
    once = pl.col("duplicate_of").is_null() & pl.col("text").is_not_null()
    return (
        messages.with_columns(
            agree=pl.col("votes").fill_null(0).clip(lower_bound=0),
            severity=pl.col("kind").replace_strict(assumed, default=None, return_dtype=pl.Float64),
            open=~pl.col("resolved").fill_null(False),
        )
        .with_columns(alone=pl.col("open") & recent & asks & once & (pl.col("agree") >= own_item_votes))
        .with_columns(active=pl.col("open") & recent & ~pl.col("alone"))
        .with_columns(
            current=pl.when(pl.col("active").any().over("theme_id"))
            .then("active")
            .otherwise(pl.col("open") & ~pl.col("alone"))
        )
    )


def main_kinds(messages: pl.DataFrame) -> pl.DataFrame:
    """Of each theme the kind of its current messages that weighs most, and how severe they are.

    A kind weighs as many messages as it has, times their severity.

    Args:
        messages: as `with_standing` gives them.

    Returns:
        theme_id, kind, kind_severity (mean over current messages of known kind); themes without such
        messages are left out.
    """
    known = messages.filter(pl.col("current")).drop_nulls(["theme_id", "kind"])
    order = pl.col("kind").replace_strict(KINDS, list(range(len(KINDS))), return_dtype=pl.Int8)
    return (
        known.group_by("theme_id", "kind")
        .agg(weight=pl.col("severity").sum(), size=pl.len())
        .sort("theme_id", "weight", "size", order, descending=[False, True, True, False])
        .group_by("theme_id", maintain_order=True)
        .agg(pl.col("kind").first(), kind_severity=pl.col("weight").sum() / pl.col("size").sum())
    )
