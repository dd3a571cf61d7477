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
        Column("severity", pl.String, "error (blocking) or warning.", True),
        Column("description", pl.String, "What is expected.", True),
        Column("checked", pl.Int64, "Rows checked.", True),
        Column("unexpected", pl.Int64, "Rows that failed."),
        Column("examples", pl.List(pl.String), "Up to five failing values, redacted.", True),
        Column("data_version", pl.String, "Content hash of what was checked.", True),
        Column("checked_at", UTC_TIME, "When, UTC.", True),
    ),
)
