from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from opsanalytics.lake.paths import Home
from opsanalytics.quality.docs import build_data_docs
from opsanalytics.quality.results import CheckOutcome, record
from opsanalytics_tests.browser import launch

PASSED = CheckOutcome(
    table="events",
    check="person_known",
    partition="2024-01-01",
    passed=True,
    severity="warning",
    description="Every event belongs to somebody.",
    checked=1000,
    unexpected=0,
)
HOSTILE = "event=<script>document.title = 'pwned'</script>"
FAILED = replace(
    PASSED, check="ts_plausible", passed=False, severity="error", unexpected=3, examples=(HOSTILE,)
)


def write(home: Home, *outcomes: CheckOutcome) -> None:
    checked_at = datetime(2024, 2, 1, 6, 30, tzinfo=UTC)
    record(home, outcomes, producer="suite", checked_at=checked_at, data_version="v1")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright, launch(playwright) as opened:
        yield opened


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    opened = browser.new_page(viewport={"width": 390, "height": 800})
    yield opened
    opened.close()


def test_the_pages_open_without_any_request_or_message(home: Home, page: Page) -> None:
    write(home, PASSED, FAILED)
    requests: list[str] = []
    messages: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    page.on("console", lambda message: messages.append(message.text))
    index = build_data_docs(home)
    page.goto(index.as_uri())
    page.click("text=events")
    assert requests == [index.as_uri(), index.with_name("events.html").as_uri()]
    assert messages == []


def test_text_from_data_is_shown_not_run(home: Home, page: Page) -> None:
    write(home, FAILED)
    page.goto(build_data_docs(home).with_name("events.html").as_uri())
    assert page.inner_text("td code") == HOSTILE
    assert page.title() == "events · Data Docs"


def test_the_pages_fit_a_phone(home: Home, page: Page) -> None:
    write(home, PASSED, FAILED)
    index = build_data_docs(home)
    for path in (index, index.with_name("events.html")):
        page.goto(path.as_uri())
        assert page.evaluate("document.documentElement.scrollWidth") == 390


def test_failed_checks_come_first_with_partition_and_example(home: Home, page: Page) -> None:
    write(home, PASSED, FAILED)
    page.goto(build_data_docs(home).with_name("events.html").as_uri())
    assert page.locator("h2").all_inner_texts() == ["ts_plausible", "person_known"]
    assert "2024-01-01\t3 of 1,000" in page.locator("section").first.inner_text()


def test_a_check_of_a_suite_shows_its_expectation(home: Home) -> None:
    write(home, PASSED)
    text = build_data_docs(home).with_name("events.html").read_text()
    assert "ExpectColumnValuesToNotBeNull(column=&#34;any_id&#34;)" in text


def test_a_check_outside_the_suites_is_shown_too(home: Home) -> None:
    write(home, replace(FAILED, table="ingestion_ledger", check="reconciled", partition="web"))
    index = build_data_docs(home)
    assert "reconciled" in index.with_name("ingestion_ledger.html").read_text()


def test_a_long_history_is_shown_by_month(home: Home, page: Page) -> None:
    days = [date(2024, 1, 1) + timedelta(days=number) for number in range(200)]
    write(
        home, *(replace(FAILED if d.day == 9 else PASSED, check="c", partition=d.isoformat()) for d in days)
    )
    page.goto(build_data_docs(home).with_name("events.html").as_uri())
    cells = page.locator(".cells li")
    assert cells.count() == 7
    assert cells.first.get_attribute("title") == (
        "2024-01: 1 of 31 partitions failed, 3 of 31,000 rows unexpected"
    )


def test_a_check_that_saw_no_row_is_not_called_passed(home: Home, page: Page) -> None:
    write(home, replace(PASSED, checked=0))
    page.goto(build_data_docs(home).as_uri())
    assert page.inner_text("td .pill") == "not checked"


def test_without_results_the_index_says_so(home: Home) -> None:
    assert "No check has run yet" in build_data_docs(home).read_text()


def test_pages_of_tables_without_results_go_away(home: Home) -> None:
    index = build_data_docs(home)
    index.with_name("retired.html").write_text("old")
    build_data_docs(home)
    assert [path.name for path in index.parent.iterdir()] == ["index.html"]


def test_the_same_results_give_the_same_bytes(home: Home) -> None:
    write(home, PASSED, FAILED)
    index = build_data_docs(home)
    first = {path.name: path.read_bytes() for path in index.parent.iterdir()}
    build_data_docs(home)
    assert {path.name: path.read_bytes() for path in index.parent.iterdir()} == first
