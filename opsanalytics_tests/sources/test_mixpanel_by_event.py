"""A day that is too much for one answer comes in parts by event, whole or not at all."""

import json
from pathlib import Path

import polars as pl
import pytest

from opsanalytics.lake.manifests import deliveries
from opsanalytics.lake.paths import Home
from opsanalytics.sources.by_event import NAMES_BYTES, event_counts, fits_url, halves
from opsanalytics.sources.errors import IncompleteExportError
from opsanalytics_tests.simulators.clients import small_events
from opsanalytics_tests.simulators.faulty import (
    FaultSchedule,
    FaultySimulator,
    server_error,
    too_many_rows,
)
from opsanalytics_tests.simulators.mixpanel_query import EventNames
from opsanalytics_tests.sources.support import (
    FIRST,
    LAST,
    NOON,
    comparable,
    lake_rows,
    mixpanel,
    mixpanel_project,
    run_clean,
    run_fetch,
    tree,
)

EVENTS = small_events(300)
NAMES = sorted(EVENTS["event"].unique())
A_DAY = 60
"""Rows of each day, a third of each event."""


def faulty(most: int, *vendors: EventNames, events: pl.DataFrame = EVENTS) -> FaultySimulator:
    faults = FaultSchedule().always("mixpanel", too_many_rows(most))
    return FaultySimulator(mixpanel_project(events), *vendors, faults=faults, clock=lambda: NOON)


def asked_events(simulator: FaultySimulator) -> list[list[str]]:
    return [json.loads(entry.query["event"]) for entry in simulator.log if "event" in entry.query]


@pytest.mark.parametrize("most", [A_DAY - 1, A_DAY // 3])
def test_a_day_that_always_ends_early_comes_by_event(home: Home, most: int) -> None:
    with faulty(most) as simulator:
        settings = mixpanel(simulator.url)
        run_fetch(settings, home)
        report = run_clean(settings, home)
        asked = asked_events(simulator)
    assert lake_rows(home) == comparable(EVENTS)
    assert report.duplicates == 0
    assert all(len(names) < len(NAMES) for names in asked)


def test_days_are_halved_before_events_are(home: Home) -> None:
    with faulty(A_DAY) as simulator:
        run_fetch(mixpanel(simulator.url), home)
        assert asked_events(simulator) == []


def test_the_delivery_of_a_split_day_is_one(home: Home) -> None:
    with faulty(A_DAY // 3) as simulator:
        settings = mixpanel(simulator.url)
        run_fetch(settings, home, FIRST, FIRST)
    (manifest,) = deliveries(home, "product")
    assert manifest.delivery == "2026-03-01--2026-03-01"
    assert len(manifest.files) == len(NAMES)
    assert manifest.records == A_DAY


def test_an_event_that_alone_is_too_much_is_an_error_and_lands_nothing(home: Home) -> None:
    with faulty(5) as simulator, pytest.raises(IncompleteExportError, match="terminated early"):
        run_fetch(mixpanel(simulator.url), home)
    assert tree(home.landing) == {}


def test_names_that_no_partial_answer_shows_come_from_the_vendors_list(home: Home) -> None:
    """The partial answer ends before the rare event; the list of names knows it."""
    rare = EVENTS.with_row_index().with_columns(
        pl.when(pl.col("index") == 0).then(pl.lit("Rare")).otherwise(pl.lit("Often")).alias("event")
    )
    # two kinds of frequent events, so that halves are small enough
    rare = rare.with_columns(
        pl.when((pl.col("event") == "Often") & (pl.col("index") % 2 == 0))
        .then(pl.lit("Also often"))
        .otherwise("event")
        .alias("event")
    ).drop("index")
    names = EventNames(["Often", "Also often", "Rare"])
    with faulty(35, names, events=rare) as simulator:
        settings = mixpanel(simulator.url)
        run_fetch(settings, home)
        run_clean(settings, home)
        assert sum(entry.vendor == "mixpanel_names" for entry in simulator.log) == 1
    assert lake_rows(home) == comparable(rare)


def test_a_list_of_names_that_fails_does_no_harm(home: Home) -> None:
    faults = FaultSchedule().always("mixpanel", too_many_rows(A_DAY // 3))
    faults.always("mixpanel_names", server_error(500))
    names = EventNames([])
    with FaultySimulator(mixpanel_project(EVENTS), names, faults=faults, clock=lambda: NOON) as simulator:
        settings = mixpanel(simulator.url)
        run_fetch(settings, home)
        run_clean(settings, home)
    assert lake_rows(home) == comparable(EVENTS)


def test_one_bad_gateway_does_not_split_a_day(home: Home) -> None:
    faults = FaultSchedule().on("mixpanel", 1, server_error(504))
    with FaultySimulator(mixpanel_project(EVENTS), faults=faults, clock=lambda: NOON) as simulator:
        run_fetch(mixpanel(simulator.url), home, FIRST, FIRST)
        assert asked_events(simulator) == []


def test_a_split_day_is_asked_for_whole_again_later(home: Home) -> None:
    """New names may have come: the parts of yesterday would miss them."""
    with faulty(A_DAY // 3) as simulator:
        settings = mixpanel(simulator.url, lookback_days=30)
        run_fetch(settings, home, LAST, LAST)
        before = len(simulator.log)
        report = run_fetch(settings, home, LAST, LAST)
        assert "event" not in simulator.log[before].query
    assert report.changed == ()


def test_counts_of_a_cut_answer_stop_where_it_does(tmp_path: Path) -> None:
    path = tmp_path / "partial"
    path.write_bytes(b'{"event":"a"}\n{"event":"b"}\nnoise\n{"event":"a"}\n{"eve')
    assert event_counts(path) == {"a": 2, "b": 1}


def test_halves_weigh_about_the_same() -> None:
    from collections import Counter

    weight = Counter({"a": 100, "b": 60, "c": 50, "d": 1})
    assert halves(["a", "b", "c", "d"], weight) == [["a", "d"], ["b", "c"]]


def test_long_lists_of_names_do_not_fit_a_url() -> None:
    assert not fits_url(["x" * 100] * (NAMES_BYTES // 100))
    assert fits_url(["x" * 2 * NAMES_BYTES])
