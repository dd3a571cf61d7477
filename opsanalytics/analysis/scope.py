"""What a set of numbers is about: which data, up to when, and whether they passed their checks."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import cached_property

import polars as pl

from opsanalytics.cleaning.coverage import windows_of_undated
from opsanalytics.config import Settings
from opsanalytics.lake.events import read_persons, scan_events
from opsanalytics.lake.publish import read_feedback
from opsanalytics.quality.results import state
from opsanalytics.sources.base import EventSourceSettings
from opsanalytics.sources.fetching import landed_windows
from opsanalytics.sources.windows import merged

HELD_BYTES = 64 * 1024 * 1024
"""Compressed size of events up to which they are held in memory (some ten times as large there): a
dozen reports of a small product with thousands of day files would spend their time opening files."""


class NothingLandedError(RuntimeError):
    """There is no complete data to analyse."""


def complete_through(settings: Settings) -> datetime:
    """The moment, UTC, up to which every event source is completely landed from `project.start` on.

    Raises:
        NothingLandedError: a source has no complete first day, or there is no event source.
    """
    moments = {source.name: _landed_until(source, settings) for source in settings.event_sources}
    lacking = sorted(name for name, moment in moments.items() if moment is None)
    if lacking or not moments:
        what = f"source(s) {', '.join(lacking)}" if lacking else "no event source is configured, so nothing"
        raise NothingLandedError(
            f"nothing to analyse: {what} landed no complete data from {settings.project.start} on. "
            "Materialize the landing assets from that day, or set project.start to the first day you pulled."
        )
    complete = min(moment for moment in moments.values() if moment is not None)
    end = settings.project.end
    return min(complete, datetime.combine(end + timedelta(days=1), time(), UTC)) if end else complete


def _landed_until(source: EventSourceSettings, settings: Settings) -> datetime | None:
    start = source.to_wall(datetime.combine(settings.project.start, time(), UTC))
    landed = [
        *landed_windows(source, settings.home, source.complete_until),
        *windows_of_undated(source, settings.home),
    ]
    for window in merged([*landed, *source.spans_without_data(landed)]):
        if window.start <= start < window.end:
            return source.to_utc(window.end)
    return None


@dataclass(frozen=True)
class Scope:
    """Events and feedback before `as_of`, as configured."""

    settings: Settings
    as_of: datetime

    @cached_property
    def events(self) -> pl.LazyFrame:
        """Events before `as_of`, with persons. Read once if they are few, at each use if they are many."""
        scanned = scan_events(self.settings.home, last=self.as_of.date()).filter(pl.col("ts") < self.as_of)
        stored = sum(file.stat().st_size for file in self.settings.home.events.glob("day=*/*.parquet"))
        return scanned.collect().lazy() if stored <= HELD_BYTES else scanned

    @cached_property
    def persons(self) -> pl.DataFrame:
        return read_persons(self.settings.home)

    @cached_property
    def feedback(self) -> pl.DataFrame:
        """Feedback before `as_of`."""
        return read_feedback(self.settings.home).filter(pl.col("ts") < self.as_of)

    @property
    def first_entry(self) -> date | None:
        """First local day of entries that count, if the configuration looks back only so far."""
        weeks = self.settings.thresholds.analysis_weeks
        if weeks is None:
            return None
        return (self.as_of.astimezone(self.settings.project.zone) - timedelta(weeks=weeks)).date()

    @cached_property
    def event_quality(self) -> str:
        return state(self.settings.home, ["events"])

    @cached_property
    def feedback_quality(self) -> str:
        return state(self.settings.home, ["feedback"])
