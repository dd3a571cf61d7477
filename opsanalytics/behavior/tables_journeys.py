"""Marts of sessions, paths and cohorts: the contract with notebooks and the published file."""

import polars as pl

from opsanalytics.behavior.tables import PROVENANCE
from opsanalytics.lake.tables import Column, Table

SESSIONS = Table(
    name="sessions",
    description="Sessions by the local period they began in; period_start null is all of them.",
    order=("sessions", "period_start"),
    columns=(
        Column("sessions", pl.String, "Name of the definition.", True),
        Column("period_start", pl.Date, "First day of the period, reporting zone; null: all."),
        Column("n", pl.Int64, "Sessions that were over at as_of.", True),
        Column("persons", pl.Int64, "Distinct persons with such a session.", True),
        Column("per_person", pl.Float64, "n / persons."),
        Column("events", pl.Int64, "Events in these sessions.", True),
        Column("events_per_session", pl.Float64, "events / n."),
        Column("median_events", pl.Float64, "Median number of events of a session."),
        Column("median_seconds", pl.Float64, "Median time from first to last event, seconds."),
        Column("median_low", pl.Float64, "95 % order-statistic interval of median_seconds, lower end."),
        Column("median_high", pl.Float64, "95 % order-statistic interval of median_seconds, upper end."),
        Column("mean_seconds", pl.Float64, "Mean time from first to last event, seconds."),
        Column("p90_seconds", pl.Float64, "90th percentile of that time, seconds."),
        Column("bounced", pl.Int64, "Sessions that bounced, by the rules of the definition.", True),
        Column("bounce_rate", pl.Float64, "bounced / n."),
        Column("bounce_low", pl.Float64, "Wilson 95 % interval of bounce_rate, lower end."),
        Column("bounce_high", pl.Float64, "Wilson 95 % interval of bounce_rate, upper end."),
        Column(
            "open_sessions", pl.Int64, "Sessions that may still go on at as_of; counted nowhere else.", True
        ),
        Column("complete", pl.Boolean, "The period is over, and no session of it is open.", True),
        Column("small", pl.Boolean, "n is less than the definition's min_n.", True),
        *PROVENANCE,
    ),
)

PATHS = Table(
    name="paths",
    description="What people did next (or before), step by step from an anchor event.",
    order=("paths", "step", "from_event", "to_event"),
    columns=(
        Column("paths", pl.String, "Name of the definition.", True),
        Column(
            "step",
            pl.Int32,
            "Events from the anchor to to_event: 1 is the next; negative where paths lead up to it.",
            True,
        ),
        Column(
            "from_event", pl.String, "The event nearer to the anchor; (other) for those of few persons.", True
        ),
        Column(
            "to_event",
            pl.String,
            "The event after it (negative step: before it); (end), (start) for none.",
            True,
        ),
        Column("n", pl.Int64, "Paths with from_event there.", True),
        Column("count", pl.Int64, "Of these, paths with to_event next.", True),
        Column("persons", pl.Int64, "Distinct persons of these.", True),
        Column("rate", pl.Float64, "count / n."),
        Column("rate_low", pl.Float64, "Wilson 95 % interval, lower end."),
        Column("rate_high", pl.Float64, "Wilson 95 % interval, upper end."),
        Column("median_seconds", pl.Float64, "Median time between the two events, seconds; null at an end."),
        Column("median_low", pl.Float64, "95 % order-statistic interval of the median, lower end."),
        Column("median_high", pl.Float64, "95 % order-statistic interval of the median, upper end."),
        Column("small", pl.Boolean, "n is less than the definition's min_n.", True),
        *PROVENANCE,
    ),
)

COHORTS = Table(
    name="cohorts",
    description="How many persons belong to each cohort at as_of.",
    order=("cohort",),
    columns=(
        Column("cohort", pl.String, "Name of the cohort.", True),
        Column("n", pl.Int64, "Persons with at least one event.", True),
        Column("persons", pl.Int64, "Of these, members.", True),
        Column("rate", pl.Float64, "persons / n."),
        Column("rate_low", pl.Float64, "Wilson 95 % interval, lower end."),
        Column("rate_high", pl.Float64, "Wilson 95 % interval, upper end."),
        Column("small", pl.Boolean, "Fewer members than the definition's min_n.", True),
        *PROVENANCE,
    ),
)

COHORT_PERSONS = Table(
    name="cohort_persons",
    description="The members of each cohort at as_of, one row a person and cohort.",
    order=("cohort", "person"),
    columns=(
        Column("cohort", pl.String, "Name of the cohort.", True),
        Column("person", pl.String, "The person; see persons.", True),
        *PROVENANCE,
    ),
)
