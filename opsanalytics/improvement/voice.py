"""Pain points known from feedback alone: what people complain of, where no behaviour shows it."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

import polars as pl

from opsanalytics.behavior.population import weeks_between
from opsanalytics.behavior.statistics import poisson_interval, wilson
from opsanalytics.feedback.tables import COUNTS
from opsanalytics.improvement.settings import PainPointSettings
from opsanalytics.improvement.titles import message_title, voice_title

SILENT = timedelta(weeks=8)
ASSUMED = 0.5
"""How far an assumed severity may be off, as a share of itself."""


@dataclass(frozen=True)
class Severity:
    """How bad it is, 0 to 1, with an interval, and what that rests on."""

    estimate: float
    low: float
    high: float
    source: Literal["ratings", "kinds"]


def rated_severity(satisfaction: float | None, rated: int) -> Severity | None:
    """1 minus mean satisfaction; None if nobody has rated.

    The 95 % interval is Wilson's for a share of that size, which is the widest that ratings between 0
    and 1 can give.
    """
    if satisfaction is None or not rated:
        return None
    estimate = 1.0 - satisfaction
    low, high = wilson([estimate * rated], [rated])
    return Severity(estimate, float(low[0]), float(high[0]), "ratings")


def assumed_severity(estimate: float | None) -> Severity | None:
    """What the kinds of messages suggest. Its interval is no statistics: half as much, half as much again."""
    if estimate is None:
        return None
    return Severity(estimate, estimate * (1 - ASSUMED), min(1.0, estimate * (1 + ASSUMED)), "kinds")


def is_happy(settings: PainPointSettings) -> pl.Expr:
    """Whether a theme (as FEEDBACK_THEMES) is no complaint; never null.

    Its ratings say that its authors are happy; or too few have rated it, and most of what is open is praise.
    """
    rated = pl.col("rated") >= settings.min_rated
    known = pl.sum_horizontal(*COUNTS)
    praised = ~rated & (2 * pl.col("praise") > known)
    return ((rated & (pl.col("satisfaction") > settings.happy_above)) | praised).fill_null(False)


def voice_rows(
    themes: pl.DataFrame, settings: PainPointSettings, as_of: datetime, item_id: Callable[[str], str]
) -> list[dict[str, Any]]:
    """Rows of PAIN_POINTS for themes of which enough authors have an open message.

    A theme is a finding if most of its ratings are negative beyond doubt (Wilson interval of the share
    above one half), or where too few have rated it, most of its open messages are bug reports or
    complaints beyond doubt. It is dormant if no open message falls into the window of the themes. All
    others are watched. A theme whose messages are all resolved is settled and gives no row.

    Reach is authors plus votes for their messages, each a person who says so; whoever voted for several
    counts several times. Its interval takes them as a Poisson count (Garwood's exact limits).

    Args:
        themes: as FEEDBACK_THEMES, without happy ones and those that a behavioural item is about.
        settings: thresholds.
        as_of: feedback up to here is complete, UTC.
        item_id: makes an item's id of its anchor.
    """
    themes = themes.filter(pl.col("open_authors") >= settings.min_theme_authors)
    return [_row(theme, settings, as_of, item_id) for theme in themes.iter_rows(named=True)]


def _row(
    theme: dict[str, Any], settings: PainPointSettings, as_of: datetime, item_id: Callable[[str], str]
) -> dict[str, Any]:
    rated = theme["rated"] >= settings.min_rated
    satisfaction = theme["satisfaction"] if rated else None
    severity = rated_severity(satisfaction, theme["rated"]) or assumed_severity(theme["kind_severity"])
    dormant = theme["active"] == 0
    low, high = wilson([theme["open_authors"]], [theme["n"]])
    return (
        dict.fromkeys(_MEASURED)
        | _reach(theme, as_of, dormant=dormant)
        | {
            "item_id": item_id(f"v1|theme|{theme['theme_id']}"),
            "lane": "voice",
            "status": "dormant" if dormant else "finding" if _harmful(theme, settings) else "watch",
            "title": voice_title(theme["label"], satisfaction, theme["kind"], theme["example"]),
            "theme_id": theme["theme_id"],
            "theme_ids": [theme["theme_id"]],
            "affected": theme["open_authors"],
            "n": theme["n"],
            "share": theme["open_authors"] / theme["n"],
            "share_low": float(low[0]),
            "share_high": float(high[0]),
            "open": theme["open"],
            "kind": theme["kind"],
            **_severity(severity),
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
                f"WHERE a.theme_id = '{theme['theme_id']}' AND f.resolved IS NOT TRUE "
                "GROUP BY a.author ORDER BY a.author"
            ),
            "caveat": "; ".join(_caveats(theme, severity, as_of, rated=rated, dormant=dormant)),
        }
    )


def message_rows(
    alone: pl.DataFrame, authors: int, as_of: datetime, item_id: Callable[[str], str]
) -> list[dict[str, Any]]:
    """Rows of PAIN_POINTS for single messages that others voted for.

    Where people can vote, a bug report or a request is an issue in itself, and votes take the place of
    further messages.

    Args:
        alone: as `Themes.alone`.
        authors: distinct authors of all feedback.
        as_of: feedback up to here is complete, UTC.
        item_id: makes an item's id of its anchor.
    """
    low, high = wilson([1], [max(1, authors)])
    return [
        dict.fromkeys(_MEASURED)
        | _people(1, row["votes"], weeks_between(row["ts"], as_of))
        | _severity(assumed_severity(row["severity"]))
        | {
            "item_id": item_id(f"v1|message|{row['feedback_id']}"),
            "lane": "voice",
            "status": "watch",
            "title": message_title(row["kind"], row["title"]),
            "theme_id": row["theme_id"],
            "theme_ids": [] if row["theme_id"] is None else [row["theme_id"]],
            "affected": 1,
            "n": authors,
            "share": 1 / authors,
            "share_low": float(low[0]),
            "share_high": float(high[0]),
            "open": 1,
            "kind": row["kind"],
            "rated": 0,
            "satisfaction": None,
            "messages": 1,
            "quotes": [row["quote"]],
            "quote_ids": [row["feedback_id"]],
            "example_persons": [],
            "first_seen": row["ts"],
            "last_seen": row["ts"],
            "query": (
                "SELECT user_id, ts, votes, tags, url, text FROM feedback "
                f"WHERE feedback_id = {_quoted(row['feedback_id'])}"
            ),
            "caveat": "one message and its votes: how bad it is follows from its kind, by assumption",
        }
        for row in alone.sort("feedback_id").iter_rows(named=True)
    ]


def _quoted(text: str) -> str:
    """As a string of SQL."""
    return "'" + text.replace("'", "''") + "'"


def _severity(found: Severity | None) -> dict[str, Any]:
    return {
        "severity": found.estimate if found else None,
        "severity_low": found.low if found else None,
        "severity_high": found.high if found else None,
        "severity_from": found.source if found else None,
    }


def _reach(theme: dict[str, Any], as_of: datetime, *, dormant: bool) -> dict[str, Any]:
    authors, votes, since = (
        (theme["open_authors"], theme["votes"], theme["first_seen"])
        if dormant
        else (theme["active_authors"], theme["active_votes"], max(theme["first_seen"], theme["window_start"]))
    )
    return _people(authors, votes, weeks_between(since, as_of))


def _people(authors: int, votes: int, weeks: float) -> dict[str, Any]:
    people = authors + votes
    low, high = poisson_interval(people)
    return {
        "votes": votes,
        "reach_per_week": people / weeks,
        "reach_low": low / weeks,
        "reach_high": high / weeks,
    }


def _harmful(theme: dict[str, Any], settings: PainPointSettings) -> bool:
    """Whether most of it is negative beyond doubt."""
    negative, known = theme["negative"], theme["rated"]
    if known < settings.min_rated:
        negative, known = theme["bugs"] + theme["complaints"], sum(theme[column] for column in COUNTS)
    low, _ = wilson([negative], [max(1, known)])
    return bool(known >= settings.min_rated and low[0] > 0.5)


def _caveats(
    theme: dict[str, Any], severity: Severity | None, as_of: datetime, *, rated: bool, dormant: bool
) -> list[str]:
    caveats = ["no behaviour shows it: not valued in conversions"]
    if not rated:
        ratings = f"only {theme['rated']} rated it" if theme["rated"] else "nobody rated it"
        caveats.append(
            f"{ratings}: how bad it is follows from the kind of message, by assumption"
            if severity
            else f"{ratings}: whether people are unhappy is not known"
        )
    if dormant:
        caveats.append(f"nobody has written of it, unsettled, since {theme['window_start']:%Y-%m-%d}")
    elif theme["last_seen"] < as_of - SILENT:
        caveats.append("nobody has written of it in the last eight weeks")
    return caveats


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
    "effect_alone",
    "shrunk_effect",
    "harm_chance",
    "systematic_error",
    "systematic_from",
    "e_value",
    "e_value_low",
    "lost_once",
    "revenue_per_week",
    "revenue_low",
    "revenue_high",
    "also_seen_as",
    "effect_query",
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
