"""What every source has in common: its settings, its credentials, and the interface a vendor fills in.

A source kind is one module or package in `opsanalytics.sources` that defines `SETTINGS`, a subclass
of `EventSourceSettings` or `FeedbackSourceSettings` with a literal `kind`. Nothing else needs to
know it: configuration builds its union from `source_kinds()`, and fetching, landing and cleaning
work through the interface below.
"""

import importlib
import pkgutil
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal
from zoneinfo import ZoneInfo

import polars as pl
from pydantic import BaseModel, ConfigDict, Field

from opsanalytics.lake.tables import DataType
from opsanalytics.sources.errors import CredentialError
from opsanalytics.sources.limiter import Limit
from opsanalytics.sources.lines import RawLines
from opsanalytics.sources.windows import DAY, Window, midnight

SourceName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=60)]


class SourceSettings(BaseModel):
    """One configured source. Holds the names of environment variables, never a secret."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: SourceName
    kind: str
    family: ClassVar[Literal["events", "feedback"]]
    cleaner_version: ClassVar[int] = 1
    """Raise it when the same bytes would be cleaned into other rows."""

    def cleaning_fingerprint(self) -> dict[str, Any]:
        """The settings that change how landed bytes are read. Others must not cause re-cleaning."""
        return {"kind": self.kind, "version": self.cleaner_version}

    def secret(self, environ: Mapping[str, str], setting: str) -> str:
        """Value of the environment variable that `setting` names.

        Raises:
            CredentialError: the variable is not set or empty.
        """
        variable: str = getattr(self, setting)
        value = environ.get(variable, "").strip()
        if not value:
            raise CredentialError(
                f"source {self.name}: the environment variable {variable} ({setting}) is not set. "
                f"Set it, for example `export {variable}=...`, or name another variable in {setting}."
            )
        return value


class RetrySettings(BaseModel):
    """How stubborn to be with a vendor that fails."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    attempts: int = Field(default=5, ge=1)
    """Attempts at one window before giving up or halving it."""
    backoff_seconds: float = Field(default=2.0, ge=0)
    """First pause; doubles each time, with jitter."""
    longest_backoff_seconds: float = Field(default=120.0, ge=0)
    rate_limit_patience_seconds: float = Field(default=3_900.0, ge=0)
    """How long to keep waiting while the vendor answers 429, in total for one window."""


@dataclass(frozen=True)
class Request:
    """One HTTP request, split into what may be recorded and what may not."""

    url: str
    params: Mapping[str, str]
    auth: tuple[str, str] = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict)

    def public(self) -> dict[str, str]:
        """For manifests and messages: no secret."""
        return {"url": self.url, **self.params}


@dataclass(frozen=True)
class Answer:
    """Status, headers and the first bytes of an answer that is not 200."""

    status: int
    headers: Mapping[str, str]
    text: str


Verdict = Literal["retry", "wait", "smaller", "empty", "credentials", "refused"]
"""What an answer other than 200 means for the window that was asked for."""


@dataclass(frozen=True)
class ParsedLines:
    """Rows and rejects of some lines. Every line is in exactly one of them."""

    rows: pl.DataFrame
    """Columns of `ROWS`."""
    rejected: list[tuple[int, str, str, date | None]]
    """(position, reason, detail, UTC day if it can be told)."""


@dataclass(frozen=True)
class Line:
    """One record of a delivery as text."""

    position: int
    """In the batch it is read in; how a row or a reject is traced back to its bytes."""
    text: str


ROW_TYPES: dict[str, DataType] = {
    "position": pl.Int64,
    "event_id": pl.String,
    "source_event": pl.String,
    "ts": pl.Datetime("us", "UTC"),
    "received_at": pl.Datetime("us", "UTC"),
    "distinct_id": pl.String,
    "user_id": pl.String,
    "device_id": pl.String,
    "session_id": pl.String,
    "platform": pl.String,
    "os": pl.String,
    "browser": pl.String,
    "app_version": pl.String,
    "country": pl.String,
    "url": pl.String,
    "properties": pl.String,
    "vendor_day": pl.Date,
    "second_key": pl.String,
    "preference": pl.Int64,
}
ROWS = pl.Schema(ROW_TYPES)
"""What a vendor's parser gives: the event columns that come from the record itself, and
`vendor_day` (day on the vendor's clock, decides which delivery is in force), `second_key` (another
key that makes two records the same; null: none), `preference` (of equal records the highest stays).
"""


@dataclass(frozen=True)
class Deduplication:
    """How a vendor repeats itself, beyond equal `event_id`s on one day."""

    newest_delivery_wins: bool
    """A later complete fetch replaces the vendor days it covers (Mixpanel), or only adds (Amplitude)."""
    second_key_days: int = 0
    """How many days two records with the same `second_key` may lie apart; 0: no second key."""


