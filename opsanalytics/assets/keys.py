"""Names of assets and groups, in one place."""

import dagster as dg

INGESTION = "ingestion"
EVENTS_GROUP = "events"
FEEDBACK_GROUP = "feedback"
BOOKS = "books"
BEHAVIOR = "behavior"
IMPROVEMENT = "improvement"
REPORTING = "reporting"

EVENTS = dg.AssetKey("events")
PERSONS = dg.AssetKey("persons")
LEDGER = dg.AssetKey("ingestion_ledger")
FEEDBACK = dg.AssetKey("feedback")
MONITORING = dg.AssetKey("event_drift")
"""Stands for all of the step that watches what arrives: its warnings mark the numbers made after it."""
DATABASE = dg.AssetKey("opsanalytics_duckdb")


def landing(source: str) -> dg.AssetKey:
    """The landing area of one configured source."""
    return dg.AssetKey(["landing", source])


def report(name: str) -> dg.AssetKey:
    """The pages of one configured report."""
    return dg.AssetKey(f"{name}_report")
