"""Where the events that arrive leave the tracking plan, told from their daily profiles.

Values are not in the profiles: allowed values and patterns are checked event by event, by the suite.
"""

from datetime import date, timedelta

import polars as pl

from opsanalytics.quality.drift import CHANGES, EVENT, PROPERTY, WINDOW_DAYS, combine
from opsanalytics.quality.plan import PropertyType, TrackingPlan
from opsanalytics.quality.profiles import COLUMN, MORE, NOTHING_ADDED, VendorProperties, of_product

STILL_DAYS = 7
"""A breach is told while it was seen in these last days."""

ACCEPTED: dict[PropertyType, tuple[str, ...]] = {
    "string": ("string", "datetime", COLUMN),
    "integer": ("integer", COLUMN),
    "number": ("number", "integer", COLUMN),
    "boolean": ("boolean", COLUMN),
    "datetime": ("datetime", COLUMN),
    "list": ("list", COLUMN),
    "object": ("object", COLUMN),
}
"""Types in a profile that a declared type takes; columns of events are texts whatever was declared."""

_DECLARED = pl.Schema(
    {"event": pl.String, "property": pl.String, "declared": pl.String, "required": pl.Boolean}
)


def find_breaches(
    profiles: pl.DataFrame,
    plan: TrackingPlan,
    last: date,
    vendor: VendorProperties = NOTHING_ADDED,
) -> pl.DataFrame:
    """Breaches (`drift.CHANGES`) of the plan still seen in the last days up to the UTC day `last`.

    `first_seen` is the first day of the breach in the lake. Empty if the plan declares nothing. The
    properties that vendors add (`vendor`, as for `profiles.of_product`) need not be declared, and may be.
    """
    if not plan.events:
        return pl.DataFrame(schema=CHANGES)
    profiles = profiles.filter(pl.col("day") <= last)
    events = profiles.filter(pl.col("property").is_null()).select(*EVENT, "day", volume="n")
    values = profiles.filter(pl.col("property").is_not_null(), pl.col("property") != MORE)
    declared = pl.DataFrame(
        [
            (event.name, name, planned.type, planned.required)
            for event in plan.events
            for name, planned in event.properties.items()
        ],
        schema=_DECLARED,
        orient="row",
    )
    names = list(plan.by_name)
    undeclared = events.filter(~pl.col("event").is_in(names)).with_columns(
        n="volume",
        property=pl.lit(None, pl.String),
        kind=pl.lit("undeclared_event"),
        expected=pl.lit("not in the tracking plan"),
        observed=pl.lit("sent"),
    )
    totals = events.group_by("source", "day").agg(source_volume=pl.col("volume").sum())
    undeclared = undeclared.drop("volume").join(
        totals.rename({"source_volume": "volume"}), on=["source", "day"]
    )
    known = values.filter(pl.col("event").is_in(names)).join(events, on=[*EVENT, "day"])
    stray = (
        of_product(known, vendor)
        .filter(pl.col("type") != COLUMN)
        .join(declared, on=["event", "property"], how="anti")
        .with_columns(
            kind=pl.lit("undeclared_property"),
            expected=pl.lit("not in the tracking plan"),
            observed=pl.col("type"),
        )
    )
    accepted = pl.DataFrame(
        [(name, kind) for name, kinds in ACCEPTED.items() for kind in (*kinds, "null")],
        schema={"declared": pl.String, "type": pl.String},
        orient="row",
    )
    wrong = (
        known.join(declared, on=["event", "property"])
        .join(accepted, on=["declared", "type"], how="anti")
        .with_columns(kind=pl.lit("wrong_type"), expected=pl.col("declared"), observed=pl.col("type"))
    )
    return combine(
        [
            *(
                _spans(frame, last)
                for frame in (undeclared, stray, wrong, _missing(events, values, declared))
            ),
            _never_sent(events, plan, last),
        ]
    )


def _missing(events: pl.DataFrame, values: pl.DataFrame, declared: pl.DataFrame) -> pl.DataFrame:
    """Days on which some events lack a required property (null counts as lacking)."""
    filled = (
        values.filter(pl.col("type") != "null")
        .group_by(*PROPERTY, "day")
        .agg(
            json=pl.col("n").filter(pl.col("type") != COLUMN).sum(),
            column=pl.col("n").filter(pl.col("type") == COLUMN).sum(),
        )
    )
    return (
        events.join(declared.filter("required"), on="event")
        .join(filled, on=[*PROPERTY, "day"], how="left")
        .with_columns(n=pl.col("volume") - pl.max_horizontal("json", "column").fill_null(0))
        .filter(pl.col("n") > 0)
        .with_columns(
            kind=pl.lit("required_missing"), expected=pl.lit("in every event"), observed=pl.lit("missing")
        )
    )


def _spans(days: pl.DataFrame, last: date) -> pl.DataFrame:
    """Breaches by day as one row each, those that are over left out."""
    return (
        days.group_by(*PROPERTY, "kind")
        .agg(
            first_seen=pl.col("day").min(),
            last_seen=pl.col("day").max(),
            n=pl.col("n").sum(),
            share=pl.col("n").sum() / pl.struct("day", "volume").unique().struct.field("volume").sum(),
            expected=pl.col("expected").first(),
            observed=pl.col("observed").unique().sort().str.join(", "),
            warns=pl.lit(True),
        )
        .filter(pl.col("last_seen") > last - timedelta(days=STILL_DAYS))
    )


def _never_sent(events: pl.DataFrame, plan: TrackingPlan, last: date) -> pl.DataFrame:
    lately = set(events.filter(pl.col("day") > last - timedelta(days=WINDOW_DAYS))["event"])
    return pl.DataFrame(
        [
            {
                "source": None,
                "event": event.name,
                "property": None,
                "kind": "never_sent",
                "warns": False,
                "first_seen": None,
                "last_seen": events.filter(pl.col("event") == event.name)["day"].max(),
                "n": 0,
                "share": None,
                "expected": "in the tracking plan",
                "observed": f"not sent for {WINDOW_DAYS} days",
            }
            for event in plan.events
            if event.name not in lately
        ],
        schema=CHANGES,
    )
