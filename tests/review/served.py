"""A class that is served to real browsers, for tests and for pictures of the pages."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import uvicorn

from grader.review.app import make_app
from grader.review.serve import listen
from grader.review.web import Site

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = [
    *("--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync"),
]


@dataclass
class Served:
    """A class that is served, and what browsers said on their consoles."""

    site: Site
    base: str
    console: list[str] = field(default_factory=list)

    @property
    def keys(self) -> list[str]:
        """The keys of the submissions, in the class's order."""
        return list(self.site.room.klass.graded.students)

    def open(self, browser: Any, who: str = "Tessa", **options: Any) -> Any:
        """A page of a new browser context, after its grader gave a name by keyboard."""
        page = browser.new_context(**options).new_page()
        page.set_default_timeout(120_000)
        page.on("console", lambda message: self.console.append(message.text))
        page.on("pageerror", lambda error: self.console.append(str(error)))
        page.goto(f"{self.base}/?token={self.site.access.new_token()}")
        page.wait_for_url("**/name")
        page.locator("#who").focus()
        page.keyboard.type(who)
        page.keyboard.press("Enter")
        page.wait_for_url(f"{self.base}/")
        return page


@contextmanager
def serving(site: Site) -> Iterator[Served]:
    """Serve a class on a free port until the end, and close it then."""
    listening = listen(0)
    server = uvicorn.Server(uvicorn.Config(make_app(site), log_level="warning", lifespan="off"))
    thread = threading.Thread(target=server.run, args=([listening],), daemon=True)
    thread.start()
    try:
        yield Served(site, f"http://127.0.0.1:{listening.getsockname()[1]}")
    finally:
        server.should_exit = True
        thread.join(30)
        site.room.close()


@contextmanager
def chromium() -> Iterator[Any]:
    """Debian's browser without a window, from Playwright."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        try:
            yield started
        finally:
            started.close()
