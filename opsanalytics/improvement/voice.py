"""Pain points known from feedback alone: what people complain of, where no behaviour shows it."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import polars as pl

from opsanalytics.behavior.statistics import wilson
from opsanalytics.improvement.population import weeks_between
from opsanalytics.improvement.settings import PainPointSettings
from opsanalytics.improvement.titles import voice_title

SILENT = timedelta(weeks=8)


def severity(satisfaction: float | None, rated: int) -> tuple[float, float, float] | None:
    """How bad it is, 0 to 1, with the ends of a 95 % interval; None if nobody has rated.

    1 minus mean satisfaction. The interval is Wilson's for a share of that size, which is the widest
    that ratings between 0 and 1 can give.
    """
    if satisfaction is None or not rated:
        return None
    estimate = 1.0 - satisfaction
    low, high = wilson([estimate * rated], [rated])
    return estimate, float(low[0]), float(high[0])


def is_happy(settings: PainPointSettings) -> pl.Expr:
    """Whether the ratings of a theme (as FEEDBACK_THEMES) say that its authors are happy; never null."""
    satisfied = pl.col("satisfaction") > settings.happy_above
    return ((pl.col("rated") >= settings.min_rated) & satisfied).fill_null(False)


def voice_rows(
    themes: pl.DataFrame, settings: PainPointSettings, as_of: datetime, item_id: Callable[[str], str]
) -> list[dict[str, Any]]:
    """Rows of PAIN_POINTS for themes with enough authors.

    A theme is a finding if most of its ratings are negative beyond doubt (Wilson interval of the share
    above one half); all others are watched.

    Args:
        themes: as FEEDBACK_THEMES, without happy ones and those that a behavioural item is about.
        settings: thresholds.
        as_of: feedback up to here is complete, UTC.
        item_id: makes an item's id of its anchor.
    """
    rows = []
    for theme in themes.iter_rows(named=True):
        rated = theme["rated"] >= settings.min_rated
        satisfaction = theme["satisfaction"] if rated else None
        if theme["authors"] < settings.min_theme_authors:
            continue
        caveats = ["no behaviour shows it: not valued in conversions"]
        if not rated:
            caveats.append(f"{theme['rated']} ratings: whether people are unhappy is not known")
        if theme["last_seen"] < as_of - SILENT:
            caveats.append("nobody has written of it in the last eight weeks")
        low, _ = wilson([theme["negative"]], [max(1, theme["rated"])])
        rows.append(
            dict.fromkeys(_MEASURED)
            | {
                "item_id": item_id(f"v1|theme|{theme['theme_id']}"),
                "lane": "voice",
                "status": "finding" if rated and low[0] > 0.5 else "watch",
                "title": voice_title(theme["label"], satisfaction),
                "theme_id": theme["theme_id"],
                "theme_ids": [theme["theme_id"]],
                "affected": theme["authors"],
                "n": theme["n"],
                "share": theme["share"],
                "share_low": theme["share_low"],
                "share_high": theme["share_high"],
                "reach_per_week": theme["authors"] / weeks_between(theme["first_seen"], as_of),
                "rated": theme["rated"],
                "satisfaction": satisfaction,
                "messages": theme["messages"],
                "quotes": theme["quotes"],
                "quote_ids": theme["quote_ids"],
                "example_persons": [],
                "first_seen": theme["first_seen"],
                "last_seen": theme["last_seen"],
                "query": (
                    "SELECT a.author, count(*) AS messages, min(f.ts) AS first_ts, any_value(f.text) AS text "
                    "FROM feedback_assignments a JOIN feedback f USING (feedback_id) "
                    f"WHERE a.theme_id = '{theme['theme_id']}' GROUP BY a.author ORDER BY a.author"
                ),
                "caveat": "; ".join(caveats),
            }
        )
    return rows


_MEASURED = (
    "funnel",
    "step",
    "signal",
    "place",
    "theme_link",
    "theme_link_by",
    "rate_affected",
    "rate_others",
    "effect",
    "effect_low",
    "effect_high",
    "matched_effect",
    "crude_effect",
    "overlap",
    "q_value",
    "pass_value",
    "lost_per_week",
    "lost_low",
    "lost_high",
    "strata",
    "first_version",
)
"""What only behaviour can tell."""
