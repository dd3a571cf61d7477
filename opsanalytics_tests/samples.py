"""Small canonical frames and a lake made of them."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import polars as pl

from opsanalytics.lake.files import write_parquet
from opsanalytics.lake.paths import Home
from opsanalytics.lake.schemas import EVENTS, FEEDBACK, PERSONS
from opsanalytics.lake.tables import Table

MONDAY = date(2024, 1, 1)


def frame(table: Table, rows: list[dict[str, Any]]) -> pl.DataFrame:
    """Rows with the columns they name; all others are null."""
    return table.conform(
        pl.DataFrame(
            {
                column.name: pl.Series([row.get(column.name) for row in rows], dtype=column.dtype)
                for column in table.columns
            }
        )
    )


def event(event_id: str, day: date = MONDAY, /, **fields: Any) -> dict[str, Any]:
    ts = datetime(day.year, day.month, day.day, 12, tzinfo=UTC)
    return {
        "event_id": event_id,
        "source": "web",
        "event": "sign_up",
        "source_event": "Sign Up",
        "ts": ts,
        "received_at": ts + timedelta(seconds=2),
        "distinct_id": "ada",
        "user_id": "ada",
        "properties": "{}",
        "ingest_run": "2024-01-01@abc",
    } | fields


def feedback(feedback_id: str, /, **fields: Any) -> dict[str, Any]:
    return {
        "feedback_id": feedback_id,
        "source": "survey",
        "ts": datetime(2024, 1, 1, 12, tzinfo=UTC),
        "text": "The export never ends.",
        "rating": 2.0,
        "rating_min": 1.0,
        "rating_max": 5.0,
        "satisfaction": 0.25,
        "raw": "{}",
        "ingest_run": "dump@abc",
    } | fields


def person(kind: str, identifier: str, name: str, source: str = "web") -> dict[str, Any]:
    return {
        "source": source,
        "id_kind": kind,
        "id": identifier,
        "person": name,
        "rule": "user_id",
        "since": datetime(2024, 1, 1, tzinfo=UTC),
    }


def write_events(
    home: Home, rows: list[dict[str, Any]], day: date = MONDAY, source: str = "web"
) -> pl.DataFrame:
    events = frame(EVENTS, rows)
    write_parquet(home.events_file(source, day), events)
    return events


def write_feedback(home: Home, rows: list[dict[str, Any]], source: str = "survey") -> pl.DataFrame:
    rows_frame = frame(FEEDBACK, rows)
    write_parquet(home.feedback_file(source), rows_frame)
    return rows_frame


def write_persons(home: Home, rows: list[dict[str, Any]]) -> pl.DataFrame:
    persons = frame(PERSONS, rows)
    write_parquet(home.identity / "persons.parquet", persons)
    return persons
