"""Files of events for tests: written as vendors write them, landed and cleaned as a run does."""

import gzip
import json
import os
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl

from opsanalytics.cleaning.events import clean_events
from opsanalytics.cleaning.report import CleanReport
from opsanalytics.lake.events import scan_raw_events
from opsanalytics.lake.manifests import deliveries
from opsanalytics.lake.paths import Home
from opsanalytics.quality.reconciliation import build_ledger, unreconciled
from opsanalytics.sources.event_files import EventFilesSettings
from opsanalytics.sources.fetching import FetchReport
from opsanalytics.sources.file_landing import fetch_files
from opsanalytics.sources.files import EventFileSettings
from opsanalytics.sources.ga4 import Ga4Settings

FIRST, LAST = date(2026, 3, 1), date(2026, 3, 5)
NOON = datetime(2026, 3, 10, 12, tzinfo=UTC)
HARD_TEXT = 'a\u2028b\u0085c\nÅ 😀 <b>"q"'
BIG = 9_007_199_254_740_993
"""2^53 + 1: no double can hold it."""


def put(path: Path, content: bytes, *, at: datetime = NOON - timedelta(hours=1)) -> Path:
    """Write a file as somebody did at `at`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    os.utime(path, (at.timestamp(), at.timestamp()))
    return path


def jsonl(records: Iterable[dict[str, Any] | bytes]) -> bytes:
    """Lines as `bq extract` and most exporters write them: UTF-8, nothing escaped that need not be."""
    lines = [
        each if isinstance(each, bytes) else json.dumps(each, ensure_ascii=False).encode() for each in records
    ]
    return b"".join(line + b"\n" for line in lines)


def zipped(records: Iterable[dict[str, Any] | bytes]) -> bytes:
    return gzip.compress(jsonl(records), mtime=0)


def ga4(folder: Path, **changes: Any) -> Ga4Settings:
    return Ga4Settings(**{"name": "site", "path": str(folder), **changes})


def mapped(folder: Path, **changes: Any) -> EventFilesSettings:
    columns = {"event": "event", "ts": "time", "user_id": "user", **changes.pop("columns", {})}
    return EventFilesSettings(**{"name": "log", "path": str(folder), "columns": columns, **changes})


def param(key: str, **value: Any) -> dict[str, Any]:
    """One element of `event_params`."""
    return {"key": key, "value": value}


def ga4_record(n: int, *, day: date = FIRST, name: str = "page_view", **fields: Any) -> dict[str, Any]:
    """A record as `bq extract` writes it: integers as texts, null fields left out."""
    at = datetime(day.year, day.month, day.day, 12, tzinfo=UTC) + timedelta(seconds=n)
    return {
        "event_date": f"{day:%Y%m%d}",
        "event_timestamp": str(round(at.timestamp() * 1_000_000)),
        "event_name": name,
        "event_params": [
            param("ga_session_id", int_value="1772323200"),
            param("page_location", string_value=f"https://shop.example/?n={n}"),
            param("n", int_value=str(n)),
        ],
        "user_pseudo_id": f"device{n % 2}.1",
        "stream_id": "7",
        "platform": "WEB",
        "device": {"operating_system": "Linux", "web_info": {"browser": "Firefox"}},
        "geo": {"country": "Chad"},
        "app_info": {"version": "1.2"},
        **fields,
    }


def land(
    settings: EventFileSettings, home: Home, *, first: date = FIRST, last: date = LAST, now: datetime = NOON
) -> FetchReport:
    """Land what is there, without waiting for files to lie still."""
    return fetch_files(settings, home, first, last, now=now, quiet_seconds=0)


def run(settings: EventFileSettings, home: Home, **when: Any) -> tuple[FetchReport, CleanReport]:
    """Land and clean, and check the books."""
    landed = land(settings, home, **when)
    cleaned = clean_events(settings, home, {})
    ledger = build_ledger(home, [settings])
    wrong = unreconciled(ledger, deliveries(home, settings.name))
    assert wrong.is_empty(), wrong
    assert cleaned.records == cleaned.canonical + cleaned.duplicates + cleaned.quarantined
    return landed, cleaned


def events(home: Home) -> pl.DataFrame:
    return scan_raw_events(home).sort("ts", "event_id").collect()


def properties(home: Home) -> list[dict[str, Any]]:
    """Properties of all events, in order of time."""
    return [json.loads(text) for text in events(home)["properties"]]


def quarantined(home: Home, source: str) -> pl.DataFrame:
    return pl.concat(pl.read_parquet(path) for path in sorted(home.quarantine(source).glob("*.parquet")))
