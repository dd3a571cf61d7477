"""Twelve years of a real product through the simulator: the lake holds exactly what the data set holds."""

import json
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

from opsanalytics.demo.simulator import AmplitudeProject, MixpanelProject, VendorSimulator
from opsanalytics.identity.persons import rebuild
from opsanalytics.lake.events import scan_events
from opsanalytics.lake.manifests import deliveries
from opsanalytics.lake.paths import Home
from opsanalytics.quality.reconciliation import build_ledger, unreconciled
from opsanalytics.sources.base import EventSourceSettings
from opsanalytics_tests.sources.support import (
    amplitude,
    comparable,
    lake_rows,
    mixpanel,
    run_clean,
    run_fetch,
)

NOW = datetime(2026, 11, 1, tzinfo=UTC)


@pytest.mark.slow
@pytest.mark.parametrize("vendor", ["mixpanel", "amplitude"])
def test_the_lake_equals_the_data_set(home: Home, real_data: Path, vendor: str) -> None:
    events = pl.read_parquet(real_data / "stackexchange_history_meta" / "events.parquet")
    if vendor == "mixpanel":
        # milliseconds are the finest that Mixpanel exports
        events = events.with_columns(pl.col("ts").dt.truncate("1ms"))
    names = {name for text in events["properties"].unique() for name in json.loads(text)}
    vendors = (MixpanelProject(events, limits=()), AmplitudeProject(events))
    with VendorSimulator(*vendors, clock=lambda: NOW) as simulator:
        source: EventSourceSettings = (mixpanel if vendor == "mixpanel" else amplitude)(simulator.url)
        first, last = events["ts"].dt.date().min(), NOW.date()
        fetched = run_fetch(source, home, first, last, now=NOW)  # type: ignore[arg-type]
    report = run_clean(source, home)
    assert fetched.requests <= 24
    assert lake_rows(home, names) == comparable(events)
    assert unreconciled(build_ledger(home, [source]), deliveries(home, source.name)).is_empty()
    assert (report.quarantined, report.canonical) == (0, events.height)
    assert rebuild(home, [source.name]).persons == events["user_id"].n_unique()
    assert scan_events(home).select((pl.col("person") == pl.col("user_id")).all()).collect().item()
