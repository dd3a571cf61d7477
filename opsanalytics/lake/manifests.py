"""Deliveries in the landing area: data files plus the manifest that makes them count.

A delivery is one complete fetch (a window of days or hours) or one delivered file. Its manifest is
written last, so a killed download leaves nothing that counts.
"""

from collections.abc import Iterator
from datetime import date, datetime
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from opsanalytics.lake.files import write_text
from opsanalytics.lake.paths import Home

MANIFEST = "manifest.json"


class LandedFile(BaseModel):
    """One file of a delivery, as received."""

    model_config = ConfigDict(frozen=True)

    name: str
    bytes: int
    sha256: str
    """Of the bytes on disk."""
    records: int
    """Records counted in the bytes themselves (lines of JSONL, rows of CSV), before any parsing."""


class Erasure(BaseModel):
    """That records of a forgotten person were taken out of a delivery."""

    model_config = ConfigDict(frozen=True)

    audit: str
    """Number of the entry in the record of erasures."""
    at: datetime
    """When the person was forgotten."""
    records: int
    """Records taken out."""
    mentions: int
    """Records of others in which the person's ids were blanked."""


class Manifest(BaseModel):
    """What was asked, what came, and when. Holds no secret."""

    model_config = ConfigDict(frozen=True)

    source: str
    kind: str
    delivery: str
    first_day: date | None
    """First day that the request covers (in the vendor's meaning: event day or upload day)."""
    last_day: date | None
    """Last day that the request covers, inclusive."""
    covers_from: datetime | None = None
    """Start of the span asked for, UTC; null for a delivered file."""
    covers_until: datetime | None = None
    """End of the span asked for, exclusive, UTC. Whether it was over by then, `fetched_at` tells."""
    project: str | None = None
    """Hash of the vendor's project that it came from; null where that cannot be told."""
    request: dict[str, str]
    status: int | None
    attempts: int
    fetched_at: datetime
    files: tuple[LandedFile, ...]
    sha256: str
    """Of the decoded content: equal content has equal sha256 however it was compressed."""
    erasures: tuple[Erasure, ...] = ()
    """What was taken out since it was received; sizes and hashes are of what is left."""

    @property
    def records(self) -> int:
        return sum(file.records for file in self.files)

    @property
    def ingest_run(self) -> str:
        """Identifies delivery and content; the same for a re-fetch that brought the same bytes."""
        return f"{self.delivery}@{self.sha256[:12]}"


def write_manifest(home: Home, manifest: Manifest) -> None:
    """Commit a delivery: from now on it counts."""
    path = home.delivery(manifest.source, manifest.delivery) / MANIFEST
    write_text(path, manifest.model_dump_json(indent=1) + "\n")


def read_manifest(path: Path) -> Manifest:
    return Manifest.model_validate_json(path.read_bytes())


def deliveries(home: Home, source: str) -> Iterator[Manifest]:
    """Complete deliveries of a source, in order of their names."""
    folder = home.landing / source
    for path in sorted(folder.glob(f"*/{MANIFEST}")):
        yield read_manifest(path)
