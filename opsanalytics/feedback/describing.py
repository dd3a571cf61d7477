"""What a theme is, in numbers, words and quotes."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Protocol

import numpy as np
import polars as pl

from opsanalytics.feedback.labels import keywords, typical
from opsanalytics.feedback.standing import main_kinds
from opsanalytics.feedback.tables import COUNTS
from opsanalytics.feedback.trend import trends
from opsanalytics.feedback.words import quotation

LONGEST_TITLE = 90
TREND = timedelta(weeks=4)
QUOTES = 3
WEEKS_SHOWN = 12


class Shown(Protocol):
    """The part of `themes.ThemeSettings` that says how themes are shown."""

    @property
    def window_weeks(self) -> int: ...

    @property
    def quote_length(self) -> int: ...


def describe(
    messages: pl.DataFrame, names: Mapping[str, str], as_of: datetime, settings: Shown, quality: str
) -> pl.DataFrame:
    """One row a theme, as FEEDBACK_THEMES before people's decisions about them.

    Args:
        messages: as `standing.with_standing` gives them, with theme_id, similarity, author, text_id, words.
        names: label of each theme.
        as_of: end of the window and of the trend, UTC.
        settings: window and length of quotes.
        quality: state of the quality checks upstream.
    """
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
            weekly=pl.concat_list(
                [pl.col("ts").is_between(*_week(as_of, back), closed="right").sum() for back in _WEEKS_BACK]
            ),
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
    told, q_values = trends(themes["recent"].to_list(), themes["earlier"].to_list())
    rated = themes["rated"].to_numpy()
    unhappy = proportion_confint(themes["negative"].to_numpy(), np.maximum(1, rated), method="wilson")
    low, high = proportion_confint(themes["authors"].to_numpy(), max(1, everybody), method="wilson")
    return themes.with_columns(
        rank=pl.int_range(1, pl.len() + 1, dtype=pl.Int32),
        label=pl.Series([names[each] for each in themes["theme_id"]], dtype=pl.String),
        example=pl.Series(titles, dtype=pl.String),
        keywords=pl.Series(ranked, dtype=pl.List(pl.String)),
        n=pl.lit(everybody),
        share=pl.col("authors") / everybody,
        share_low=pl.Series(np.asarray(low, dtype=np.float64)),
        share_high=pl.Series(np.asarray(high, dtype=np.float64)),
        trend=pl.Series(told, dtype=pl.String),
        trend_q=pl.Series(q_values, dtype=pl.Float64),
        negative_low=pl.when(pl.col("rated") > 0).then(pl.Series(unhappy[0], dtype=pl.Float64)),
        negative_high=pl.when(pl.col("rated") > 0).then(pl.Series(unhappy[1], dtype=pl.Float64)),
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


_WEEKS_BACK = range(WEEKS_SHOWN, 0, -1)


def _week(as_of: datetime, back: int) -> tuple[datetime, datetime]:
    return as_of - timedelta(weeks=back), as_of - timedelta(weeks=back - 1)


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
    return [(said(texts[message]), message) for message in chosen]


def said(message: dict[str, str]) -> str:
    """The text, its title set apart by a full stop where it has no mark of its own."""
    title, text = message["title"], message["text"]
    if not title or not text.startswith(title) or title[-1] in ".?!…:":
        return text
    return f"{title}.{text[len(title) :]}"
