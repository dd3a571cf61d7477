"""Feedback that is pulled page by page from a vendor's API: what such a source has to say.

A pull is a walk over pages. Where the walk stands follows from the pages that have landed: each holds
the vendor's own cursor, so nothing else needs to be kept, and a page counts once it is durable.
The same source reads dumps of the same records that somebody drops into its inbox.
"""

import hashlib
import json
import re
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar, Literal, TypeVar

from pydantic import Field

from opsanalytics.lake.manifests import MANIFEST, Manifest, read_manifest
from opsanalytics.sources.base import (
    Answer,
    FeedbackRow,
    FeedbackSourceSettings,
    RejectedRow,
    RetrySettings,
)
from opsanalytics.sources.errors import CredentialError, InboxError
from opsanalytics.sources.json_records import JsonRecord, json_records, load_content
from opsanalytics.sources.limiter import Limit
from opsanalytics.sources.values import UnreadableError

UNNAMED = "?"
"""Before the digest of a record without an id."""
Made = TypeVar("Made")
Position = Mapping[str, str]
"""What to ask for, in the vendor's own parameters. Public: it stands in manifests and messages."""

PageVerdict = Literal["retry", "wait", "restart", "gone", "credentials", "refused"]
"""What an answer other than 200 means: try again; wait for the rate limit; the cursor is no longer valid;
the document no longer exists; the credentials are wrong; the request is."""

SUPPLEMENT = "supplement"
"""Key in the request of a manifest whose document holds no records of its own."""
SUPPLEMENT_NAME = re.compile(r"[A-Za-z0-9_-]{1,120}")
LOST_CURSOR = frozenset({400, 404, 410, 422})


@dataclass(frozen=True)
class PageRequest:
    """One HTTP request; what may not be recorded is not shown."""

    url: str
    authorization: str = field(repr=False)
    """Value of the Authorization header."""
    secrets: tuple[str, ...] = field(repr=False)
    """Texts that no message may contain."""
    params: Mapping[str, str] = field(default_factory=dict)
    json: Mapping[str, Any] | None = None
    """Body of a POST; None: GET."""
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Item:
    """One record of a page, as far as the walk must know it."""

    id: str
    moment: datetime | None
    """What the vendor orders the walk by, aware UTC."""
    digest: str
    """Of the whole record."""


@dataclass(frozen=True)
class Outline:
    """A page as far as the walk must know it."""

    items: tuple[Item, ...]
    """One for each entry of the page's list."""
    next: Position | None
    """Where to go on; also at the end, if the vendor's cursor stays valid for the next pull."""
    ended: bool
    """The vendor has nothing more for now."""
    total: int | None = None
    """How many records the vendor says that the whole walk has."""

    def as_text(self) -> str:
        """For the manifest of a page that lost records later."""
        items = [
            (item.id, item.moment.isoformat() if item.moment else None, item.digest) for item in self.items
        ]
        following = None if self.next is None else dict(self.next)
        return json.dumps({"items": items, "next": following, "ended": self.ended, "total": self.total})

    @classmethod
    def of_text(cls, text: str) -> "Outline":
        """As `as_text` wrote it."""
        said = json.loads(text)
        items = tuple(
            Item(identifier, datetime.fromisoformat(moment) if moment else None, digest)
            for identifier, moment, digest in said["items"]
        )
        return cls(items, said["next"], said["ended"], said["total"])


@dataclass(frozen=True)
class Supplement:
    """A document that records of a page need to be understood: comments, the questions of a form."""

    name: str
    """Of its delivery; letters, digits, hyphens."""
    version: str
    """It is fetched again when this changes."""
    keeps_history: bool = False
    """Earlier contents stay beside the newest."""


