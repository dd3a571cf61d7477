"""Marts of behaviour: the contract with reports, notebooks and the published file."""

import polars as pl

from opsanalytics.lake.tables import UTC_TIME, Column, Table

PROVENANCE = (
    Column("definition_id", pl.String, "Hash of the rules; see metric_definitions.", True),
    Column("as_of", UTC_TIME, "Events up to here were complete when this was computed, UTC.", True),
    Column(
        "quality",
        pl.String,
        "Quality checks upstream: passed, warning, failed or not_checked.",
        True,
    ),
)
"""Every number carries its definition, its as-of time and the state of the checks upstream."""

FUNNEL_STEPS = Table(
    name="funnel_steps",
    description="Funnels by step. Rates are over mature entrants only; immature ones stand apart.",
    order=("funnel", "step"),
    columns=(
        Column("funnel", pl.String, "Name of the funnel.", True),
        Column("step", pl.Int32, "Number of the step, from 1.", True),
        Column("step_name", pl.String, "Name of the step.", True),
        Column(
            "entered",
            pl.Int64,
            "Mature entrants: persons with an attempt whose window has elapsed (n).",
            True,
        ),
        Column("persons", pl.Int64, "Of these, persons who reached this step.", True),
        Column(
            "previous",
            pl.Int64,
            "Of these, persons who reached the step before (n of step_rate).",
            True,
        ),
        Column("rate", pl.Float64, "persons / entered; null if nobody entered."),
        Column("rate_low", pl.Float64, "Wilson 95 % interval of rate, lower end."),
        Column("rate_high", pl.Float64, "Wilson 95 % interval of rate, upper end."),
        Column("step_rate", pl.Float64, "persons / previous."),
        Column("step_rate_low", pl.Float64, "Wilson 95 % interval of step_rate, lower end."),
        Column("step_rate_high", pl.Float64, "Wilson 95 % interval of step_rate, upper end."),
        Column(
            "immature_entered",
            pl.Int64,
            "Persons with an attempt whose window is open at as_of; an earlier one may count above.",
            True,
        ),
        Column("immature_persons", pl.Int64, "Of these, persons who reached this step so far.", True),
        Column("median_seconds", pl.Float64, "Median time from the previous step, seconds."),
        Column("median_low", pl.Float64, "95 % order-statistic interval of the median, lower end."),
        Column("median_high", pl.Float64, "95 % order-statistic interval of the median, upper end."),
        Column("mean_seconds", pl.Float64, "Mean time from the previous step, seconds."),
        Column(
            "p90_seconds",
            pl.Float64,
            "90th percentile of the time from the previous step, seconds.",
        ),
        *PROVENANCE,
    ),
)

FUNNEL_TREND = Table(
    name="funnel_trend",
    description="Conversion over the whole funnel by week of entry; a person counts once a week.",
    order=("funnel", "period_start"),
    columns=(
        Column("funnel", pl.String, "Name of the funnel.", True),
        Column("period_start", pl.Date, "First day of the week, reporting time zone.", True),
        Column("entered", pl.Int64, "Mature entrants of the week (n).", True),
        Column("converted", pl.Int64, "Of these, persons who reached the last step.", True),
        Column("rate", pl.Float64, "converted / entered."),
        Column("rate_low", pl.Float64, "Wilson 95 % interval, lower end."),
        Column("rate_high", pl.Float64, "Wilson 95 % interval, upper end."),
        Column("immature_entered", pl.Int64, "Entrants of the week whose window is still open.", True),
        Column("complete", pl.Boolean, "The week is over and all its entrants are mature.", True),
        *PROVENANCE,
    ),
)

FUNNEL_TIMES = Table(
    name="funnel_times",
    description="How long mature conversions from the first to the last step took, in bins of equal width.",
    order=("funnel", "bin"),
    columns=(
        Column("funnel", pl.String, "Name of the funnel.", True),
        Column("bin", pl.Int32, "Number of the bin, from 1.", True),
        Column("from_seconds", pl.Float64, "Shortest time of the bin, seconds, inclusive.", True),
        Column("to_seconds", pl.Float64, "End of the bin, seconds, exclusive.", True),
        Column("persons", pl.Int64, "Persons whose conversion took so long.", True),
        *PROVENANCE,
    ),
)

