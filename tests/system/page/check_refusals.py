"""Each error in words, at the photograph it concerns; what can be done about it; and going on when it is done."""

from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.running import get_status, running_process, wait_until
from tests.system.page.fixtures import Visit
from tests.system.page.photographs import CAT, COFFEE, EMPTY, TEXT, TRUNCATED, Upload, grey_noise
from tests.system.page.visitor import Visitor

KEY = "open-sesame"


def enter_key(page: Page, key: str) -> None:
    page.get_by_label("API key", exact=True).fill(key)
    page.get_by_role("button", name="Use it").click()


def with_key(visit: Visit, url: str) -> Visitor:
    visitor = visit(url)
    visitor.forgive("401")
    enter_key(visitor.page, KEY)
    expect(visitor.page.locator("#key")).to_be_hidden()
    return visitor


@pytest.mark.parametrize(
    ("file", "status", "words"),
    [
        (TEXT, "415", "This is no picture that the service can open"),
        (TRUNCATED, "422", "The picture is damaged"),
        (EMPTY, "400", "The file is empty"),
    ],
    ids=["text", "truncated", "empty"],
)
def check_a_file_that_is_no_photograph(visit: Visit, file: Upload, status: str, words: str) -> None:
    visitor = visit()
    visitor.forgive(status)
    visitor.choose(file)
    card = visitor.failed()
    expect(card).to_contain_text(words)
    expect(card).to_contain_text("Request")
    expect(card.locator("h2")).to_be_focused()
    expect(visitor.page.locator("#announcer")).to_have_text(f"{file['name']}: {words}")


@pytest.mark.parametrize(
    ("side", "words"), [(1300, "The file is too large"), (1430, "The file is too large")], ids=["little", "much"]
)
def check_a_file_that_is_too_large(visit: Visit, guarded_url: str, side: int, words: str) -> None:
    visitor = with_key(visit, guarded_url)
    visitor.forgive("413")
    visitor.page.locator(".options summary").click()
    visitor.page.get_by_label("Make large photographs smaller").uncheck()
    visitor.choose(grey_noise(side))
    card = visitor.failed()
    expect(card).to_contain_text(words)
    visitor.page.get_by_label("Make large photographs smaller").check()
    card.get_by_role("button", name="Try again").click()
    visitor.answered()


def check_a_key_is_asked_for_and_tried_again(visit: Visit, guarded_url: str) -> None:
    visitor = visit(guarded_url)
    visitor.forgive("401")
    expect(visitor.page.locator("#key")).to_be_visible()
    enter_key(visitor.page, "wrong")
    expect(visitor.page.locator("#key")).to_be_visible()
    visitor.choose(COFFEE)
    expect(visitor.failed()).to_contain_text("A valid API key is needed")
    expect(visitor.page.locator("#key-field")).to_be_focused()
    enter_key(visitor.page, KEY)
    card = visitor.answered()
    expect(card.locator("h2")).to_contain_text("espresso")
    card.get_by_text("Copy as code").click()
    expect(card.locator("pre")).to_contain_text("$VGG_API_KEY")
    expect(card.locator("pre")).not_to_contain_text(KEY)
    visitor.page.reload()
    expect(visitor.page.locator("#readiness")).to_have_text("Ready")
    expect(visitor.page.locator("#key")).to_be_hidden()


def check_a_service_that_is_gone_and_comes_back(visit: Visit) -> None:
    with running_process({"VGG_FRONTS": "0"}, module="tests.dummy_service") as (url, process):
        visitor = visit(url)
        visitor.forgive("ERR_CONNECTION_REFUSED", "ERR_EMPTY_RESPONSE", "ERR_CONNECTION_RESET", "503")
        expect(visitor.page.locator("#readiness")).to_have_text("Ready")
        process.end()
        visitor.choose(CAT)
        expect(visitor.failed()).to_contain_text("The service cannot be reached")
        expect(visitor.failed()).to_contain_text(url.removeprefix("http://"))
        expect(visitor.page.locator("#readiness")).to_have_text("Cannot be reached")
        visitor.check()
        port = {"VGG_PORT": url.rpartition(":")[2], "VGG_FRONTS": "0"}
        with running_process(port, module="tests.dummy_service", ready=False):
            expect(visitor.page.locator("#readiness")).to_have_text("Ready", timeout=30_000)
            visitor.failed().get_by_role("button", name="Try again").click()
            visitor.answered()


def check_a_model_that_is_loading_is_waited_for(visit: Visit, embedded_store: Path) -> None:
    settings = {"VGG_STORE_DIR": str(embedded_store), "VGG_MODEL": "efficientnet_lite0", "VGG_FRONTS": "0"}
    with running_process(settings, ready=False) as (url, _):
        wait_until(lambda: get_status(f"{url}/livez") == 200)
        visitor = visit(url)  # torch is being imported now
        visitor.forgive("503")
        expect(visitor.page.locator("#readiness")).to_have_text("Loading the model …")
        visitor.choose(COFFEE)
        expect(visitor.page.locator(".card")).to_contain_text("goes on by itself")
        expect(visitor.answered().locator("h2")).to_contain_text("espresso")
        visitor.check()