class ApiFeedbackSourceSettings(FeedbackSourceSettings):
    """A vendor whose feedback is pulled from its API, or dropped as a dump into the inbox, or both."""

    record_keys: ClassVar[tuple[str, ...]]
    """Members of the vendor's page, and of a dump in that shape, that hold the list of records."""
    overlapping: ClassVar[bool] = True
    """Pages come again in later walks. Those that bring nothing new are then not landed again."""
    ascending: ClassVar[bool] = False
    """A walk surely goes from old to new: when its cursor expires, it need not begin where it began."""
    cursor: ClassVar[str] = "cursor"
    """Member of a position that goes on with a walk."""
    lost_cursor: ClassVar[frozenset[int]] = LOST_CURSOR
    """Statuses by which the vendor says that it no longer knows a cursor."""

    read_timeout_seconds: float = Field(default=120.0, gt=0)
    retry: RetrySettings = RetrySettings()

    @property
    @abstractmethod
    def pulls(self) -> bool:
        """Whether the configuration names an account to pull from; otherwise the inbox is all there is."""

    @property
    @abstractmethod
    def streams(self) -> tuple[str, ...]:
        """What is walked separately (forms, apps); each name fits into a file name."""

    @property
    @abstractmethod
    def project_key(self) -> str:
        """What the vendor counts its limits by; equal for two sources of the same account."""

    @property
    @abstractmethod
    def limits(self) -> tuple[Limit, ...]:
        """The vendor's rate limits, which hold over all processes."""

    @abstractmethod
    def walk_start(self, stream: str, newest: datetime | None, now: datetime) -> Position:
        """Where a walk begins; `newest` is the newest moment landed before (None: nothing was)."""

    @abstractmethod
    def page_request(
        self, stream: str, position: Position, environ: Mapping[str, str], *, smallest: bool = False
    ) -> PageRequest:
        """The request for a page, of a single record if `smallest`. Raises `CredentialError`."""

    @abstractmethod
    def outline(self, stream: str, position: Position, content: bytes) -> Outline:
        """What a page (decoded) brings and where to go on. Raises `ValueError`: it is no such page."""

    def landed_outline(self, request: Mapping[str, str], content: bytes) -> Outline:
        """What a landed page brought; of one that lost records of a forgotten person, what it had brought."""
        if "outline" in request:
            return Outline.of_text(request["outline"])
        return self.outline(request["stream"], json.loads(request["position"]), content)

    def verdict(self, answer: Answer, position: Position) -> PageVerdict:
        """What an answer other than 200 means."""
        if answer.status == 429:
            return "wait"
        if answer.status in (401, 403):
            return "credentials"
        if answer.status == 404 and SUPPLEMENT in position:
            return "gone"
        if self.cursor in position and answer.status in self.lost_cursor:
            return "restart"
        return "retry" if answer.status >= 500 or answer.status in (408, 409) else "refused"

    @abstractmethod
    def advice(self, answer: Answer) -> str:
        """What the reader should do about it: names variables and settings, never values."""

    @abstractmethod
    def message(self, record: JsonRecord, beside: "Beside") -> FeedbackRow:
        """One record as a message. Raises `UnreadableError`."""

    @property
    def supplement_limits(self) -> tuple[Limit, ...] | None:
        """Limits of the supplements' endpoint where the vendor counts it apart; None: they count together."""
        return None

    @property
    def supplemented(self) -> bool:
        """Whether any record may need a supplement."""
        return False

    def supplements(self, stream: str, content: bytes, now: datetime) -> tuple[Supplement, ...]:  # noqa: ARG002
        """Documents that the records of a landed page need."""
        return ()

    def supplement_request(self, supplement: Supplement, environ: Mapping[str, str]) -> PageRequest:
        """The request for a supplement. Raises `CredentialError`."""
        raise NotImplementedError(f"{self.kind} has no supplements, so nobody may ask for {supplement.name}")

    def credentials(self, environ: Mapping[str, str], now: datetime) -> None:
        """Raises `CredentialError` if credentials are missing or cannot be ones."""
        named = [str(getattr(self, name)) for name in type(self).model_fields if name.endswith("_env")]
        missing = [variable for variable in named if not environ.get(variable, "").strip()]
        if missing:
            raise CredentialError(f"source {self.name}: set the environment variable(s) {', '.join(missing)}")
        for stream in self.streams:
            self.page_request(stream, self.walk_start(stream, None, now), environ, smallest=True)

    def count_records(self, path: Path) -> int:
        if is_supplement(path):
            return 0
        records, broken = json_records(path, self.record_keys)
        if broken and not records:
            raise InboxError(
                f"{path}: source {self.name}: no {self.kind} record in it ({broken[0].detail}). Export it as "
                f"JSON: an array, one object a line, or the API's own answer."
            )
        return len(records) + len(broken)

    def read(self, path: Path) -> tuple[list[FeedbackRow], list[RejectedRow]]:
        if is_supplement(path):
            return [], []
        records, rejected = json_records(path, self.record_keys)
        beside = Beside(path)
        rows = []
        for record in records:
            try:
                rows.append(self.message(record, beside))
            except UnreadableError as error:
                raw = json.dumps(record.fields, ensure_ascii=False).encode("utf-8", "surrogatepass")
                rejected.append(RejectedRow(record.number, error.reason, str(error), raw))
        return rows, rejected


