"""The one place that knows how the home folder is laid out."""

import glob
from dataclasses import dataclass
from datetime import date
from pathlib import Path


@dataclass(frozen=True)
class Home:
    """Paths below one opsanalytics home folder (`data/` unless configured otherwise).

    Computing a path never touches the disk; whoever writes creates the parent folder.
    """

    root: Path

    @property
    def landing(self) -> Path:
        """Bytes exactly as received, by source and delivery."""
        return self.root / "landing"

    def delivery(self, source: str, delivery: str) -> Path:
        """One complete fetch or one delivered file of a source: data file and `manifest.json`."""
        return self.landing / source / delivery

    def vendor_totals_file(self, source: str) -> Path:
        """What the vendor itself counts, by day and event; no source is called `_totals`."""
        return self.landing / "_totals" / f"{source}.json"

    @property
    def lake(self) -> Path:
        return self.root / "lake"

    def cleaned(self, source: str) -> Path:
        """Canonical rows by delivery, before deduplication across deliveries."""
        return self.lake / "cleaned" / source

    @property
    def events(self) -> Path:
        return self.lake / "events"

    def events_file(self, source: str, day: date) -> Path:
        """Canonical, deduplicated events of one source and UTC day."""
        return self.events / f"day={day.isoformat()}" / f"{source}.parquet"

    @property
    def events_schema_file(self) -> Path:
        """Parquet without rows that `events_pattern` matches too, so that an empty lake can be queried."""
        return self.lake / "events_schema" / "day=1970-01-01" / "none.parquet"

    @property
    def events_pattern(self) -> str:
        """Absolute glob over all event files, days that do not exist yet included."""
        return str(Path(glob.escape(str(self.lake.resolve()))) / "events*" / "day=*" / "*.parquet")

    @property
    def feedback(self) -> Path:
        """Canonical feedback, one Parquet file a source."""
        return self.lake / "feedback"

    def duplicates_file(self, source: str, day: date) -> Path:
        """Records set aside as duplicates, with the event they repeat."""
        return self.lake / "duplicates" / f"day={day.isoformat()}" / f"{source}.parquet"

    def quarantine(self, source: str) -> Path:
        """Records that could not be read, one Parquet file a delivery."""
        return self.lake / "quarantine" / source

    def profiles_file(self, source: str) -> Path:
        """What a vendor knows of the users themselves."""
        return self.lake / "profiles" / f"{source}.parquet"

    def feedback_file(self, source: str) -> Path:
        return self.feedback / f"{source}.parquet"

    def feedback_duplicates_file(self, source: str) -> Path:
        return self.lake / "feedback_duplicates" / f"{source}.parquet"

    @property
    def profiles(self) -> Path:
        """What events and their properties looked like, by UTC day and source; rebuilt from events."""
        return self.root / "profiles"

    @property
    def identity(self) -> Path:
        """Mapping from as-ingested ids to persons."""
        return self.lake / "identity"

    @property
    def index(self) -> Path:
        """The behavior index: rebuilt from events and identity at will."""
        return self.root / "index"

    @property
    def marts(self) -> Path:
        """Small result tables, one Parquet file each; the published DuckDB file is made of them."""
        return self.root / "marts"

    @property
    def embeddings(self) -> Path:
        """Vectors of what people wrote; can be deleted at any time."""
        return self.root / "embeddings"

    def embeddings_file(self, model: str) -> Path:
        """Vectors of texts by a model (sha256 of its weights)."""
        return self.embeddings / f"{model[:16]}.parquet"

    @property
    def theme_weeks(self) -> Path:
        """How far messages were gone through for themes; can be deleted at any time."""
        return self.root / "themes"

    @property
    def fingerprints(self) -> Path:
        """What each mart and page was computed from. Delete it, and all of them are computed again."""
        return self.root / "fingerprints"

    @property
    def changes(self) -> Path:
        """Which days of the lake changed, and when that was noticed: a record of runs, not of data."""
        return self.root / "changes"

    @property
    def inboxes(self) -> Path:
        """The folders of all sources that take dumps."""
        return self.root / "inbox" / "feedback"

    def inbox(self, source: str) -> Path:
        """Where feedback dumps of a source are dropped."""
        return self.inboxes / source

    @property
    def published(self) -> Path:
        """The read-only DuckDB file for analysts."""
        return self.root / "opsanalytics.duckdb"

    @property
    def state(self) -> Path:
        """SQLite: what cannot be rebuilt and needs transactions between processes."""
        return self.root / "state.sqlite"

    @property
    def reports(self) -> Path:
        return self.root / "reports"

    @property
    def erasures(self) -> Path:
        """Who was forgotten, as salted hashes, and the record of it."""
        return self.root / "erasures"

    @property
    def quality(self) -> Path:
        """Validation results by table and partition, and Data Docs."""
        return self.root / "quality"

    @property
    def dagster(self) -> Path:
        """DAGSTER_HOME unless the environment names another."""
        return self.root / "dagster"

    @property
    def locks(self) -> Path:
        return self.root / "locks"
