"""Themes: what people talk about, found in their own words, the same for the same messages."""

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated

import numpy as np
import polars as pl
from pydantic import BaseModel, ConfigDict, Field

from opsanalytics.feedback.labels import keywords, labels, typical
from opsanalytics.feedback.standing import main_kinds, with_standing
from opsanalytics.feedback.tables import COUNTS, FEEDBACK_ASSIGNMENTS, FEEDBACK_THEMES
from opsanalytics.feedback.words import content_words, fingerprint, quotation
from opsanalytics.lake.schemas import Kind

ENOUGH_WORDS = 1
"""A message with fewer content words ("Great!", "ok") says too little to be put into a theme."""
LONGEST_TITLE = 90
SAID = ("title", "kind", "votes", "resolved")
TREND = timedelta(weeks=4)
QUOTES = 3


class ThemeSettings(BaseModel):
    """How themes are found; part of the configuration."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    min_messages: int = Field(default=5, ge=2)
    """Smaller groups are not themes; their messages stay unassigned."""
    max_distance: float = Field(default=0.75, gt=0, lt=1)
    """Average cosine distance up to which two groups are one theme: smaller gives more, finer themes."""
    min_similarity: float = Field(default=0.35, ge=0, lt=1)
    """Messages less similar than this to every theme's centre stay unassigned."""
    sample: int = Field(default=5_000, ge=100, le=20_000)
    """Themes are found in at most so many distinct texts; all others are put to the nearest theme."""
    quote_length: int = Field(default=240, ge=40)
    window_weeks: int = Field(default=52, ge=1)
    """What was last said before that is dormant: kept, but ranked after everything else."""
    own_item_votes: int = Field(default=2, ge=1)
    """An open bug report, complaint or request of the window with so many votes is an item of its own."""
    kind_severity: dict[Kind, Annotated[float, Field(ge=0, le=1)]] = Field(default={})
    """Severity assumed of messages that nobody rated, where other than `standing.KIND_SEVERITY`."""


@dataclass(frozen=True)
class Themes:
    """`themes` and `assignments` conform to FEEDBACK_THEMES and FEEDBACK_ASSIGNMENTS.

    `alone` has a row a message that stands alone (see `standing.with_standing`): feedback_id, ts, kind,
    severity, title (without one, the shortened text), quote, votes (those against count as none), author,
    theme_id.
    """

    themes: pl.DataFrame
    assignments: pl.DataFrame
    alone: pl.DataFrame

    @property
    def unassigned(self) -> int:
        """Messages in no theme: too little text, too unlike any other, or in too small a group."""
        return self.assignments["theme_id"].null_count()


def find_themes(
    feedback: pl.DataFrame,
    persons: pl.DataFrame | None = None,
    *,
    as_of: datetime,
    settings: ThemeSettings | None = None,
    quality: str = "not_checked",
) -> Themes:
    """Group messages by what they are about.

    A text that repeats an earlier one (case, punctuation, digits and word order aside) takes its
    theme; by the same author, or by nobody known, it does not count again. An author is the person of
    the user id where `persons` knows it, else the user id, else the hash of the e-mail address, else
    the message.

    A theme's id is made of its oldest message. It is the same for the same messages in any order, and
    stays while newer messages arrive as long as the oldest one stays in the theme; it is not a
    registry and cannot follow splits and merges.

    Args:
        feedback: as FEEDBACK; messages after `as_of` are left out.
        persons: as PERSONS, to tell which user ids are one person.
        as_of: feedback up to here is complete, UTC.
        settings: how themes are found.
        quality: state of the quality checks upstream.
    """
    # scikit-learn takes a second to import: not before themes are looked for
    from opsanalytics.feedback.placing import place

    settings = settings or ThemeSettings()
    messages = _messages(feedback.filter(pl.col("ts") <= as_of), persons)
    texts = (
        messages.filter(pl.col("words").list.len() >= ENOUGH_WORDS)
        .group_by("text_id", maintain_order=True)
        .agg(
            pl.col("words").first(),
            weight=pl.col("author").n_unique(),
        )
    )
    groups = place(
        texts["text_id"].to_list(),
        texts["words"].to_list(),
        texts["weight"].to_list(),
        min_size=settings.min_messages,
        max_distance=settings.max_distance,
        min_similarity=settings.min_similarity,
        sample=settings.sample,
    )
    placed = pl.DataFrame(
        {"text_id": texts["text_id"], "group": groups.label, "similarity": groups.similarity.round(6)},
        schema={"text_id": pl.String, "group": pl.Int64, "similarity": pl.Float64},
    ).filter(pl.col("group") >= 0)
    messages = messages.join(placed, on="text_id", how="left", maintain_order="left")
    ids = (
        messages.drop_nulls("group")
        .sort("ts", "feedback_id")
        .group_by("group", maintain_order=True)
        .agg(theme_id=pl.col("feedback_id").first().map_elements(theme_id, return_dtype=pl.String))
    )
    messages = with_standing(
        messages.join(ids, on="group", how="left", maintain_order="left"),
        as_of,
        window_weeks=settings.window_weeks,
        own_item_votes=settings.own_item_votes,
        kind_severity=settings.kind_severity,
    )
    return Themes(
        FEEDBACK_THEMES.conform(_describe(messages, as_of, settings, quality)),
        FEEDBACK_ASSIGNMENTS.conform(messages.select(FEEDBACK_ASSIGNMENTS.names)),
        _alone(messages, settings),
    )


