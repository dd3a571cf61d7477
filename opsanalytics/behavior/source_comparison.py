"""Two sources beside each other, day by day: do they tell of the same events, and do they agree?"""

from collections.abc import Sequence
from itertools import combinations

import polars as pl

from opsanalytics.behavior.overlaps import Overlap
from opsanalytics.behavior.statistics import wilson
from opsanalytics.lake.tables import UTC_TIME, Column, Table

TOLERANCE = 0.05
"""Two vendors that saw the same product agree if their counts differ by no more than this share."""
EVIDENT_SHARE = 0.5
EVIDENT_PERSON_DAYS = 30
"""Sources look like one product if at least this share of the smaller one's person-days is in the other
one too, under the same event name, and there are at least so many person-days to judge by."""

SOURCE_COMPARISON = Table(
    name="source_comparison",
    description=(
        "Events that two sources both send, day by day (UTC): as recorded, before overlaps are settled. "
        "A row without a day is about all days."
    ),
    order=("source_a", "source_b", "event", "day"),
    columns=(
        Column("day", pl.Date, "UTC day; null: all days together."),
        Column("event", pl.String, "Canonical event name.", True),
        Column("source_a", pl.String, "One source: the one configured first.", True),
        Column("source_b", pl.String, "The other source.", True),
        Column("events_a", pl.Int64, "Events that source_a recorded.", True),
        Column("events_b", pl.Int64, "Events that source_b recorded.", True),
        Column("persons_a", pl.Int64, "Persons in source_a.", True),
        Column("persons_b", pl.Int64, "Persons in source_b.", True),
        Column("persons_both", pl.Int64, "Persons that both have, by the same user id.", True),
        Column("difference", pl.Int64, "events_b - events_a.", True),
        Column("ratio", pl.Float64, "events_b / events_a; null if source_a has none."),
        Column("ratio_low", pl.Float64, "95 % interval of ratio, lower end (Wilson, share of both counts)."),
        Column("ratio_high", pl.Float64, "95 % interval of ratio, upper end; null: unbounded."),
        Column(
            "verdict",
            pl.String,
            "agree: counts within 5 % of each other; differ: they are not, even at the near end of the "
            "interval; unclear: too few events to tell; only_a, only_b: the other one recorded none.",
            True,
        ),
        Column(
            "relation",
            pl.String,
            "declared: [[overlaps]] names the two for this event; evident: at least half of the smaller "
            "one's person-days are in the other one too; apart: neither.",
            True,
        ),
        Column("as_of", UTC_TIME, "Events up to here were complete when this was computed, UTC.", True),
        Column(
            "quality", pl.String, "Quality checks upstream: passed, warning, failed or not_checked.", True
        ),
    ),
)
COUNTED = ("as_of", "quality")
"""Columns that the caller adds."""

_COUNTS = ("events_a", "events_b", "persons_a", "persons_b", "persons_both")


def compare_sources(
    events: pl.LazyFrame, sources: Sequence[str], overlaps: Sequence[Overlap] = ()
) -> pl.DataFrame:
    """Compare every two of `sources`, in their order, by the event names that both have.

    In: `person`, `source`, `event`, `ts` (UTC) of events as recorded. Out: SOURCE_COMPARISON without COUNTED.
    """
    shared = (
        events.filter(pl.col("source").is_in(list(sources)))
        .group_by("event")
        .agg(pl.col("source").n_unique())
        .filter(pl.col("source") > 1)
        .select("event")
        .collect()["event"]
    )
    seen = (
        events.filter(pl.col("event").is_in(shared.to_list()))
        .group_by(pl.col("ts").dt.date().alias("day"), "event", "person", "source")
        .agg(pl.len().cast(pl.Int64).alias("events"))
        .collect(engine="streaming")
    )
    frames = [SOURCE_COMPARISON.empty().drop(COUNTED)]
    for a, b in combinations(sources, 2):
        first, second = seen.filter(source=a), seen.filter(source=b)
        both = sorted(set(first["event"]) & set(second["event"]))
        if both:
            pair = (first.filter(pl.col("event").is_in(both)), second.filter(pl.col("event").is_in(both)))
            days = _counted(*pair, ["day", "event"])
            rows = pl.concat([days, _counted(*pair, ["event"]).select(days.columns)])
            relation = _relation(rows, a, b, overlaps)
            frames.append(_judged(rows, a, b).with_columns(relation).select(frames[0].columns))
    return pl.concat(frames)


