"""Plain requests to the vendors' endpoints, written from the contract alone (no production client)."""

import gzip
import io
import json
import zipfile
from datetime import UTC, date, datetime, timedelta
from typing import Any

import polars as pl
import requests

from opsanalytics.demo.simulator import AmplitudeProject, MixpanelProject, VendorSimulator

NOON = datetime(2026, 3, 10, 12, tzinfo=UTC)


def small_events(
    rows: int = 400, *, days: int = 5, start: datetime = datetime(2026, 3, 1, tzinfo=UTC)
) -> pl.DataFrame:
    """`rows` events of 40 users, evenly over `days` days; text that is hard to encode, tied times."""
    step = timedelta(days=days) / rows
    return pl.DataFrame(
        {
            "user_id": [None if i % 11 == 0 else f"u{i % 40}" for i in range(rows)],
            "device_id": [f"d{i % 40}" for i in range(rows)],
            "event": [("Sign Up", "Invoice Sent", 'Odd "näme" \u2028')[i % 3] for i in range(rows)],
            "ts": [start + (i - i % 2 if i % 50 < 2 else i) * step for i in range(rows)],
            "properties": [
                json.dumps({"n": i, "note": 'Å\n\u0085 "q" 😀', "deep": {"a": [1, None]}})
                for i in range(rows)
            ],
            "platform": [("web", "ios", "android", None)[i % 4] for i in range(rows)],
            "country": ["DE"] * rows,
        }
    )


def mixpanel_get(
    simulator: VendorSimulator, project: MixpanelProject, first: date | str, last: date | str, **changes: Any
) -> requests.Response:
    """One export request; `changes` are query parameters (None removes), or `auth` and `headers`."""
    auth = changes.pop("auth", (project.username, project.secret))
    headers = changes.pop("headers", {})
    query = {
        "project_id": project.project_id,
        "from_date": str(first),
        "to_date": str(last),
        "time_in_ms": "true",
    } | changes
    return requests.get(
        simulator.url + project.path,
        params={key: value for key, value in query.items() if value is not None},
        auth=auth,
        headers=headers,
        timeout=30,
    )


def amplitude_get(
    simulator: VendorSimulator,
    project: AmplitudeProject,
    start: datetime | str,
    end: datetime | str,
    **changes: Any,
) -> requests.Response:
    """One export request for the hours `start` to `end`, inclusive."""
    query = {
        key: value if isinstance(value, str) else f"{value:%Y%m%dT%H}"
        for key, value in (("start", start), ("end", end))
    }
    auth = changes.pop("auth", (project.api_key, project.secret_key))
    return requests.get(simulator.url + project.path, params=query, auth=auth, timeout=30)


def json_lines(content: bytes) -> list[dict[str, Any]]:
    """Parse JSON lines, split at newlines only."""
    return [json.loads(line) for line in content.decode().split("\n")[:-1]]


def zip_members(content: bytes) -> dict[str, list[dict[str, Any]]]:
    """Members of an Amplitude export and their parsed lines."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {name: json_lines(gzip.decompress(archive.read(name))) for name in archive.namelist()}
