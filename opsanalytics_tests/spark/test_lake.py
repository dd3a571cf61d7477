"""Spark reads the lake as the local engine does: identity, rules by source, overlaps."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import polars as pl
import pytest
from polars.testing import assert_frame_equal

import opsanalytics
from opsanalytics.behavior.overlaps import Overlap, counted_once
from opsanalytics.lake.events import IDENTITY_RULES, scan_events
from opsanalytics.lake.files import write_parquet
from opsanalytics.lake.paths import Home
from opsanalytics.lake.schemas import PERSONS
from opsanalytics_tests.samples import event, frame, person, write_events

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

START = datetime(2026, 3, 1, 22, tzinfo=UTC)
FUNNEL = {"steps": ["A", "B"], "window": "2h"}


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """Two sources over three days, with users, devices and somebody whom no mapping knows."""
    home = Home(tmp_path / "da ta")
    for source in ("web", "app"):
        for day in range(3):
            rows = [
                event(
                    f"{source}-{day}-{at}",
                    event="AB"[at % 2],
                    ts=START + timedelta(days=day, minutes=7 * at),
                    user_id=f"u{at % 3}" if at % 4 else None,
                    device_id=f"d{at % 5}" if at % 3 else None,
                    distinct_id=f"x{at % 2}",
                    source=source,
                )
                for at in range(17)
            ]
            for date in {row["ts"].date() for row in rows}:
                write_events(home, [row for row in rows if row["ts"].date() == date], date, source)
    mapping = [
        person(kind, f"{kind[0] if kind != 'distinct' else 'x'}{at}", f"{kind}-{at}", source)
        for source in ("web", "app")
        for kind, most in (("user", 2), ("device", 4), ("distinct", 2))
        for at in range(most)
    ]
    write_parquet(home.identity / "persons.parquet", frame(PERSONS, mapping))
    return home


@pytest.mark.parametrize("rules", [{}, {"web": "verbs"}, {"web": "vendor_ids", "app": "verbs"}])
def test_events_have_the_same_persons(session: "SparkSession", home: Home, rules: dict[str, str]) -> None:
    from opsanalytics.spark import SparkEngine

    if rules:
        (home.identity / IDENTITY_RULES).write_text(json.dumps(rules))
    engine = SparkEngine(session)
    there = engine.events(home.root).select("event_id", "person").toArrow()
    here = scan_events(home).select("event_id", "person").collect()
    assert_frame_equal(pl.DataFrame(pl.from_arrow(there)), here, check_row_order=False)
    assert engine.funnel(home, FUNNEL).to_polars().equals(opsanalytics.funnel(home, FUNNEL).to_polars())


@pytest.mark.parametrize("per", ["day", "person_day"])
@pytest.mark.parametrize("events", [None, ("A",)])
@pytest.mark.parametrize("sources", [None, ("app",)])
def test_overlaps_are_settled_the_same_way(
    session: "SparkSession",
    home: Home,
    per: Literal["day", "person_day"],
    events: tuple[str, ...] | None,
    sources: tuple[str, ...] | None,
) -> None:
    from opsanalytics.spark import SparkEngine

    (home.events / "day=2026-03-02" / "web.parquet").unlink()
    overlap = Overlap(prefer=("web", "app"), events=events, per=per)
    there = SparkEngine(session, overlaps=[overlap]).events(home, sources).select("event_id").toArrow()
    here = counted_once(scan_events(home), [overlap], sources=sources).select("event_id").collect()
    assert_frame_equal(pl.DataFrame(pl.from_arrow(there)), here, check_row_order=False)
