"""Settings, truth and shortcuts for tests that fetch from the vendor simulator over HTTP."""

import json
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import polars as pl

from opsanalytics.cleaning.events import clean_events
from opsanalytics.cleaning.report import CleanReport
from opsanalytics.demo.simulator import AmplitudeProject, MixpanelProject
from opsanalytics.lake.events import scan_raw_events
from opsanalytics.lake.paths import Home
from opsanalytics.sources.amplitude import AmplitudeSettings
from opsanalytics.sources.base import EventSourceSettings, RetrySettings
from opsanalytics.sources.fetching import FetchReport, fetch
from opsanalytics.sources.mixpanel import MixpanelSettings

FIRST, LAST = date(2026, 3, 1), date(2026, 3, 5)
NOON = datetime(2026, 3, 10, 12, tzinfo=UTC)
QUICK = RetrySettings(backoff_seconds=0.001, longest_backoff_seconds=0.01)
ENVIRON = {
    "MIXPANEL_USERNAME": "demo-service-account",
    "MIXPANEL_SECRET": "demo-secret",
    "AMPLITUDE_API_KEY": "demo-api-key",
    "AMPLITUDE_SECRET_KEY": "demo-secret-key",
}


def mixpanel(url: str, **changes: Any) -> MixpanelSettings:
    return MixpanelSettings(
        **{
            "name": "product",
            "project_id": "1000001",
            "base_url": url,
            "retry": QUICK,
            "requests_per_second": 1_000,
            "requests_per_hour": 10_000,
            **changes,
        }
    )


def amplitude(url: str, **changes: Any) -> AmplitudeSettings:
    return AmplitudeSettings(
        **{
            "name": "app",
            "base_url": url,
            "retry": QUICK,
            "requests_per_second": 1_000,
            "requests_per_hour": 10_000,
            **changes,
        }
    )


def mixpanel_project(events: pl.DataFrame, **changes: Any) -> MixpanelProject:
    return MixpanelProject(events, **{"duplicate_share": 0.0, "late_share": 0.0, "limits": (), **changes})


def amplitude_project(events: pl.DataFrame, **changes: Any) -> AmplitudeProject:
    return AmplitudeProject(events, **{"late_share": 0.0, **changes})


def run_fetch(
    settings: EventSourceSettings,
    home: Home,
    first: date = FIRST,
    last: date = LAST,
    *,
    now: datetime = NOON,
    force: bool = False,
) -> FetchReport:
    return fetch(settings, home, first, last, environ=ENVIRON, now=now, force=force)


def run_clean(settings: EventSourceSettings, home: Home) -> CleanReport:
    return clean_events(settings, home, {})


def comparable(events: pl.DataFrame) -> list[tuple[Any, ...]]:
    """The truth: user, event, time and own properties of each row, sorted."""
    rows = events.select(
        "user_id",
        "event",
        pl.col("ts").dt.replace_time_zone("UTC", ambiguous="raise")
        if events.schema["ts"].time_zone is None
        else "ts",
        "properties",
    )
    return sorted(
        (
            (user or "", event, ts, canonical_json(json.loads(text)))
            for user, event, ts, text in rows.iter_rows()
        )
    )


def lake_rows(home: Home, own: set[str] | None = None) -> list[tuple[Any, ...]]:
    """The lake, as `comparable` gives the truth; properties reduced to the names in `own`."""
    names = own if own is not None else {"n", "note", "deep"}
    return sorted(
        (
            user or "",
            event,
            ts,
            canonical_json({key: value for key, value in json.loads(text).items() if key in names}),
        )
        for user, event, ts, text in scan_raw_events(home)
        .select("user_id", "event", "ts", "properties")
        .collect()
        .iter_rows()
    )


def canonical_json(value: dict[str, Any]) -> str:
    return json.dumps(value, sort_keys=True)


def tree(folder: Path) -> dict[str, bytes]:
    """Every file below `folder` by relative path."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
