"""What changed in the events and properties that arrive: new, vanished, retyped, exploded.

Something is new, or has vanished, when its absence cannot be chance: at its present (former) share, at
least `EXPECTED` events would have had it before (since), which happens by chance once in 22,000 cases.
"""

from collections.abc import Iterable
from datetime import date, timedelta

import polars as pl

from opsanalytics.quality.profiles import COLUMN, MORE

WINDOW_DAYS = 28
"""Changes that began in these last days are told; before, they are how things are."""
BEFORE_DAYS = 56
"""Days before a change that say how things were."""
KNOWN_DAYS = 7
"""Days with it from which the ways of a source, an event or a property are known."""
EXPECTED = 10.0
SILENT_DAYS = 7
"""Days without an event from which it has vanished; shorter silences are a matter of freshness."""
OTHER_TYPE_SHARE = 0.01
EXPLODED_DISTINCT, EXPLODED_TIMES, EXPLODED_RATIO = 100, 5, 3
"""Distinct values of a day: at least so many, so many times the usual, so many times the usual per event."""

CHANGES = pl.Schema(
    {
        "source": pl.String,
        "event": pl.String,
        "property": pl.String,
        "kind": pl.String,
        "warns": pl.Boolean,
        "first_seen": pl.Date,
        "last_seen": pl.Date,
        "n": pl.Int64,
        "share": pl.Float64,
        "expected": pl.String,
        "observed": pl.String,
    }
)
"""EVENT_DRIFT without `as_of`."""

EVENT = ["source", "event"]
PROPERTY = ["source", "event", "property"]

_FAMILY = {"integer": "number", "datetime": "datetime", COLUMN: "text"}
"""Types that one property may mix without anything having changed; others stand for themselves."""


def find_drift(profiles: pl.DataFrame, last: date) -> pl.DataFrame:
    """Changes (CHANGES) of the `WINDOW_DAYS` up to the UTC day `last`.

    `profiles` as `quality.profiles.profile_days` gives them, from the first day on.
    """
    profiles = profiles.filter(pl.col("day") <= last)
    events = profiles.filter(pl.col("property").is_null()).select(*EVENT, "day", "n")
    values = profiles.filter(pl.col("property").is_not_null() & (pl.col("type") != "null"))
    # Of a property that is both a column and in the JSON, a day's events are not counted twice.
    present = values.group_by(*PROPERTY, "day").agg(
        pl.col("n").filter(pl.col("type") != COLUMN).sum().alias("json"),
        pl.col("n").filter(pl.col("type") == COLUMN).sum().alias("column"),
        pl.col("distinct").max(),
    )
    present = present.with_columns(n=pl.max_horizontal("json", "column")).drop("json", "column")
    real = present.filter(pl.col("property") != MORE)
    return combine(
        [
            new_events(events, last),
            vanished_events(events, last),
            *_property_changes(events, real, last),
            retyped(values.filter(pl.col("property") != MORE), last),
            exploded_values(real, events, last),
            exploded_names(profiles, events, last),
        ]
    )


def combine(frames: Iterable[pl.DataFrame]) -> pl.DataFrame:
    """Frames with the columns of CHANGES as one, sorted."""
    columns = [pl.col(name).cast(dtype) for name, dtype in CHANGES.items()]
    joined = pl.concat([pl.DataFrame(schema=CHANGES), *(frame.select(columns) for frame in frames)])
    return joined.sort(*PROPERTY, "kind", "first_seen")


def new_events(events: pl.DataFrame, last: date) -> pl.DataFrame:
    """Events first seen lately in a source that has been there for longer."""
    by_source = events.group_by("source").agg(source_first=pl.col("day").min())
    spans = events.group_by(EVENT).agg(
        first_seen=pl.col("day").min(), last_seen=pl.col("day").max(), n=pl.col("n").sum()
    )
    volumes = events.group_by("source", "day").agg(total=pl.col("n").sum())
    since = spans.join(volumes, on="source").filter(pl.col("day") >= pl.col("first_seen"))
    totals = since.group_by(EVENT).agg(total=pl.col("total").sum())
    before = (pl.col("first_seen") - pl.col("source_first")).dt.total_days().clip(upper_bound=BEFORE_DAYS)
    rate = pl.col("n") / ((pl.lit(last) - pl.col("first_seen")).dt.total_days() + 1)
    return (
        spans.join(by_source, on="source")
        .join(totals, on=EVENT)
        .filter(pl.col("first_seen") > _start(last), before >= 2 * KNOWN_DAYS, rate * before >= EXPECTED)
        .with_columns(
            property=pl.lit(None, pl.String),
            kind=pl.lit("new_event"),
            warns=False,
            share=pl.col("n") / pl.col("total"),
            expected=pl.lit("no such event"),
            observed=pl.lit("sent"),
        )
    )


