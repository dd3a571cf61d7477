"""Marts of feedback."""

import polars as pl

from opsanalytics.lake.tables import UTC_TIME, Column, Table

FEEDBACK_THEMES = Table(
    name="feedback_themes",
    description="What people talk about: groups of similar messages, deduplicated.",
    order=("rank", "theme_id"),
    columns=(
        Column("theme_id", pl.String, "Stable id of the theme.", True),
        Column("rank", pl.Int32, "By distinct authors, from 1.", True),
        Column("label", pl.String, "Short label made of the theme's own words.", True),
        Column("keywords", pl.List(pl.String), "Words and phrases that set it apart.", True),
        Column(
            "messages",
            pl.Int64,
            "Messages; the same text by the same (or no known) author counts once.",
            True,
        ),
        Column("authors", pl.Int64, "Distinct authors; messages without one count as one each.", True),
        Column("n", pl.Int64, "Distinct authors of all messages (n of share).", True),
        Column("share", pl.Float64, "authors / n."),
        Column("share_low", pl.Float64, "Wilson 95 % interval, lower end."),
        Column("share_high", pl.Float64, "Wilson 95 % interval, upper end."),
        Column("rated", pl.Int64, "Messages with a rating.", True),
        Column("satisfaction", pl.Float64, "Mean satisfaction, 0 worst to 1 best; null if unrated."),
        Column("negative", pl.Int64, "Rated messages in the lower half of the scale.", True),
        Column("recent", pl.Int64, "Of these, in the four weeks before as_of.", True),
        Column("earlier", pl.Int64, "Of these, in the four weeks before those.", True),
        Column("first_seen", UTC_TIME, "Oldest message, UTC.", True),
        Column("last_seen", UTC_TIME, "Newest message, UTC.", True),
        Column(
            "quotes",
            pl.List(pl.String),
            "Up to three typical messages, redacted and shortened.",
            True,
        ),
        Column("quote_ids", pl.List(pl.String), "feedback_id of each quote.", True),
        Column("as_of", UTC_TIME, "Feedback up to here was complete, UTC.", True),
        Column(
            "quality",
            pl.String,
            "Quality checks upstream: passed, warning, failed or not_checked.",
            True,
        ),
    ),
)

FEEDBACK_ASSIGNMENTS = Table(
    name="feedback_assignments",
    description="Which message belongs to which theme, and who wrote it.",
    order=("feedback_id",),
    columns=(
        Column("feedback_id", pl.String, "Message.", True),
        Column("theme_id", pl.String, "Theme; null: too little text, unlike any theme, or too few alike."),
        Column("similarity", pl.Float64, "Cosine similarity to the theme's centre."),
        Column("duplicate_of", pl.String, "feedback_id of an earlier message with the same text."),
        Column("author", pl.String, "Person, user id, e-mail hash or (if nobody is known) message.", True),
    ),
)
