"""From landed bytes to canonical events, persons and the ledger."""

import os
from datetime import UTC, date, datetime, timedelta

import dagster as dg
import polars as pl

from opsanalytics.analysis.ledger import DESCRIPTION, RECONCILES, reconcile
from opsanalytics.assets import keys
from opsanalytics.assets.checks import check_results, check_specs
from opsanalytics.assets.failures import clear_failures
from opsanalytics.assets.partitions import days_of, key_of, of_days
from opsanalytics.assets.previews import table_preview
from opsanalytics.cleaning.events import clean_events
from opsanalytics.cleaning.retired import retire
from opsanalytics.cleaning.telling import telling
from opsanalytics.config import Settings
from opsanalytics.identity.persons import rebuild
from opsanalytics.lake.day_changes import note_day_changes
from opsanalytics.lake.day_prints import day_prints
from opsanalytics.lake.events import event_days, read_persons, scan_raw_events
from opsanalytics.lake.marts import write_mart
from opsanalytics.lake.schemas import INGESTION_LEDGER
from opsanalytics.quality.generated import event_rules
from opsanalytics.quality.validate import validate_events
from opsanalytics.quality.vendor_totals import COMPARED, compare_totals

CHANGES_SHOWN = 100


def events(settings: Settings) -> dg.AssetsDefinition:
    """Canonical events by UTC day."""
    rules = event_rules(settings.quality)

    @dg.asset(
        key=keys.EVENTS,
        deps=[keys.landing(source.name) for source in settings.event_sources],
        partitions_def=of_days(settings),
        backfill_policy=dg.BackfillPolicy.single_run(),
        group_name=keys.EVENTS_GROUP,
        kinds={"polars", "parquet", "greatexpectations"},
        owners=list(settings.project.owners),
        check_specs=check_specs(keys.EVENTS, rules),
        freshness_policy=dg.FreshnessPolicy.time_window(
            fail_window=timedelta(hours=settings.thresholds.freshness_hours)
        ),
        description=(
            "What users did: canonical, deduplicated, one Parquet file a UTC day and source. Days outside "
            "the run's range are rewritten too when late data for them landed; the metadata says which, "
            "and by how much."
        ),
    )
    def events(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        days = days_of(context, settings)
        touched: set[date] = set()
        quarantined = 0
        with clear_failures():
            retired = retire(settings.home, [source.name for source in settings.sources])
            for each in retired:
                context.log.warning(str(each))
            privacy = settings.privacy_rules(os.environ)
            for source in settings.event_sources:
                report = clean_events(
                    source,
                    settings.home,
                    settings.event_names,
                    privacy=privacy.get(source.name),
                    progress=telling(source.name, context.log.info),
                )
                quarantined += report.quarantined
                touched.update(report.days)
            changes = note_day_changes(settings.home, noticed_at=datetime.now(UTC))
        stored = set(event_days(settings.home))
        in_range = {days.first + timedelta(days=offset) for offset in range(len(days))}
        outcomes = validate_events(
            settings.home,
            sorted(in_range | (touched & stored)),
            sources=[source.name for source in settings.event_sources],
            checked_at=datetime.now(UTC),
            rules=rules,
            plan=settings.quality.tracking_plan,
        )
        _describe_partitions(context, settings, changes)
        frame = scan_raw_events(settings.home, first=days.first, last=days.last)
        top = (
            frame.group_by("event")
            .agg(pl.len().alias("events"))
            .sort("events", "event", descending=[True, False])
        )
        compared = pl.concat(
            [
                COMPARED.to_frame(),
                *(compare_totals(settings.home, source) for source in settings.event_sources),
            ]
        )
        differing = compared.filter(pl.col("difference") != 0)
        if differing.height:
            context.log.warning(f"{differing.height} of {compared.height} totals differ from the vendor's")
        totals: dict[str, dg.MetadataValue | int] = {}
        if compared.height:
            totals["vendor totals compared"] = compared.height
            totals["vendor totals that differ"] = table_preview(differing, 20)
        return dg.MaterializeResult(
            metadata={
                "dagster/row_count": scan_raw_events(settings.home).select(pl.len()).collect().item(),
                "days of this run": str(days),
                "days changed": _changes(changes),
                "quarantined": quarantined,
                **totals,
                "sources taken out": ", ".join(each.source for each in retired) or "none",
                "events by name, days of this run": table_preview(top.collect(), 15),
                "folder": dg.MetadataValue.path(settings.home.events),
            },
            check_results=check_results(keys.EVENTS, rules, outcomes),
        )

    return events


def persons(settings: Settings) -> dg.AssetsDefinition:
    """The identity mapping."""

    @dg.asset(
        key=keys.PERSONS,
        deps=[keys.EVENTS],
        group_name=keys.EVENTS_GROUP,
        kinds={"polars", "parquet"},
        owners=list(settings.project.owners),
        description=(
            "Which as-ingested id belongs to which person: by user id, else by the first user on the "
            "device. Retroactive: a merge learnt today changes yesterday's funnel without rewriting "
            "yesterday's events."
        ),
    )
    def persons() -> dg.MaterializeResult:
        with clear_failures():
            report = rebuild(
                settings.home,
                [source.name for source in settings.event_sources],
                {source.name: source.identity_rules for source in settings.event_sources},
            )
        frame = read_persons(settings.home)
        return dg.MaterializeResult(
            metadata={
                "dagster/row_count": frame.height,
                "persons": frame["person"].n_unique(),
                "changed": report.changed,
                "by rule": table_preview(frame.group_by("rule").agg(pl.len().alias("ids")).sort("rule")),
            }
        )

    return persons


def ingestion_ledger(settings: Settings) -> dg.AssetsDefinition:
    """The books: nothing that landed has vanished."""

    @dg.asset(
        key=keys.LEDGER,
        deps=[keys.EVENTS, keys.FEEDBACK],
        group_name=keys.BOOKS,
        kinds={"polars", "parquet"},
        owners=list(settings.project.owners),
        check_specs=[
            dg.AssetCheckSpec(
                RECONCILES,
                asset=keys.LEDGER,
                blocking=True,
                description=DESCRIPTION,
            )
        ],
        description="Records landed, canonical, duplicate and quarantined, counted independently.",
    )
    def ingestion_ledger() -> dg.MaterializeResult:
        with clear_failures():
            ledger, wrong = reconcile(settings, checked_at=datetime.now(UTC))
        write_mart(settings.home, INGESTION_LEDGER, ledger)
        totals = (
            ledger.group_by("source")
            .agg(pl.col("landed", "canonical", "duplicates", "quarantined").sum())
            .sort("source")
        )
        metadata: dict[str, dg.MetadataValue | int] = {"rows that do not add up": wrong.height}
        if wrong.height:
            metadata["differences"] = table_preview(wrong, 20)
        return dg.MaterializeResult(
            metadata={"dagster/row_count": ledger.height, "by source": table_preview(totals)},
            check_results=[
                dg.AssetCheckResult(
                    asset_key=keys.LEDGER, check_name=RECONCILES, passed=wrong.is_empty(), metadata=metadata
                )
            ],
        )

    return ingestion_ledger


def _describe_partitions(
    context: dg.AssetExecutionContext, settings: Settings, changes: pl.DataFrame
) -> None:
    """What each partition holds by itself: else it would show the figures of the whole run."""
    partition = pl.col("day").map_elements(lambda day: key_of(settings, day), return_dtype=pl.String)
    held = day_prints(settings.home).with_columns(partition.alias("partition"))
    rows = dict(held.group_by("partition").agg(pl.col("rows").sum()).iter_rows())
    by_source = held.group_by("partition", "source").agg(pl.col("rows").sum()).sort("source")
    sources = by_source.partition_by("partition", as_dict=True, include_key=False)
    changed = changes.with_columns(partition.alias("partition")).partition_by(
        "partition", as_dict=True, include_key=False
    )
    for key in context.partition_keys:
        told: dict[str, dg.MetadataValue | int] = {"dagster/partition_row_count": rows.get(key, 0)}
        if (key,) in sources:
            told["events by source"] = table_preview(sources[(key,)])
        if (key,) in changed:
            told["changed by this run"] = _changes(changed[(key,)])
        context.add_asset_metadata(told, partition_key=key)


def _changes(changes: pl.DataFrame) -> dg.MarkdownMetadataValue:
    """The days of DAY_CHANGES, what was reported before first."""
    if changes.is_empty():
        return dg.MetadataValue.md("none: everything was as it was")
    shown = changes.sort((pl.col("change") == "new").cast(pl.Int8), "source", "day").select(
        "source",
        "day",
        "change",
        pl.col("before").alias("events before"),
        pl.col("after").alias("events now"),
        (pl.col("after") - pl.col("before")).alias("difference"),
        "delivery",
    )
    return table_preview(shown, CHANGES_SHOWN)
