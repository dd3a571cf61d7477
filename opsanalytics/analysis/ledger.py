"""The books, and whether they add up."""

import hashlib
from datetime import datetime

import polars as pl

from opsanalytics.config import Settings
from opsanalytics.lake.manifests import deliveries
from opsanalytics.quality.reconciliation import build_ledger, unreconciled
from opsanalytics.quality.results import CheckOutcome, record

RECONCILES = "reconciles"
DESCRIPTION = "For every delivery and day: landed = canonical + duplicates + quarantined."
EXAMPLES = 5


def reconcile(settings: Settings, *, checked_at: datetime) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Count everything that landed, and record for each source whether it is all accounted for.

    Returns the ledger (INGESTION_LEDGER) and its rows that do not add up (empty: all is well).
    """
    ledger = build_ledger(settings.home, settings.sources)
    manifests = [each for source in settings.sources for each in deliveries(settings.home, source.name)]
    wrong = unreconciled(ledger, manifests)
    outcomes, versions = [], {}
    for source in settings.sources:
        rows = ledger.filter(pl.col("source") == source.name)
        failed = wrong.filter(pl.col("source") == source.name)
        versions[source.name] = hashlib.sha256(rows.drop("fetched_at").write_csv().encode()).hexdigest()[:16]
        outcomes.append(
            CheckOutcome(
                table=source.family,
                check=RECONCILES,
                partition=source.name,
                passed=failed.is_empty(),
                severity="error",
                description=DESCRIPTION,
                checked=rows.height,
                unexpected=failed.height,
                examples=tuple(
                    f"{row['delivery']}: {row['problem']}" for row in failed.head(EXAMPLES).to_dicts()
                ),
            )
        )
    record(settings.home, outcomes, producer="ledger", checked_at=checked_at, data_version=versions)
    return ledger, wrong