def overlap_evidence(comparison: pl.DataFrame) -> pl.DataFrame:
    """How alike two sources are, from SOURCE_COMPARISON: by pair, over the events they share.

    Out: `source_a`, `source_b`, `person_days` (of the smaller one: persons by day and event), `in_both` (of
    these, also in the other one), `share`, `declared` (all their shared events), `evident`, `examples` (texts
    on up to five events, those with the most in both first).
    """
    days = comparison.filter(pl.col("day").is_not_null())
    person_days = pl.min_horizontal(pl.col("persons_a").sum(), pl.col("persons_b").sum())
    figures = {
        "person_days": person_days,
        "in_both": pl.col("persons_both").sum(),
        "declared": (pl.col("relation") == "declared").all(),
    }
    by_event = (
        days.group_by("source_a", "source_b", "event")
        .agg(**figures)
        .sort("in_both", "event", descending=[True, False])
        .group_by("source_a", "source_b")
        .agg(
            pl.format("{}: {} of {} person-days", "event", "in_both", "person_days").head(5).alias("examples")
        )
    )
    share = pl.col("in_both") / pl.col("person_days")
    evident = (pl.col("person_days") >= EVIDENT_PERSON_DAYS) & (share >= EVIDENT_SHARE)
    return (
        days.group_by("source_a", "source_b")
        .agg(**figures)
        .with_columns(share.fill_nan(0.0).alias("share"), evident.fill_null(value=False).alias("evident"))
        .join(by_event, on=["source_a", "source_b"])
        .sort("source_a", "source_b")
    )


def _counted(first: pl.DataFrame, second: pl.DataFrame, by: list[str]) -> pl.DataFrame:
    """The counts of both sources by `by`; without a day in it, `day` is null."""
    sides = [
        frame.group_by(by).agg(
            pl.col("events").sum().alias(f"events_{side}"),
            pl.col("person").drop_nulls().n_unique().cast(pl.Int64).alias(f"persons_{side}"),
        )
        for side, frame in (("a", first), ("b", second))
    ]
    in_both = (
        first.drop_nulls("person")
        .join(second.drop_nulls("person"), on=[*by, "person"], how="semi")
        .group_by(by)
        .agg(pl.col("person").n_unique().cast(pl.Int64).alias("persons_both"))
    )
    counts = sides[0].join(sides[1], on=by, how="full", coalesce=True).join(in_both, on=by, how="left")
    day = [] if "day" in by else [pl.lit(None, pl.Date).alias("day")]
    return counts.with_columns(*day, *(pl.col(name).fill_null(0) for name in _COUNTS)).select(
        "day", "event", *_COUNTS
    )


def _judged(rows: pl.DataFrame, a: str, b: str) -> pl.DataFrame:
    low, high = wilson(rows["events_b"].to_numpy(), (rows["events_a"] + rows["events_b"]).to_numpy())
    within = pl.col("ratio").is_between(1 / (1 + TOLERANCE), 1 + TOLERANCE)
    beyond = (pl.col("ratio_high") < 1 / (1 + TOLERANCE)) | (pl.col("ratio_low") > 1 + TOLERANCE)
    share = pl.DataFrame({"low": low, "high": high})
    odds = share.select(
        ratio_low=pl.col("low") / (1 - pl.col("low")),
        ratio_high=pl.when(pl.col("high") < 1).then(pl.col("high") / (1 - pl.col("high"))),
    )
    return (
        rows.with_columns(
            pl.lit(a).alias("source_a"),
            pl.lit(b).alias("source_b"),
            (pl.col("events_b") - pl.col("events_a")).alias("difference"),
            pl.when(pl.col("events_a") > 0).then(pl.col("events_b") / pl.col("events_a")).alias("ratio"),
            odds["ratio_low"],
            odds["ratio_high"],
        )
        .with_columns(
            pl.when(pl.col("events_b") == 0)
            .then(pl.lit("only_a"))
            .when(pl.col("events_a") == 0)
            .then(pl.lit("only_b"))
            .when(within)
            .then(pl.lit("agree"))
            .when(beyond)
            .then(pl.lit("differ"))
            .otherwise(pl.lit("unclear"))
            .alias("verdict")
        )
        .with_columns(pl.when(pl.col("events_a") > 0).then("ratio_high").alias("ratio_high"))
    )


def _relation(rows: pl.DataFrame, a: str, b: str, overlaps: Sequence[Overlap]) -> pl.Expr:
    ours = [overlap for overlap in overlaps if {a, b} <= set(overlap.prefer)]
    declared = [
        pl.lit(value=True) if overlap.events is None else pl.col("event").is_in(overlap.events)
        for overlap in ours
    ]
    marked = rows.with_columns(
        pl.lit(a).alias("source_a"), pl.lit(b).alias("source_b"), pl.lit("").alias("relation")
    )
    otherwise = "evident" if overlap_evidence(marked)["evident"].any() else "apart"
    return (
        pl.when(pl.any_horizontal(pl.lit(value=False), *declared))
        .then(pl.lit("declared"))
        .otherwise(pl.lit(otherwise))
        .alias("relation")
    )
