"""Fetching raw events: which windows, in which order, and what is complete afterwards.

Works for every vendor with an API through `EventApiSettings`.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import TypeAlias

import requests

from opsanalytics.lake.manifests import Manifest, deliveries
from opsanalytics.lake.paths import Home
from opsanalytics.sources.base import EventApiSettings, EventSourceSettings
from opsanalytics.sources.download import NotYetError, TooLargeError
from opsanalytics.sources.errors import ProjectChangedError
from opsanalytics.sources.http import new_session
from opsanalytics.sources.landing import intact
from opsanalytics.sources.window_landing import WindowLander, project_hash
from opsanalytics.sources.windows import DAY, Coverage, Window, WindowSizer, merged, midnight, subtracted

Landed: TypeAlias = tuple[Manifest, Window]
"""A delivery with the window it was asked for."""
SAME_RUN = timedelta(hours=12)
"""A fetch so soon after another continues or repeats it; a later one has its own windows."""


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
    remaining: timedelta | None = None
    """How long the rest will take if it goes on like this; null before anything is known."""

    @property
    def text(self) -> str:
        """Where it stands, in words."""
        left = "" if self.remaining is None else f", about {in_words(self.remaining)} left"
        return f"{self.done.days:,} of {self.total.days:,} days{left}; {self.message}"


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
        ProjectChangedError: days of another project have landed under the same name of the source.
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
    return cut_windows(landed(settings, home), until)


def cut_windows(landed: Iterable[Landed], until: Callable[[datetime], datetime]) -> list[Window]:
    """The windows of deliveries, each cut at `until(fetched_at)`."""
    return [
        Window(window.start, end)
        for manifest, window in landed
        if (end := min(window.end, until(manifest.fetched_at))) > window.start
    ]


def landed(settings: EventSourceSettings, home: Home) -> Iterator[Landed]:
    """Deliveries on disk, with the window that each was asked for."""
    for manifest in deliveries(home, settings.name):
        if manifest.covers_from is None or manifest.covers_until is None:
            continue
        if intact(home.delivery(manifest.source, manifest.delivery), manifest):
            start, end = settings.to_wall(manifest.covers_from), settings.to_wall(manifest.covers_until)
            by_days = isinstance(settings, EventApiSettings) and settings.unit == DAY
            if by_days and manifest.first_day is not None and manifest.last_day is not None:
                # days on the vendor's clock, whatever zone was configured for it at that time
                start, end = midnight(manifest.first_day), midnight(manifest.last_day) + DAY
            yield manifest, Window(start, end)


def settled_windows(settings: EventApiSettings, landed: Iterable[Landed], now: datetime) -> list[Window]:
    """What need not be asked for at `now` (aware), of deliveries, on the vendor's clock."""
    windows = []
    for manifest, window in landed:
        end = min(window.end, settings.settled_until(manifest.fetched_at))
        if end <= window.start:
            continue
        again = settings.once_more(manifest.fetched_at, now)
        windows += subtracted(Window(window.start, end), [again] if again else [])
    return windows


