"""Fetching raw events: which windows, in which order, and what is complete afterwards.

Works for every vendor with an API through `EventApiSettings`.
"""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta

import requests

from opsanalytics.lake.locks import exclusive
from opsanalytics.lake.manifests import Manifest, deliveries
from opsanalytics.lake.paths import Home
from opsanalytics.sources.base import EventApiSettings, EventSourceSettings
from opsanalytics.sources.download import NotYetError, TooLargeError, WindowDownload
from opsanalytics.sources.http import new_session
from opsanalytics.sources.landing import commit, intact, sweep, temporary_file
from opsanalytics.sources.limiter import SharedLimiter
from opsanalytics.sources.windows import DAY, Window, WindowSizer, merged, subtracted

LOCK_WAIT_SECONDS = 7_200.0
PROBE_LOCK_WAIT_SECONDS = 60.0


@dataclass(frozen=True)
class FetchProgress:
    """Where a fetch stands, for progress bars and logs."""

    source: str
    message: str
    done: timedelta
    """Span of vendor time that needs no more requests."""
    total: timedelta
    requests: int
    records: int
    bytes: int


@dataclass(frozen=True)
class FetchReport:
    """What a fetch did."""

    source: str
    deliveries: tuple[str, ...]
    """Deliveries that were fetched, in order."""
    changed: tuple[str, ...]
    """Those whose content is new or differs from before."""
    requests: int
    """HTTP requests sent, failed ones included."""
    records: int
    bytes: int
    skipped: timedelta
    """Span that was not asked for again because it cannot change any more."""
    complete_through: datetime | None
    """End (exclusive, UTC) up to which the asked range is completely landed; null: not even its start."""
    not_yet: str | None
    """Why the rest of the asked range is missing or incomplete, in words; null if nothing is."""
    problems: tuple[str, ...] = ()
    """Files that cannot be used, each with its reason and what to do."""


def fetch(
    settings: EventApiSettings,
    home: Home,
    first: date,
    last: date,
    *,
    environ: Mapping[str, str],
    now: datetime,
    progress: Callable[[FetchProgress], None] | None = None,
    force: bool = False,
) -> FetchReport:
    """Land the days `first` to `last`, inclusive, as far as the vendor has them at `now` (aware).

    The days are those of the Dagster partitions: UTC event days (Mixpanel) or UTC upload days
    (Amplitude). Parts that were fetched late enough not to change any more are not asked for again
    unless `force`. A killed fetch continues where it stopped, with the windows it would have used.

    Raises:
        SourceError: the source could not deliver; what was landed before stays.
        LockHeldError: another process fetches from the same project for more than two hours.
    """
    return _Fetch(settings, home, environ, now, progress).run(first, last, force=force)


def probe(settings: EventApiSettings, home: Home, *, environ: Mapping[str, str], now: datetime) -> str:
    """Make the smallest live request: proves credentials, region and plan. Lands nothing.

    Returns what was found, in words. It counts against the vendor's limit.

    Raises:
        SourceError: as `fetch`.
    """
    return _Fetch(settings, home, environ, now, None).probe()


def landed_windows(
    settings: EventSourceSettings, home: Home, until: Callable[[datetime], datetime]
) -> list[Window]:
    """Windows of the deliveries on disk, each cut at `until(fetched_at)`, on the vendor's clock."""
    windows = []
    for manifest in deliveries(home, settings.name):
        if manifest.covers_from is None or manifest.covers_until is None:
            continue
        start = settings.to_wall(manifest.covers_from)
        end = min(settings.to_wall(manifest.covers_until), until(manifest.fetched_at))
        if end > start and intact(home.delivery(manifest.source, manifest.delivery), manifest):
            windows.append(Window(start, end))
    return windows


def missing_days(settings: EventSourceSettings, home: Home, first: date, last: date) -> list[date]:
    """Days from `first` to `last`, inclusive, that the complete deliveries on disk do not cover.

    Days are UTC event days (Mixpanel) or UTC upload days (Amplitude). A day that was fetched before
    it was over is missing.
    """
    complete = merged(landed_windows(settings, home, settings.complete_until))
    missing = []
    for offset in range((last - first).days + 1):
        day = first + timedelta(days=offset)
        start = settings.to_wall(datetime(day.year, day.month, day.day, tzinfo=UTC))
        end = settings.to_wall(datetime(day.year, day.month, day.day, tzinfo=UTC) + DAY)
        if not any(window.start <= start and end <= window.end for window in complete):
            missing.append(day)
    return missing


