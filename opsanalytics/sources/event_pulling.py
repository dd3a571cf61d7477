"""Raw events of any source, over HTTP or from files: the one way in for assets and commands."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import date, datetime, timedelta

from opsanalytics.lake.locks import exclusive
from opsanalytics.lake.paths import Home
from opsanalytics.sources.base import EventApiSettings, EventSourceSettings
from opsanalytics.sources.errors import SourceError
from opsanalytics.sources.fetching import FetchProgress, FetchReport, fetch, probe
from opsanalytics.sources.file_landing import fetch_files, probe_files
from opsanalytics.sources.files import EventFileSettings
from opsanalytics.sources.totals import land_totals


def pull_events(
    settings: EventSourceSettings,
    home: Home,
    first: date,
    last: date,
    *,
    environ: Mapping[str, str],
    now: datetime,
    progress: Callable[[FetchProgress], None] | None = None,
    force: bool = False,
) -> FetchReport:
    """Land the UTC days `first` to `last`, inclusive, as `fetch` or `fetch_files` does.

    Where the source is asked for the vendor's own totals, they are landed too; that they could not be
    had is one of the report's problems, no error.

    Raises:
        SourceError, LockHeldError: as these do.
    """
    if isinstance(settings, EventFileSettings):
        report = fetch_files(settings, home, first, last, now=now, progress=progress, force=force)
    else:
        report = fetch(
            api(settings), home, first, last, environ=environ, now=now, progress=progress, force=force
        )
    days = settings.vendor_window(first, last)
    last_over = min(days.last_day, settings.to_wall(now).date() - timedelta(days=1))
    if last_over < days.first_day:
        return report
    try:
        totals = settings.vendor_totals(days.first_day, last_over, environ)
    except SourceError as error:
        return replace(report, problems=(*report.problems, str(error)))
    if totals is not None:
        with exclusive(home, f"totals-{settings.name}"):
            land_totals(home, settings.name, totals, now)
    return report


def probe_events(
    settings: EventSourceSettings, home: Home, *, environ: Mapping[str, str], now: datetime
) -> str:
    """Try the source without landing anything, as `probe` or `probe_files` does.

    Raises:
        SourceError: it cannot deliver.
    """
    if isinstance(settings, EventFileSettings):
        return probe_files(settings, home, now=now)
    return probe(api(settings), home, environ=environ, now=now)


def api(settings: EventSourceSettings) -> EventApiSettings:
    """The settings of a vendor with an API, which every event source without files is."""
    if not isinstance(settings, EventApiSettings):
        raise TypeError(f"{type(settings).__name__} is neither an EventApiSettings nor an EventFileSettings")
    return settings
