"""Fetching from Amplitude over HTTP: by hour of upload, with the faults of the contract."""

from datetime import UTC, date, datetime, timedelta

import pytest

from opsanalytics.demo.simulator import VendorSimulator
from opsanalytics.lake.manifests import deliveries
from opsanalytics.lake.paths import Home
from opsanalytics.sources.errors import CredentialError, IncompleteExportError, RequestError
from opsanalytics.sources.fetching import missing_days, probe
from opsanalytics_tests.simulators.clients import small_events
from opsanalytics_tests.simulators.faulty import (
    FaultSchedule,
    FaultySimulator,
    broken_line,
    corrupt_zip,
    cut,
    non_utf8_line,
    resent,
    server_error,
    skewed_devices,
    slow,
    too_many_requests,
    wrong_auth,
    wrong_length,
)
from opsanalytics_tests.sources.support import (
    ENVIRON,
    FIRST,
    LAST,
    NOON,
    amplitude,
    amplitude_project,
    comparable,
    lake_rows,
    run_clean,
    run_fetch,
    tree,
)

EVENTS = small_events()


def faulty(faults: FaultSchedule, **changes: object) -> FaultySimulator:
    return FaultySimulator(amplitude_project(EVENTS, **changes), faults=faults, clock=lambda: NOON)


def fetched_equals_truth(home: Home, simulator: VendorSimulator, last: date = LAST) -> bool:
    settings = amplitude(simulator.url)
    run_fetch(settings, home, FIRST, last)
    run_clean(settings, home)
    return lake_rows(home) == comparable(EVENTS)


def test_the_lake_equals_the_truth(home: Home) -> None:
    with faulty(FaultSchedule()) as simulator:
        assert fetched_equals_truth(home, simulator)


def test_late_uploads_come_with_later_days(home: Home) -> None:
    with faulty(FaultSchedule(), late_share=0.3) as simulator:
        assert not fetched_equals_truth(home, simulator)
        assert fetched_equals_truth(home, simulator, LAST + timedelta(days=3))


@pytest.mark.parametrize(
    "fault",
    [
        cut(0.5), cut(0.5, with_length=False), cut(0), cut(0.99, with_length=False), corrupt_zip(),
        server_error(500), server_error(503), server_error(504), too_many_requests(0),
        too_many_requests(None), slow(65_536, 0.001), wrong_length(1), wrong_length(-1), wrong_length(-500),
    ],
)  # fmt: skip
def test_a_fault_that_passes_leaves_no_trace(home: Home, fault: object) -> None:
    faults = FaultSchedule().on("amplitude", 1, fault)  # type: ignore[arg-type]
    with faulty(faults) as simulator:
        assert fetched_equals_truth(home, simulator)
    assert not faults.unused


def test_too_large_ranges_are_halved(home: Home) -> None:
    with faulty(FaultSchedule(), largest_bytes=20_000) as simulator:
        assert fetched_equals_truth(home, simulator)
        assert {entry.status for entry in simulator.log} == {200, 400}


def test_ranges_that_time_out_are_halved_to_an_hour(home: Home) -> None:
    with faulty(FaultSchedule(), timeout_hours=1) as simulator:
        assert fetched_equals_truth(home, simulator, FIRST) is False
        assert {
            entry.query["start"] == entry.query["end"] for entry in simulator.log if entry.status == 200
        } == {True}


def test_an_hour_that_is_too_large_is_an_error_with_the_way_out(home: Home) -> None:
    with (
        faulty(FaultSchedule(), largest_bytes=10) as simulator,
        pytest.raises(RequestError, match="Amazon S3"),
    ):
        run_fetch(amplitude(simulator.url), home)


def test_an_hour_that_is_always_cut_is_an_error_and_lands_nothing(home: Home) -> None:
    with (
        faulty(FaultSchedule().always("amplitude", cut(0.9, with_length=False))) as simulator,
        pytest.raises(IncompleteExportError, match="no smaller window"),
    ):
        run_fetch(amplitude(simulator.url), home)
    assert tree(home.landing) == {}


def test_wrong_keys_are_not_retried(home: Home) -> None:
    with (
        faulty(FaultSchedule().always("amplitude", wrong_auth(403))) as simulator,
        pytest.raises(CredentialError, match=r"403.*AMPLITUDE_API_KEY and AMPLITUDE_SECRET_KEY.*region"),
    ):
        run_fetch(amplitude(simulator.url), home)
    assert len(simulator.log) == 1