FUNNEL_COMPARISON = Table(
    name="funnel_comparison",
    description="Funnels of the latest mature weeks of entries against as many weeks before.",
    order=("funnel", "step"),
    columns=(
        Column("funnel", pl.String, "Name of the funnel.", True),
        Column("first", pl.Date, "First local day of entries of the later weeks.", True),
        Column("last", pl.Date, "Last local day of entries of the later weeks.", True),
        Column("step", pl.Int32, "Number of the step, from 1.", True),
        Column("step_name", pl.String, "Name of the step.", True),
        Column("entered", pl.Int64, "Entrants of the later weeks (n).", True),
        Column("persons", pl.Int64, "Of these, persons who reached this step.", True),
        Column("rate", pl.Float64, "persons / entered."),
        Column("other_entered", pl.Int64, "Entrants of the weeks before (n).", True),
        Column("other_persons", pl.Int64, "Of these, persons who reached this step.", True),
        Column("other_rate", pl.Float64, "other_persons / other_entered."),
        Column("difference", pl.Float64, "rate minus other_rate."),
        Column("difference_low", pl.Float64, "Newcombe 95 % interval of the difference, lower end."),
        Column("difference_high", pl.Float64, "Newcombe 95 % interval of the difference, upper end."),
        Column("q_value", pl.Float64, "Benjamini-Hochberg adjusted p over the steps of the funnel."),
        *PROVENANCE,
    ),
)

FUNNEL_BREAKDOWN = Table(
    name="funnel_breakdown",
    description="Funnels by segment: the value of a property on the entry event.",
    order=("funnel", "segment", "value", "step"),
    columns=(
        Column("funnel", pl.String, "Name of the funnel.", True),
        Column("segment", pl.String, "Name of the segment (a property).", True),
        Column(
            "value",
            pl.String,
            "Value of the property; (none) if missing; (other) for the rest.",
            True,
        ),
        Column("step", pl.Int32, "Number of the step, from 1.", True),
        Column("entered", pl.Int64, "Mature entrants with this value (n).", True),
        Column("persons", pl.Int64, "Of these, persons who reached this step.", True),
        Column("rate", pl.Float64, "persons / entered."),
        Column("rate_low", pl.Float64, "Wilson 95 % interval, lower end."),
        Column("rate_high", pl.Float64, "Wilson 95 % interval, upper end."),
        Column(
            "difference",
            pl.Float64,
            "rate minus the rate of all others; no interval at step 1, which all have made.",
        ),
        Column("difference_low", pl.Float64, "Newcombe 95 % interval of the difference, lower end."),
        Column("difference_high", pl.Float64, "Newcombe 95 % interval of the difference, upper end."),
        Column("q_value", pl.Float64, "Benjamini-Hochberg adjusted p over all values of the funnel."),
        *PROVENANCE,
    ),
)

RETENTION_CELLS = Table(
    name="retention_cells",
    description="Retention by cohort and period; cohort null is the curve pooled over complete cells.",
    order=("retention", "cohort", "period"),
    columns=(
        Column("retention", pl.String, "Name of the retention definition.", True),
        Column("cohort", pl.Date, "First day of the cohort's period, reporting zone; null: pooled."),
        Column("period", pl.Int32, "Periods after the start, from 0.", True),
        Column("n", pl.Int64, "Persons in the cohort; pooled: in cohorts whose cell is complete.", True),
        Column("returned", pl.Int64, "Of these, persons who returned in the period.", True),
        Column("rate", pl.Float64, "returned / n."),
        Column("rate_low", pl.Float64, "Wilson 95 % interval, lower end."),
        Column("rate_high", pl.Float64, "Wilson 95 % interval, upper end."),
        Column("complete", pl.Boolean, "The period has ended for the whole cohort.", True),
        *PROVENANCE,
    ),
)

METRIC_DEFINITIONS = Table(
    name="metric_definitions",
    description="What each number means: the rules behind every definition_id.",
    order=("kind", "name"),
    columns=(
        Column("definition_id", pl.String, "Hash of the rules.", True),
        Column(
            "kind",
            pl.String,
            "funnel, retention, lifecycle, stickiness, usage interval, trends, sessions, paths, cohort or "
            "diagnosis.",
            True,
        ),
        Column("name", pl.String, "Name in the configuration.", True),
        Column("title", pl.String, "Title shown to people.", True),
        Column("semantics", pl.String, "How it is counted, in words.", True),
        Column("rules", pl.String, "The definition as JSON.", True),
    ),
)
