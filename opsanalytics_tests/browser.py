"""Headless Chromium for tests that look at pages."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from shutil import which

from playwright.sync_api import Browser, Playwright

from opsanalytics_tests.conftest import skip_or_fail


@contextmanager
def launch(playwright: Playwright) -> Iterator[Browser]:
    """Open the installed Chromium; without one the test is skipped, on CI it fails."""
    names = (os.environ.get("OPSANALYTICS_CHROMIUM", ""), "chromium", "chromium-browser", "google-chrome")
    executable = next((found for name in names if (found := which(name))), None)
    if executable is None:
        skip_or_fail("there is no Chromium: install it, or name it in OPSANALYTICS_CHROMIUM")
    browser = playwright.chromium.launch(
        executable_path=executable, args=["--no-sandbox", "--disable-background-networking"]
    )
    try:
        yield browser
    finally:
        browser.close()
