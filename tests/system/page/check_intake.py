"""Photographs come in: chosen, dropped, pasted, several, large and lying on their side; and are called back."""

import base64
import re

from playwright.sync_api import expect

from tests.running import running_process
from tests.system.page.fixtures import Visit
from tests.system.page.photographs import CAT, COFFEE, TEXT, Upload, from_a_phone
from tests.system.page.visitor import Visitor

AS_FILES = """(files) => {
  const data = new DataTransfer();
  for (const [name, type, content] of files)
    data.items.add(new File([Uint8Array.from(atob(content), (one) => one.charCodeAt(0))], name, { type }));
  return data;
}"""
TO_CLIPBOARD = """async (content) => {
  const bytes = Uint8Array.from(atob(content), (one) => one.charCodeAt(0));
  await navigator.clipboard.write([new ClipboardItem({ "image/png": new Blob([bytes], { type: "image/png" }) })]);
}"""


def drop(visitor: Visitor, *files: Upload, on: str = "#drop") -> None:
    listed = [[one["name"], one["mimeType"], base64.b64encode(one["buffer"]).decode()] for one in files]
    data = visitor.page.evaluate_handle(AS_FILES, listed)
    for event in ("dragenter", "dragover", "drop"):
        visitor.page.dispatch_event(on, event, {"dataTransfer": data})


def check_a_chosen_photograph_is_answered_in_both_languages(visit: Visit) -> None:
    visitor = visit()
    visitor.choose(COFFEE)
    card = visitor.answered()
    rows = card.locator(".bars li")
    expect(rows).to_have_count(5)
    expect(rows.first).to_contain_text("espresso 浓缩咖啡 90.5%")
    expect(card.locator("h2")).to_have_text("espresso 浓缩咖啡")
    expect(card.locator("h2")).to_be_focused()
    expect(card.locator("img")).to_have_attribute("alt", "Your photograph coffee.jpg, seen as: espresso")
    expect(visitor.page.locator("#announcer")).to_have_text("coffee.jpg: espresso, 浓缩咖啡, 90.5%")
    expect(card).to_contain_text("600 × 400 JPEG")
    assert card.locator("img").evaluate("(image) => image.naturalWidth") == 600


def check_what_is_dropped_is_answered_wherever_it_falls(visit: Visit) -> None:
    visitor = visit()
    drop(visitor, CAT)
    visitor.answered()
    drop(visitor, COFFEE, on="footer")
    expect(visitor.answered(2).first.locator("h2")).to_contain_text("espresso")
    drop(visitor)
    expect(visitor.page.locator("#announcer")).to_contain_text("no photograph in that")
    expect(visitor.page.locator("#drop")).not_to_have_class(re.compile("over"))


def check_what_is_pasted_is_answered(visit: Visit) -> None:
    visitor = visit()
    visitor.page.evaluate(TO_CLIPBOARD, base64.b64encode(CAT["buffer"]).decode())
    visitor.page.keyboard.press("Control+V")
    expect(visitor.answered().locator("h2")).to_contain_text("cat")


def check_of_several_each_has_its_own_answer_or_error(visit: Visit) -> None:
    visitor = visit()
    visitor.forgive("415")
    visitor.choose(CAT, TEXT, COFFEE)
    visitor.answered(2)
    visitor.failed()
    headings = visitor.page.locator(".card h2")
    for index, words in enumerate(("cat", "notes.txt", "espresso")):
        expect(headings.nth(index)).to_contain_text(words)
    expect(headings.first).to_be_focused()
    visitor.page.locator(".card").nth(1).get_by_role("button", name="Remove").click()
    expect(visitor.page.locator(".card")).to_have_count(2)


def check_a_phones_photograph_is_made_smaller_and_set_upright(visit: Visit) -> None:
    visitor, photograph = visit(), from_a_phone()
    visitor.choose(photograph)
    card = visitor.answered()
    expect(card).to_contain_text(re.compile(r"1,152 × 768 JPEG.*sent \d+ kB instead of [\d.]+ MB"))
    expect(card.locator("h2")).to_contain_text("espresso")
    visitor.page.locator(".options summary").click()
    visitor.page.get_by_label("Make large photographs smaller").uncheck()
    visitor.choose(photograph)
    whole = visitor.answered(2).first
    expect(whole).to_contain_text("4,000 × 2,667 JPEG")
    expect(whole).not_to_contain_text("instead of")
    expect(whole.locator("h2")).to_contain_text("espresso")


def check_one_that_is_under_way_can_be_called_back(visit: Visit) -> None:
    with running_process({"DUMMY_SECONDS": "2", "VGG_FRONTS": "0"}, module="tests.dummy_service") as (url, _):
        visitor = visit(url)
        visitor.choose(CAT, CAT, COFFEE)
        expect(visitor.page.locator(".card progress").first).to_be_visible()
        for _ in range(3):
            visitor.page.get_by_role("button", name="Cancel").first.click()
        cards = visitor.failed(3)
        expect(cards.first).to_contain_text("Cancelled")
        cards.last.get_by_role("button", name="Try again").click()
        visitor.answered()
        visitor.check()