class EventSourceSettings(SourceSettings, ABC):
    """A vendor whose raw events are fetched by windows of time."""

    family: ClassVar[Literal["events", "feedback"]] = "events"
    unit: ClassVar[timedelta]
    """Smallest window: a day or an hour."""
    initial_window: ClassVar[timedelta] = timedelta(days=7)
    largest_window: ClassVar[timedelta] = timedelta(days=365)
    deduplication: ClassVar[Deduplication]
    body: ClassVar[Literal["jsonl", "zip"]]
    """Shape of a complete answer, which decides how its completeness is proven."""
    identity_verbs: ClassVar[frozenset[str]] = frozenset()
    """Event names that state an identity and are no behaviour."""

    start: date | None = None
    """First day to fetch when a backfill asks for everything."""
    read_timeout_seconds: float = Field(default=600.0, gt=0)
    retry: RetrySettings = RetrySettings()

    @property
    @abstractmethod
    def project_key(self) -> str:
        """What the vendor counts its limits by; equal for two sources of the same project."""

    @property
    @abstractmethod
    def limits(self) -> tuple[Limit, ...]:
        """The vendor's rate limits, which hold over all processes."""

    @abstractmethod
    def request(self, window: Window, environ: Mapping[str, str]) -> Request:
        """The request for `window`. Raises `CredentialError` if a credential is missing."""

    @abstractmethod
    def verdict(self, answer: Answer, window: Window) -> Verdict:
        """What an answer other than 200 means. `empty` counts only before `certain_until`."""

    @abstractmethod
    def advice(self, answer: Answer) -> str:
        """What the reader should do about it: names variables and settings, never values."""

    @property
    def vendor_zone(self) -> ZoneInfo:
        """Zone of the vendor's clock: in which it takes windows and counts days."""
        return ZoneInfo("UTC")

    def to_utc(self, wall: datetime) -> datetime:
        """A time on the vendor's clock as aware UTC."""
        return wall.replace(tzinfo=self.vendor_zone).astimezone(UTC)

    def to_wall(self, moment: datetime) -> datetime:
        """An aware time as it reads on the vendor's clock."""
        return moment.astimezone(self.vendor_zone).replace(tzinfo=None)

    def vendor_window(self, first: date, last: date) -> Window:
        """Whole vendor days that cover the UTC days `first` to `last`, inclusive."""
        start = self.to_wall(datetime.combine(first, time.min, UTC))
        end = self.to_wall(datetime.combine(last, time.max, UTC))
        return Window(midnight(start.date()), midnight(end.date()) + DAY)

    @abstractmethod
    def available_until(self, now: datetime) -> datetime:
        """End of what can be asked for at `now`, on the vendor's clock. `now` is aware."""

    @abstractmethod
    def certain_until(self, now: datetime) -> datetime:
        """Before this, "no data" means that there are none; later, that they may not be there yet."""

    @abstractmethod
    def complete_until(self, fetched_at: datetime) -> datetime:
        """Up to where an answer fetched at `fetched_at` is complete, on the vendor's clock."""

    @abstractmethod
    def settled_until(self, fetched_at: datetime) -> datetime:
        """Up to where an answer fetched at `fetched_at` will not change any more, vendor's clock."""

    @abstractmethod
    def parse(self, lines: Sequence[Line]) -> ParsedLines:
        """Turn records into rows. Pure; raises for nothing that a record can contain."""

    def parse_records(self, records: RawLines) -> ParsedLines:
        """Turn records as landed into rows; positions are indexes into `records`.

        A vendor may do it faster, with exactly the result of this one.
        """
        lines = []
        undecodable: list[tuple[int, str, str, date | None]] = []
        for position, record in enumerate(records):
            try:
                lines.append(Line(position, record.decode("utf-8")))
            except UnicodeDecodeError as error:
                detail = f"byte {error.start + 1} of the line is not UTF-8"
                undecodable.append((position, "not_utf8", detail, None))
        parsed = self.parse(lines)
        return ParsedLines(parsed.rows, [*undecodable, *parsed.rejected])


@dataclass(frozen=True)
class FeedbackRow:
    """One message as its file says it, nothing redacted yet."""

    record: int
    id: str
    ts: datetime
    """Aware, UTC."""
    text: str | None
    title: str | None
    user_id: str | None
    email: str | None
    rating: float | None
    rating_min: float | None
    rating_max: float | None
    language: str | None
    app_version: str | None
    url: str | None
    raw: dict[str, str]
    kind: str | None = None
    """One of `lake.schemas.KINDS`."""
    tags: tuple[str, ...] | None = None
    votes: int | None = None
    resolved: bool | None = None
    private_fields: frozenset[str] = frozenset()
    """Fields of `raw` that hold an e-mail address and are kept only as a hash."""
    plain_fields: frozenset[str] = frozenset()
    """Fields of `raw` that are ids, times, numbers: no free text, nothing to redact."""


@dataclass(frozen=True)
class RejectedRow:
    """One record that cannot be used."""

    record: int
    reason: str
    detail: str
    raw: bytes


class FeedbackSourceSettings(SourceSettings, ABC):
    """Files that somebody drops into the inbox."""

    family: ClassVar[Literal["events", "feedback"]] = "feedback"

    @abstractmethod
    def count_records(self, path: Path) -> int:
        """Count the records in a file, before any mapping.

        Raises:
            InboxError: the file cannot be read as this kind or lacks a mapped column.
        """

    @abstractmethod
    def read(self, path: Path) -> tuple[list[FeedbackRow], list[RejectedRow]]:
        """Read a landed file; every record is in exactly one of the two lists."""


@cache
def source_kinds() -> dict[str, type[SourceSettings]]:
    """Every source kind by its name, from the modules of this package that define `SETTINGS`."""
    package = importlib.import_module("opsanalytics.sources")
    kinds: dict[str, type[SourceSettings]] = {}
    for module_info in sorted(pkgutil.iter_modules(package.__path__), key=lambda info: info.name):
        module = importlib.import_module(f"opsanalytics.sources.{module_info.name}")
        settings: type[SourceSettings] | None = getattr(module, "SETTINGS", None)
        if settings is not None:
            kinds[settings.model_fields["kind"].default] = settings
    return kinds
