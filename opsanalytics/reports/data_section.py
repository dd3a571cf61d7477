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
    changes: list[dict[str, Any]]
    comparison: list[dict[str, Any]]
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
        comparison=comparison_summary(data.source_comparison).to_dicts(),
        changes=net_changes(data.day_changes).to_dicts(),
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


def net_changes(changes: pl.DataFrame) -> pl.DataFrame:
    """DAY_CHANGES by source and day, newest day first: `before` the first change, `after` the last one.

    Adds `times` (how often it changed), `noticed_at` (the last time), `delivery` (of the last change that has
    one), `difference`.
    """
    return (
        changes.sort("noticed_at")
        .group_by("source", "day")
        .agg(
            before=pl.col("before").first(),
            after=pl.col("after").last(),
            times=pl.len(),
            noticed_at=pl.col("noticed_at").last(),
            delivery=pl.col("delivery").drop_nulls().last(),
        )
        .with_columns(difference=pl.col("after") - pl.col("before"))
        .sort("day", "source", descending=[True, False])
    )


def comparison_summary(comparison: pl.DataFrame) -> pl.DataFrame:
    """SOURCE_COMPARISON by pair of sources and event, those with days that differ first.

    Adds `events_a`, `events_b`, `ratio`, `relation`, `days`, and the number of days by verdict: `agree`,
    `differ`, `unclear`, `missing` (one of the two recorded none).
    """
    verdict = pl.col("verdict")
    return (
        comparison.filter(pl.col("day").is_not_null())
        .group_by("source_a", "source_b", "event")
        .agg(
            pl.col("events_a", "events_b").sum(),
            relation=pl.col("relation").first(),
            days=pl.len(),
            agree=(verdict == "agree").sum(),
            differ=(verdict == "differ").sum(),
            unclear=(verdict == "unclear").sum(),
            missing=verdict.is_in(["only_a", "only_b"]).sum(),
        )
        .with_columns(
            ratio=pl.when(pl.col("events_a") > 0).then(pl.col("events_b") / pl.col("events_a")),
            _wrong=pl.col("differ") + pl.col("missing"),
        )
        .sort("_wrong", "source_a", "source_b", "event", descending=[True, False, False, False])
        .drop("_wrong")
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
