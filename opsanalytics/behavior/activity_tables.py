"""Marts of lifecycle, stickiness, usage interval and trends."""

import polars as pl

from opsanalytics.behavior.tables import PROVENANCE
from opsanalytics.lake.tables import UTC_TIME, Column, Table

DEFINITION = Column("definition", pl.String, "Name of the definition.", True)
PERIOD_START = "First local day of the period, reporting time zone."
STARTS_AT = "First instant of the period, UTC; tells hours apart."
COMPLETE = "The period was over at as_of and did not begin before the day of the first event."

LIFECYCLE = Table(
    name="lifecycle",
    description="New, returning, resurrected and dormant persons by period.",
    order=("definition", "starts_at"),
    columns=(
        DEFINITION,
        Column("period_start", pl.Date, PERIOD_START, True),
        Column("starts_at", UTC_TIME, STARTS_AT, True),
        Column("active", pl.Int64, "Persons active in the period: new, returning and resurrected.", True),
        Column("new", pl.Int64, "Active for the first time.", True),
        Column("returning", pl.Int64, "Active in the period before too.", True),
        Column("resurrected", pl.Int64, "Active earlier, but not in the period before.", True),
        Column("dormant", pl.Int64, "Active in the period before and not in this; null until it is over."),
        Column("previous", pl.Int64, "Persons active in the period before (n of return_rate).", True),
        Column("return_rate", pl.Float64, "returning / previous; null until the period is over."),
        Column("return_rate_low", pl.Float64, "Wilson 95 % interval, lower end."),
        Column("return_rate_high", pl.Float64, "Wilson 95 % interval, upper end."),
        Column("pulse", pl.Float64, "(new + resurrected) / dormant; above 1 the product gains persons."),
        Column("pulse_low", pl.Float64, "95 % interval of the ratio of two counts, lower end."),
        Column("pulse_high", pl.Float64, "95 % interval, upper end; null where it has no end."),
        Column("complete", pl.Boolean, COMPLETE, True),
        *PROVENANCE,
    ),
)

STICKINESS = Table(
    name="stickiness",
    description="Persons by the number of units (days) of a period in which they were active; period_start "
    "null is pooled over complete periods.",
    order=("definition", "starts_at", "units"),
    columns=(
        DEFINITION,
        Column("period_start", pl.Date, f"{PERIOD_START} Null: pooled."),
        Column("starts_at", UTC_TIME, f"{STARTS_AT} Null: pooled."),
        Column("units", pl.Int32, "Number of units with a use, from 1.", True),
        Column("n", pl.Int64, "Persons active in the period.", True),
        Column("persons", pl.Int64, "Of these, persons active in exactly so many units.", True),
        Column("share", pl.Float64, "persons / n."),
        Column("share_low", pl.Float64, "Wilson 95 % interval, lower end."),
        Column("share_high", pl.Float64, "Wilson 95 % interval, upper end."),
        Column("at_least", pl.Int64, "Of n, persons active in so many units or more.", True),
        Column("at_least_share", pl.Float64, "at_least / n."),
        Column("at_least_low", pl.Float64, "Wilson 95 % interval, lower end."),
        Column("at_least_high", pl.Float64, "Wilson 95 % interval, upper end."),
        Column("complete", pl.Boolean, COMPLETE, True),
        *PROVENANCE,
    ),
)

ACTIVE_PERSONS = Table(
    name="active_persons",
    description="Persons active by day, in the last 7 and in the last 30 days, and how the first share in "
    "the others.",
    order=("definition", "day"),
    columns=(
        DEFINITION,
        Column("day", pl.Date, "Local day, reporting time zone.", True),
        Column("dau", pl.Int64, "Persons active on the day.", True),
        Column("wau", pl.Int64, "Persons active in the 7 days that end with it (n of dau_wau).", True),
        Column("mau", pl.Int64, "Persons active in the 30 days that end with it (n of dau_mau).", True),
        Column("dau_wau", pl.Float64, "dau / wau; null unless complete and full_week."),
        Column("dau_wau_low", pl.Float64, "Wilson 95 % interval, lower end."),
        Column("dau_wau_high", pl.Float64, "Wilson 95 % interval, upper end."),
        Column("dau_mau", pl.Float64, "dau / mau; null unless complete and full_month."),
        Column("dau_mau_low", pl.Float64, "Wilson 95 % interval, lower end."),
        Column("dau_mau_high", pl.Float64, "Wilson 95 % interval, upper end."),
        Column("full_week", pl.Boolean, "There is data of all 7 days.", True),
        Column("full_month", pl.Boolean, "There is data of all 30 days.", True),
        Column("complete", pl.Boolean, "The day was over at as_of.", True),
        *PROVENANCE,
    ),
)

