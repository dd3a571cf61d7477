"""Nothing vanishes: landed = canonical + duplicates + quarantined, for each source, delivery and day.

The four figures are counted in four places: the landed records while their bytes are read, the
others in the files of the lake. None is computed from the others.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import polars as pl

from opsanalytics.cleaning.parsing import UNKNOWN_DAY, read_summary
from opsanalytics.lake.manifests import Manifest, deliveries
from opsanalytics.lake.paths import Home
from opsanalytics.lake.schemas import INGESTION_LEDGER
from opsanalytics.sources.base import SourceSettings

KEY = ("delivery", "day")
FIGURES = ("landed", "canonical", "duplicates", "quarantined")
COUNTS = pl.Schema({"delivery": pl.String, "day": pl.Date, "count": pl.Int64})
NEVER = datetime(1970, 1, 1, tzinfo=UTC)
"""Time of fetching of a delivery that is in the lake but not in the landing area."""


def build_ledger(home: Home, settings_list: Sequence[SourceSettings]) -> pl.DataFrame:
    """Count every delivery of the sources (schema INGESTION_LEDGER).

    Rows with a null day hold records whose day cannot be told, deliveries that are landed but not
    cleaned yet, and empty deliveries (all figures 0).
    """
    frames = [source_ledger(home, settings) for settings in settings_list]
    return INGESTION_LEDGER.conform(pl.concat(frames) if frames else INGESTION_LEDGER.empty())


def source_ledger(home: Home, settings: SourceSettings) -> pl.DataFrame:
    manifests = list(deliveries(home, settings.name))
    counts = {
        "landed": landed_counts(home, settings.name, manifests),
        "canonical": canonical_counts(home, settings),
        "duplicates": file_counts(duplicates_files(home, settings)),
        "quarantined": file_counts(sorted(home.quarantine(settings.name).glob("*.parquet"))),
    }
    keys = pl.concat(frame.select(KEY) for frame in counts.values()).unique()
    ledger = keys
    for name, frame in counts.items():
        figures = frame.group_by(KEY).agg(pl.col("count").sum().alias(name))
        ledger = ledger.join(figures, on=KEY, how="left", nulls_equal=True)
    fetched = pl.DataFrame(
        {
            "delivery": [manifest.delivery for manifest in manifests],
            "fetched_at": [manifest.fetched_at for manifest in manifests],
        },
        schema={"delivery": pl.String, "fetched_at": INGESTION_LEDGER.schema["fetched_at"]},
    )
    return (
        ledger.join(fetched, on="delivery", how="left")
        .with_columns(
            pl.lit(settings.name).alias("source"),
            pl.lit(settings.kind).alias("kind"),
            pl.col("fetched_at").fill_null(NEVER),
            *(pl.col(name).fill_null(0) for name in FIGURES),
        )
        .select(INGESTION_LEDGER.names)
    )


def landed_counts(home: Home, source: str, manifests: Iterable[Manifest]) -> pl.DataFrame:
    """Records by delivery and day as counted while reading; by manifest alone if not read yet."""
    rows: list[tuple[str, object, int]] = []
    for manifest in manifests:
        summary = read_summary(home, source, manifest.delivery)
        if summary is None or summary.ingest_run != manifest.ingest_run:
            rows.append((manifest.delivery, None, manifest.records))
            continue
        for day, count in summary.records.items():
            rows.append(
                (manifest.delivery, None if day == UNKNOWN_DAY else datetime.fromisoformat(day).date(), count)
            )
        if not summary.records:
            rows.append((manifest.delivery, None, 0))
    return pl.DataFrame(rows, schema=COUNTS, orient="row")


def canonical_counts(home: Home, settings: SourceSettings) -> pl.DataFrame:
    if settings.family == "feedback":
        path = home.feedback_file(settings.name)
        files = [path] if path.exists() else []
    else:
        files = sorted(home.events.glob(f"day=*/{settings.name}.parquet"))
    delivery = pl.col("ingest_run").str.extract(r"^(.*)@[0-9a-f]{12}$").alias("delivery")
    columns = [delivery, pl.col("ts").dt.date().alias("day")]
    if settings.family == "feedback":
        # the answers of one survey response are one record
        response = pl.coalesce("response_id", "feedback_id").alias("response")
        return collected(scan.select(*columns, response).unique().select(KEY) for scan in scans(files))
    return collected(scan.select(columns) for scan in scans(files))


def duplicates_files(home: Home, settings: SourceSettings) -> list[Path]:
    if settings.family == "feedback":
        path = home.feedback_duplicates_file(settings.name)
        return [path] if path.exists() else []
    # any path of the duplicates area tells where it lies
    area = home.duplicates_file(settings.name, NEVER.date()).parent.parent
    return sorted(area.glob(f"day=*/{settings.name}.parquet"))


def file_counts(files: list[Path]) -> pl.DataFrame:
    return collected(scan.select(KEY) for scan in scans(files))


def scans(files: list[Path], at_once: int = 1_000) -> Iterator[pl.LazyFrame]:
    for start in range(0, len(files), at_once):
        yield pl.scan_parquet(files[start : start + at_once], hive_partitioning=False)


def collected(frames: Iterable[pl.LazyFrame]) -> pl.DataFrame:
    counted = [frame.group_by(KEY).agg(pl.len().cast(pl.Int64).alias("count")).collect() for frame in frames]
    return pl.concat(counted) if counted else COUNTS.to_frame()


def unreconciled(ledger: pl.DataFrame, manifests: Iterable[Manifest]) -> pl.DataFrame:
    """What does not add up; empty if everything does.

    Columns of the ledger, `missing` (landed minus the three others; negative: more than landed) and
    `problem`, in words. Besides the rows themselves, the landed records over all days of a delivery
    must be as many as its manifest says.
    """
    missing = (pl.col("landed") - pl.col("canonical") - pl.col("duplicates") - pl.col("quarantined")).alias(
        "missing"
    )
    rows = (
        ledger.with_columns(missing)
        .filter(pl.col("missing") != 0)
        .with_columns(
            pl.when(pl.col("fetched_at") == NEVER)
            .then(pl.lit("in the lake, but its delivery is not landed; clean this source again"))
            .when(pl.col("missing") > 0)
            .then(pl.lit("records were landed that are neither in the lake nor set aside"))
            .otherwise(pl.lit("the lake holds more records than were landed"))
            .alias("problem")
        )
    )
    return pl.concat([rows, manifest_problems(ledger, manifests, rows.schema)]).sort(
        INGESTION_LEDGER.order, nulls_last=True
    )


def manifest_problems(ledger: pl.DataFrame, manifests: Iterable[Manifest], schema: pl.Schema) -> pl.DataFrame:
    counted = {
        (source, delivery): figures
        for source, delivery, *figures in ledger.group_by("source", "delivery")
        .agg(*(pl.col(name).sum() for name in FIGURES))
        .iter_rows()
    }
    problems = []
    for manifest in manifests:
        figures = counted.get((manifest.source, manifest.delivery), [0, 0, 0, 0])
        if figures[0] != manifest.records:
            problems.append(
                (
                    manifest.source,
                    manifest.kind,
                    manifest.delivery,
                    None,
                    *figures,
                    manifest.fetched_at,
                    manifest.records - figures[0],
                    f"the manifest says {manifest.records} records, {figures[0]} were read",
                )
            )
    return pl.DataFrame(problems, schema=schema, orient="row")
