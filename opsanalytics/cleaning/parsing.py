"""One delivery of raw events, parsed: rows, rejects and counts, kept until its bytes or rules change."""

import hashlib
import json
from collections import Counter
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict

from opsanalytics.cleaning.lines import Batch, read_batches
from opsanalytics.lake.files import replacing, write_parquet, write_text
from opsanalytics.lake.manifests import Manifest
from opsanalytics.lake.paths import Home
from opsanalytics.lake.schemas import QUARANTINE
from opsanalytics.sources.base import ROW_TYPES, EventSourceSettings

PARSER_VERSION = 1
"""Raise it when what is written here changes for the same bytes."""
BATCH_LINES = 50_000
UNKNOWN_DAY = "unknown"
PARSED = pl.Schema(
    {"member": pl.String, "record": pl.Int64}
    | {name: dtype for name, dtype in ROW_TYPES.items() if name != "position"}
)


class ParsedDelivery(BaseModel):
    """What is known of a parsed delivery; written last, so that without it nothing counts."""

    model_config = ConfigDict(frozen=True)

    delivery: str
    ingest_run: str
    fingerprint: str
    """Of the bytes and of every rule that was applied to them."""
    rows: dict[date, int]
    """Parsed records by UTC day."""
    records: dict[str, int]
    """All records by UTC day (ISO, or `unknown`), counted while reading."""
    rejected: int
    identity_verbs: int


@dataclass(frozen=True)
class DeliveryFiles:
    """Where the parts of a parsed delivery lie."""

    rows: Path
    quarantine: Path
    summary: Path

    @classmethod
    def of(cls, home: Home, source: str, delivery: str) -> "DeliveryFiles":
        folder = home.cleaned(source)
        return cls(
            rows=folder / f"{delivery}.parquet",
            quarantine=home.quarantine(source) / f"{delivery}.parquet",
            summary=folder / f"{delivery}.json",
        )

    def remove(self) -> None:
        for path in (self.summary, self.rows, self.quarantine):
            path.unlink(missing_ok=True)


def fingerprint(settings: EventSourceSettings, manifest: Manifest) -> str:
    rules = json.dumps(settings.cleaning_fingerprint(), sort_keys=True, default=str)
    text = f"{PARSER_VERSION}\n{manifest.ingest_run}\n{manifest.sha256}\n{rules}"
    return hashlib.sha256(text.encode()).hexdigest()[:24]


def read_summary(home: Home, source: str, delivery: str) -> ParsedDelivery | None:
    """The summary of a parsed delivery, or None if it is not (completely) parsed."""
    files = DeliveryFiles.of(home, source, delivery)
    if not files.summary.exists():
        return None
    summary = ParsedDelivery.model_validate_json(files.summary.read_bytes())
    whole = (not summary.rows or files.rows.exists()) and (not summary.rejected or files.quarantine.exists())
    return summary if whole else None


def parse_delivery(settings: EventSourceSettings, home: Home, manifest: Manifest) -> ParsedDelivery:
    """Parse all records of a delivery in bounded memory and replace its files in the lake.

    Raises:
        FileNotFoundError: a fetch replaced the delivery meanwhile; read its manifest again.
    """
    files = DeliveryFiles.of(home, settings.name, manifest.delivery)
    files.summary.unlink(missing_ok=True)
    rows: Counter[date] = Counter()
    records: Counter[str] = Counter()
    verbs = 0
    rejected: list[pl.DataFrame] = []
    with (
        replacing(files.rows) as temporary,
        pq.ParquetWriter(temporary, arrow_schema(), compression="zstd") as writer,
    ):
        for landed in manifest.files:
            path = home.delivery(settings.name, manifest.delivery) / landed.name
            for batch in read_batches(path, BATCH_LINES):
                parsed, refused = parse_batch(settings, manifest, batch)
                days = parsed["ts"].dt.date().value_counts()
                rows.update(dict(days.iter_rows()))
                verbs += int(parsed["source_event"].is_in(list(settings.identity_verbs)).sum())
                records.update({day.isoformat(): count for day, count in days.iter_rows()})
                for day in refused["day"]:
                    records[day.isoformat() if day else UNKNOWN_DAY] += 1
                if refused.height:
                    rejected.append(refused)
                if parsed.height:
                    writer.write_table(to_arrow(parsed))
    if not rows:
        files.rows.unlink(missing_ok=True)
    if rejected:
        write_parquet(files.quarantine, QUARANTINE.conform(pl.concat(rejected)))
    else:
        files.quarantine.unlink(missing_ok=True)
    summary = ParsedDelivery(
        delivery=manifest.delivery,
        ingest_run=manifest.ingest_run,
        fingerprint=fingerprint(settings, manifest),
        rows=dict(sorted(rows.items())),
        records=dict(sorted(records.items())),
        rejected=sum(frame.height for frame in rejected),
        identity_verbs=verbs,
    )
    write_text(files.summary, summary.model_dump_json(indent=1) + "\n")
    return summary


def parse_batch(
    settings: EventSourceSettings, manifest: Manifest, batch: Batch
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Rows (columns of `PARSED`) and rejects (columns of `QUARANTINE`) of one batch."""
    parsed = settings.parse(batch.lines)
    undecodable = [(position, "not_utf8", detail, None) for position, detail in batch.undecodable]
    quarantine = []
    for position, reason, detail, day in [*undecodable, *parsed.rejected]:
        member, number, raw = batch.records[position]
        quarantine.append((settings.name, manifest.delivery, member, number, day, reason, detail, raw))
    positions = parsed.rows["position"].to_list()
    rows = parsed.rows.with_columns(
        pl.Series("member", [batch.records[position].member for position in positions], dtype=pl.String),
        pl.Series("record", [batch.records[position].number for position in positions], dtype=pl.Int64),
    )
    return rows.select(PARSED.names()), pl.DataFrame(quarantine, schema=QUARANTINE.schema, orient="row")


def to_arrow(frame: pl.DataFrame) -> pa.Table:
    return frame.to_arrow(compat_level=pl.CompatLevel.oldest()).cast(arrow_schema())


def arrow_schema() -> pa.Schema:
    return PARSED.to_frame().to_arrow(compat_level=pl.CompatLevel.oldest()).schema
