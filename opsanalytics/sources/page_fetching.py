"""Pulling feedback: walk a vendor's pages, land each as it came, go on where the last landed page says.

A page counts once its manifest is written; only then is the next one asked for. Killed anywhere, the
next pull goes on after the last page that counts and lands just what an undisturbed pull would have.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from opsanalytics.lake.locks import exclusive
from opsanalytics.lake.manifests import Manifest, deliveries
from opsanalytics.lake.paths import Home
from opsanalytics.sources.errors import IncompleteExportError
from opsanalytics.sources.http import new_session
from opsanalytics.sources.json_records import load_content
from opsanalytics.sources.landing import commit, sweep, temporary_file
from opsanalytics.sources.limiter import SharedLimiter
from opsanalytics.sources.page_download import DownloadedPage, ExpiredCursorError, PageDownload
from opsanalytics.sources.paging import (
    SUPPLEMENT,
    ApiFeedbackSourceSettings,
    Outline,
    PageRequest,
    Position,
    Supplement,
    page_object,
)

LOCK_WAIT_SECONDS = 7_200.0
PROBE_LOCK_WAIT_SECONDS = 60.0
WALKS = 3
"""So often a walk is begun in one pull before its vendor counts as too restless."""


@dataclass(frozen=True)
class PullReport:
    """What a pull did."""

    source: str
    landed: tuple[str, ...]
    """Deliveries with new content, in order."""
    requests: int
    """HTTP requests sent, failed ones included."""
    records: int
    """Records in the landed pages, those that were known included."""
    unchanged: int
    """Pages that brought nothing new and were not landed."""
    doubts: tuple[str, ...]
    """What may be missing, in words."""


@dataclass
class _Stream:
    """Where the walk of one stream stands, as the landed pages say."""

    name: str
    pages: int = 0
    walk: int = 0
    known: dict[str, str] = field(default_factory=dict)
    """Id to digest of the record as it was last seen."""
    newest: datetime | None = None
    open_at: Position | None = None
    """Where a walk that did not come to its end goes on, or where the vendor's cursor stands."""
    first: Position | None = None
    """Where the last walk began."""
    in_progress: bool = False
    """A page of a walk landed, but no end."""
    seen: int = 0
    """Records of the last walk."""
    walk_ids: set[str] = field(default_factory=set)


def pull(
    settings: ApiFeedbackSourceSettings,
    home: Home,
    *,
    environ: Mapping[str, str],
    now: datetime,
    progress: Callable[[str], None] | None = None,
) -> PullReport:
    """Land what is new at the vendor at `now` (aware), and the documents that it needs.

    Raises:
        SourceError: the vendor could not deliver; what was landed before stays.
        LockHeldError: another process takes in feedback of this source for more than two hours.
    """
    return _Pull(settings, home, environ, now, progress).run()


def probe_pages(
    settings: ApiFeedbackSourceSettings, home: Home, *, environ: Mapping[str, str], now: datetime
) -> str:
    """Make the smallest live request of each stream: proves credentials and access. Lands nothing.

    Returns what was found, in words. It counts against the vendor's limit.

    Raises:
        SourceError: as `pull`.
    """
    return _Pull(settings, home, environ, now, None).probe()