class Beside:
    """What landed beside a file: its manifest, and the supplements of its source."""

    def __init__(self, path: Path) -> None:
        self._folder = path.parent.parent
        self._made: dict[tuple[str, int | str], Any] = {}
        self.request: Mapping[str, str] = request_of(path)
        """The request that brought the file; of a dump, its name."""

    def supplement(self, name: str) -> Any | None:
        """Parsed content of the supplement `name`; None if it is not there or empty."""
        if not SUPPLEMENT_NAME.fullmatch(name):
            return None  # an id that no vendor gives, and that never was a folder
        path = self._folder / name / MANIFEST
        return next(self._contents(read_manifest(path)), None) if path.exists() else None

    def supplements(self, prefix: str) -> list[Any]:
        """Parsed contents of the supplements whose name starts so, oldest first."""
        manifests = [read_manifest(path) for path in self._folder.glob(f"{prefix}*/{MANIFEST}")]
        ordered = sorted(manifests, key=lambda manifest: (manifest.fetched_at, manifest.delivery))
        return [each for manifest in ordered for each in self._contents(manifest)]

    def once(self, what: str, key: object, make: Callable[[], Made]) -> Made:
        """What `make` gives, made once for `what` of `key` (a text, or an object that stays alive)."""
        name = (what, key if isinstance(key, str) else id(key))
        if name not in self._made:
            self._made[name] = make()
        made: Made = self._made[name]
        return made

    def _contents(self, manifest: Manifest) -> Iterator[Any]:
        if SUPPLEMENT in manifest.request:
            for file in manifest.files:
                yield json.loads(load_content(self._folder / manifest.delivery / file.name))


def request_of(path: Path) -> Mapping[str, str]:
    """The request in the manifest beside a data file; nothing if it has none yet."""
    manifest = path.parent / MANIFEST
    return read_manifest(manifest).request if manifest.exists() else {}


def is_supplement(path: Path) -> bool:
    return SUPPLEMENT in request_of(path)


def digest_of(record: Any) -> str:
    """16 digits of a hash of a parsed record, independent of the order of its members."""
    text = json.dumps(record, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def page_object(content: bytes, *members: str) -> dict[str, Any]:
    """A page as an object that has `members`.

    Raises:
        ValueError: it is something else, as an error page under status 200.
    """
    page = json.loads(content)
    if not isinstance(page, dict):
        raise ValueError(f"the page is {type(page).__name__}, not an object")
    missing = [name for name in members if name not in page]
    if missing:
        raise ValueError(f"the page has no {missing[0]!r}; it has {sorted(page)[:10]}")
    return page


def items_of(
    records: Sequence[Any],
    identify: Callable[[Mapping[str, Any]], str | None],
    moment: Callable[[Mapping[str, Any]], datetime | None],
    digest: Callable[[Any], str] = digest_of,
) -> tuple[Item, ...]:
    """The records of a page; one without an id, or that is no object, is known by its content."""
    items = []
    for record in records:
        fields = record if isinstance(record, dict) else {}
        content = digest(record)
        items.append(Item(identify(fields) or f"{UNNAMED}{content}", moment(fields), content))
    return tuple(items)


def list_of(page: Mapping[str, Any], member: str) -> list[Any]:
    """A list in a page. Raises `ValueError`: it is none."""
    records = page.get(member)
    if not isinstance(records, list):
        raise ValueError(f"{member!r} of the page is no list")
    return records