class _Fetch:
    def __init__(
        self,
        settings: EventApiSettings,
        home: Home,
        environ: Mapping[str, str],
        now: datetime,
        progress: Callable[[FetchProgress], None] | None,
    ) -> None:
        if now.tzinfo is None:
            raise ValueError("now must be aware")
        self.settings = settings
        self.home = home
        self.environ = environ
        self.now = now.astimezone(UTC)
        self.limiter = SharedLimiter(home, settings.kind, settings.project_key, settings.limits)
        self._listener = progress
        self._state = FetchProgress(settings.name, "", timedelta(0), timedelta(0), 0, 0, 0)

    def run(self, first: date, last: date, *, force: bool) -> FetchReport:
        asked = self.settings.vendor_window(first, last)
        position = asked.start
        end = min(asked.end, self.settings.available_until(self.now))
        landed = [] if force else landed_windows(self.settings, self.home, never)
        settled = [] if force else landed_windows(self.settings, self.home, self.settings.settled_until)
        sizer = WindowSizer(self.settings.unit, self.settings.initial_window, self.settings.largest_window)
        fetched: list[Manifest] = []
        changed: list[str] = []
        skipped = timedelta(0)
        self._state = replace(self._state, total=max(end - asked.start, timedelta(0)))
        with new_session() as session:
            while position < end:
                window = self._repeated(landed, settled, position, end)
                done = covering(settled, position, end)
                if done is not None and window is None:
                    if done.start == position:
                        sizer.succeeded(done)
                    skipped += done.end - position
                    position = done.end
                    self._tell("already landed", done=position - asked.start)
                    continue
                if window is None:
                    next_settled = min((w.start for w in settled if w.start > position), default=end)
                    window = sizer.next(Window(position, min(end, next_settled)))
                try:
                    manifest, differs = self._land(session, window)
                except TooLargeError as error:
                    landed = [other for other in landed if other != window]
                    sizer.failed(window)
                    self._tell(f"{window} is too much for the vendor ({error}); asking for less")
                    continue
                except NotYetError:
                    end = self.settings.certain_until(self.now)
                    continue
                sizer.succeeded(window)
                position = window.end
                fetched.append(manifest)
                if differs:
                    changed.append(manifest.delivery)
                self._state = replace(
                    self._state,
                    records=self._state.records + manifest.records,
                    bytes=self._state.bytes + sum(file.bytes for file in manifest.files),
                )
                self._tell(f"{window} landed", done=position - asked.start)
        complete_through, not_yet = self._completeness(asked)
        return FetchReport(
            source=self.settings.name,
            deliveries=tuple(manifest.delivery for manifest in fetched),
            changed=tuple(changed),
            requests=self._state.requests,
            records=self._state.records,
            bytes=self._state.bytes,
            skipped=skipped,
            complete_through=complete_through,
            not_yet=not_yet,
        )

    def _repeated(
        self, landed: list[Window], settled: list[Window], position: datetime, end: datetime
    ) -> Window | None:
        """A window landed before that may still change and is asked for whole once more.

        Its delivery is then replaced by itself, so that running twice leaves no other deliveries than
        running once. Where deliveries only add to each other, just the unsettled part is asked for.
        """
        if not self.settings.deduplication.newest_delivery_wins:
            return None
        repeated = [window for window in landed if window.start == position and window.end <= end]
        window = max(repeated, default=None)
        return None if window is None or not subtracted(window, settled) else window

    def probe(self) -> str:
        settings = self.settings
        end = settings.certain_until(self.now)
        window = Window(end - settings.unit, end)
        with new_session() as session, self._locked(PROBE_LOCK_WAIT_SECONDS):
            sweep(self.home, settings.name)
            with temporary_file(self.home, settings.name) as (file, path):
                found = self._download(session, window).run(file, path)
        records = found.received.records if found.received else 0
        return f"source {settings.name}: {window}: the vendor answered with {records} records"

    def _land(self, session: requests.Session, window: Window) -> tuple[Manifest, bool]:
        settings = self.settings
        with self._locked():
            sweep(self.home, settings.name)
            download = self._download(session, window)
            with temporary_file(self.home, settings.name) as (file, path):
                try:
                    found = download.run(file, path)
                finally:
                    self._state = replace(self._state, requests=self._state.requests + download.attempts)
                return commit(
                    self.home,
                    source=settings.name,
                    kind=settings.kind,
                    delivery=window.name,
                    first_day=window.first_day,
                    last_day=window.last_day,
                    covers=(settings.to_utc(window.start), settings.to_utc(window.end)),
                    request=settings.request(window, self.environ).public(),
                    status=found.status,
                    attempts=found.attempts,
                    fetched_at=self.now,
                    received=found.received,
                )

    def _locked(self, wait_seconds: float = LOCK_WAIT_SECONDS) -> AbstractContextManager[None]:
        """One download at a time from a vendor's project, over all processes."""
        return exclusive(self.home, self.limiter.name, wait_seconds=wait_seconds)

    def _download(self, session: requests.Session, window: Window) -> WindowDownload:
        request = self.settings.request(window, self.environ)
        return WindowDownload(
            self.settings, session, self.limiter, request, window, self.now, lambda text: self._tell(text)
        )

    def _completeness(self, asked: Window) -> tuple[datetime | None, str | None]:
        gaps = subtracted(asked, landed_windows(self.settings, self.home, self.settings.complete_until))
        if not gaps:
            return self.settings.to_utc(asked.end), None
        since = self.settings.to_utc(gaps[0].start)
        through = since if gaps[0].start > asked.start else None
        return through, (
            f"data from {since:%Y-%m-%d %H:%M} UTC on were not complete at the vendor at "
            f"{self.now:%Y-%m-%d %H:%M} UTC; fetch again later"
        )

    def _tell(self, message: str, *, done: timedelta | None = None) -> None:
        self._state = replace(self._state, message=message, done=self._state.done if done is None else done)
        if self._listener is not None:
            self._listener(self._state)


def never(_: datetime) -> datetime:
    """Cuts no window: the whole span that was asked for."""
    return datetime.max  # noqa: DTZ901 - a wall clock


def covering(windows: list[Window], position: datetime, end: datetime) -> Window | None:
    """A settled window at `position`: best one that starts there, as a run before would have used."""
    candidates = [window for window in windows if window.start <= position < window.end]
    if not candidates:
        return None
    best = max(candidates, key=lambda window: (window.start == position, window.end))
    return Window(best.start, min(best.end, end))
