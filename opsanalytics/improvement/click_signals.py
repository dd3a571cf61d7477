"""Friction in clicks: again and again on one element, or on one that does not answer."""

import polars as pl

from opsanalytics.improvement.places import optional_text
from opsanalytics.improvement.settings import Clicks, DeadClick, RageClick
from opsanalytics.improvement.signals import Detection, exposed, number_of, persons_by_place, words


def rage_clicks(events: pl.DataFrame, rule: RageClick) -> Detection:
    """Clicks on one element in quick succession; once a run, at the click that makes it enough.

    Also what trackers report as such by themselves.
    """
    clicks = _clicks(events, rule)
    reported = _reported(events, rule)
    if clicks is None and reported.is_empty():
        return _unavailable("rage_click", rule)
    parts, reason = [exposed(reported)], [f"events {', '.join(rule.reported)}"]
    if clicks is not None:
        back = rule.clicks - 1
        same = pl.col("ts") - pl.col("ts").shift(back).over("person", "place") <= rule.within
        near = [
            ((pl.col("x") - pl.col("x").shift(each)) ** 2 + (pl.col("y") - pl.col("y").shift(each)) ** 2)
            .over("person", "place")
            .sqrt()
            .le(rule.pixels)
            .fill_null(True)  # positions unknown: the element is what tells clicks apart
            for each in range(1, rule.clicks)
        ]
        enough = clicks.with_columns(rage=pl.all_horizontal(same, *near).fill_null(False))
        starts = pl.col("rage") & ~pl.col("rage").shift().over("person", "place").fill_null(False)
        parts.append(exposed(enough.filter(starts)))
        reason.insert(
            0, f"{rule.clicks} {rule.event} on one element within {words(rule.within.total_seconds())}"
        )
    return _detection("rage_click", " or ".join(reason), parts, clicks, rule)


def dead_clicks(events: pl.DataFrame, rule: DeadClick) -> Detection:
    """Clicks that nothing follows, on elements that mostly answer with another event.

    Elements that seldom do are not looked at: nothing following says nothing there.
    """
    clicks = _clicks(events, rule)
    reported = _reported(events, rule)
    if clicks is None and reported.is_empty():
        return _unavailable("dead_click", rule)
    parts, reason = [exposed(reported)], [f"events {', '.join(rule.reported)}"]
    if clicks is not None:
        other = pl.when(pl.col("event") != rule.event).then("ts")
        following = events.with_columns(following=other.backward_fill().over("person"))
        answered = (pl.col("following") - pl.col("ts") <= rule.within).fill_null(False)
        clicks = _minded(following.filter(pl.col("event") == rule.event), rule).with_columns(
            answered=answered
        )
        usual = pl.col("answered").mean().over("place")
        often = pl.len().over("place")
        parts.append(
            exposed(
                clicks.filter(~pl.col("answered") & (usual >= rule.min_answered) & (often >= rule.min_clicks))
            )
        )
        reason.insert(
            0,
            f"{rule.event} with no other event within {words(rule.within.total_seconds())}, on elements "
            f"where one follows at least {rule.min_answered:.0%} of {rule.min_clicks} clicks or more",
        )
    return _detection("dead_click", " or ".join(reason), parts, clicks, rule)


def _clicks(events: pl.DataFrame, rule: Clicks) -> pl.DataFrame | None:
    """Clicks with place and position, in the order of `events`; None if there are none."""
    if rule.event is None:
        return None
    found = _minded(events.filter(pl.col("event") == rule.event), rule)
    if found.is_empty():
        return None
    return found.with_columns(
        x=number_of(found.columns, rule.x),
        y=number_of(found.columns, rule.y),
    )


def _element(columns: list[str], rule: Clicks) -> pl.Expr:
    """Such as "Save on /settings"; what is known of it, else the event's name."""
    element = optional_text(rule.element, columns)
    both = pl.concat_str(element, pl.lit(" on "), "page")
    return pl.coalesce(both, element, "page", "event")


def _reported(events: pl.DataFrame, rule: Clicks) -> pl.DataFrame:
    """What trackers reported, with its place."""
    return _minded(events.filter(pl.col("event").is_in(list(rule.reported))), rule)


def _minded(found: pl.DataFrame, rule: Clicks) -> pl.DataFrame:
    """With place, without elements that are clicked quickly by design."""
    ignored = optional_text(rule.element, found.columns).is_in(list(rule.ignore)).fill_null(False)
    return found.filter(~ignored).with_columns(place=_element(found.columns, rule))


def _detection(
    signal: str, reason: str, parts: list[pl.DataFrame], clicks: pl.DataFrame | None, rule: Clicks
) -> Detection:
    found = pl.concat(parts)
    clicked = [
        found.select("person", "place"),
        *([] if clicks is None else [clicks.select("person", "place")]),
    ]
    return Detection(
        signal,
        reason,
        found,
        persons_by_place(pl.concat(clicked)),
        chance=None
        if clicks is None
        else pl.when(pl.col("event") == rule.event).then(_element(clicks.columns, rule)),
    )


def _unavailable(signal: str, rule: Clicks) -> Detection:
    known = f"none of {', '.join(rule.reported)} occurs"
    if rule.event is None:
        return Detection(signal, f"no event is configured as a click (friction.{signal}.event), and {known}")
    return Detection(signal, f"no event {rule.event!r} occurs, and {known}")