class _Pull:
    def __init__(
        self,
        settings: ApiFeedbackSourceSettings,
        home: Home,
        environ: Mapping[str, str],
        now: datetime,
        progress: Callable[[str], None] | None,
    ) -> None:
        if now.tzinfo is None:
            raise ValueError("now must be aware")
        self.settings = settings
        self.home = home
        self.environ = environ
        self.now = now.astimezone(UTC)
        self._tell = progress or (lambda _: None)
        self._landed: list[str] = []
        self._records = 0
        self._unchanged = 0
        self._doubts: list[str] = []

    def run(self) -> PullReport:
        settings = self.settings
        limiter = SharedLimiter(self.home, settings.kind, settings.project_key, settings.limits)
        with (
            exclusive(self.home, f"collect-{settings.name}", wait_seconds=LOCK_WAIT_SECONDS),
            new_session() as session,
        ):
            sweep(self.home, settings.name)
            download = PageDownload(settings, session, limiter, self._tell)
            apart = settings.supplement_limits
            counted = SharedLimiter(
                self.home, f"{settings.kind}_documents", settings.project_key, apart or ()
            )
            documents = PageDownload(settings, session, counted if apart else limiter, self._tell)
            for stream in settings.streams:
                self._walk(download, self._standing(stream))
                self._supplement(documents, stream)
        return PullReport(
            source=settings.name,
            landed=tuple(self._landed),
            requests=download.requests + documents.requests,
            records=self._records,
            unchanged=self._unchanged,
            doubts=tuple(self._doubts),
        )

    def probe(self) -> str:
        settings = self.settings
        limiter = SharedLimiter(self.home, settings.kind, settings.project_key, settings.limits)
        found = 0
        lock = exclusive(self.home, f"collect-{settings.name}", wait_seconds=PROBE_LOCK_WAIT_SECONDS)
        with lock, new_session() as session:
            sweep(self.home, settings.name)
            download = PageDownload(settings, session, limiter, self._tell)
            for stream in settings.streams:
                found += self._probe(download, stream)
        return f"the vendor answered with {found} recent records of {', '.join(settings.streams)}"

    def _probe(self, download: PageDownload, stream: str) -> int:
        settings = self.settings
        position = settings.walk_start(stream, self.now, self.now)

        def make_request() -> PageRequest:
            return settings.page_request(stream, position, self.environ, smallest=True)

        def accept(content: bytes) -> None:
            settings.outline(stream, position, content)

        with temporary_file(self.home, settings.name) as (file, path):
            page = download.run(stream, make_request, position, accept, file, path)
        return len(settings.outline(stream, position, page.content).items)

    def _manifests(self, stream: str) -> list[Manifest]:
        """Of the landed pages of a stream, in order of landing."""
        return [
            manifest
            for manifest in deliveries(self.home, self.settings.name)
            if manifest.request.get("stream") == stream and "walk" in manifest.request
        ]

    def _content(self, manifest: Manifest) -> bytes:
        return load_content(self.home.delivery(manifest.source, manifest.delivery) / manifest.files[0].name)

    def _standing(self, stream: str) -> _Stream:
        standing = _Stream(stream)
        manifests = self._manifests(stream)
        standing.pages = len(manifests)
        for manifest in manifests if self.settings.overlapping else manifests[-1:]:
            request = manifest.request
            outline = self.settings.landed_outline(request, self._content(manifest))
            if int(request["walk"]) != standing.walk:
                standing.walk_ids = set()
            standing.walk = int(request["walk"])
            standing.first = json.loads(request["first"])
            standing.seen = int(request["seen"])
            self._note(standing, outline)
            standing.open_at = outline.next
            standing.in_progress = not outline.ended
        return standing

    @staticmethod
    def _note(standing: _Stream, outline: Outline) -> None:
        for item in outline.items:
            standing.known[item.id] = item.digest
            standing.walk_ids.add(item.id)
            if item.moment is not None:
                standing.newest = max(standing.newest or item.moment, item.moment)

    def _walk(self, download: PageDownload, standing: _Stream) -> None:
        """Go on with the walk that is open; then, where a walk ends for good, walk what is newer."""
        resumed = standing.open_at is not None
        begun = 0
        while True:
            if standing.open_at is None:
                begun += 1
                self._begin(standing)
            try:
                whole = self._to_the_end(download, standing, last_try=begun >= WALKS)
            except ExpiredCursorError as error:
                if begun >= WALKS:
                    raise IncompleteExportError(
                        f"source {self.settings.name}: {standing.name}: the vendor refuses its own cursors "
                        f"({error}), {WALKS} times in a row. What was landed is kept; run again later."
                    ) from error
                self._tell(f"{standing.name}: the cursor is no longer valid ({error}); beginning anew")
                begun += 1
                same = standing.in_progress and not self.settings.ascending
                self._begin(standing, at=standing.first if same else None)
                continue
            if not whole and begun < WALKS:
                self._tell(f"{standing.name}: records moved while they were read; reading again")
                begun += 1
                self._begin(standing, at=standing.first)
                continue
            if not whole:
                self._doubts.append(
                    f"{standing.name}: the vendor names more records than {WALKS} walks over its pages held"
                )
            if standing.open_at is not None or not resumed:
                return
            resumed = False

    def _begin(self, standing: _Stream, *, at: Position | None = None) -> None:
        if at is None:
            at = self.settings.walk_start(standing.name, standing.newest, self.now)
        standing.open_at = standing.first = at
        standing.walk += 1
        standing.seen = 0
        standing.walk_ids = set()

    def _to_the_end(self, download: PageDownload, standing: _Stream, *, last_try: bool) -> bool:
        """Land pages until the vendor has no more. Returns whether none was missed on the way."""
        visited = {_key(standing.open_at)}
        while True:
            outline = self._page(download, standing, visited, last_try=last_try)
            standing.open_at = outline.next
            if outline.ended:
                return not missed(standing, outline)
            visited.add(_key(outline.next))

    def _page(
        self, download: PageDownload, standing: _Stream, visited: set[str], *, last_try: bool
    ) -> Outline:
        """Fetch one page; land it if it brings something, or ends a walk of which something landed.

        The end of a walk that missed records does not land: whoever is killed now begins anew.
        """
        settings, stream = self.settings, standing.name
        position = standing.open_at or {}
        found: list[Outline] = []
        requests: list[PageRequest] = []

        def make_request() -> PageRequest:
            requests.append(settings.page_request(stream, position, self.environ))
            return requests[-1]

        def accept(content: bytes) -> None:
            outline = settings.outline(stream, position, content)
            if not outline.ended and (outline.next is None or _key(outline.next) in visited):
                raise ValueError("the page leads back to one that was read before")
            found.append(outline)

        what = f"{stream}, page {standing.pages + 1}"
        with temporary_file(self.home, settings.name) as (file, path):
            page = download.run(what, make_request, position, accept, file, path)
            outline = found[-1]
            fresh = any(standing.known.get(item.id) != item.digest for item in outline.items)
            if not settings.overlapping:
                fresh = bool(outline.items)
            standing.seen += len({item.id for item in outline.items} - standing.walk_ids)
            if missed(standing, outline) and not last_try:
                return outline
            self._note(standing, outline)
            if fresh or (outline.ended and standing.in_progress):
                standing.pages += 1
                request = {
                    "url": requests[-1].url,
                    "stream": stream,
                    "position": _key(position),
                    "walk": str(standing.walk),
                    "seen": str(standing.seen),
                    "first": _key(standing.first),
                }
                self._commit(f"{stream}-page-{standing.pages:08}", request, page, len(outline.items))
                standing.in_progress = not outline.ended
                self._tell(f"{what}: {len(outline.items)} records landed")
            else:
                self._unchanged += 1
        return outline

    def _supplement(self, download: PageDownload, stream: str) -> None:
        """Fetch what the landed records need and is not there in the version they need."""
        if not self.settings.supplemented:
            return
        wanted: dict[str, Supplement] = {}
        for manifest in self._manifests(stream):
            for supplement in self.settings.supplements(stream, self._content(manifest), self.now):
                wanted[supplement.name] = supplement
        present = {
            (manifest.request[SUPPLEMENT], manifest.request["version"])
            for manifest in deliveries(self.home, self.settings.name)
            if SUPPLEMENT in manifest.request
        }
        for name, supplement in sorted(wanted.items()):
            if (name, supplement.version) not in present:
                self._fetch_supplement(download, supplement)

    def _fetch_supplement(self, download: PageDownload, supplement: Supplement) -> None:
        name = supplement.name
        requests: list[PageRequest] = []

        def make_request() -> PageRequest:
            requests.append(self.settings.supplement_request(supplement, self.environ))
            return requests[-1]

        with temporary_file(self.home, self.settings.name) as (file, path):
            page = download.run(name, make_request, {SUPPLEMENT: name}, page_object, file, path)
            content = f"-{page.received.content_sha256[:12]}" if page.received else "-gone"
            request = {"url": requests[-1].url, SUPPLEMENT: name, "version": supplement.version}
            self._commit(name + (content if supplement.keeps_history else ""), request, page, 0)

    def _commit(self, delivery: str, request: dict[str, str], page: DownloadedPage, records: int) -> None:
        manifest, differs = commit(
            self.home,
            source=self.settings.name,
            kind=self.settings.kind,
            delivery=delivery,
            first_day=None,
            last_day=None,
            covers=None,
            request=request,
            status=page.status,
            attempts=page.attempts,
            fetched_at=self.now,
            received=replace(page.received, records=records) if page.received else None,
            file_name="page",
        )
        self._records += manifest.records
        if differs:
            self._landed.append(delivery)


def missed(standing: _Stream, outline: Outline) -> bool:
    """Whether a walk ends here with fewer records than the vendor says it has."""
    return outline.ended and outline.total is not None and standing.seen < outline.total


def _key(position: Position | None) -> str:
    return json.dumps(dict(position or {}), sort_keys=True)
