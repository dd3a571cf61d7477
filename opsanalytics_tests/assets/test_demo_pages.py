"""The demo's pages as a product manager opens them: from the disk, without a network, on any screen."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

from opsanalytics_tests.browser import launch

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright, launch(playwright) as opened:
        yield opened


def check_page(browser: Browser, path: Path, width: int) -> None:
    page = browser.new_page(viewport={"width": width, "height": 900})
    said: list[str] = []
    asked: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(path.resolve().as_uri())
    page.wait_for_load_state("load")
    assert said == []
    assert [url for url in asked if not url.startswith(("file:", "data:", "blob:"))] == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert "generated" in page.inner_text("body")
    page.close()


def pages(demo: Path) -> list[Path]:
    return sorted((demo / "data" / "reports").rglob("index.html"))


def test_there_are_four_weeks_and_an_index(demo: Path) -> None:
    names = [page.parent.name for page in pages(demo)]
    assert sorted(names) == ["2026-10-19", "2026-10-26", "2026-11-02", "2026-11-09", "reports"]


@pytest.mark.parametrize("width", [360, 1280])
def test_every_page_opens_without_error_or_network(demo: Path, browser: Browser, width: int) -> None:
    for path in pages(demo):
        check_page(browser, path, width)


def test_the_index_leads_to_every_week_and_each_week_says_what_to_fix(demo: Path, browser: Browser) -> None:
    page = browser.new_page()
    page.goto((demo / "data" / "reports" / "index.html").resolve().as_uri())
    links = page.eval_on_selector_all("a[href$='index.html']", "nodes => nodes.map(node => node.href)")
    assert len(set(links)) >= 4
    for link in sorted(set(links)):
        page.goto(link)
        assert page.locator("h2", has_text="What to fix next").count() == 1
        assert page.locator(".js-plotly-plot svg").count() > 3
    page.close()
