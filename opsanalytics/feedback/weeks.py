"""Messages by week, as the registry of themes takes them in."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl

from opsanalytics.feedback.encoders import ALWAYS, EncoderSince, encoder_at
from opsanalytics.feedback.sentences import Encode, Sentences
from opsanalytics.feedback.words import content_words

if TYPE_CHECKING:
    from opsanalytics.feedback.registry import Limits
    from opsanalytics.feedback.walked import Event, Theme, Walked


@dataclass(frozen=True)
class Registered:
    """What the registry says of messages up to a moment."""

    texts: pl.DataFrame
    """text_id, theme_id, similarity of every text that is in a theme."""
    themes: Mapping[str, "Theme"]
    """By id, those that ended included."""
    history: tuple["Event", ...]


def register_messages(
    messages: pl.DataFrame,
    limits: "Limits",
    *,
    as_of: datetime,
    zone: ZoneInfo,
    week_start: int,
    protected: Collection[str] = (),
    encoders: Sequence[EncoderSince] = (),
    encode: Encode | None = None,
    walked: "Walked | None" = None,
) -> Registered:
    """Go through the messages week by week.

    Args:
        messages: ts, text_id, author, title, text, words (one at least), sorted by time.
        limits: how themes are found.
        as_of: end of the last week if that is still running, UTC.
        zone: whose weeks.
        week_start: 0 for Monday to 6 for Sunday.
        protected: ids of themes that people decided about: they are not merged into others.
        encoders: which encoder was used since when.
        encode: gives sentence embeddings; without it words are compared in all weeks.
        walked: how far the messages were gone through before, kept for the next time.
    """
    # scikit-learn takes a second to import: not before themes are looked for
    from opsanalytics.feedback.registry import Said, register

    local = pl.col("ts").dt.convert_time_zone(zone.key).dt.date()
    dated = messages.with_columns(
        first_day=local - pl.duration(days=(local.dt.weekday() - 1 - week_start) % 7)
    )
    days = dated["first_day"].unique().sort()
    weeks = pl.DataFrame({"first_day": days}).with_row_index("week")
    dated = dated.join(weeks, on="first_day", how="left", maintain_order="left")
    texts = dated.unique("text_id", keep="first", maintain_order=True).with_row_index("row")
    voices = dated.unique(["text_id", "author"], keep="first", maintain_order=True).join(
        texts.select("text_id", "row"), on="text_id", maintain_order="left"
    )
    ends = [
        min(as_of, datetime.combine(day + timedelta(days=7), time(), zone).astimezone(UTC)) for day in days
    ]
    embedded = tuple(
        encode is not None and encoder_at(encoders, moment) == "minilm" for moment in (ALWAYS, *ends)
    )
    sentences = Sentences(encode(texts["text"].to_list())) if encode and any(embedded) else None
    said = Said(
        ids=texts["text_id"].to_list(),
        words=texts["words"].to_list(),
        titles=[content_words(title) if title else [] for title in texts["title"].to_list()],
        week=texts["week"].to_numpy().astype(np.int64),
        ends=ends,
        voice_text=voices["row"].to_numpy().astype(np.int64),
        voice_week=voices["week"].to_numpy().astype(np.int64),
        sentences=sentences,
        by_sentences=embedded,
    )
    found = register(said, limits, protected, walked)
    placed = [
        (text, found.themes[theme].theme_id, round(float(similarity), 6))
        for text, theme, similarity in zip(said.ids, found.theme, found.similarity, strict=True)
        if theme >= 0
    ]
    return Registered(
        pl.DataFrame(
            placed,
            schema={"text_id": pl.String, "theme_id": pl.String, "similarity": pl.Float64},
            orient="row",
        ),
        {theme.theme_id: theme for theme in found.themes},
        tuple(found.history),
    )