def vanished_events(events: pl.DataFrame, last: date) -> pl.DataFrame:
    """Events that used to come and have not come for a week or longer."""
    spans = events.group_by(EVENT).agg(last_seen=pl.col("day").max())
    lately = events.join(spans, on=EVENT).filter(
        pl.col("day") > pl.col("last_seen") - timedelta(days=WINDOW_DAYS)
    )
    silent = (pl.lit(last) - pl.col("last_seen")).dt.total_days()
    usual = lately.group_by(*EVENT, "last_seen").agg(active=pl.len(), rate=pl.col("n").sum() / WINDOW_DAYS)
    # The chance of such a silence at the former share of days with the event (rule of succession).
    idle = 1 - (pl.col("active") + 0.5) / (WINDOW_DAYS + 1)
    chance = (idle.log() * silent).exp()
    return usual.filter(
        silent.is_between(SILENT_DAYS, SILENT_DAYS + WINDOW_DAYS),
        pl.col("active") >= KNOWN_DAYS,
        pl.col("rate") * silent >= EXPECTED,
        chance < 0.001,
    ).select(
        *EVENT,
        "last_seen",
        property=pl.lit(None, pl.String),
        kind=pl.lit("vanished_event"),
        warns=pl.lit(True),
        first_seen=pl.col("last_seen") + timedelta(days=1),
        n=(pl.col("rate") * silent).round().cast(pl.Int64),
        share=pl.lit(None, pl.Float64),
        expected=pl.format("about {} a day", pl.col("rate").round(1)),
        observed=pl.format("none for {} days", silent),
    )


def _property_changes(
    events: pl.DataFrame, present: pl.DataFrame, last: date
) -> tuple[pl.DataFrame, pl.DataFrame]:
    spans = present.group_by(PROPERTY).agg(first_seen=pl.col("day").min(), last_seen=pl.col("day").max())
    joined = (
        events.rename({"n": "volume"})
        .join(spans.filter((pl.col("first_seen") > _start(last)) | (pl.col("last_seen") < last)), on=EVENT)
        .join(present, on=[*PROPERTY, "day"], how="left")
        .with_columns(pl.col("n").fill_null(0))
    )
    since_first = pl.col("day") >= pl.col("first_seen")
    before_first = (pl.col("day") < pl.col("first_seen")) & (
        pl.col("day") >= pl.col("first_seen") - timedelta(days=BEFORE_DAYS)
    )
    until_last = (pl.col("day") <= pl.col("last_seen")) & (
        pl.col("day") > pl.col("last_seen") - timedelta(days=WINDOW_DAYS)
    )
    since_last = pl.col("day") > pl.col("last_seen")
    figures = joined.group_by(*PROPERTY, "first_seen", "last_seen").agg(
        new_n=pl.col("n").filter(since_first).sum(),
        new_volume=pl.col("volume").filter(since_first).sum(),
        old_volume=pl.col("volume").filter(before_first).sum(),
        old_days=before_first.sum(),
        had_n=pl.col("n").filter(until_last).sum(),
        had_volume=pl.col("volume").filter(until_last).sum(),
        had_days=(until_last & (pl.col("n") > 0)).sum(),
        event_days=until_last.sum(),
        left_volume=pl.col("volume").filter(since_last).sum(),
        left_days=since_last.sum(),
    )
    new_share = pl.col("new_n") / pl.col("new_volume")
    new = figures.filter(
        pl.col("first_seen") > _start(last),
        pl.col("old_days") >= KNOWN_DAYS,
        new_share * pl.col("old_volume") >= EXPECTED,
    ).with_columns(
        kind=pl.lit("new_property"),
        warns=False,
        n=pl.col("new_n"),
        share=new_share,
        expected=pl.lit("no such property"),
        observed=pl.lit("sent"),
    )
    had_share = pl.col("had_n") / pl.col("had_volume")
    # Properties that come by the day (a campaign) are rarer in days than in events.
    idle = 1 - (pl.col("had_days") + 0.5) / (pl.col("event_days") + 1)
    vanished = figures.filter(
        pl.col("last_seen") > _start(last) - timedelta(days=1),
        pl.col("had_days") >= KNOWN_DAYS,
        had_share * pl.col("left_volume") >= EXPECTED,
        (idle.log() * pl.col("left_days")).exp() < 0.05,
    ).with_columns(
        kind=pl.lit("vanished_property"),
        warns=True,
        first_seen=pl.col("last_seen") + timedelta(days=1),
        n=(had_share * pl.col("left_volume")).round().cast(pl.Int64),
        share=had_share,
        expected=pl.format("in {} % of the events", (had_share * 100).round(1)),
        observed=pl.lit("in none"),
    )
    return new, vanished


