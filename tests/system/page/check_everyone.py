"""For everyone: by keyboard alone, on a phone, large enough to hit, light and dark; and what it looks like."""

import io
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from tests.running import ROOT
from tests.system.page.fixtures import Visit
from tests.system.page.photographs import CAT, COFFEE, TEXT
from tests.system.page.visitor import DESKTOP, PHONE

README = ROOT / "docs" / "page.png"
SMALL = """() => [...document.querySelectorAll(
    "a, button, select, summary, label.button, input:not(.unseen), .tools label")]
  .filter((one) => one.checkVisibility() && !one.matches(".skip, .tools input"))
  .map((one) => [one.outerHTML.slice(0, 80), one.getBoundingClientRect()])
  .filter(([, box]) => box.width < 24 || box.height < 24).map(([html]) => html)"""
LOOKS = pytest.mark.parametrize(
    ("size", "dark", "locale"),
    [(DESKTOP, False, "en-US"), (DESKTOP, True, "zh-CN"), (PHONE, False, "zh-CN"), (PHONE, True, "en-US")],
    ids=["desktop-light-en", "desktop-dark-zh", "phone-light-zh", "phone-dark-en"],
)


def check_everything_can_be_done_by_keyboard(visit: Visit) -> None:
    page = visit().page
    press = page.keyboard.press
    expect(page.locator("#readiness")).to_have_text("Ready")
    press("Tab")
    expect(page.locator(".skip")).to_be_focused()
    press("Enter")
    expect(page.locator("#choose")).to_be_focused()
    with page.expect_file_chooser() as chooser:
        press("Enter")
    chooser.value.set_files([COFFEE])
    heading = page.locator(".card h2")
    expect(heading).to_contain_text("espresso")
    expect(heading).to_be_focused()
    press("Tab")
    expect(page.locator(".look")).to_be_focused()
    press("Enter")
    expect(page.locator(".looking")).to_be_visible()
    expect(page.locator(".look")).to_have_attribute("aria-expanded", "true")
    press("Tab")
    press("Enter")  # remove
    expect(page.locator(".card")).to_have_count(0)
    expect(page.locator("#choose")).to_be_focused()
    press("Shift+Tab")
    expect(page.get_by_role("button", name="中文")).to_be_focused()
    press("Enter")
    expect(page.locator("html")).to_have_attribute("lang", "zh-CN")


def check_who_moved_on_is_left_where_they_are(visit: Visit) -> None:
    visitor = visit()
    visitor.page.locator(".options summary").click()
    visitor.choose(COFFEE)
    visitor.page.get_by_label("How it looks").focus()
    visitor.answered()
    expect(visitor.page.get_by_label("How it looks")).to_be_focused()


@LOOKS
def check_every_look(
    visit: Visit, request: pytest.FixtureRequest, size: tuple[int, int], dark: bool, locale: str
) -> None:
    """Nothing overflows, everything can be hit, axe finds nothing: at every step."""
    visitor = visit(size=size, dark=dark, locale=locale)
    visitor.forgive("415")
    page, look = visitor.page, request.node.callspec.id
    shots: Path | None = request.config.getoption("--shots")

    def step(name: str) -> None:
        visitor.check()
        assert page.evaluate(SMALL) == []
        if shots:
            shots.mkdir(parents=True, exist_ok=True)
            page.screenshot(path=shots / f"{look}-{name}.png", full_page=True)

    expect(page.locator("#fallback")).to_be_visible()
    step("1-start")
    visitor.choose(COFFEE)
    visitor.answered()
    step("2-result")
    visitor.look()
    step("3-heatmap")
    for summary in page.locator("summary").all():
        summary.click()
    step("4-unfolded")
    page.reload()
    visitor.choose(CAT, TEXT, COFFEE)
    visitor.answered(2)
    visitor.failed()
    step("5-several")


def check_the_readmes_screenshot(visit: Visit, request: pytest.FixtureRequest) -> None:
    """Made anew only if that is asked for; the README's own answer."""
    visitor = visit(size=(1000, 700))
    visitor.choose(COFFEE)
    visitor.answered()
    visitor.look()
    visitor.page.evaluate("document.activeElement.blur()")
    if request.config.getoption("--readme"):
        README.write_bytes(picture_of(visitor.page))
    assert README.stat().st_size < 300_000


def picture_of(page: Page) -> bytes:
    """The page as it is for a model that was asked for, without its foot, in as few colours as a small file needs."""
    for part in ("#fallback", ".foot"):
        page.locator(part).evaluate("(one) => { one.hidden = true; }")
    page.wait_for_timeout(600)
    whole = Image.open(io.BytesIO(page.screenshot(full_page=True))).convert("RGB")
    packed = io.BytesIO()
    whole.quantize(256, dither=Image.Dither.FLOYDSTEINBERG).save(packed, "PNG", optimize=True)
    return packed.getvalue()