def theme_id(oldest: str) -> str:
    """Id of the theme whose oldest message is `oldest`."""
    return "TH-" + hashlib.sha256(oldest.encode()).hexdigest()[:8]


def _alone(messages: pl.DataFrame, settings: ThemeSettings) -> pl.DataFrame:
    rows = messages.filter("alone")
    said = rows.to_dicts()
    titles = [quotation(row["title"] or row["text"], LONGEST_TITLE) for row in said]
    quotes = [quotation(_said(row), settings.quote_length) for row in said]
    columns = ("feedback_id", "ts", "kind", "severity", "author", "theme_id")
    return rows.select(*columns, votes="agree").with_columns(
        title=pl.Series(titles, dtype=pl.String), quote=pl.Series(quotes, dtype=pl.String)
    )


def _messages(feedback: pl.DataFrame, persons: pl.DataFrame | None) -> pl.DataFrame:
    """One row a message with its author, words, `text_id` (first message with that text)."""
    shaped = (
        feedback.select(
            "feedback_id", "response_id", "ts", "user_id", "email_hash", "satisfaction", "text", *SAID
        )
        # the title of an answer is the question: nobody who answered said it
        .with_columns(title=pl.when(pl.col("response_id").is_null()).then("title"))
        .sort("ts", "feedback_id")
    )
    texts = shaped["text"].fill_null("").to_list()
    first: dict[str, str] = {}
    leaders = [
        first.setdefault(fingerprint(text) or message, message)
        for text, message in zip(texts, shaped["feedback_id"].to_list(), strict=True)
    ]
    words = pl.Series("words", [content_words(text) for text in texts], dtype=pl.List(pl.String))
    known = shaped.with_columns(
        words, text_id=pl.Series(leaders, dtype=pl.String), person=pl.lit(None, pl.String)
    )
    if persons is not None:
        # A user id that stands for several persons (of several sources) names none of them.
        single = (
            persons.filter(pl.col("id_kind") == "user")
            .group_by("id")
            .agg(pl.col("person").unique())
            .filter(pl.col("person").list.len() == 1)
            .select(user_id="id", person=pl.col("person").list.first())
        )
        known = known.drop("person").join(single, on="user_id", how="left", maintain_order="left")
    return known.with_columns(
        author=pl.coalesce("person", "user_id", "email_hash", "response_id", "text_id"),
        duplicate_of=pl.when(pl.col("text_id") != pl.col("feedback_id")).then("text_id"),
    )


