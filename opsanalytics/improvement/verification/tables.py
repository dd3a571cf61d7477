"""Marts of verification."""

import polars as pl

from opsanalytics.lake.tables import UTC_TIME, Column, Table

VERIFICATIONS = Table(
    name="verifications",
    description="What is known of each fix: the frozen plan, and the verdict as of the last run.",
    order=("item_id",),
    columns=(
        Column("item_id", pl.String, "Item.", True),
        Column("title", pl.String, "What is wrong, in one line.", True),
        Column(
            "outcome",
            pl.String,
            "planned, verifying (not enough data yet), worked, did_not_work, harmed, regressed (worked, then "
            "fell back), inconclusive, withheld (checks failed), or not_measured.",
            True,
        ),
        Column("reason", pl.String, "Why that is the outcome.", True),
        Column("shipped_on", pl.Date, "Day of shipping; it counts neither before nor after."),
        Column("since", pl.Date, "Day on which the outcome could first be known."),
        Column("next_look", pl.Date, "Complete data up to this day decides more."),
        Column("more_days", pl.Int32, "Days after the last look until the expected change would be seen."),
        Column("plan_version", pl.Int32, "Version of the plan, from 1.", True),
        Column("plan_hash", pl.String, "Hash of all that the plan says.", True),
        Column("planned_at", UTC_TIME, "When the plan was frozen, UTC.", True),
        Column("planned_by", pl.String, "By whom.", True),
        Column("planned_because", pl.String, "What for: accepted, shipped, or why it was changed.", True),
        Column(
            "method", pl.String, "difference (in differences), structural, heard (feedback), or none.", True
        ),
        Column("metric", pl.String, "pass (the step), conversion, or revenue.", True),
        Column("funnel", pl.String, "Funnel."),
        Column("step", pl.Int32, "Step (from 1) that units have reached."),
        Column("horizon_days", pl.Int32, "Days after reaching the step within which it counts."),
        Column("compared", pl.String, "Who is compared with whom."),
        Column("looks", pl.List(pl.Int32), "Days after shipping at which the numbers are looked at.", True),
        Column("rule", pl.String, "The decision rule, in words.", True),
        Column("expected", pl.Float64, "Expected change of the affected arm, in the unit of the metric."),
        Column("expected_low", pl.Float64, "Lower end of what was predicted."),
        Column("expected_high", pl.Float64, "Upper end of what was predicted."),
        Column("least_change", pl.Float64, "Smallest change that the last look sees with the plan's power."),
        Column("power_expected", pl.Float64, "Chance that the last look sees the expected change."),
        Column("days_needed", pl.Int32, "Days after shipping until the expected change is seen so surely."),
        Column("days_before", pl.Int32, "Days of the baseline."),
        Column("days_after", pl.Int32, "Whole days after shipping all of whose units are mature.", True),
        Column("look", pl.Int32, "Number of the look that the change is of, from 1; 0: none yet.", True),
        Column("look_days", pl.Int32, "Days after shipping of that look.", True),
        Column("change", pl.Float64, "Change of the affected arm against the counterfactual, at that look."),
        Column("change_low", pl.Float64, "Its interval at the level of one look, lower end."),
        Column("change_high", pl.Float64, "Its interval at the level of one look, upper end."),
        Column("confidence", pl.Float64, "Confidence of that interval, such as 0.983."),
        Column("drift_per_week", pl.Float64, "Slope of the gap before shipping, per week."),
        Column("drift_low", pl.Float64, "Its 95 % interval, lower end."),
        Column("drift_high", pl.Float64, "Its 95 % interval, upper end."),
        Column("drift_p", pl.Float64, "Its p: below 0.1 the arms count as drifting apart."),
        Column("placebo_days", pl.List(pl.Date), "Days of the baseline taken for days of shipping.", True),
        Column("placebo_changes", pl.List(pl.Float64), "The changes that these would have shown.", True),
        Column("inflation", pl.Float64, "Structural: by how much placebos widened the interval."),
        Column("watched", pl.Int32, "Stretches after the verdict that were looked at for a relapse.", True),
        Column("fall", pl.Float64, "How far the change fell back in the last of them."),
        Column("note", pl.String, "What else there is to say of plan and verdict.", True),
        Column("as_of", UTC_TIME, "Data up to here was complete, UTC.", True),
        Column("quality", pl.String, "Quality checks upstream.", True),
    ),
)

