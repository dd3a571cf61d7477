"""Themes: what people talk about, found in their own words, the same for the same messages."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING, Annotated
from zoneinfo import ZoneInfo

import polars as pl
from pydantic import BaseModel, ConfigDict, Field

from opsanalytics.feedback.decisions import ThemeDecision, decided, keyword_themes, protected
from opsanalytics.feedback.describing import LONGEST_TITLE, describe, said
from opsanalytics.feedback.encoders import EncoderName, EncoderSince
from opsanalytics.feedback.history import history_rows
from opsanalytics.feedback.keyword_themes import KeywordTheme, keyword_theme_of
from opsanalytics.feedback.sentences import Encode
from opsanalytics.feedback.standing import with_standing
from opsanalytics.feedback.tables import FEEDBACK_ASSIGNMENTS, FEEDBACK_THEMES, THEME_HISTORY
from opsanalytics.feedback.weeks import register_messages
from opsanalytics.feedback.words import content_words, fingerprint, quotation
from opsanalytics.lake.schemas import Kind
from opsanalytics.lake.tables import UTC_TIME

if TYPE_CHECKING:
    from opsanalytics.feedback.walked import Walked

ENOUGH_WORDS = 1
"""A message with fewer content words ("Great!", "ok") says too little to be put into a theme."""
UTC = ZoneInfo("UTC")
SAID = ("title", "kind", "votes", "resolved")


class ThemeSettings(BaseModel):
    """How themes are found; part of the configuration."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    encoder: EncoderName = "tfidf"
    """How messages are compared: by their words, or by sentence embeddings (the extra `embeddings`)."""
    min_messages: int = Field(default=5, ge=2)
    """Smaller groups are not themes; their messages stay unassigned."""
    max_distance: float = Field(default=0.75, gt=0, lt=1)
    """Average cosine distance up to which two groups are one theme: smaller gives more, finer themes."""
    min_similarity: float = Field(default=0.35, ge=0, lt=1)
    """Messages less similar than this to every theme's centre stay unassigned."""
    resolution: float = Field(default=3.0, gt=0, le=20)
    """With `encoder = "minilm"` instead of `max_distance`: more gives more, finer themes."""
    sample: int = Field(default=5_000, ge=100, le=20_000)
    """Themes are found in at most so many distinct texts; all others are put to the nearest theme."""
    quote_length: int = Field(default=240, ge=40)
    window_weeks: int = Field(default=52, ge=1)
    """What was last said before that is dormant: kept, but ranked after everything else."""
    own_item_votes: int = Field(default=2, ge=1)
    """An open bug report, complaint or request of the window with so many votes is an item of its own."""
    keyword_themes: tuple[KeywordTheme, ...] = ()
    """Themes defined by words, besides those that are found; of several that fit a message the first."""
    kind_severity: dict[Kind, Annotated[float, Field(ge=0, le=1)]] = Field(default={})
    """Severity assumed of messages that nobody rated, where other than `standing.KIND_SEVERITY`."""


