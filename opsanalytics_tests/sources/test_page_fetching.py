"""Feedback pulled from APIs: what arrives is the truth, whatever happens on the way."""

import gzip
import json
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from opsanalytics.demo.simulator import Reply, Request
from opsanalytics.demo.simulator.limits import Limit
from opsanalytics.demo.simulator.messages import json_reply
from opsanalytics.lake.manifests import deliveries
from opsanalytics.lake.paths import Home
from opsanalytics.quality.reconciliation import build_ledger, unreconciled
from opsanalytics.sources.app_store_connect import AppStoreConnectSettings
from opsanalytics.sources.base import Answer, RetrySettings
from opsanalytics.sources.errors import CredentialError, RequestError, SourceError, UnavailableError
from opsanalytics.sources.intercom import IntercomSettings
from opsanalytics.sources.limiter import Limit as SourceLimit
from opsanalytics.sources.page_download import asked_pause
from opsanalytics.sources.page_fetching import probe_pages
from opsanalytics.sources.typeform_api import TypeformApiSettings
from opsanalytics.sources.zendesk import ZendeskSettings
from opsanalytics_tests.simulators.desks import doing, remembering, repeating
from opsanalytics_tests.simulators.faulty import (
    FaultSchedule,
    FaultySimulator,
    cut,
    server_error,
    too_many_requests,
    wrong_auth,
)
from opsanalytics_tests.sources.desks import (
    APP_STORE,
    ENVIRON,
    INTERCOM,
    KINDS,
    NOW,
    TOMORROW,
    TYPEFORM,
    ZENDESK,
    Kind,
    arrived,
    clean,
    run_pull,
)
from opsanalytics_tests.sources.support import tree

every_kind = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.vendor)


class Served:
    """A simulator of one kind, its records and its faults."""

    def __init__(self, kind: Kind, count: int = 35, **how: Any) -> None:
        self.kind = kind
        self.desk: Any = kind.make(count, **how)
        self.faults = FaultSchedule()
        self.simulator = FaultySimulator(*kind.vendors(self.desk), faults=self.faults, clock=lambda: TOMORROW)

    def __enter__(self) -> "Served":
        self.simulator.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.simulator.stop()

    def settings(self, **changes: Any) -> Any:
        return self.kind.settings(self.simulator.url, **changes)

    @property
    def pages_asked(self) -> int:
        """Requests for pages of records so far."""
        return sum(
            entry.vendor == self.kind.vendor
            and not (self.kind is TYPEFORM and not entry.path.endswith("/responses"))
            and not (self.kind is INTERCOM and not entry.path.endswith("/search"))
            for entry in self.simulator.log
        )


@every_kind
def test_a_full_pull_is_the_truth(home: Home, kind: Kind) -> None:
    with Served(kind) as served:
        report = run_pull(served.settings(), home)
        assert arrived(served.settings(), home) == served.desk.truth()
    assert report.records == 35
    assert not report.doubts


@every_kind
def test_an_account_without_records_lands_nothing(home: Home, kind: Kind) -> None:
    with Served(kind, 0) as served:
        report = run_pull(served.settings(), home)
    assert report.landed == ()
    assert list(deliveries(home, "desk")) == []


@every_kind
def test_pages_land_byte_for_byte_as_they_came(home: Home, kind: Kind) -> None:
    kept: list[Reply] = []
    with Served(kind) as served:
        served.faults.on(kind.vendor, 1, remembering(kept))
        run_pull(served.settings(), home)
        first = next(each for each in deliveries(home, "desk") if each.request.get("stream"))
        content = (home.delivery("desk", first.delivery) / first.files[0].name).read_bytes()
    assert gzip.decompress(content) == kept[0].body


@every_kind
def test_new_and_changed_records_arrive_with_the_next_pull(home: Home, kind: Kind) -> None:
    with Served(kind) as served:
        run_pull(served.settings(), home)
        clean(served.settings(), home)
        kind.change(served.desk, 12, 400)
        kind.change(served.desk, 3, 401)
        served.desk.add(402)
        asked = served.pages_asked
        run_pull(served.settings(), home, now=TOMORROW)
        assert arrived(served.settings(), home) == served.desk.truth()
        if kind in (ZENDESK, TYPEFORM):  # the others have to look back a day, or at everything
            assert served.pages_asked - asked == 1, "only what is new is asked for"


@every_kind
def test_a_pull_without_news_lands_nothing(home: Home, kind: Kind) -> None:
    with Served(kind) as served:
        run_pull(served.settings(), home)
        before = tree(home.landing)
        assert run_pull(served.settings(), home).landed == ()
        assert tree(home.landing) == before


