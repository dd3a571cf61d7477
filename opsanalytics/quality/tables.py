"""The record of every check."""

import polars as pl

from opsanalytics.lake.tables import UTC_TIME, Column, Table

QUALITY_RESULTS = Table(
    name="quality_results",
    description="Latest result of every quality check, by table and partition.",
    order=("table", "check", "partition"),
    columns=(
        Column("table", pl.String, "Table that was checked.", True),
        Column("check", pl.String, "Name of the check.", True),
        Column("partition", pl.String, "UTC day (events) or source (feedback) that was checked.", True),
        Column("passed", pl.Boolean, "Whether it passed.", True),
        Column(
            "severity", pl.String, "error (blocking), warning, or info (changes no number's standing).", True
        ),
        Column("description", pl.String, "What is expected.", True),
        Column("checked", pl.Int64, "Rows checked.", True),
        Column("unexpected", pl.Int64, "Rows that failed."),
        Column("examples", pl.List(pl.String), "Up to five failing values, redacted.", True),
        Column("data_version", pl.String, "Content hash of what was checked.", True),
        Column("checked_at", UTC_TIME, "When, UTC.", True),
    ),
)

EVENT_DRIFT = Table(
    name="event_drift",
    description="What changed in the events and properties, and where they leave the tracking plan.",
    order=("source", "event", "property", "kind"),
    columns=(
        Column("source", pl.String, "Name of the configured source; null: of no source."),
        Column("event", pl.String, "Canonical event name.", True),
        Column("property", pl.String, "Property, or column of events; null: the event itself."),
        Column(
            "kind",
            pl.String,
            "new_event, vanished_event, new_property, vanished_property, retyped, cardinality, "
            "names_exploded; against the tracking plan: undeclared_event, undeclared_property, "
            "required_missing, wrong_type, never_sent.",
            True,
        ),
        Column("warns", pl.Boolean, "Whether it is a warning; else it is only worth knowing.", True),
        Column("first_seen", pl.Date, "First UTC day of it; null: never seen."),
        Column("last_seen", pl.Date, "Last UTC day of it; of what vanished, the last day it came."),
        Column("n", pl.Int64, "Events concerned, from first_seen on; of what vanished, those missed.", True),
        Column("share", pl.Float64, "Share of the event's volume since then (of an event: of its source's)."),
        Column("expected", pl.String, "What was there before, or what the plan says.", True),
        Column("observed", pl.String, "What is there now.", True),
        Column("as_of", UTC_TIME, "Events up to here were complete, UTC.", True),
    ),
)

VOLUME_ANOMALIES = Table(
    name="volume_anomalies",
    description="Events a day beside what is usual for the weekday, for the last days and every event.",
    order=("source", "event", "day"),
    columns=(
        Column("source", pl.String, "Name of the configured source.", True),
        Column("event", pl.String, "Canonical event name; null: all events of the source."),
        Column("day", pl.Date, "UTC day.", True),
        Column("observed", pl.Int64, "Events of the day.", True),
        Column("expected", pl.Float64, "Usual events of such a day; null: too little history."),
        Column(
            "expected_low", pl.Int64, "99 of 100 such days have at least this (and at most expected_high)."
        ),
        Column("expected_high", pl.Int64, "See expected_low."),
        Column("p_value", pl.Float64, "Chance of a count at least as far out, both sides."),
        Column("q_value", pl.Float64, "The same adjusted for all series of the day (Benjamini-Yekutieli)."),
        Column("weeks", pl.Int64, "Whole weeks of history that were used or are there.", True),
        Column(
            "verdict",
            pl.String,
            "usual, drop, spike, with_source (changed as its whole source did), too_little_history.",
            True,
        ),
        Column("as_of", UTC_TIME, "Events up to here were complete, UTC.", True),
    ),
)

EVENT_FRESHNESS = Table(
    name="event_freshness",
    description="How long each source and event has been silent, and whether that is usual for it.",
    order=("source", "event"),
    columns=(
        Column("source", pl.String, "Name of the configured source.", True),
        Column("event", pl.String, "Canonical event name; null: all events of the source."),
        Column("first_seen", pl.Date, "First UTC day with it.", True),
        Column("last_seen", pl.Date, "Last UTC day with it.", True),
        Column("silent_days", pl.Int64, "Complete UTC days since.", True),
        Column("longest_gap", pl.Int64, "Longest silence of the weeks before, days."),
        Column("p_value", pl.Float64, "Chance of so long a silence, by weekday."),
        Column("q_value", pl.Float64, "The same adjusted for all series (Benjamini-Yekutieli)."),
        Column(
            "verdict",
            pl.String,
            "fresh, silent, with_source (the whole source is silent), rare (comes too seldom to tell), "
            "retired (silent for longer than the window), too_little_history.",
            True,
        ),
        Column("as_of", UTC_TIME, "Events up to here were complete, UTC.", True),
    ),
)
