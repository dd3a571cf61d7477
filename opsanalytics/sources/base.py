"""What every source has in common: its settings, its credentials, and the interface a vendor fills in.

A source kind is one module or package in `opsanalytics.sources` that defines `SETTINGS`, a subclass
of `EventApiSettings`, `EventFileSettings` (in `files`) or `FeedbackSourceSettings` with a literal
`kind`. Nothing else needs to know it: configuration builds its union from `source_kinds()`, and
fetching, landing and cleaning work through the interface below. The guide is `docs/sources.md`.
"""

import importlib
import pkgutil
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
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
from opsanalytics.sources.totals import VendorTotals
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

    @property
    def variables(self) -> tuple[str, ...]:
        """Environment variables that must be set."""
        named = (getattr(self, field) for field in type(self).model_fields if field.endswith("_env"))
        return tuple(str(variable) for variable in named if variable is not None)

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
    form: Mapping[str, str] | None = None
    """Fields of a form: the request is a POST if they are given."""

    def public(self) -> dict[str, str]:
        """For manifests and messages: no secret."""
        return {"url": self.url, **self.params, **(self.form or {})}


@dataclass(frozen=True)
class Answer:
    """Status, headers and the first bytes of an answer that is not 200."""

    status: int
    headers: Mapping[str, str]
    text: str


Verdict = Literal["retry", "wait", "smaller", "empty", "credentials", "refused"]
"""What an answer other than 200 means for the window that was asked for."""


IdentityRules = Literal["devices", "verbs", "detect", "vendor_ids"]
"""By user and first user of a device; by the vendor's identity events; by these if there are any; by
user, else by the vendor's own person id, else by device."""


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
    """A source of raw events, whichever way they come: what cleaning and analysis know of it."""

    family: ClassVar[Literal["events", "feedback"]] = "events"
    deduplication: ClassVar[Deduplication]
    clock_setting: ClassVar[str | None] = None
    """Setting that names the zone of the vendor's clock, where somebody has to tell."""
    property_folders: ClassVar[tuple[str, ...]] = ("properties", "event_properties", "event_params")
    """Members of a record that hold properties: `[privacy]` names these without the folder."""
    vendor_properties: ClassVar[frozenset[str]] = frozenset()
    """Members of the column `properties` that the vendor adds, or that hold the rest of its record: no part
    of what the product sends. A name that ends in `*` stands for all that begin so."""
    properties_rest: ClassVar[str | None] = None
    """Member of the column `properties` that holds the rest of the record, if it does."""
    id_prefixes: ClassVar[tuple[str, ...]] = ()
    """Starts of ids that tell their kind; they stay readable where an id is hashed."""

    @property
    def profiles_landed_as(self) -> str | None:
        """Name under which user profiles lie in the landing area, where the vendor has them; no configured
        source has such a name."""
        return None

    @property
    def identity_verbs(self) -> frozenset[str]:
        """Event names that state an identity and are no behaviour."""
        return frozenset()

    @property
    def notices(self) -> tuple[str, ...]:
        """What the reader of the log should know about this configuration: what the vendor retires."""
        return ()

    @property
    def identity_rules(self) -> IdentityRules:
        """How ids of this vendor become persons; see `opsanalytics.identity`."""
        return "devices"

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
    def complete_until(self, fetched_at: datetime) -> datetime:
        """Up to where an answer fetched at `fetched_at` is complete, on the vendor's clock."""

    def spans_without_data(self, landed: Sequence[Window]) -> list[Window]:
        """Spans, vendor's clock, of which it is sure that they hold no events although nothing landed."""
        del landed
        return []

    def vendor_totals(self, first: date, last: date, environ: Mapping[str, str]) -> VendorTotals | None:
        """How many events the vendor itself counts on the days of its clock; None if it is not asked.

        Raises:
            SourceError: it could not say.
        """
        del first, last, environ
        return None

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