@every_kind
def test_the_books_add_up_after_updates(home: Home, kind: Kind) -> None:
    with Served(kind) as served:
        run_pull(served.settings(), home)
        kind.change(served.desk, 5, 400)
        run_pull(served.settings(), home, now=TOMORROW)
        report = clean(served.settings(), home)
        ledger = build_ledger(home, [served.settings()])
    assert unreconciled(ledger, deliveries(home, "desk")).is_empty()
    assert report.records == report.canonical + report.duplicates + report.quarantined


@every_kind
def test_faults_on_the_way_change_nothing(home: Home, kind: Kind) -> None:
    with Served(kind) as served:
        faults = [
            too_many_requests(None),
            server_error(503),
            cut(0.5),
            cut(0.9, with_length=False),
            too_many_requests(0),
            server_error(500),
        ]
        for number, fault in zip((1, 3, 5, 7, 8, 10), faults, strict=True):
            served.faults.on(kind.vendor, number, fault)
        run_pull(served.settings(page_size=5), home)
        assert arrived(served.settings(), home) == served.desk.truth()
        assert served.faults.unused == []


@every_kind
def test_a_page_that_is_sent_twice_is_asked_for_again(home: Home, kind: Kind) -> None:
    kept: list[Reply] = []
    told: list[str] = []
    with Served(kind) as served:
        served.faults.on(kind.vendor, 1, remembering(kept)).on(kind.vendor, 2, repeating(kept))
        run_pull(served.settings(), home, told=told)
        assert arrived(served.settings(), home) == served.desk.truth()
    assert any("leads back to one that was read before" in line for line in told)


@every_kind
def test_an_answer_that_is_no_page_is_never_landed(home: Home, kind: Kind) -> None:
    with Served(kind) as served:
        served.faults.on(kind.vendor, [1, 2], lambda request, answer: json_reply(200, {"error": "oops"}))
        run_pull(served.settings(), home)
        assert arrived(served.settings(), home) == served.desk.truth()


@every_kind
def test_a_record_that_changes_while_pages_are_read_is_neither_lost_nor_doubled(
    home: Home, kind: Kind
) -> None:
    with Served(kind) as served:
        served.faults.on(kind.vendor, 2, doing(lambda: kind.change(served.desk, 2, 300)))
        served.faults.on(kind.vendor, 3, doing(lambda: kind.change(served.desk, 34, 301)))
        run_pull(served.settings(), home)
        run_pull(served.settings(), home, now=TOMORROW)
        assert arrived(served.settings(), home) == served.desk.truth()


@every_kind
def test_a_record_that_comes_while_pages_are_read_arrives_once(home: Home, kind: Kind) -> None:
    with Served(kind) as served:
        served.faults.on(kind.vendor, 2, doing(lambda: served.desk.add(300)))
        run_pull(served.settings(), home)
        run_pull(served.settings(), home, now=TOMORROW)
        assert arrived(served.settings(), home) == served.desk.truth()


def test_pages_that_shift_are_noticed_and_read_again(home: Home) -> None:
    told: list[str] = []
    with Served(INTERCOM, by_offset=True) as served:
        # the first record moves behind the others: the tenth slips onto the page that was read
        served.faults.on("intercom", 2, doing(lambda: INTERCOM.change(served.desk, 0, 300)))
        report = run_pull(served.settings(), home, told=told)
        assert arrived(served.settings(), home) == served.desk.truth()
    assert any("records moved while they were read" in line for line in told)
    assert report.doubts == ()


def test_a_vendor_that_miscounts_is_doubted_but_does_not_stop_the_pull(home: Home) -> None:
    def miscounting(request: Request, answer: Callable[[], Reply]) -> Reply:
        reply = answer()
        page = json.loads(reply.body)
        return json_reply(200, {**page, "total_count": 99}) if "total_count" in page else reply

    with Served(INTERCOM) as served:
        served.faults.always("intercom", miscounting)
        report = run_pull(served.settings(), home)
        assert arrived(served.settings(), home) == served.desk.truth()
    assert "names more records" in report.doubts[0]


@pytest.mark.parametrize("kind", [ZENDESK, INTERCOM, APP_STORE], ids=lambda kind: kind.vendor)
def test_a_cursor_that_expires_between_pages_begins_the_walk_anew(home: Home, kind: Kind) -> None:
    def expire(served: Served) -> None:
        served.desk.generation += 1

    with Served(kind) as served:
        served.faults.on(kind.vendor, 3, doing(lambda: expire(served)))
        run_pull(served.settings(), home)
        assert arrived(served.settings(), home) == served.desk.truth()


def test_a_cursor_that_expires_between_pulls_begins_the_walk_anew(home: Home) -> None:
    with Served(ZENDESK) as served:
        run_pull(served.settings(), home)
        served.desk.generation += 1
        served.desk.change(sorted(served.desk.tickets)[0], 400, status="closed")
        run_pull(served.settings(), home, now=TOMORROW)
        assert arrived(served.settings(), home) == served.desk.truth()


