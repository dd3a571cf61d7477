"""One delivery of raw events, parsed: rows, rejects and counts, kept until its bytes or rules change."""

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict

from opsanalytics.cleaning.beside import Behind, ahead, side_by_side
from opsanalytics.cleaning.lines import Batch, read_batches, records
from opsanalytics.cleaning.privacy import PrivacyRules
from opsanalytics.cleaning.private_records import parse_private
from opsanalytics.lake.files import replacing, write_parquet, write_text
from opsanalytics.lake.manifests import Manifest
from opsanalytics.lake.paths import Home
from opsanalytics.lake.schemas import QUARANTINE
from opsanalytics.sources.base import ROW_TYPES, EventSourceSettings

PARSER_VERSION = 1
"""Raise it when what is written here changes for the same bytes."""
BATCH_BYTES = 8 * 1024 * 1024
"""So much text is parsed at once; bounds memory, changes no result."""
UNKNOWN_DAY = "unknown"
REPEATING = ["member", "source_event", "platform", "os", "browser", "app_version", "country"]
"""Columns of few values. Looking for repetition in the others takes longer than writing them."""
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
class ParsedBatch:
    """What one batch of a delivery holds."""

    rows: pl.DataFrame
    """Columns of `PARSED`."""
    refused: pl.DataFrame
    """Columns of `QUARANTINE`."""
    days: dict[date, int]
    """Rows by UTC day."""
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


def fingerprint(settings: EventSourceSettings, manifest: Manifest, privacy: PrivacyRules | None) -> str:
    applied = settings.cleaning_fingerprint() | ({"privacy": privacy.fingerprint()} if privacy else {})
    rules = json.dumps(applied, sort_keys=True, default=str)
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


def parse_delivery(
    settings: EventSourceSettings, home: Home, manifest: Manifest, privacy: PrivacyRules | None = None
) -> ParsedDelivery:
    """Parse all records of a delivery in bounded memory and replace its files in the lake.

    Decompressing, parsing of two batches and writing go on side by side: compiled code and that of
    libraries do not hold the interpreter's lock.

    Raises:
        FileNotFoundError: a fetch replaced the delivery meanwhile; read its manifest again.
    """
    files = DeliveryFiles.of(home, settings.name, manifest.delivery)
    files.summary.unlink(missing_ok=True)
    rows: Counter[date] = Counter()
    counted: Counter[str] = Counter()
    verbs = 0
    rejected: list[pl.DataFrame] = []
    batches = (
        batch
        for landed in manifest.files
        for batch in read_batches(home.delivery(settings.name, manifest.delivery) / landed.name, BATCH_BYTES)
    )
    with (
        replacing(files.rows) as temporary,
        pq.ParquetWriter(
            temporary, arrow_schema(), compression="lz4", use_dictionary=REPEATING, write_statistics=["ts"]
        ) as writer,
        Behind[pl.DataFrame](lambda rows: writer.write_table(to_arrow(rows))) as written,
    ):
        for parsed in side_by_side(
            lambda batch: parse_batch(settings, manifest.delivery, batch, privacy), ahead(batches)
        ):
            rows.update(parsed.days)
            verbs += parsed.identity_verbs
            counted.update({day.isoformat(): count for day, count in parsed.days.items()})
            for day in parsed.refused["day"]:
                counted[day.isoformat() if day else UNKNOWN_DAY] += 1
            if parsed.refused.height:
                rejected.append(parsed.refused)
            if parsed.rows.height:
                written.add(parsed.rows)
    if not rows:
        files.rows.unlink(missing_ok=True)
    if rejected:
        write_parquet(files.quarantine, QUARANTINE.conform(pl.concat(rejected)))
    else:
        files.quarantine.unlink(missing_ok=True)
    summary = ParsedDelivery(
        delivery=manifest.delivery,
        ingest_run=manifest.ingest_run,
        fingerprint=fingerprint(settings, manifest, privacy),
        rows=dict(sorted(rows.items())),
        records=dict(sorted(counted.items())),
        rejected=sum(frame.height for frame in rejected),
        identity_verbs=verbs,
    )
    write_text(files.summary, summary.model_dump_json(indent=1) + "\n")
    return summary


def parse_batch(
    settings: EventSourceSettings, delivery: str, batch: Batch, privacy: PrivacyRules | None
) -> ParsedBatch:
    """Parse the records of one batch of a delivery."""
    found = records(batch)
    raw: Sequence[bytes] = found.raw
    if privacy is None:
        parsed = settings.parse_records(found.raw)
    else:
        parsed, raw = parse_private(settings, privacy, found.raw)
    quarantine = [
        (settings.name, delivery, found.member[position], found.number[position], day, reason, detail,
         raw[position])
        for position, reason, detail, day in parsed.rejected
    ]  # fmt: skip
    rows = parsed.rows
    position = rows["position"]
    rows = rows.with_columns(
        found.member.gather(position).alias("member"), found.number.gather(position).alias("record")
    ).select(PARSED.names())
    return ParsedBatch(
        rows=rows,
        refused=pl.DataFrame(quarantine, schema=QUARANTINE.schema, orient="row"),
        days=dict(rows["ts"].dt.date().value_counts().iter_rows()),
        identity_verbs=int(rows["source_event"].is_in(list(settings.identity_verbs)).sum()),
    )


def to_arrow(frame: pl.DataFrame) -> pa.Table:
    return frame.to_arrow(compat_level=pl.CompatLevel.oldest()).cast(arrow_schema())


def arrow_schema() -> pa.Schema:
    return PARSED.to_frame().to_arrow(compat_level=pl.CompatLevel.oldest()).schema