class EventApiSettings(EventSourceSettings, ABC):
    """A vendor whose raw events are fetched over HTTP by windows of time."""

    unit: ClassVar[timedelta]
    """Smallest window: a day or an hour."""
    initial_window: ClassVar[timedelta] = timedelta(days=7)
    largest_window: ClassVar[timedelta] = timedelta(days=365)
    body: ClassVar[Literal["jsonl", "zip"]]
    """Shape of a complete answer, which decides how its completeness is proven."""
    record_member: ClassVar[str | None] = None
    """Member of every exported line, which tells it from an error under status 200; None: any
    object will do."""

    start: date | None = None
    """First day to fetch when a backfill asks for everything."""
    read_timeout_seconds: float = Field(default=600.0, gt=0)
    retry: RetrySettings = RetrySettings()

    @property
    @abstractmethod
    def project_key(self) -> str:
        """What the vendor counts its limits by; equal for two sources of the same project."""

    def limited_by(self, environ: Mapping[str, str]) -> str:  # noqa: ARG002 - for vendors that count by key
        """As `project_key`, where it takes a credential to tell. It is hashed before it is stored.

        Raises `CredentialError` if that is missing.
        """
        return self.project_key

    def landed_project(self, environ: Mapping[str, str]) -> str | None:  # noqa: ARG002 - as above
        """Which of the vendor's projects this is, whatever the host; None if it cannot be told.

        It is recorded as a hash with each delivery: days of another project never count.
        """
        return None

    @property
    @abstractmethod
    def limits(self) -> tuple[Limit, ...]:
        """The vendor's rate limits, which hold over all processes."""

    @abstractmethod
    def request(self, window: Window, environ: Mapping[str, str]) -> Request:
        """The request for `window`. Raises `CredentialError` if a credential is missing."""

    def narrowed(self, request: Request, events: Sequence[str]) -> Request | None:  # noqa: ARG002 - as above
        """The same request for these events only; None: the vendor cannot narrow an export so."""
        return None

    def names_request(self, environ: Mapping[str, str]) -> Request | None:  # noqa: ARG002 - as above
        """A request that is answered with a JSON list of event names; None: there is none."""
        return None

    @abstractmethod
    def verdict(self, answer: Answer, window: Window) -> Verdict:
        """What an answer other than 200 means. `empty` counts only before `certain_until`.

        `smaller` is taken for `retry` (5xx) or `refused` where nothing smaller can be asked for.
        """

    @abstractmethod
    def advice(self, answer: Answer) -> str:
        """What the reader should do about it: names variables and settings, never values."""

    @abstractmethod
    def available_until(self, now: datetime) -> datetime:
        """End of what can be asked for at `now`, on the vendor's clock. `now` is aware."""

    @abstractmethod
    def certain_until(self, now: datetime) -> datetime:
        """Before this, "no data" means that there are none; later, that they may not be there yet."""

    @abstractmethod
    def settled_until(self, fetched_at: datetime) -> datetime:
        """Up to where an answer fetched at `fetched_at` will not change any more, vendor's clock."""

    def once_more(self, fetched_at: datetime, now: datetime) -> Window | None:  # noqa: ARG002 - as above
        """What of an answer fetched at `fetched_at`, although settled, is due once more at `now`.

        For vendors that take events of any age. On the vendor's clock; None: nothing.
        """
        return None


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
    updated_at: datetime | None = None
    """When it was last changed, aware; of two with the same id the later changed one counts."""
    left_out: Literal["deleted", "no_words", "forgotten"] | None = None
    """Why this record is no message: the source says that it is deleted, no customer said anything in it,
    or its writer was forgotten. It supersedes earlier versions all the same."""
    part: str | None = None
    """Tells several messages of one record apart: they share `record` and `id`."""
    email_hash: str | None = None
    """What stands for the e-mail address instead of its plain hash, if the configuration wants that."""


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
        """Read a landed file; every record is in exactly one of the two lists.

        Raises:
            InboxError: as `count_records`; the file was landed under other settings.
        """

    def read_parts(self, path: Path) -> Iterator[tuple[list[FeedbackRow], list[RejectedRow]]]:
        """As `read`, some records at a time, for kinds whose files may be large."""
        yield self.read(path)


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