def test_old_hours_without_data_are_empty(home: Home) -> None:
    with faulty(FaultSchedule()) as simulator:
        settings = amplitude(simulator.url)
        report = run_fetch(settings, home, date(2026, 2, 1), date(2026, 2, 2))
    assert [manifest.status for manifest in deliveries(home, "app")] == [404]
    assert report.records == 0
    assert missing_days(settings, home, date(2026, 2, 1), date(2026, 2, 2)) == []


def test_hours_are_fetched_three_hours_later(home: Home) -> None:
    now = datetime(2026, 3, 4, 15, 30, tzinfo=UTC)
    with VendorSimulator(amplitude_project(EVENTS), clock=lambda: now) as simulator:
        report = run_fetch(amplitude(simulator.url), home, now=now)
        assert simulator.log[-1].query["end"] == "20260304T12"
    assert report.complete_through == datetime(2026, 3, 4, 13, tzinfo=UTC)


def test_a_recent_404_claims_nothing(home: Home) -> None:
    """Hours that are not ready answer 404 as empty ones do."""
    now = datetime(2026, 3, 4, 15, 30, tzinfo=UTC)
    behind = now - timedelta(hours=20)
    with VendorSimulator(amplitude_project(EVENTS), clock=lambda: behind) as simulator:
        report = run_fetch(amplitude(simulator.url), home, date(2026, 3, 4), date(2026, 3, 4), now=now)
    assert report.complete_through == datetime(2026, 3, 4, 12, tzinfo=UTC)
    assert report.not_yet is not None


def test_hours_fetched_at_the_earliest_moment_are_fetched_once_more(home: Home) -> None:
    early = datetime(2026, 3, 2, 3, 30, tzinfo=UTC)
    with faulty(FaultSchedule()) as simulator:
        settings = amplitude(simulator.url)
        run_fetch(settings, home, FIRST, FIRST, now=early)
        later = run_fetch(settings, home, FIRST, FIRST, now=early + timedelta(hours=6))
        last = run_fetch(settings, home, FIRST, FIRST, now=early + timedelta(hours=7))
    assert later.deliveries == ("2026-03-01T21--2026-03-01T23",)
    assert last.requests == 0


def test_overlapping_deliveries_count_each_event_once(home: Home) -> None:
    with faulty(FaultSchedule()) as simulator:
        settings = amplitude(simulator.url)
        run_fetch(settings, home, FIRST, LAST)
        run_fetch(settings, home, FIRST, FIRST + timedelta(days=2), force=True)
        report = run_clean(settings, home)
    assert lake_rows(home) == comparable(EVENTS)
    assert report.duplicates > 0


def test_events_that_a_client_sends_again_after_a_week_count_once(home: Home) -> None:
    """Amplitude forgets an `$insert_id` after 7 days: they have a uuid of their own then."""
    with faulty(FaultSchedule().on("amplitude", 1, resent(days=8))) as simulator:
        settings = amplitude(simulator.url)
        run_fetch(settings, home)
        report = run_clean(settings, home)
    assert lake_rows(home) == comparable(EVENTS)
    assert report.duplicates == EVENTS.height


def test_a_clock_that_is_off_moves_no_event(home: Home) -> None:
    with faulty(FaultSchedule().on("amplitude", 1, skewed_devices(timedelta(hours=-30)))) as simulator:
        assert fetched_equals_truth(home, simulator)


def test_broken_lines_are_set_aside(home: Home) -> None:
    faults = FaultSchedule().on("amplitude", 1, broken_line())
    with faulty(faults) as simulator:
        settings = amplitude(simulator.url)
        run_fetch(settings, home)
        assert run_clean(settings, home).quarantined == 1
    assert lake_rows(home) == comparable(EVENTS)


def test_lines_that_are_not_utf8_are_set_aside(home: Home) -> None:
    faults = FaultSchedule().on("amplitude", 1, non_utf8_line())
    with faulty(faults) as simulator:
        settings = amplitude(simulator.url)
        run_fetch(settings, home)
        assert run_clean(settings, home).quarantined == 1
    assert lake_rows(home) == comparable(EVENTS)


def test_probe_asks_for_one_hour(home: Home) -> None:
    with faulty(FaultSchedule()) as simulator:
        probe(amplitude(simulator.url), home, environ=ENVIRON, now=NOON)
        assert [(entry.query["start"], entry.query["end"]) for entry in simulator.log] == [
            ("20260310T08", "20260310T08")
        ]