def test_a_typeform_response_deleted_under_the_cursor_begins_the_walk_anew(home: Home) -> None:
    with Served(TYPEFORM) as served:
        # the last response of the first page is the cursor
        served.faults.on("typeform", 2, doing(lambda: served.desk.responses.pop(f"tok{25:09}")))
        run_pull(served.settings(), home)
        kept = arrived(served.settings(), home)
    gone = kept.pop(f"tok{25:09}")
    assert gone.text is not None, "it had landed: the API does not say that it was deleted"
    assert kept == served.desk.truth()


def test_a_vendor_that_refuses_every_cursor_is_reported(home: Home) -> None:
    def refusing(request: Request, answer: Callable[[], Reply]) -> Reply:
        return json_reply(400, {"error": "cursor"}) if "cursor" in request.query else answer()

    with Served(ZENDESK) as served:
        served.faults.always("zendesk", refusing)
        with pytest.raises(SourceError, match="refuses its own cursors"):
            run_pull(served.settings(), home)


@every_kind
def test_limits_hold(home: Home, kind: Kind) -> None:
    # a second process's worth of requests: two pulls, one limiter
    limits = {
        "zendesk": {"requests_per_minute": 10_000},
        "intercom": {"requests_per_10_seconds": 10_000},
        "typeform": {"requests_per_second": 6},
        "app store": {"requests_per_hour": 10_000},
    }
    allowed = [Limit(6, 1.0)] if kind is TYPEFORM else [Limit(10_000, 1.0)]
    with Served(kind, limits=allowed) as served:
        settings = served.settings(page_size=5, **limits[kind.vendor])
        run_pull(settings, home)
        run_pull(settings, home, now=TOMORROW)
        assert served.simulator.limit_violations == 0
        assert arrived(settings, home) == served.desk.truth()


def test_what_the_vendors_allow_is_the_default() -> None:
    assert ZendeskSettings(name="desk", subdomain="acme").limits == (SourceLimit(10, 60.0),)
    assert TypeformApiSettings(name="desk", forms=("u6nXL7",)).limits == (SourceLimit(2, 1.0),)
    assert AppStoreConnectSettings(name="desk", apps=("1",)).limits[0].requests < 3_600
    assert IntercomSettings(name="desk", region="us").limits[0].requests < 1_666


@every_kind
def test_a_vendor_that_is_down_is_named_and_what_landed_stays(home: Home, kind: Kind) -> None:
    with Served(kind) as served:
        served.faults.on(kind.vendor, range(3, 20), server_error(503))
        with pytest.raises(UnavailableError, match=r"source desk: .* HTTP 503"):
            run_pull(served.settings(), home)
        landed = {each.delivery for each in deliveries(home, "desk")}
        served.faults.planned.clear()
        run_pull(served.settings(), home)
        assert len(landed) == 2
        assert arrived(served.settings(), home) == served.desk.truth()


@every_kind
def test_wrong_credentials_name_the_variable_and_what_to_do(home: Home, kind: Kind) -> None:
    with Served(kind) as served:
        served.faults.always(kind.vendor, wrong_auth())
        with pytest.raises(CredentialError, match=rf"Check .*{kind.token}"):
            run_pull(served.settings(), home)
        assert len(served.simulator.log) == 1, "credentials are not tried again"


@every_kind
def test_missing_credentials_are_named_before_any_request(home: Home, kind: Kind) -> None:
    environ = {name: value for name, value in ENVIRON.items() if name != kind.token}
    with Served(kind) as served:
        with pytest.raises(CredentialError, match=kind.token):
            run_pull(served.settings(), home, environ=environ)
        assert served.simulator.log == []


@every_kind
def test_credentials_do_not_follow_a_redirect(home: Home, kind: Kind) -> None:
    with Served(kind) as served, Served(kind) as elsewhere:
        target = f"{elsewhere.simulator.url}/login"
        served.faults.always(kind.vendor, lambda request, answer: Reply(302, headers={"Location": target}))
        with pytest.raises(RequestError, match=r"HTTP 302.*(?i:check)"):
            run_pull(served.settings(), home)
        assert elsewhere.simulator.log == []


@pytest.mark.parametrize(
    ("headers", "pause"),
    [
        ({"Retry-After": "7", "X-RateLimit-Reset": "99"}, 7.0),
        ({"X-RateLimit-Reset": "9"}, 9.0),
        ({"X-RateLimit-Reset": "1500000000"}, 0.0),
        ({"X-RateLimit-Reset": "99999999999"}, 3_600.0),
        ({"X-RateLimit-Reset": "soon"}, None),
        ({}, None),
    ],
)
def test_how_long_a_vendor_asks_us_to_wait(headers: dict[str, str], pause: float | None) -> None:
    assert asked_pause(Answer(429, headers, "")) == pause


