"""The pages as a reader opens them: Chromium, from disk, without a network."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import sync_playwright

from opsanalytics.lake.paths import Home
from opsanalytics.reports.data import ReportData
from opsanalytics.reports.publish import write_report
from opsanalytics_tests.browser import launch
from opsanalytics_tests.reports import samples

pytestmark = pytest.mark.slow

Open = Callable[..., Any]
PAGES: dict[str, Callable[[], ReportData]] = {
    "sample": samples.sample,
    "empty": samples.empty,
    "hostile": samples.hostile,
    "withheld": samples.withheld,
    "long_history": samples.long_history,
}
DRAWN = """[...document.querySelectorAll('.chart')]
    .every(chart => chart.clientWidth === 0 || chart.querySelector('svg.main-svg'))"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with sync_playwright() as playwright, launch(playwright) as chromium:
        yield chromium


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {name: write_report(Home(tmp_path_factory.mktemp(name)), make()) for name, make in PAGES.items()}


@pytest.fixture
def open_page(browser: Any, written: dict[str, Path]) -> Iterator[Open]:
    """Open a page; whatever the browser complains of or asks for is in `page.complaints`, `page.requests`."""
    contexts = []

    def open_(name: str, *, width: int = 1280, scheme: str = "light", fragment: str = "") -> Any:
        context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
        contexts.append(context)
        page = context.new_page()
        page.complaints, page.requests = [], []
        page.on("console", lambda message: page.complaints.append(message.text))
        page.on("pageerror", lambda error: page.complaints.append(str(error)))
        page.on("request", lambda request: page.requests.append(request.url))
        page.goto(written[name].as_uri() + fragment)
        page.wait_for_function(DRAWN)
        return page

    yield open_
    for context in contexts:
        context.close()


@pytest.mark.parametrize("name", PAGES)
def test_a_page_opens_from_disk_without_complaint_or_network(open_page: Open, name: str) -> None:
    page = open_page(name)
    assert page.complaints == []
    assert [url for url in page.requests if not url.startswith(("file:", "data:"))] == []
    assert page.evaluate("window.hacked") is None


def test_every_visible_chart_is_drawn_and_named(open_page: Open) -> None:
    page = open_page("sample")
    assert page.locator(".chart svg.main-svg").count() >= 10
    assert page.locator(".chart[role=img]:not([aria-label])").count() == 0


@pytest.mark.parametrize("name", PAGES)
def test_a_page_never_scrolls_sideways(open_page: Open, name: str) -> None:
    page = open_page(name, width=360)
    page.evaluate("document.querySelectorAll('details').forEach(d => { d.open = true; })")
    page.wait_for_function(DRAWN)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    page.set_viewport_size({"width": 1280, "height": 900})
    assert page.evaluate("document.documentElement.scrollWidth") <= 1280


def test_hostile_labels_are_drawn_letter_for_letter(open_page: Open) -> None:
    page = open_page("hostile")
    label = page.locator("#funnel-invite-steps .annotation-text").first.text_content()
    assert label == "1. </script><script>window.hacke…"


def test_a_chart_in_a_folded_part_is_drawn_when_it_opens(open_page: Open) -> None:
    page = open_page("sample")
    folded = page.locator("details:has(> figure .chart)", has_text="country: no detectable difference")
    folded.locator("> summary").click()
    drawing = folded.locator("svg.main-svg").first
    drawing.wait_for()
    assert drawing.bounding_box()["width"] == pytest.approx(folded.bounding_box()["width"], abs=2)


def test_a_link_to_an_item_on_watch_unfolds_it(open_page: Open) -> None:
    page = open_page("sample", fragment="#pp-slow")
    assert page.locator("#pp-slow").get_attribute("open") is not None
    assert page.locator("#pp-slow h4").is_visible()


def test_every_anchor_leads_to_something_visible(open_page: Open) -> None:
    page = open_page("sample")
    hidden = page.evaluate(
        """() => [...document.querySelectorAll('a[href^="#"]')].map(a => a.getAttribute('href').slice(1))
        .filter(id => {
            location.hash = id;
            const target = document.getElementById(id);
            return !target || !target.getClientRects().length;
        })"""
    )
    assert hidden == []


def test_the_query_can_be_copied(open_page: Open) -> None:
    page = open_page("sample", fragment="#pp-card")
    card = page.locator("#pp-card")
    card.locator("summary").click()
    card.locator("button.copy").click()
    assert card.locator("button.copy").text_content() == "Copied"
    assert (
        page.evaluate("getSelection().toString().trim()") == card.locator("pre.query").text_content().strip()
    )


def test_print_is_light_and_cuts_no_chart(open_page: Open) -> None:
    page = open_page("sample", scheme="dark")
    page.emulate_media(media="print", color_scheme="dark")
    page.set_viewport_size({"width": 700, "height": 1000})
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    cut = page.evaluate(
        """() => [...document.querySelectorAll('.chart svg.main-svg')]
        .filter(s => s.getClientRects().length && s.getBoundingClientRect().right > 701).length"""
    )
    assert cut == 0


def test_paper_holds_the_whole_page(open_page: Open, tmp_path: Path) -> None:
    page = open_page("sample")
    pdf = tmp_path / "report.pdf"
    page.pdf(path=str(pdf), format="A4")
    content = pdf.read_bytes()
    assert content.startswith(b"%PDF")
    assert 5 <= content.count(b"/Type /Page\n") <= 25


def test_the_index_opens_and_leads_to_the_week(open_page: Open) -> None:
    page = open_page("sample", width=360)
    page.locator("text=All weeks").click()
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    page.locator("a[href='weekly/2026-10-12/index.html']").click()
    assert page.locator("h1").text_content() == "Week of 12 to 18 Oct 2026"
    assert page.complaints == []
