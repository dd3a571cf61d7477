"""Friction that shows in what does not happen: forms that are not sent, events that a release made rarer."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta

import numpy as np
import polars as pl

from opsanalytics.behavior.statistics import benjamini_hochberg, two_proportion_p
from opsanalytics.improvement.places import optional_text
from opsanalytics.improvement.settings import FormAbandonment, ReleaseDrop
from opsanalytics.improvement.signals import Detection, exposed, persons_by_place, words

FALSE_DISCOVERY_RATE = 0.05


def form_abandonment(events: pl.DataFrame, rule: FormAbandonment, as_of: datetime) -> Detection:
    """Forms begun and not sent in time; met when the time is over. Lately begun ones do not count yet."""
    name = "form_abandonment"
    if rule.start is None or rule.submit is None:
        return Detection(
            name, "no events are configured as beginning and sending a form (friction.form_abandonment)"
        )
    both = events.filter(pl.col("event").is_in([rule.start, rule.submit]))
    for event in (rule.start, rule.submit):
        if both.filter(pl.col("event") == event).is_empty():
            return Detection(name, f"no event {event!r} occurs")
    form = optional_text(rule.form, both.columns)
    # An element of neither event's own: both sides of a form must have one name.
    both = both.with_columns(place=pl.coalesce(form.replace("", None), pl.lit(rule.start)))
    sent = pl.when(pl.col("event") == rule.submit).then("ts").backward_fill().over("person", "place")
    begun = both.with_columns(sent=sent).filter(
        (pl.col("event") == rule.start) & (pl.col("ts") <= as_of - rule.within)
    )
    late = (pl.col("sent") - pl.col("ts") > rule.within).fill_null(True)
    # Beginning again before sending is the same attempt: the last beginning counts.
    again = (pl.col("ts").shift(-1).over("person", "place") - pl.col("ts") <= rule.within).fill_null(False)
    given_up = begun.filter(late & ~again).with_columns(ts=pl.col("ts") + rule.within)
    reason = f"{rule.start} without {rule.submit} within {words(rule.within.total_seconds())}, by {rule.form}"
    return Detection(name, reason, exposed(given_up), persons_by_place(begun))


@dataclass(frozen=True)
class _Release:
    version: str
    platform: str
    day: date


@dataclass(frozen=True)
class _Drop:
    """An event of a release: distinct persons who did it, of those active."""

    release: _Release
    event: str
    before: int
    active_before: int
    after: int
    active_after: int

    @property
    def lost(self) -> float:
        """Share of the earlier rate that is gone."""
        return 1 - (self.after / self.active_after) / (self.before / self.active_before)

    @property
    def place(self) -> str:
        return f"{self.event} since {self.release.version} ({self.release.platform})"

    @property
    def detail(self) -> str:
        before, after = self.before / self.active_before, self.after / self.active_after
        return (
            f"done by {before:.0%} of {self.active_before} active persons before "
            f"{self.release.day:%Y-%m-%d}, by {after:.0%} of {self.active_after} after"
        )


def release_drops(events: pl.DataFrame, rule: ReleaseDrop, as_of: datetime) -> Detection:
    """Events that far fewer of the active persons do after a release, beyond chance.

    Score test of two shares, Benjamini-Hochberg over all events and releases. Affected are persons with the
    new version who did the event in the weeks before and no longer in those after; they met it at their
    first event with that version.
    """
    name = "release_drop"
    if events["app_version"].null_count() == events.height:
        return Detection(name, "no event has a version of the product (app_version)")
    events = events.select("person", "ts", "event", "app_version", "platform")
    daily = events.select(
        "person",
        "event",
        "app_version",
        pl.col("platform").fill_null("unknown"),
        pl.col("ts").dt.date().alias("day"),
    ).unique()
    releases = list(_releases(daily, rule, as_of))
    if not releases:
        return Detection(
            name, f"no version came out with {rule.weeks} full week(s) of data before and after it"
        )
    span = timedelta(weeks=rule.weeks)
    drops = [drop for release in releases for drop in _compared(daily, release, span, rule)]
    p_values = two_proportion_p(
        [drop.after for drop in drops],
        [drop.active_after for drop in drops],
        [drop.before for drop in drops],
        [drop.active_before for drop in drops],
    )
    q_values = benjamini_hochberg(p_values) if drops else np.empty(0)
    marked = [
        drop
        for drop, q in zip(drops, q_values, strict=True)
        if drop.lost >= rule.min_drop and q <= FALSE_DISCOVERY_RATE
    ]
    found, could = [exposed(events.head(0).with_columns(place=pl.lit("")))], []
    for drop in marked:
        met, used = _affected(events, drop, span)
        found.append(met)
        could.append((drop.place, used))
    return Detection(
        name,
        f"at least {rule.min_drop:.0%} fewer of the active persons do it in the {rule.weeks} week(s) after a "
        f"version reached {rule.min_share:.0%} of a platform's persons than before",
        pl.concat(found),
        pl.DataFrame(could, schema={"place": pl.String, "n": pl.Int64}, orient="row"),
        details={drop.place: drop.detail for drop in marked},
    )


def _releases(daily: pl.DataFrame, rule: ReleaseDrop, as_of: datetime) -> Iterator[_Release]:
    """Versions whose weeks before and after are complete, in order."""
    active = daily.group_by("platform", "day").agg(persons=pl.col("person").n_unique())
    shares = (
        daily.drop_nulls("app_version")
        .group_by("platform", "app_version", "day")
        .agg(own=pl.col("person").n_unique())
        .join(active, on=["platform", "day"])
        .filter(pl.col("own") >= rule.min_share * pl.col("persons"))
        .group_by("platform", "app_version")
        .agg(day=pl.col("day").min())
        .sort("platform", "day", "app_version")
    )
    first = daily["day"].min()
    span = timedelta(weeks=rule.weeks)
    for platform, version, day in shares.iter_rows():
        # What is there from the first day is no release; the last day may not be complete.
        if isinstance(first, date) and day - span >= first and day + span <= as_of.date():
            yield _Release(version, platform, day)


def _compared(daily: pl.DataFrame, release: _Release, span: timedelta, rule: ReleaseDrop) -> Iterator[_Drop]:
    """Each event of the platform that enough persons did before."""
    here = daily.filter(pl.col("platform") == release.platform)
    before = here.filter(pl.col("day").is_between(release.day - span, release.day, closed="left"))
    # All versions: who has the new one first is not like the others, and newcomers have it at once.
    after = here.filter(pl.col("day").is_between(release.day, release.day + span, closed="left"))
    active = before["person"].n_unique(), after["person"].n_unique()
    did = before.group_by("event").agg(before=pl.col("person").n_unique())
    does = after.group_by("event").agg(after=pl.col("person").n_unique())
    rows = did.filter(pl.col("before") >= rule.min_persons).join(does, on="event", how="left").sort("event")
    for event, earlier, later in rows.iter_rows():
        if active[1] >= rule.min_persons:
            yield _Drop(release, event, earlier, active[0], later or 0, active[1])


def _affected(events: pl.DataFrame, drop: _Drop, span: timedelta) -> tuple[pl.DataFrame, int]:
    """Who did it before and, though there, no longer does; and how many did it before and are there."""
    day = pl.col("ts").dt.date()
    release = drop.release
    here = events.filter(pl.col("platform").fill_null("unknown") == release.platform)
    of_event = here.filter(pl.col("event") == drop.event)
    before = (
        of_event.filter(day.is_between(release.day - span, release.day, closed="left"))
        .select("person")
        .unique()
    )
    there = (
        here.filter(
            day.is_between(release.day, release.day + span, closed="left")
            & (pl.col("app_version") == release.version)
        )
        .join(before, on="person", how="semi")
        .group_by("person")
        .agg(ts=pl.col("ts").min())
    )
    still = of_event.filter(day.is_between(release.day, release.day + span, closed="left"))
    met = there.join(still, on="person", how="anti").with_columns(
        place=pl.lit(drop.place), app_version=pl.lit(release.version)
    )
    return met.select("person", "ts", "place", "app_version"), there.height
