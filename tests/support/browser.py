"""A real browser for tests: Debian's chromium without a window, driven by Playwright, that reaches no network."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from tests.support.availability import give_up

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

#: Nothing but the pages of the test is loaded, and no name is looked up.
ARGUMENTS = (
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",
)
#: Milliseconds within which a page has what is waited for, or the test fails.
PATIENCE_MS = 30_000
WIDTH, HEIGHT = 1280, 720

OpenPage = Callable[..., "Page"]


@pytest.fixture
def browser() -> Iterator[Browser]:
    """Return a browser with a profile of its own."""
    program = shutil.which("chromium")
    if program is None:
        give_up("there is no chromium on the PATH")
    try:
        from playwright.sync_api import expect, sync_playwright  # noqa: PLC0415 - many tests need no browser
    except ModuleNotFoundError:
        give_up("playwright is not installed")
    expect.set_options(timeout=PATIENCE_MS)
    with sync_playwright() as driver:
        # Without its sandbox, which wants rights that containers have not; the pages are our own.
        started = driver.chromium.launch(executable_path=program, chromium_sandbox=False, args=list(ARGUMENTS))
        yield started
        started.close()


@pytest.fixture
def open_page(browser: Browser) -> Iterator[OpenPage]:
    """Return a function that opens a page of a fresh session; fails in the end if one wanted the network.

    It takes what Playwright's `new_context` takes, `http_credentials` for example.
    """
    with ExitStack() as stack:

        def open_one(**options: Any) -> Page:
            return stack.enter_context(_page(browser, **options))

        yield open_one


@pytest.fixture
def browser_page(open_page: OpenPage) -> Page:
    """Return an empty page of a fresh session."""
    return open_page()


def _page(browser: Browser, **options: Any) -> AbstractContextManager[Page]:
    @contextmanager
    def opened() -> Iterator[Page]:
        context = browser.new_context(viewport={"width": WIDTH, "height": HEIGHT}, locale="zh-CN", **options)
        context.set_default_timeout(PATIENCE_MS)
        page = context.new_page()
        outside: list[str] = []
        page.on("request", lambda request: outside.append(request.url) if not is_local(request.url) else None)
        yield page
        context.close()
        assert not outside, f"the page wanted the network: {outside}"

    return opened()


def is_local(url: str) -> bool:
    """Say whether an address is on this machine, or no place at all."""
    parts = urlsplit(url)
    return parts.scheme not in {"http", "https", "ws", "wss"} or parts.hostname in {"127.0.0.1", "localhost"}


def take_picture(page: Page, directory: Path, name: str, *, full_page: bool = False) -> None:
    """Write what the window shows, or the whole page, to a small PNG file."""
    directory.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=directory / f"{name}.png", full_page=full_page, animations="disabled", scale="css")
