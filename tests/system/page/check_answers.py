"""What an answer offers: where the network looked, what it cost, the same as code, in the reader's language."""

import os
import re
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import expect

from tests.running import running_process
from tests.system.page.fixtures import Visit
from tests.system.page.photographs import CAT, COFFEE


def check_where_it_looked_is_drawn_and_said(visit: Visit) -> None:
    visitor = visit()
    visitor.choose(COFFEE)
    card = visitor.answered()
    visitor.look()
    heat, frame = card.locator("canvas"), card.locator("img").bounding_box()
    over = heat.bounding_box()
    assert over
    assert frame
    assert over["x"] >= frame["x"] - 1
    assert over["x"] + over["width"] <= frame["x"] + frame["width"] + 1
    brightest = heat.evaluate(
        "(c) => Math.max(...c.getContext('2d').getImageData(0, 0, c.width, c.height).data.filter((_, i) => i % 4 == 3))"
    )
    assert brightest > 200
    expect(card.locator(".place")).to_have_text(re.compile(r"^What speaks for espresso is mostly .*\.$"))
    card.get_by_label("Opacity").fill("0.2")
    assert heat.evaluate("(c) => getComputedStyle(c).opacity") == "0.2"
    card.get_by_label("For", exact=True).select_option(index=2)
    expect(card.locator(".place")).to_contain_text("teacup")
    card.get_by_role("button", name="Hide where it looked").click()
    expect(heat).to_be_hidden()
    card.get_by_role("button", name="Where did it look?").click()
    expect(heat).to_be_visible()


def check_what_it_cost_is_told(visit: Visit) -> None:
    visitor = visit()
    visitor.choose(CAT)
    card = visitor.answered()
    card.get_by_text(re.compile(r"Answered in [\d.]+ ms")).click()
    for words in ("Decode", "Resize and crop", "Wait", "Network", "efficientnet_lite0 0.1.0"):
        expect(card.locator("dl")).to_contain_text(words)


def check_more_views_can_be_asked_for(visit: Visit) -> None:
    visitor = visit()
    visitor.page.locator(".options summary").click()
    visitor.page.get_by_label("How it looks").select_option("multi_crop")
    visitor.choose(CAT)
    card = visitor.answered()
    card.get_by_text(re.compile("Answered in")).click()
    expect(card.locator("dl")).to_contain_text(re.compile(r"Views\s*10"))
    card.get_by_text("Copy as code").click()
    expect(card.locator("pre")).to_contain_text("/predict?evaluation=multi_crop")


@pytest.mark.parametrize("tool", ["curl", "Python"])
def check_copied_code_gives_the_same_answer(visit: Visit, tool: str, tmp_path: Path) -> None:
    name = 'my "best" cup, o\'clock; 1.jpg'
    (tmp_path / name).write_bytes(COFFEE["buffer"])
    visitor = visit()
    visitor.choose({**COFFEE, "name": name})
    card = visitor.answered()
    card.get_by_text("Copy as code").click()
    card.get_by_label(tool).check()
    card.get_by_role("button", name="Copy").click()
    expect(card.get_by_text("Copied.")).to_be_visible()
    code = visitor.page.evaluate("navigator.clipboard.readText()")
    command = ["bash", "-c", code] if tool == "curl" else [sys.executable, "-c", code]
    ran = subprocess.run(command, cwd=tmp_path, env=os.environ, capture_output=True, text=True, timeout=60, check=False)
    assert "浓缩咖啡" in ran.stdout, ran.stderr


def check_the_language_is_the_browsers_and_can_be_switched(visit: Visit) -> None:
    visitor = visit(locale="zh-CN")
    page = visitor.page
    visitor.forgive("415")
    expect(page.locator("html")).to_have_attribute("lang", "zh-CN")
    expect(page.locator("h1")).to_have_text("图里有什么？")
    visitor.choose({**CAT, "buffer": b"no picture"})
    expect(visitor.failed()).to_contain_text("这不是服务能打开的图片")
    expect(visitor.failed()).to_contain_text("内容不是受支持格式的图片")
    visitor.choose(COFFEE)
    visitor.answered()
    page.get_by_role("button", name="English").click()
    expect(page.locator("html")).to_have_attribute("lang", "en")
    expect(page.locator("h1")).to_have_text("What is in the picture?")
    expect(visitor.failed()).to_contain_text("This is no picture that the service can open")
    expect(visitor.answered()).to_contain_text(re.compile(r"Answered in [\d.]+ ms"))
    page.reload()
    expect(page.locator("h1")).to_have_text("What is in the picture?")


def check_another_model_can_be_chosen_and_may_know_nothing_like_it(visit: Visit) -> None:
    settings = {"VGG_FRONTS": "0", "VGG_ADMIN_KEYS": "boss"}
    with running_process(settings, module="tests.dummy_service") as (url, _):
        httpx.post(f"{url}/models/unsure/load", headers={"X-API-Key": "boss"}, timeout=30).raise_for_status()
        visitor = visit(url)
        visitor.page.locator(".options summary").click()
        visitor.page.get_by_label("Model", exact=True).select_option("unsure")
        visitor.choose(CAT)
        card = visitor.answered()
        expect(card.locator("h2")).to_have_text("Probably none of these")
        expect(visitor.page.locator("#announcer")).to_contain_text(
            "chelsea.png: probably none of these; the nearest is"
        )
        card.get_by_text(re.compile("Answered in")).click()
        expect(card.locator("dl")).to_contain_text("unsure")
        card.get_by_text("Copy as code").click()
        expect(card.locator("pre")).to_contain_text("/predict?model=unsure")
        visitor.check()


def check_the_embedded_default_says_what_it_is(visit: Visit, guarded_url: str) -> None:
    banner = visit().page.locator("#fallback")
    expect(banner).to_contain_text("efficientnet_lite0")
    expect(banner).to_contain_text("scripts/serve --retry")
    asked_for = visit(guarded_url)
    asked_for.forgive("401")
    expect(asked_for.page.locator("#readiness")).to_have_text("Ready")
    expect(asked_for.page.locator("#fallback")).to_be_hidden()
