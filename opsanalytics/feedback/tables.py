"""Marts of feedback."""

import polars as pl

from opsanalytics.lake.schemas import Kind
from opsanalytics.lake.tables import UTC_TIME, Column, Table

COUNTS: dict[str, Kind] = {
    "bugs": "bug",
    "complaints": "complaint",
    "requests": "request",
    "questions": "question",
    "praise": "praise",
    "other": "other",
}
"""Column of FEEDBACK_THEMES that counts current messages of each kind."""

FEEDBACK_THEMES = Table(
    name="feedback_themes",
    description="What people talk about: groups of similar messages, deduplicated.",
    order=("rank", "theme_id"),
    columns=(
        Column("theme_id", pl.String, "Stable id of the theme.", True),
        Column("rank", pl.Int32, "By distinct authors, from 1.", True),
        Column(
            "label", pl.String, "Name people gave it, else words of the messages it was found in; kept.", True
        ),
        Column("example", pl.String, "Title of a typical message, open and recent if any; null: no titles."),
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
        Column("negative_low", pl.Float64, "Wilson 95 % interval of negative / rated, lower end."),
        Column("negative_high", pl.Float64, "Wilson 95 % interval of negative / rated, upper end."),
        Column("recent", pl.Int64, "Messages in the four weeks before as_of.", True),
        Column("earlier", pl.Int64, "Messages in the four weeks before those.", True),
        Column(
            "trend",
            pl.String,
            "more, fewer, or none: recent against earlier (exact binomial test, trend_q below 0.05).",
            True,
        ),
        Column(
            "trend_q", pl.Float64, "q-value of the trend, Benjamini-Hochberg over all themes; null: silent."
        ),
        Column(
            "weekly",
            pl.List(pl.Int64),
            "Messages of each of the last twelve spans of seven days before as_of, oldest first.",
            True,
        ),
        Column("open", pl.Int64, "Messages that are not known to be resolved.", True),
        Column("open_authors", pl.Int64, "Distinct authors of the open messages.", True),
        Column("votes", pl.Int64, "Votes for open messages; votes against count as none.", True),
        Column(
            "active",
            pl.Int64,
            "Open messages of the window (feedback.window_weeks), less those that are items of their own.",
            True,
        ),
        Column("active_authors", pl.Int64, "Distinct authors of these.", True),
        Column("active_votes", pl.Int64, "Votes for these.", True),
        Column("window_start", UTC_TIME, "Start of the window, UTC.", True),
        Column(
            "kind",
            pl.String,
            "What weighs most among its current messages (active; if none is, open); null: unknown.",
        ),
        Column("kind_severity", pl.Float64, "Mean severity assumed of the kinds of current messages."),
        Column("bugs", pl.Int64, "Current messages that report a bug.", True),
        Column("complaints", pl.Int64, "Current messages that complain.", True),
        Column("requests", pl.Int64, "Current messages that ask for a feature.", True),
        Column("questions", pl.Int64, "Current messages that ask for help.", True),
        Column("praise", pl.Int64, "Current messages that praise.", True),
        Column("other", pl.Int64, "Current messages of another known kind, such as discussions.", True),
        Column("first_seen", UTC_TIME, "Oldest message, UTC.", True),
        Column("last_seen", UTC_TIME, "Newest message, UTC.", True),
        Column(
            "quotes",
            pl.List(pl.String),
            "Up to three typical messages, open and recent ones if there are any, redacted, shortened.",
            True,
        ),
        Column("quote_ids", pl.List(pl.String), "feedback_id of each quote.", True),
        Column("origin", pl.String, "found (in the messages) or keyword (defined by people).", True),
        Column(
            "since", UTC_TIME, "End of the week it was found in, UTC; of a keyword theme first_seen.", True
        ),
        Column("named", pl.Boolean, "Whether people gave it its label.", True),
        Column("pinned", pl.Boolean, "Whether people want it ranked first.", True),
        Column("muted", pl.Boolean, "Whether people want to hear no more of it: ranked last, no item.", True),
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

THEME_HISTORY = Table(
    name="theme_history",
    description="What happened to themes: found, split, merged, and what people decided.",
    order=("at", "what", "from_id", "to_id"),
    columns=(
        Column("at", UTC_TIME, "End of the week it happened in, or when people decided it, UTC.", True),
        Column("what", pl.String, "new, split, merged (by what is said), merged_by_people.", True),
        Column("from_id", pl.String, "Theme that was split or merged; null: new."),
        Column("from_label", pl.String, "Its label."),
        Column("to_id", pl.String, "Theme that is new, was split off, or took the messages.", True),
        Column("to_label", pl.String, "Its label.", True),
        Column("messages", pl.Int64, "Messages in it: a text counts once for each author.", True),
        Column("as_of", UTC_TIME, "Feedback up to here was complete, UTC.", True),
    ),
)
