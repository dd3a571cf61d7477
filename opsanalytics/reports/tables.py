"""The table of reports that were written: the contract with the published file and the index page."""

import polars as pl

from opsanalytics.lake.tables import UTC_TIME, Column, Table

REPORT_INDEX = Table(
    name="report_index",
    description="One row a weekly report, with the numbers at its top.",
    order=("week", "report"),
    columns=(
        Column("report", pl.String, "Name of the report in the configuration.", True),
        Column("title", pl.String, "Title of the report.", True),
        Column("week", pl.Date, "First day of the week, reporting time zone.", True),
        Column("last_day", pl.Date, "Last day of the week, inclusive.", True),
        Column("product", pl.String, "Name of the product.", True),
        Column("time_zone", pl.String, "Reporting time zone.", True),
        Column("path", pl.String, "The page, relative to the folder of reports.", True),
        Column("generated_from", pl.String, "SHA-256 of everything the page was made of.", True),
        Column("as_of", UTC_TIME, "Events up to here were complete, UTC; null without data."),
        Column("quality", pl.String, "Worst of the sections: passed, warning, failed, not_checked.", True),
        Column("withheld", pl.List(pl.String), "Sections whose numbers are withheld.", True),
        Column("findings", pl.Int64, "Backlog items that pass the test; null if withheld."),
        Column("top_finding", pl.String, "Title of the first finding."),
        Column("top_lost_per_week", pl.Float64, "Final conversions it costs per week, estimate."),
        Column("top_lost_low", pl.Float64, "95 % interval, lower end."),
        Column("top_lost_high", pl.Float64, "95 % interval, upper end."),
        Column("funnel", pl.String, "Funnel of the rate beside: the first one configured."),
        Column("funnel_week", pl.Date, "Latest complete week of entry, first day."),
        Column("entered", pl.Int64, "Mature entrants of that week (n)."),
        Column("rate", pl.Float64, "Share of them that reached the last step."),
        Column("rate_low", pl.Float64, "Wilson 95 % interval, lower end."),
        Column("rate_high", pl.Float64, "Wilson 95 % interval, upper end."),
    ),
)
