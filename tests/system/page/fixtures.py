"""The browser, the services, and a visitor at one of them: a pytest plugin."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from os import environ
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, sync_playwright

from tests.running import running_process
from tests.system.page.visitor import Visitor, visiting

FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
Visit = Callable[..., Visitor]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--shots", type=Path, help="keep what the page looks like in this folder")
    parser.addoption("--readme", action="store_true", help="make the README's screenshot anew")


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    path = environ.get("CHROMIUM") or next(filter(None, map(shutil.which, BROWSERS)), None)
    assert path, "There is no Chromium here (on Debian: apt install chromium)."
    with sync_playwright() as playwright:
        yield playwright.chromium.launch(executable_path=path, args=FLAGS)


@pytest.fixture(scope="session")
def fallback_url(embedded_store: Path) -> Iterator[str]:
    """As scripts/serve leaves it where VGG16's weights cannot be had."""
    settings = {"VGG_STORE_DIR": str(embedded_store), "VGG_FALLBACK_MODEL": "efficientnet_lite0"}
    with running_process(settings | {"VGG_FRONTS": "0"}) as (url, _):
        yield url


@pytest.fixture(scope="session")
def guarded_url(embedded_store: Path) -> Iterator[str]:
    """With a key, small limits, and the embedded model because it was asked for."""
    settings = {"VGG_STORE_DIR": str(embedded_store), "VGG_MODEL": "efficientnet_lite0", "VGG_FRONTS": "0"}
    limits = {"VGG_API_KEYS": "open-sesame", "VGG_MAX_UPLOAD_MB": "1", "VGG_MAX_PIXELS": "2000000"}
    with running_process(settings | limits) as (url, _):
        yield url


@pytest.fixture
def visit(browser: Browser, fallback_url: str) -> Iterator[Visit]:
    """Arrive at the page; when a check ends, everything must be well with all that it has visited."""
    with ExitStack() as stack:
        visitors: list[Visitor] = []

        def arrive(url: str = fallback_url, **looks: Any) -> Visitor:
            visitors.append(stack.enter_context(visiting(browser, url, **looks)))
            return visitors[-1].arrive()

        yield arrive
        for visitor in visitors:
            visitor.check()
