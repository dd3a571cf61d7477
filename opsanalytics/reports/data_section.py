"""What the page says about the data: what arrived, what was checked, what the numbers mean."""

import json
from dataclasses import dataclass
from typing import Any

import polars as pl

from opsanalytics.reports.data import ReportData
from opsanalytics.reports.states import begun, check_summary, relevant_results
from opsanalytics.reports.text import anchor


@dataclass(frozen=True)
class DataView:
    """Sources with their reconciliation, checks with failures first, definitions with their rules."""

    sources: list[dict[str, Any]]
    checks: list[dict[str, Any]]
    failed: int
    definitions: list[dict[str, Any]]


def data_view(data: ReportData) -> DataView:
    """Add up the ledger by source and the checks by table and check, both for days up to `as_of`."""
    checks = check_summary(relevant_results(data)).to_dicts()
    ledger = data.ingestion_ledger
    if data.as_of is not None:
        ledger = ledger.filter(begun(pl.col("day"), data.as_of))
    return DataView(
        sources=ledger_summary(ledger).to_dicts(),
        checks=checks,
        failed=sum(1 for check in checks if check["failed"]),
        definitions=[
            row
            | {
                "anchor": anchor("definition", f"{row['kind']} {row['name']}"),
                "pretty": json.dumps(json.loads(row["rules"]), indent=2, ensure_ascii=False),
            }
            for row in data.metric_definitions.to_dicts()
        ],
    )


def ledger_summary(ledger: pl.DataFrame) -> pl.DataFrame:
    """INGESTION_LEDGER by source.

    Adds to `source` and `kind`: `deliveries`, `first_day`, `last_day`, `landed`, `canonical`, `duplicates`,
    `quarantined`, `fetched_at` (latest), `difference` (landed less the three others), `unbalanced` (rows of
    the ledger that do not add up, which a difference of zero can hide).
    """
    parts = pl.col("canonical") + pl.col("duplicates") + pl.col("quarantined")
    return (
        ledger.group_by("source", "kind")
        .agg(
            deliveries=pl.col("delivery").n_unique(),
            first_day=pl.col("day").min(),
            last_day=pl.col("day").max(),
            landed=pl.col("landed").sum(),
            canonical=pl.col("canonical").sum(),
            duplicates=pl.col("duplicates").sum(),
            quarantined=pl.col("quarantined").sum(),
            fetched_at=pl.col("fetched_at").max(),
            difference=(pl.col("landed") - parts).sum(),
            unbalanced=(pl.col("landed") != parts).sum(),
        )
        .sort("source", "kind")
    )