def retyped(values: pl.DataFrame, last: date) -> pl.DataFrame:
    """Properties with values of a type they did not have before."""
    families = values.filter(pl.col("type") != COLUMN).with_columns(family=pl.col("type").replace(_FAMILY))
    daily = families.group_by(*PROPERTY, "family", "day").agg(pl.col("n").sum())
    spans = daily.group_by(*PROPERTY, "family").agg(
        first_seen=pl.col("day").min(), last_seen=pl.col("day").max()
    )
    # Texts are dates or not by their looks: a text among dates is a change, a date among texts is none.
    fresh = spans.filter(pl.col("first_seen") > _start(last), pl.col("family") != "datetime")
    other = fresh.join(daily.rename({"family": "any"}), on=PROPERTY)
    before = (pl.col("day") < pl.col("first_seen")) & (
        pl.col("day") >= pl.col("first_seen") - timedelta(days=BEFORE_DAYS)
    )
    since = pl.col("day") >= pl.col("first_seen")
    figures = other.group_by(*PROPERTY, "family", "first_seen", "last_seen").agg(
        n=pl.col("n").filter(since & (pl.col("any") == pl.col("family"))).sum(),
        volume=pl.col("n").filter(since).sum(),
        before=pl.col("n").filter(before).sum(),
        days=pl.col("day").filter(before).n_unique(),
        expected=pl.col("any").filter(before).unique().sort().str.join(", "),
    )
    share = pl.col("n") / pl.col("volume")
    return figures.filter(
        pl.col("days") >= KNOWN_DAYS, share >= OTHER_TYPE_SHARE, share * pl.col("before") >= EXPECTED
    ).with_columns(kind=pl.lit("retyped"), warns=True, share=share, observed=pl.col("family"))


def exploded_values(present: pl.DataFrame, events: pl.DataFrame, last: date) -> pl.DataFrame:
    """Properties with many more distinct values a day than before, and not because there are more events."""
    lately = present.filter(pl.col("day") > _start(last) - timedelta(days=BEFORE_DAYS)).with_columns(
        ratio=pl.col("distinct") / pl.col("n"), present=1
    )
    if lately.is_empty():
        return pl.DataFrame(schema=CHANGES)
    rolling = {"window_size": f"{BEFORE_DAYS}d", "closed": "left"}
    usual = lately.sort("day").with_columns(
        **{
            f"usual_{name}": pl.col(name).cast(pl.Float64).rolling_median_by("day", **rolling).over(PROPERTY)  # type: ignore[arg-type]
            for name in ("distinct", "ratio")
        },
        days=pl.col("present").rolling_sum_by("day", **rolling).over(PROPERTY),  # type: ignore[arg-type]
    )
    days = usual.filter(
        pl.col("day") > _start(last),
        pl.col("days") >= KNOWN_DAYS,
        pl.col("distinct") >= EXPLODED_DISTINCT,
        pl.col("distinct") >= EXPLODED_TIMES * pl.col("usual_distinct"),
        pl.col("ratio") >= EXPLODED_RATIO * pl.col("usual_ratio"),
    ).join(events.rename({"n": "volume"}), on=[*EVENT, "day"])
    return days.group_by(PROPERTY).agg(
        kind=pl.lit("cardinality"),
        warns=pl.lit(True),
        first_seen=pl.col("day").min(),
        last_seen=pl.col("day").max(),
        n=pl.col("n").sum(),
        share=pl.col("n").sum() / pl.col("volume").sum(),
        expected=pl.format("about {} distinct values a day", pl.col("usual_distinct").min().cast(pl.Int64)),
        observed=pl.format("about {} distinct values a day", pl.col("distinct").max()),
    )


def exploded_names(profiles: pl.DataFrame, events: pl.DataFrame, last: date) -> pl.DataFrame:
    """Events whose properties are so many that ids seem to be used as names."""
    return (
        profiles.filter(pl.col("property") == MORE, pl.col("day") > _start(last))
        .join(events.rename({"n": "volume"}), on=[*EVENT, "day"])
        .group_by(EVENT)
        .agg(
            property=pl.lit(None, pl.String),
            kind=pl.lit("names_exploded"),
            warns=pl.lit(True),
            first_seen=pl.col("day").min(),
            last_seen=pl.col("day").max(),
            n=pl.col("volume").sum(),
            share=pl.lit(None, pl.Float64),
            expected=pl.lit("names of properties that stay"),
            observed=pl.lit("hundreds of different names a day: ids used as names?"),
        )
    )


def _start(last: date) -> date:
    """The day before the window of `WINDOW_DAYS`."""
    return last - timedelta(days=WINDOW_DAYS)
