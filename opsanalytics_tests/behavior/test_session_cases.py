"""Sessions as other tools cut them, through the public API.

`sessionize` of DuckDB's extension `behavioral`: `test/sql/sessionize.test` of tomtom215/duckdb-behavioral
(commit 2c3f545bdd24198f366cd1e2c383fc1364513362). A pause of exactly the gap ends no session, as it says.
"""

from datetime import UTC, datetime, timedelta

import polars as pl
import pytest

import opsanalytics
from opsanalytics import Sessions

MIDNIGHT = datetime(2024, 1, 1, tzinfo=UTC)


def at_minutes(people: dict[str, list[float | None]]) -> pl.DataFrame:
    rows = [
        (person, "e", None if minute is None else MIDNIGHT + timedelta(minutes=minute))
        for person, made in people.items()
        for minute in made
    ]
    return pl.DataFrame(
        rows, schema={"person": pl.String, "event": pl.String, "ts": pl.Datetime("us", "UTC")}, orient="row"
    )


@pytest.mark.parametrize(
    ("people", "gap", "expected"),
    [
        ({"1": [0, 5, 10, 120, 125]}, "30m", [("1", 3), ("1", 2)]),
        ({"1": [0, 5, 10, 120, 125], "2": [7, 300]}, "30m", [("1", 3), ("1", 2), ("2", 1), ("2", 1)]),
        ({"1": [0]}, "1h", [("1", 1)]),
        ({"1": [0, None, 5]}, "30m", [("1", 2)]),
        ({"1": [0, 30]}, "30m", [("1", 2)]),
        ({"1": [0, 30.001]}, "30m", [("1", 1), ("1", 1)]),
        ({"1": [0, 25, 50, 75, 100]}, "30m", [("1", 5)]),
        ({"1": [0, 0, 0]}, "1s", [("1", 3)]),
        ({"1": [1435, 1445]}, "30m", [("1", 2)]),
        ({}, "30m", []),
    ],
)
def test_pauses_end_sessions(
    people: dict[str, list[float | None]], gap: str, expected: list[tuple[str, int]]
) -> None:
    found = opsanalytics.sessions(
        at_minutes(people), Sessions(gap=gap), as_of=MIDNIGHT + timedelta(days=9)
    ).each()
    assert found.sort("person", "start_ts").select("person", "events").rows() == expected


def test_midnight_ends_sessions_where_asked_for() -> None:
    frame = at_minutes({"1": [1435, 1445]})
    asked = {"gap": "30m", "midnight": True}
    later = MIDNIGHT + timedelta(days=9)
    assert opsanalytics.sessions(frame, asked, as_of=later).each()["events"].to_list() == [1, 1]
    elsewhere = opsanalytics.sessions(frame, asked, as_of=later, timezone="Asia/Tokyo")
    assert elsewhere.each()["events"].to_list() == [2]