def _describe(messages: pl.DataFrame, as_of: datetime, settings: ThemeSettings, quality: str) -> pl.DataFrame:
    """One row a theme, from messages with `theme_id` and `similarity`."""
    from statsmodels.stats.proportion import proportion_confint

    counted = messages.unique(["author", "text_id"], keep="first", maintain_order=True)
    everybody = counted["author"].n_unique()
    recent, satisfaction = pl.col("ts") > as_of - TREND, pl.col("satisfaction")
    themes = (
        counted.drop_nulls("theme_id")
        .group_by("theme_id")
        .agg(
            messages=pl.len(),
            authors=pl.col("author").n_unique(),
            rated=satisfaction.count(),
            satisfaction=satisfaction.mean().round(6),
            negative=(satisfaction < 0.5).sum(),
            recent=recent.sum(),
            earlier=(~recent & (pl.col("ts") > as_of - 2 * TREND)).sum(),
            open=pl.col("open").sum(),
            active=pl.col("active").sum(),
            open_authors=pl.col("author").filter("open").n_unique(),
            votes=pl.col("agree").filter("open").sum(),
            active_authors=pl.col("author").filter("active").n_unique(),
            active_votes=pl.col("agree").filter("active").sum(),
            **{name: (pl.col("current") & (pl.col("kind") == kind)).sum() for name, kind in COUNTS.items()},
            window_start=pl.lit(as_of - timedelta(weeks=settings.window_weeks)),
            first_seen=pl.col("ts").min(),
            last_seen=pl.col("ts").max(),
        )
        .join(main_kinds(counted), on="theme_id", how="left")
        .sort(["authors", "messages", "theme_id"], descending=[True, True, False])
    )
    words = _words_by_theme(counted, themes["theme_id"].to_list())
    ranked = keywords(words)
    quotes = [_quotes(_fresh(counted, name)) for name in themes["theme_id"]]
    titles = [
        _title(_fresh(counted, name), kind) for name, kind in themes.select("theme_id", "kind").iter_rows()
    ]
    low, high = proportion_confint(themes["authors"].to_numpy(), max(1, everybody), method="wilson")
    return themes.with_columns(
        rank=pl.int_range(1, pl.len() + 1, dtype=pl.Int32),
        label=pl.Series(labels(ranked), dtype=pl.String),
        example=pl.Series(titles, dtype=pl.String),
        keywords=pl.Series(ranked, dtype=pl.List(pl.String)),
        n=pl.lit(everybody),
        share=pl.col("authors") / everybody,
        share_low=pl.Series(np.asarray(low, dtype=np.float64)),
        share_high=pl.Series(np.asarray(high, dtype=np.float64)),
        quotes=pl.Series(
            [[quotation(text, settings.quote_length) for text, _ in chosen] for chosen in quotes],
            dtype=pl.List(pl.String),
        ),
        quote_ids=pl.Series(
            [[message for _, message in chosen] for chosen in quotes], dtype=pl.List(pl.String)
        ),
        as_of=pl.lit(as_of),
        quality=pl.lit(quality),
    )


def _words_by_theme(messages: pl.DataFrame, names: list[str]) -> list[list[list[str]]]:
    grouped = {name: list[list[str]]() for name in names}
    distinct = messages.drop_nulls("theme_id").unique("text_id", keep="first", maintain_order=True)
    for name, words in distinct.select("theme_id", "words").iter_rows():
        grouped[name].append(words)
    return [grouped[name] for name in names]


def _fresh(messages: pl.DataFrame, theme: str) -> pl.DataFrame:
    """Current messages of a theme, all if none is: what is settled or old does not show what is wrong."""
    members = messages.filter(pl.col("theme_id") == theme)
    return members.filter(pl.col("current") | ~pl.col("current").any())


def _title(members: pl.DataFrame, kind: str | None) -> str | None:
    """Title of the message nearest the theme's centre, of that kind if any is."""
    titled = members.drop_nulls("title")
    fits = pl.col("kind").eq_missing(pl.lit(kind, pl.String))
    titled = titled.filter(fits | ~fits.any())
    chosen = typical(titled.select("similarity", "author", "feedback_id").iter_rows(), 1)
    if not chosen:
        return None
    title: str = titled.filter(pl.col("feedback_id").is_in(chosen))["title"][0]
    return quotation(title, LONGEST_TITLE)


def _quotes(members: pl.DataFrame) -> list[tuple[str, str]]:
    """Text and id of the messages to quote."""
    members = members.unique("text_id", keep="first")
    texts = {row["feedback_id"]: row for row in members.iter_rows(named=True)}
    chosen = typical(members.select("similarity", "author", "feedback_id").iter_rows(), QUOTES)
    return [(_said(texts[message]), message) for message in chosen]


def _said(message: dict[str, str]) -> str:
    """The text, its title set apart by a full stop where it has no mark of its own."""
    title, text = message["title"], message["text"]
    if not title or not text.startswith(title) or title[-1] in ".?!…:":
        return text
    return f"{title}.{text[len(title) :]}"