USAGE_INTERVALS = Table(
    name="usage_intervals",
    description="How long people pause between two uses: each person counts with their median pause.",
    order=("definition",),
    columns=(
        DEFINITION,
        Column("unit", pl.String, "Unit of pauses: hour, day, week or month.", True),
        Column("n", pl.Int64, "Persons with at least two uses.", True),
        Column("median", pl.Float64, "Median over persons of their median pause, units."),
        Column("median_low", pl.Float64, "95 % order-statistic interval, lower end."),
        Column("median_high", pl.Float64, "95 % order-statistic interval, upper end."),
        Column("share", pl.Float64, "Share of persons that the interval is for.", True),
        Column(
            "interval", pl.Float64, "Shortest pause within which that share use the product again, units."
        ),
        Column("interval_low", pl.Float64, "95 % order-statistic interval, lower end."),
        Column("interval_high", pl.Float64, "95 % order-statistic interval, upper end."),
        Column("once", pl.Int64, "Persons with a single use; in no other number.", True),
        Column("once_open", pl.Int64, "Of these, persons whose use is less than an interval ago.", True),
        Column("overdue", pl.Int64, "Of n, persons away for longer than their own median pause.", True),
        *PROVENANCE,
    ),
)

USAGE_INTERVAL_PAUSES = Table(
    name="usage_interval_pauses",
    description="Persons by their median pause between two uses.",
    order=("definition", "pause"),
    columns=(
        DEFINITION,
        Column("pause", pl.Int64, "Median pause, rounded up, units.", True),
        Column("n", pl.Int64, "Persons with at least two uses.", True),
        Column("persons", pl.Int64, "Of these, persons with this pause.", True),
        Column("within", pl.Int64, "Of n, persons with this pause or a shorter one.", True),
        Column("share", pl.Float64, "within / n.", True),
        Column("share_low", pl.Float64, "Wilson 95 % interval, lower end."),
        Column("share_high", pl.Float64, "Wilson 95 % interval, upper end."),
        *PROVENANCE,
    ),
)

TRENDS = Table(
    name="trends",
    description="Series of numbers by period, and formulas over them, against an earlier period.",
    order=("definition", "series", "value", "starts_at"),
    columns=(
        DEFINITION,
        Column("series", pl.String, "Letter of the series (A, B, ...) or text of the formula.", True),
        Column("label", pl.String, "How it is called.", True),
        Column("value", pl.String, "Value of the property broken down by; empty: all.", True),
        Column("period_start", pl.Date, PERIOD_START, True),
        Column("starts_at", UTC_TIME, STARTS_AT, True),
        Column("n", pl.Int64, "Persons with an event of the series in the period.", True),
        Column("number", pl.Float64, "The number; null where it does not exist."),
        Column(
            "number_low",
            pl.Float64,
            "95 % interval of averages and formulas (bootstrap over persons) and "
            "medians (order statistics), lower end; counts and sums have none.",
        ),
        Column("number_high", pl.Float64, "95 % interval, upper end."),
        Column("previous_start", pl.Date, "First local day of the period it is compared with."),
        Column("previous", pl.Float64, "The number of that period; null before there is data of all of it."),
        Column("change", pl.Float64, "number / previous - 1; null unless both periods are complete."),
        Column("change_low", pl.Float64, "95 % interval (bootstrap over persons), lower end."),
        Column("change_high", pl.Float64, "95 % interval, upper end."),
        Column("complete", pl.Boolean, COMPLETE, True),
        *PROVENANCE,
    ),
)
