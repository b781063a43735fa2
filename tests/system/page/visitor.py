"""Somebody at the page. What they would call wrong is collected: the console's complaints, requests to elsewhere."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, ConsoleMessage, Locator, Page, expect

from tests.system.page.photographs import Upload

DESKTOP = (1100, 900)
PHONE = (360, 740)
PATIENCE_MS = 30_000


class Visitor:
    """``forgive`` names what the browser may complain about: it writes every refused request into its console."""

    def __init__(self, page: Page, url: str) -> None:
        self.page = page
        self.url = url
        self.wrong: list[str] = []
        self._forgiven: tuple[str, ...] = ()
        page.set_default_timeout(PATIENCE_MS)
        page.on("console", self._hear)
        page.on("pageerror", lambda error: self.wrong.append(f"exception: {error}"))
        page.on("request", lambda request: self._watch(request.url))

    def arrive(self) -> "Visitor":
        self.page.goto(self.url)
        return self

    def forgive(self, *words: str) -> None:
        self._forgiven += words

    def choose(self, *files: Upload) -> None:
        self.page.set_input_files("#choose", list(files))

    def cards(self, state: str = "answered") -> Locator:
        return self.page.locator(f'.card[data-state="{state}"]')

    def answered(self, count: int = 1) -> Locator:
        """Once so many photographs are answered: their cards, the newest first."""
        expect(self.cards()).to_have_count(count, timeout=PATIENCE_MS)
        return self.cards()

    def failed(self, count: int = 1) -> Locator:
        expect(self.cards("failed")).to_have_count(count, timeout=PATIENCE_MS)
        return self.cards("failed")

    def look(self) -> None:
        self.page.locator(".look").first.click()
        expect(self.page.locator(".looking")).to_be_visible()

    def check(self) -> None:
        """Nothing is wrong: not here, and not for those who hear the page or use its keyboard."""
        self.page.mouse.move(0, 0)
        self.page.wait_for_timeout(600)  # what fades in has done so: halfway there, contrast is less
        found = Axe().run(self.page)
        assert found.violations_count == 0, found.generate_report()
        overflow = self.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert overflow <= 0, f"{overflow} pixels wider than the window"
        assert not self.wrong, self.wrong

    def _hear(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning") and not any(word in message.text for word in self._forgiven):
            self.wrong.append(f"{message.type}: {message.text}")

    def _watch(self, url: str) -> None:
        if not re.match(rf"(blob:)?{re.escape(self.url)}/", url):
            self.wrong.append(f"a request to {url}")


@contextmanager
def visiting(
    browser: Browser, url: str, *, size: tuple[int, int] = DESKTOP, dark: bool = False, locale: str = "en-US"
) -> Iterator[Visitor]:
    context = browser.new_context(
        viewport={"width": size[0], "height": size[1]},
        color_scheme="dark" if dark else "light",
        locale=locale,
        has_touch=size == PHONE,
        is_mobile=size == PHONE,
        permissions=["clipboard-read", "clipboard-write"],
    )
    try:
        yield Visitor(context.new_page(), url)
    finally:
        context.close()
