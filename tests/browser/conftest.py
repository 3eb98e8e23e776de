import re
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.support.gallery import Gallery
from tests.support.headless import launch_chromium
from tests.support.servers import Site

# Milliseconds: a machine at work may take longer than the five seconds of Playwright.
expect.set_options(timeout=15_000)


# Not for the whole session: its loop runs in this thread, and Django talks to no database beside a loop.
@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = launch_chromium(playwright)
        yield browser
        browser.close()


# What the servers send is the same, which tests/test_handler.py holds: one is enough for what a browser does with it.
@pytest.fixture(scope="module")
def site(request: pytest.FixtureRequest, share: Callable[..., Site]) -> Site:
    """The site under ASGI, or the server that a test names."""
    return share(getattr(request, "param", "uvicorn polls.asgi:application")).ready()


def _open_page(chromium: Browser, site: Site, **options: object) -> Iterator[Page]:
    """Yield a page of a browser of its own; what the browser complains about fails the test."""
    context = chromium.new_context(base_url=site.base, **options)
    page = context.new_page()
    complaints = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.set_default_timeout(10_000)
    yield page
    context.close()
    # The one that Chromium writes for every 4xx page that a test goes to on purpose.
    assert not [text for text in complaints if not re.search(r"status of 4\d\d", text)]


@pytest.fixture(params=[True, False], ids=["javascript", "no javascript"])
def page(
    request: pytest.FixtureRequest, chromium: Browser, site: Site
) -> Iterator[Page]:
    yield from _open_page(chromium, site, java_script_enabled=request.param)


@pytest.fixture
def phone(chromium: Browser, site: Site) -> Iterator[Page]:
    size = {"width": 360, "height": 740}
    yield from _open_page(chromium, site, viewport=size, is_mobile=True, has_touch=True)


@pytest.fixture
def visitor(chromium: Browser, site: Site) -> Iterator[Page]:
    """Somebody with JavaScript."""
    yield from _open_page(chromium, site)


@pytest.fixture
def reader(chromium: Browser, site: Site) -> Iterator[Page]:
    """Somebody without JavaScript."""
    yield from _open_page(chromium, site, java_script_enabled=False)


@pytest.fixture(scope="module")
def gallery(share: Callable[..., Site]) -> Gallery:
    return Gallery(share("uvicorn polls.asgi:application").ready())