@dataclass(frozen=True)
class Themes:
    """`themes` and `assignments` conform to FEEDBACK_THEMES and FEEDBACK_ASSIGNMENTS.

    `alone` has a row a message that stands alone (see `standing.with_standing`): feedback_id, ts, kind,
    severity, title (without one, the shortened text), quote, votes (those against count as none), author,
    theme_id. `history` conforms to THEME_HISTORY.
    """

    themes: pl.DataFrame
    assignments: pl.DataFrame
    alone: pl.DataFrame
    history: pl.DataFrame = field(default_factory=THEME_HISTORY.empty)

    @property
    def audible(self) -> "Themes":
        """Without what people muted: neither themes nor single messages of them."""
        silent = self.themes.filter("muted")["theme_id"].implode()
        return replace(
            self,
            themes=self.themes.filter(~pl.col("muted")),
            alone=self.alone.filter(~pl.col("theme_id").is_in(silent).fill_null(False)),
        )

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
    zone: ZoneInfo = UTC,
    week_start: int = 0,
    decisions: Sequence[ThemeDecision] = (),
    encoders: Sequence[EncoderSince] | None = None,
    encode: Encode | None = None,
    walked: "Walked | None" = None,
) -> Themes:
    """Group messages by what they are about.

    A text that repeats an earlier one (case, punctuation, digits and word order aside) takes its
    theme; by the same author, or by nobody known, it does not count again. An author is the person of
    the user id where `persons` knows it, else the user id, else the hash of the e-mail address, else
    the message.

    A theme has its id and its label from the week it is found in, and keeps both; see `registry`. What is
    found in a week that is still running may change until it ends. Decisions are laid over that: a rename,
    a merger or keywords move messages in every week, also in those that are over.

    Args:
        feedback: as FEEDBACK; messages from `as_of` on are left out.
        persons: as PERSONS, to tell which user ids are one person.
        as_of: feedback up to here is complete, UTC.
        settings: how themes are found.
        quality: state of the quality checks upstream.
        zone: whose weeks.
        week_start: 0 for Monday to 6 for Sunday.
        decisions: what people decided about themes, in order.
        encoders: which encoder was used since when; None: always that of the settings.
        encode: gives sentence embeddings; without it words are compared in all weeks.
        walked: how far the messages were gone through before; changes how long it takes, nothing else.
    """
    settings = settings or ThemeSettings()
    messages = _messages(feedback.filter(pl.col("ts") < as_of), persons)
    registered = register_messages(
        messages.filter(pl.col("words").list.len() >= ENOUGH_WORDS),
        settings,
        as_of=as_of,
        zone=zone,
        week_start=week_start,
        protected=protected(decisions),
        encoders=(EncoderSince(settings.encoder),) if encoders is None else encoders,
        encode=encode,
        walked=walked,
    )
    messages = messages.join(registered.texts, on="text_id", how="left", maintain_order="left")
    defined = (*settings.keyword_themes, *keyword_themes(decisions))
    messages = _with_keyword_themes(messages, defined)
    labels = {name: theme.label for name, theme in registered.themes.items()}
    labels |= {theme.theme_id: theme.name for theme in defined}
    theme_of = dict(messages.select("feedback_id", "theme_id").drop_nulls().iter_rows())
    rules = decided(decisions, theme_of, list(labels), as_of)
    labels |= rules.names
    messages = with_standing(
        messages.with_columns(pl.col("theme_id").replace(rules.into)),
        as_of,
        window_weeks=settings.window_weeks,
        own_item_votes=settings.own_item_votes,
        kind_severity=settings.kind_severity,
    )
    since = {name: theme.since for name, theme in registered.themes.items()}
    described = describe(messages, labels, as_of, settings, quality).with_columns(
        origin=pl.when(pl.col("theme_id").str.starts_with("KW-"))
        .then(pl.lit("keyword"))
        .otherwise(pl.lit("found")),
        since=pl.coalesce(
            pl.col("theme_id").replace_strict(since, default=None, return_dtype=UTC_TIME), "first_seen"
        ),
        named=pl.col("theme_id").is_in(list(rules.names)),
        pinned=pl.col("theme_id").is_in(list(rules.pinned)),
        muted=pl.col("theme_id").is_in(list(rules.muted)),
    )
    described = described.sort("pinned", "muted", "rank", descending=[True, False, False]).with_columns(
        rank=pl.int_range(1, pl.len() + 1, dtype=pl.Int32)
    )
    return Themes(
        FEEDBACK_THEMES.conform(described),
        FEEDBACK_ASSIGNMENTS.conform(messages.select(FEEDBACK_ASSIGNMENTS.names)),
        _alone(messages, settings),
        THEME_HISTORY.conform(history_rows(registered.history, rules, theme_of, labels, as_of)),
    )


def _with_keyword_themes(messages: pl.DataFrame, defined: Sequence[KeywordTheme]) -> pl.DataFrame:
    """Messages in a theme that people defined are in no other."""
    if not defined:
        return messages
    found = pl.Series("keyword", keyword_theme_of(messages["text"], defined), dtype=pl.String)
    return messages.with_columns(
        theme_id=pl.coalesce(found, "theme_id"),
        # it has no centre that a message could be near
        similarity=pl.when(found.is_null()).then("similarity"),
    )


def _alone(messages: pl.DataFrame, settings: ThemeSettings) -> pl.DataFrame:
    rows = messages.filter("alone")
    spoken = rows.to_dicts()
    titles = [quotation(row["title"] or row["text"], LONGEST_TITLE) for row in spoken]
    quotes = [quotation(said(row), settings.quote_length) for row in spoken]
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
