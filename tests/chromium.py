"""The system's Chromium, driven by Playwright, for tests that ask for it."""

import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

# As infra/local/setup.sh knows them.
_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    found = [path for path in map(shutil.which, _NAMES) if path]
    assert found, "There is no Chromium. Install it with: make setup-dev"
    with sync_playwright() as playwright:
        # Nobody clicks here, there are no loudspeakers, and a container's /dev/shm is small.
        options = ["--autoplay-policy=no-user-gesture-required", "--mute-audio", "--disable-dev-shm-usage"]
        browser = playwright.chromium.launch(executable_path=found[0], args=options)
        yield browser
        browser.close()


@pytest.fixture
def page(chromium: Browser) -> Iterator[Page]:
    """An empty page, with nothing in the cache."""
    with chromium.new_context() as context:
        context.set_default_timeout(20_000)
        yield context.new_page()
