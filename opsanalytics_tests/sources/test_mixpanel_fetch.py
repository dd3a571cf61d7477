"""Fetching from Mixpanel over HTTP, with the faults of the contract."""

import json
import logging
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from opsanalytics.demo.simulator import Limit, Reply, Request, VendorSimulator
from opsanalytics.lake.manifests import deliveries
from opsanalytics.lake.paths import Home
from opsanalytics.sources.base import RetrySettings
from opsanalytics.sources.errors import (
    CredentialError,
    IncompleteExportError,
    LimitError,
    RequestError,
    SourceError,
    UnavailableError,
)
from opsanalytics.sources.fetching import FetchProgress, fetch, missing_days, probe
from opsanalytics.sources.windows import Window, midnight
from opsanalytics_tests.simulators.clients import small_events
from opsanalytics_tests.simulators.faulty import (
    FaultSchedule,
    FaultySimulator,
    broken_line,
    cut,
    error_page,
    gzip_cut,
    rekeyed,
    repeated_lines,
    server_error,
    silent,
    slow,
    terminated_early,
    too_many_requests,
    unavailable,
    wrong_auth,
    wrong_length,
)
from opsanalytics_tests.sources.support import (
    ENVIRON,
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

EVENTS = small_events()


def faulty(faults: FaultSchedule) -> FaultySimulator:
    return FaultySimulator(mixpanel_project(EVENTS), faults=faults, clock=lambda: NOON)


def fetched_equals_truth(home: Home, simulator: VendorSimulator) -> bool:
    settings = mixpanel(simulator.url)
    run_fetch(settings, home)
    run_clean(settings, home)
    return lake_rows(home) == comparable(EVENTS)


def test_the_lake_equals_the_truth(home: Home) -> None:
    with faulty(FaultSchedule()) as simulator:
        assert fetched_equals_truth(home, simulator)


@pytest.mark.parametrize(
    "fault",
    [
        cut(0.5), cut(0.5, with_length=False), cut(0), cut(0, with_length=False), cut(1, with_length=False),
        terminated_early(), terminated_early(0.0), terminated_early(1.0, newline=True),
        terminated_early(text=b"export terminated early\n"),
        server_error(500), server_error(502), server_error(503), server_error(504),
        too_many_requests(0), too_many_requests(None), slow(4_096, 0.001), gzip_cut(0.5), gzip_cut(0.01),
        error_page(), error_page(b"<html>\n<body>down</body></html>\n", "text/html"), error_page(b"{}"),
        unavailable(0), wrong_length(1), wrong_length(500), wrong_length(-500), wrong_length(-1),
    ],
)  # fmt: skip
def test_a_fault_that_passes_leaves_no_trace(home: Home, fault: object) -> None:
    faults = FaultSchedule().on("mixpanel", 1, fault)  # type: ignore[arg-type]
    with faulty(faults) as simulator:
        assert fetched_equals_truth(home, simulator)
    assert not faults.unused


def test_a_connection_that_falls_silent_is_given_up_and_asked_again(home: Home) -> None:
    with faulty(FaultSchedule().on("mixpanel", 1, silent(3.0))) as simulator:
        settings = mixpanel(simulator.url, read_timeout_seconds=0.3)
        run_fetch(settings, home)
        run_clean(settings, home)
        assert len(simulator.log) == 2
    assert lake_rows(home) == comparable(EVENTS)


def test_bytes_that_trickle_are_waited_for(home: Home) -> None:
    """The read timeout counts silence, not the length of the download."""
    with faulty(FaultSchedule().on("mixpanel", 1, slow(400, 0.05))) as simulator:
        settings = mixpanel(simulator.url, read_timeout_seconds=0.5)
        assert run_fetch(settings, home).requests == 1
        run_clean(settings, home)
    assert lake_rows(home) == comparable(EVENTS)


def test_rows_that_come_twice_in_one_answer_count_once(home: Home) -> None:
    with faulty(FaultSchedule().on("mixpanel", 1, repeated_lines(0.5))) as simulator:
        settings = mixpanel(simulator.url)
        run_fetch(settings, home)
        report = run_clean(settings, home)
    assert lake_rows(home) == comparable(EVENTS)
    assert report.duplicates == EVENTS.height // 2


def test_ids_that_were_merged_between_two_fetches_make_no_second_event(home: Home) -> None:
    """Mixpanel's four-part key differs then; the id as ingested does not."""
    with faulty(FaultSchedule().on("mixpanel", 2, rekeyed(lambda name: f"canonical-{name}"))) as simulator:
        settings = mixpanel(simulator.url)
        run_fetch(settings, home, FIRST, LAST)
        before = run_clean(settings, home)
        run_fetch(settings, home, FIRST, LAST, force=True)
        after = run_clean(settings, home)
    assert lake_rows(home) == comparable(EVENTS)
    assert before.canonical == after.canonical


def test_an_export_that_ends_early_twice_is_asked_for_in_halves(home: Home) -> None:
    with faulty(FaultSchedule().on("mixpanel", [1, 2], terminated_early())) as simulator:
        assert fetched_equals_truth(home, simulator)
        asked = [(r.query["from_date"], r.query["to_date"]) for r in simulator.log]
    assert asked[:3] == [("2026-03-01", "2026-03-05")] * 2 + [("2026-03-01", "2026-03-02")]


def test_a_day_that_always_ends_early_is_an_error_and_lands_nothing(home: Home) -> None:
    with (
        faulty(FaultSchedule().always("mixpanel", terminated_early())) as simulator,
        pytest.raises(IncompleteExportError, match=r"product: 2026-03-01 to 2026-03-01: .*terminated early"),
    ):
        run_fetch(mixpanel(simulator.url), home)
    assert list(deliveries(home, "product")) == []
    assert tree(home.landing) == {}


def test_a_broken_last_line_does_not_stop_a_window(home: Home) -> None:
    with faulty(FaultSchedule().always("mixpanel", broken_line(10_000))) as simulator:
        settings = mixpanel(simulator.url)
        run_fetch(settings, home)
        report = run_clean(settings, home)
    assert lake_rows(home) == comparable(EVENTS)
    assert report.quarantined == 1


def test_wrong_credentials_are_asked_for_once_and_name_the_variables(home: Home) -> None:
    with (
        faulty(FaultSchedule().always("mixpanel", wrong_auth(401))) as simulator,
        pytest.raises(CredentialError, match=r"401.*Check MIXPANEL_USERNAME and MIXPANEL_SECRET"),
    ):
        run_fetch(mixpanel(simulator.url), home)
    assert len(simulator.log) == 1


def test_credentials_refused_with_400_are_credentials_too(home: Home) -> None:
    with (
        faulty(FaultSchedule().always("mixpanel", wrong_auth(400))) as simulator,
        pytest.raises(CredentialError),
    ):
        run_fetch(mixpanel(simulator.url), home)


@pytest.mark.parametrize(
    ("status", "error", "words"),
    [
        (402, RequestError, "plan"), (403, CredentialError, "region"), (404, RequestError, "base_url"),
        (301, RequestError, "base_url"), (400, RequestError, "project_id"),
    ],
)  # fmt: skip
def test_refusals_are_not_retried_and_say_what_to_do(
    home: Home, status: int, error: type[SourceError], words: str
) -> None:
    def refuse(request: Request, answer: object) -> Reply:
        return Reply(status, b'{"error":"no"}')

    with (
        faulty(FaultSchedule().always("mixpanel", refuse)) as simulator,
        pytest.raises(error, match=f"product: 2026-03-01 to 2026-03-05: HTTP {status}.*{words}"),
    ):
        run_fetch(mixpanel(simulator.url), home)
    assert len(simulator.log) == 1


def test_a_vendor_that_echoes_the_secret_does_not_leak_it(
    home: Home, caplog: pytest.LogCaptureFixture
) -> None:
    def echo(request: Request, answer: object) -> Reply:
        return Reply(401, b"bad demo-service-account:demo-secret")

    caplog.set_level(logging.DEBUG)
    with (
        faulty(FaultSchedule().always("mixpanel", echo)) as simulator,
        pytest.raises(CredentialError) as caught,
    ):
        run_fetch(mixpanel(simulator.url), home)
    assert "demo-secret" not in str(caught.value) + caplog.text


def test_a_missing_variable_is_named_before_any_request(home: Home) -> None:
    with VendorSimulator(mixpanel_project(EVENTS)) as simulator:
        settings = mixpanel(simulator.url, secret_env="MY_SECRET")
        with pytest.raises(CredentialError, match="source product: the environment variable MY_SECRET"):
            run_fetch(settings, home)
        assert simulator.log == []


def test_server_errors_end_after_the_configured_attempts(home: Home) -> None:
    with (
        faulty(FaultSchedule().always("mixpanel", server_error(503))) as simulator,
        pytest.raises(UnavailableError, match="after 5 attempts: HTTP 503"),
    ):
        run_fetch(mixpanel(simulator.url), home)
    assert len(simulator.log) == 5


def test_a_dead_host_is_named(home: Home) -> None:
    with pytest.raises(UnavailableError, match=r"product: .*127\.0\.0\.1"):
        run_fetch(mixpanel("http://127.0.0.1:9"), home)


def test_an_exhausted_quota_ends_with_what_to_do(home: Home) -> None:
    retry = RetrySettings(
        backoff_seconds=0.001, longest_backoff_seconds=0.01, rate_limit_patience_seconds=0.05
    )
    with (
        faulty(FaultSchedule().always("mixpanel", too_many_requests(None))) as simulator,
        pytest.raises(LimitError, match="rate limited after"),
    ):
        run_fetch(mixpanel(simulator.url, retry=retry), home)


def test_retry_after_is_honoured(home: Home) -> None:
    messages: list[str] = []
    with faulty(FaultSchedule().on("mixpanel", 1, too_many_requests(1))) as simulator:
        fetch(
            mixpanel(simulator.url), home, FIRST, LAST, environ=ENVIRON, now=NOON,
            progress=lambda state: messages.append(state.message),
        )  # fmt: skip
        first, second = (entry.time for entry in simulator.log)
    assert second - first >= timedelta(seconds=1)
    assert any("next attempt in 1 s" in message for message in messages)


def test_the_vendors_limits_are_kept(home: Home) -> None:
    project = mixpanel_project(EVENTS, limits=(Limit(3, 1.0),))
    with VendorSimulator(project, clock=lambda: NOON) as simulator:
        settings = mixpanel(simulator.url, requests_per_second=3)
        for _ in range(5):
            run_fetch(settings, home, force=True)
        assert simulator.limit_violations == 0


def test_progress_reaches_the_end(home: Home) -> None:
    states: list[FetchProgress] = []
    with faulty(FaultSchedule()) as simulator:
        fetch(mixpanel(simulator.url), home, FIRST, LAST, environ=ENVIRON, now=NOON, progress=states.append)
    assert states[-1].done == states[-1].total == timedelta(days=5)
    assert states[-1].records == EVENTS.height


def test_settled_days_are_not_asked_for_again(home: Home) -> None:
    with faulty(FaultSchedule()) as simulator:
        settings = mixpanel(simulator.url)
        run_fetch(settings, home, LAST - timedelta(days=1), LAST, now=NOON + timedelta(days=5))
        report = run_fetch(settings, home, FIRST, LAST, now=NOON + timedelta(days=5))
    assert report.deliveries == ("2026-03-01--2026-03-03",)
    assert report.skipped == timedelta(days=2)


def test_days_within_the_lookback_are_asked_for_again(home: Home) -> None:
    with faulty(FaultSchedule()) as simulator:
        settings = mixpanel(simulator.url, lookback_days=30)
        run_fetch(settings, home)
        before = tree(home.landing)
        report = run_fetch(settings, home, now=NOON + timedelta(hours=1))
    assert report.requests == 1
    assert report.changed == ()
    assert [name for name in before if "manifest" not in name] == [
        name for name, content in tree(home.landing).items() if before.get(name) == content
    ]


def test_force_asks_for_settled_days(home: Home) -> None:
    with faulty(FaultSchedule()) as simulator:
        settings = mixpanel(simulator.url, lookback_days=0)
        run_fetch(settings, home)
        assert run_fetch(settings, home).requests == 0
        assert run_fetch(settings, home, force=True).requests == 1


def test_today_is_fetched_but_not_called_complete(home: Home) -> None:
    now = datetime(2026, 3, 4, 15, tzinfo=UTC)
    with VendorSimulator(mixpanel_project(EVENTS), clock=lambda: now) as simulator:
        settings = mixpanel(simulator.url)
        report = run_fetch(settings, home, now=now)
        assert [entry.query["to_date"] for entry in simulator.log] == ["2026-03-04"]
    assert report.complete_through == datetime(2026, 3, 4, 14, tzinfo=UTC)
    assert "2026-03-04 14:00 UTC" in str(report.not_yet)
    assert missing_days(settings, home, FIRST, LAST) == [date(2026, 3, 4), date(2026, 3, 5)]


def test_a_range_in_the_future_asks_for_nothing(home: Home) -> None:
    with faulty(FaultSchedule()) as simulator:
        report = run_fetch(mixpanel(simulator.url), home, date(2026, 4, 1), date(2026, 4, 2))
        assert simulator.log == []
    assert report.complete_through is None
    assert report.not_yet is not None


def test_a_wrong_zone_is_explained(home: Home) -> None:
    """Airbyte stopped the stream silently when the project's day had not begun."""
    now = datetime(2026, 3, 5, 3, tzinfo=UTC)
    project = mixpanel_project(EVENTS, zone="America/Los_Angeles")
    with (
        VendorSimulator(project, clock=lambda: now) as simulator,
        pytest.raises(RequestError, match="project_timezone = 'UTC' does not match"),
    ):
        run_fetch(mixpanel(simulator.url), home, now=now)


@pytest.mark.parametrize("zone", ["America/Los_Angeles", "Asia/Kolkata", "Pacific/Auckland", "Europe/Berlin"])
def test_projects_in_local_time_give_true_utc(home: Home, zone: str) -> None:
    project = mixpanel_project(EVENTS, zone=zone)
    with VendorSimulator(project, clock=lambda: NOON) as simulator:
        settings = mixpanel(simulator.url, project_timezone=zone)
        run_fetch(settings, home)
        run_clean(settings, home)
    assert lake_rows(home) == comparable(EVENTS)
    assert missing_days(settings, home, FIRST, LAST) == []


def test_the_url_is_inclusive_and_asks_for_milliseconds(home: Home) -> None:
    window = Window(midnight(FIRST), midnight(LAST))
    assert mixpanel("http://x").request(window, ENVIRON).params == {
        "project_id": "1000001",
        "from_date": "2026-03-01",
        "to_date": "2026-03-04",
        "time_in_ms": "true",
    }


def test_manifests_hold_no_secret(home: Home) -> None:
    with faulty(FaultSchedule()) as simulator:
        run_fetch(mixpanel(simulator.url), home)
    everything = b"".join(content for name, content in tree(home.landing).items() if name.endswith(".json"))
    assert b"demo-secret" not in everything
    assert b"demo-service-account" not in everything
    assert json.loads(next(Path(home.landing).rglob("manifest.json")).read_text())["status"] == 200


def test_probe_proves_the_credentials_and_lands_nothing(home: Home) -> None:
    with faulty(FaultSchedule()) as simulator:
        assert "0 records" in probe(mixpanel(simulator.url), home, environ=ENVIRON, now=NOON)
        assert len(simulator.log) == 1
    assert tree(home.landing) == {}


def test_each_region_has_its_host() -> None:
    hosts = {region: mixpanel("http://x", base_url=None, region=region).host for region in ("us", "eu", "in")}
    assert hosts == {
        "us": "https://data.mixpanel.com",
        "eu": "https://data-eu.mixpanel.com",
        "in": "https://data-in.mixpanel.com",
    }


def test_an_error_page_that_stays_is_told_and_nothing_counts(home: Home) -> None:
    faults = FaultSchedule().always("mixpanel", error_page(b"<html>down for maintenance</html>\n"))
    with faulty(faults) as simulator:
        with pytest.raises(UnavailableError, match="no export, it begins with '<html>down"):
            run_fetch(mixpanel(simulator.url), home)
        assert len(simulator.log) == 5
    assert not list(deliveries(home, "product"))


def test_a_pause_longer_than_our_patience_is_not_waited_for(home: Home) -> None:
    """A Retry-After of a day on a 503 would keep the run, and its lock, for days."""
    with faulty(FaultSchedule().always("mixpanel", unavailable(86_400))) as simulator:
        with pytest.raises(UnavailableError, match="asks to wait 86400 s"):
            run_fetch(mixpanel(simulator.url), home)
        assert len(simulator.log) == 1