VERIFICATION_DAYS = Table(
    name="verification_days",
    description="The daily counts that verdicts are made of; whole days with mature units only.",
    order=("item_id", "day", "arm"),
    columns=(
        Column("item_id", pl.String, "Item.", True),
        Column("day", pl.Date, "Day on which units reached the step, reporting time zone.", True),
        Column(
            "arm",
            pl.String,
            "affected, unaffected, or beside N (structural: step N of the funnel).",
            True,
        ),
        Column("units", pl.Int64, "Attempts that reached the step.", True),
        Column("total", pl.Float64, "How many of them went on, or what they were worth.", True),
        Column("phase", pl.String, "before, shipping or after.", True),
    ),
)

PREDICTION_LEDGER = Table(
    name="prediction_ledger",
    description="What fixes were predicted to bring, and what they brought: one row a fix with a verdict.",
    order=("item_id",),
    columns=(
        Column("item_id", pl.String, "Item.", True),
        Column("title", pl.String, "What was wrong.", True),
        Column("outcome", pl.String, "worked, did_not_work, harmed or regressed.", True),
        Column("shipped_on", pl.Date, "Day of shipping.", True),
        Column("predicted_change", pl.Float64, "Expected change of the affected arm.", True),
        Column("predicted_change_low", pl.Float64, "Its interval, lower end.", True),
        Column("predicted_change_high", pl.Float64, "Its interval, upper end.", True),
        Column("measured_change", pl.Float64, "Measured change of the affected arm.", True),
        Column("measured_change_low", pl.Float64, "Its interval at the level of one look, lower end.", True),
        Column("measured_change_high", pl.Float64, "Its interval at the level of one look, upper end.", True),
        Column("metric", pl.String, "pass, conversion or revenue: what changed.", True),
        Column(
            "predicted_value",
            pl.Float64,
            "Final conversions per week that it was thought to be worth; of revenue, money per week.",
        ),
        Column("predicted_low", pl.Float64, "Its interval, lower end."),
        Column("predicted_high", pl.Float64, "Its interval, upper end."),
        Column(
            "measured_value",
            pl.Float64,
            "Final conversions per week that it brought: change x units per week x conversions per pass; of "
            "revenue, money per week: change x units per week.",
        ),
        Column("measured_low", pl.Float64, "Its interval, lower end."),
        Column("measured_high", pl.Float64, "Its interval, upper end."),
        Column("ratio", pl.Float64, "Measured against predicted change.", True),
        Column("ratio_error", pl.Float64, "Its standard error.", True),
        Column("agrees", pl.Boolean, "Whether the two intervals meet.", True),
        Column("as_of", UTC_TIME, "Data up to here was complete, UTC.", True),
        Column("quality", pl.String, "Quality checks upstream.", True),
    ),
)

CALIBRATION = Table(
    name="prediction_calibration",
    description="How predictions have held so far, and what that does to the confidence of the next ranking.",
    order=("as_of",),
    columns=(
        Column("entries", pl.Int32, "Fixes with a prediction and a verdict.", True),
        Column("worked", pl.Int32, "Of these, how many worked.", True),
        Column("agree", pl.Int32, "Of these, how many measured intervals meet the predicted ones.", True),
        Column("agree_low", pl.Float64, "Share of these, Wilson 95 % interval, lower end."),
        Column("agree_high", pl.Float64, "Share of these, Wilson 95 % interval, upper end."),
        Column("realised", pl.Float64, "Share of what is predicted that comes true, shrunk to 0.8.", True),
        Column("realised_low", pl.Float64, "Its 95 % interval, lower end.", True),
        Column("realised_high", pl.Float64, "Its 95 % interval, upper end.", True),
        Column("factor", pl.Float64, "What the confidence of behavioural items is multiplied by.", True),
        Column("told", pl.String, "The same in words.", True),
        Column("as_of", UTC_TIME, "Data up to here was complete, UTC.", True),
    ),
)