def missing_days(settings: EventApiSettings, home: Home, first: date, last: date) -> list[date]:
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
        self.project = project_hash(settings, environ)
        self._listener = progress
        self._fetching = timedelta(0)
        self._began = time.monotonic()
        self._state = FetchProgress(settings.name, "", timedelta(0), timedelta(0), 0, 0, 0)

    def run(self, first: date, last: date, *, force: bool) -> FetchReport:
        before = list(landed(self.settings, self.home))
        self._check_project(before)
        for notice in self.settings.notices:
            self._tell(notice)
        asked = self.settings.vendor_window(first, last)
        position = asked.start
        end = min(asked.end, self.settings.available_until(self.now))
        known = {} if force else self._recent_windows(before)
        tail = self.settings.settled_until(self.now)
        settled = Coverage([] if force else settled_windows(self.settings, before, self.now))
        sizer = WindowSizer(self.settings.unit, self.settings.initial_window, self.settings.largest_window)
        fetched: list[Manifest] = []
        changed: list[str] = []
        skipped = timedelta(0)
        self._state = replace(self._state, total=max(end - asked.start, timedelta(0)))
        with new_session() as session:
            lander = self._lander(session)
            while position < end:
                window = self._repeated(known, settled, position, end)
                done = settled.at(position, end)
                if done is not None and window is None:
                    if done.start == position:
                        sizer.succeeded(done)
                    skipped += done.end - position
                    position = done.end
                    self._state = replace(self._state, done=position - asked.start)
                    continue
                if window is None:
                    next_settled = settled.next_start(position, end)
                    window = sizer.next(Window(position, next_settled))
                    if window.start + 2 * self.settings.initial_window <= tail < window.end:
                        # what may still change comes apart, so that it alone is asked for again
                        window = Window(window.start, tail)
                try:
                    manifest, differs = lander.land(window)
                except TooLargeError as error:
                    known.pop(window.start, None)
                    sizer.failed(window)
                    self._tell(f"{window} is too much for the vendor ({error}); asking for less")
                    continue
                except NotYetError:
                    end = self.settings.certain_until(self.now)
                    continue
                sizer.succeeded(window)
                self._fetching += window.end - position
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
        if skipped:
            self._tell(f"{skipped.days:,} days had landed before and cannot change any more")
        complete_through, not_yet = self._completeness(
            asked, landed(self.settings, self.home) if fetched else before
        )
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
        self, known: dict[datetime, Window], settled: Coverage, position: datetime, end: datetime
    ) -> Window | None:
        """A window landed a short while ago that may still change and is asked for whole once more.

        Its delivery is then replaced by itself, so that running twice leaves no other deliveries than
        running once. Where deliveries only add to each other, or time has passed, just what is not
        settled is asked for, in as few requests as can be.
        """
        if not self.settings.deduplication.newest_delivery_wins:
            return None
        window = known.get(position)
        return None if window is None or window.end > end or settled.covers(window) else window

    def _recent_windows(self, landed: list[Landed]) -> dict[datetime, Window]:
        """Windows of the deliveries that this run may be the repetition of, by their start."""
        recent = (window for manifest, window in landed if abs(self.now - manifest.fetched_at) < SAME_RUN)
        return {window.start: window for window in sorted(recent)}

    def probe(self) -> str:
        settings = self.settings
        end = settings.certain_until(self.now)
        window = Window(end - settings.unit, end)
        with new_session() as session:
            records = self._lander(session).probe(window)
        return f"the vendor answered with {records} records for {window}"

    def _lander(self, session: requests.Session) -> WindowLander:
        return WindowLander(
            self.settings, self.home, self.environ, self.now, session,
            project=self.project, tell=lambda text: self._tell(text), sent=self._sent,
        )  # fmt: skip

    def _sent(self) -> None:
        self._state = replace(self._state, requests=self._state.requests + 1)

    def _check_project(self, landed: list[Landed]) -> None:
        """Raises `ProjectChangedError` if something of another project landed under this name."""
        others = [
            manifest.delivery
            for manifest, _ in landed
            if None not in (manifest.project, self.project) and manifest.project != self.project
        ]
        if others:
            raise ProjectChangedError(
                f"source {self.settings.name}: {len(others)} deliveries in "
                f"{self.home.landing / self.settings.name} (the first is {others[0]}) come from another "
                "project than the configured one. Give the new project a source with a name of its own, "
                "or, if the old data are not needed any more, move that folder away."
            )

    def _completeness(self, asked: Window, landed: Iterable[Landed]) -> tuple[datetime | None, str | None]:
        gaps = subtracted(asked, cut_windows(landed, self.settings.complete_until))
        if not gaps:
            return self.settings.to_utc(asked.end), None
        since = self.settings.to_utc(gaps[0].start)
        through = since if gaps[0].start > asked.start else None
        return through, (
            f"data from {since:%Y-%m-%d %H:%M} UTC on were not complete at the vendor at "
            f"{self.now:%Y-%m-%d %H:%M} UTC; fetch again later"
        )

    def _tell(self, message: str, *, done: timedelta | None = None) -> None:
        state = replace(self._state, message=message, done=self._state.done if done is None else done)
        if done is not None and self._fetching:
            pace = (time.monotonic() - self._began) / self._fetching.total_seconds()
            state = replace(state, remaining=(state.total - state.done) * pace)
        self._state = state
        if self._listener is not None:
            self._listener(self._state)


def in_words(span: timedelta) -> str:
    """A span as people say it, rounded: `40 s`, `12 min`, `3.5 h`."""
    seconds = span.total_seconds()
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5_400 else f"{seconds / 3_600:.1f} h"
