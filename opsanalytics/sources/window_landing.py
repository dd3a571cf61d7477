"""One window of a vendor's export, from the request to the delivery in the landing area."""

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, ExitStack
from datetime import datetime
from functools import cached_property
from pathlib import Path

import requests

from opsanalytics.lake.locks import exclusive
from opsanalytics.lake.manifests import Manifest
from opsanalytics.lake.paths import Home
from opsanalytics.sources.base import EventApiSettings, Request
from opsanalytics.sources.by_event import event_counts, known_names, receive_by_event
from opsanalytics.sources.download import TooLargeError, WindowDownload
from opsanalytics.sources.errors import IncompleteExportError
from opsanalytics.sources.http import TRANSPORT_ERRORS, opened
from opsanalytics.sources.landing import Received, commit, sweep, temporary_file
from opsanalytics.sources.limiter import SharedLimiter
from opsanalytics.sources.windows import Window

LOCK_WAIT_SECONDS = 7_200.0
PROBE_LOCK_WAIT_SECONDS = 60.0
NAMES_TIMEOUT_SECONDS = 60.0


class WindowLander:
    """Lands windows of one source, one after the other; no other process fetches from its project then."""

    def __init__(
        self,
        settings: EventApiSettings,
        home: Home,
        environ: Mapping[str, str],
        now: datetime,
        session: requests.Session,
        *,
        project: str | None,
        tell: Callable[[str], None],
        sent: Callable[[], None],
    ) -> None:
        """`project` as `project_hash` gives it; `tell` is told what happens, `sent` of each request."""
        self._settings = settings
        self._home = home
        self._environ = environ
        self._now = now
        self._session = session
        self._project = project
        self._tell = tell
        self._sent = sent
        self._limiter = SharedLimiter(home, settings.kind, settings.limited_by(environ), settings.limits)
        self._swept = False

    def land(self, window: Window) -> tuple[Manifest, bool]:
        """Make the vendor's answer for `window` a delivery. Returns it, and whether its content changed.

        Raises:
            TooLargeError: ask for a smaller window.
            NotYetError: ask again later.
            SourceError: the source could not deliver.
            LockHeldError: another process fetches from the same project for more than two hours.
        """
        settings = self._settings
        with self._locked(LOCK_WAIT_SECONDS), ExitStack() as stack:
            self._sweep()
            request = settings.request(window, self._environ)
            parts, status, attempts = self._received(window, request, stack)
            public = request.public()
            if len(parts) > 1:
                public["by_event"] = f"{len(parts)} answers"
            return commit(
                self._home,
                source=settings.name,
                kind=settings.kind,
                delivery=window.name,
                first_day=window.first_day,
                last_day=window.last_day,
                covers=(settings.to_utc(window.start), settings.to_utc(window.end)),
                request=public,
                status=status,
                attempts=attempts,
                fetched_at=self._now,
                received=parts,
                project=self._project,
            )

    def probe(self, window: Window) -> int:
        """Ask for `window` and keep nothing. Returns the records of the answer. Raises as `land`."""
        settings = self._settings
        with self._locked(PROBE_LOCK_WAIT_SECONDS), ExitStack() as stack:
            self._sweep()
            file, path = stack.enter_context(temporary_file(self._home, settings.name))
            request = settings.request(window, self._environ)
            found = self._download(window, request, can_shrink=False).run(file, path)
        return found.received.records if found.received else 0

    def _received(
        self, window: Window, request: Request, stack: ExitStack
    ) -> tuple[list[Received], int, int]:
        """The complete answer, its status, and the attempts it took.

        If the smallest window is too large for one answer, it comes in parts by event.
        """
        settings = self._settings
        by_event = window.length <= settings.unit and settings.narrowed(request, []) is not None
        partial: list[Counter[str]] = []
        downloads: list[WindowDownload] = []

        def download(request: Request, can_shrink: bool | None) -> WindowDownload:
            def keep(path: Path) -> None:
                if by_event:
                    partial.append(event_counts(path))

            downloads.append(self._download(window, request, can_shrink=can_shrink, partial=keep))
            return downloads[-1]

        file, path = stack.enter_context(temporary_file(self._home, settings.name))
        try:
            found = download(request, True if by_event else None).run(file, path)
        except TooLargeError as error:
            if not by_event:
                raise
            names = sum(partial, known_names(settings, self._home, window)) + self._listed_names
            if not names:
                raise IncompleteExportError(
                    f"source {settings.name}: {window}: {error}. The day is too much for one answer, and no "
                    "name of an event is known to ask for it in parts. Nothing of it was kept."
                ) from error
            self._tell(f"{window} is too much for the vendor ({error}); asking for {len(names)} events apart")
            parts = receive_by_event(
                settings, window, request, names, max((counts.total() for counts in partial), default=0),
                temporary=lambda: temporary_file(self._home, settings.name),
                download=download, tell=self._tell, stack=stack,
            )  # fmt: skip
            return parts, 200, sum(each.attempts for each in downloads)
        return [found.received] if found.received else [], found.status, found.attempts

    def _download(
        self,
        window: Window,
        request: Request,
        *,
        can_shrink: bool | None,
        partial: Callable[[Path], None] | None = None,
    ) -> WindowDownload:
        return WindowDownload(
            self._settings, self._session, self._limiter, request, window, self._now, self._tell,
            can_shrink=can_shrink, partial=partial, sent=self._sent,
        )  # fmt: skip

    def _sweep(self) -> None:
        """Once is enough: what this process leaves behind is gone with it, and the next one sweeps."""
        if not self._swept:
            sweep(self._home, self._settings.name)
            self._swept = True

    def _locked(self, wait_seconds: float) -> AbstractContextManager[None]:
        """One download at a time from a vendor's project, over all processes."""
        return exclusive(self._home, self._limiter.name, wait_seconds=wait_seconds)

    @cached_property
    def _listed_names(self) -> Counter[str]:
        """Names of events as the vendor lists them; none if it does not answer, which is no harm."""
        request = self._settings.names_request(self._environ)
        if request is None:
            return Counter()
        limiter = query_limiter(self._settings, self._home, self._environ)
        limiter.acquire(lambda pause: self._tell(f"waiting {pause:.0f} s for the vendor's rate limit"))
        self._sent()
        try:
            with opened(self._session, request, read_timeout=NAMES_TIMEOUT_SECONDS) as response:
                names = json.loads(response.content) if response.status_code == 200 else []
        except (*TRANSPORT_ERRORS, ValueError) as error:
            self._tell(f"the vendor's list of events cannot be read ({type(error).__name__}); going on")
            return Counter()
        return (
            Counter(name for name in names if isinstance(name, str)) if isinstance(names, list) else Counter()
        )


def query_limiter(settings: EventApiSettings, home: Home, environ: Mapping[str, str]) -> SharedLimiter:
    """Limits of the vendor's other endpoints, which it counts apart from the export."""
    return SharedLimiter(home, f"{settings.kind}_query", settings.limited_by(environ), settings.limits)


def project_hash(settings: EventApiSettings, environ: Mapping[str, str]) -> str | None:
    """What manifests record of the vendor's project; it may be a key, so only its hash."""
    project = settings.landed_project(environ)
    return hashlib.sha256(f"{settings.kind}:{project}".encode()).hexdigest()[:12] if project else None