@every_kind
def test_a_probe_asks_for_one_record_and_lands_nothing(home: Home, kind: Kind) -> None:
    with Served(kind) as served:
        answer = probe_pages(served.settings(), home, environ=ENVIRON, now=NOW)
        assert len(served.simulator.log) == 1
    assert "the vendor answered" in answer
    assert list(deliveries(home, "desk")) == []


@every_kind
def test_no_secret_is_written_or_said_even_if_the_vendor_echoes_it(home: Home, kind: Kind) -> None:
    def echoing(request: Request, answer: Callable[[], Reply]) -> Reply:
        return json_reply(500, {"you sent": request.headers["authorization"], "all": list(ENVIRON.values())})

    told: list[str] = []
    said: list[str] = []
    with Served(kind) as served:
        served.faults.on(kind.vendor, range(2, 9), echoing)
        settings = served.settings()
        with pytest.raises(SourceError) as caught:
            run_pull(settings, home, told=told)
        run_pull(served.settings(retry=RetrySettings(attempts=9, backoff_seconds=0)), home, told=told)
        said += [str(caught.value), *told, repr(settings)]
    own = {value for name, value in ENVIRON.items() if name in settings.model_dump().values()}
    written = b"\n".join(path.read_bytes() for path in home.root.rglob("*") if path.is_file())
    for secret in own:
        assert secret not in "\n".join(said)
        assert secret.encode() not in written


@every_kind
def test_a_record_without_an_id_is_set_aside_once(home: Home, kind: Kind) -> None:
    def adding(request: Request, answer: Callable[[], Reply]) -> Reply:
        page = json.loads(answer().body)
        for member in ("tickets", "conversations", "items", "data"):
            page[member] = [*page[member], {"odd": True}, 7] if member in page else []
        return json_reply(200, page)

    with Served(kind, 0) as served:
        served.faults.always(kind.vendor, adding)
        run_pull(served.settings(), home)
        if kind is not ZENDESK:  # its cursor would have brought the page once
            run_pull(served.settings(), home)
        report = clean(served.settings(), home)
    assert (report.records, report.quarantined) == (2, 2)


@pytest.mark.parametrize("kind", [ZENDESK, INTERCOM], ids=lambda kind: kind.vendor)
def test_an_address_alone_is_an_account_to_pull_from(home: Home, kind: Kind) -> None:
    """Whoever names a proxy or a test server means it; only dumps would be read without a word."""
    with Served(kind) as served:
        settings = served.settings(**({"subdomain": None} if kind is ZENDESK else {"region": None}))
        assert settings.pulls
        run_pull(settings, home)
        assert arrived(settings, home) == served.desk.truth()


def test_reviews_are_paged_by_whatever_the_links_say(home: Home) -> None:
    with Served(APP_STORE) as served:
        served.desk.paged_by = "page[offset]"
        run_pull(served.settings(), home)
        assert arrived(served.settings(), home) == served.desk.truth()


HAZARDS = {
    "limited": too_many_requests(0),
    "down": server_error(502),
    "cut": cut(0.7),
    "cut without a trace": cut(0.6, with_length=False),
    "other answer": lambda request, answer: json_reply(200, []),
}


@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    kind=st.sampled_from(KINDS),
    hazards=st.dictionaries(st.integers(1, 12), st.sampled_from(sorted(HAZARDS)), max_size=6),
    changes=st.lists(st.tuples(st.integers(1, 12), st.integers(0, 24)), max_size=5),
    page_size=st.integers(3, 12),
)
def test_any_mixture_of_faults_and_changes_ends_in_the_truth(
    tmp_path_factory: pytest.TempPathFactory,
    kind: Kind,
    hazards: dict[int, str],
    changes: list[tuple[int, int]],
    page_size: int,
) -> None:
    home = Home(tmp_path_factory.mktemp("home"))
    with Served(kind, 25) as served:
        for at, (number, record) in enumerate(changes, start=300):
            change = partial(kind.change, served.desk, record, at)
            served.faults.on(kind.vendor, number, doing(change))
        for number, hazard in hazards.items():
            served.faults.on(kind.vendor, number, HAZARDS[hazard])
        source = served.settings(page_size=page_size, retry=RetrySettings(attempts=9, backoff_seconds=0))
        run_pull(source, home)
        served.faults.planned.clear()  # what changes behind the last pull, only a later one can see
        run_pull(source, home, now=TOMORROW)
        assert arrived(source, home) == served.desk.truth()
