"""The page's files, as they are served. How they work in a browser is scripts/check-page's to see."""

import re
from pathlib import Path

import pytest

from app.http.docs import CODES
from app.http.page import MEDIA_TYPES, read_assets
from tests.contract import check_problem
from tests.dummy import DummyNetwork, dummy_model
from tests.running import ROOT, RunningService, running

FOLDER = ROOT / "app" / "page"
FILES = sorted(path for path in FOLDER.iterdir() if path.suffix in MEDIA_TYPES)
ASSETS = [path.name for path in FILES if path.suffix != ".html"]
SCRIPTS = [path for path in FILES if path.suffix == ".js"]
INDEX = (FOLDER / "index.html").read_text(encoding="utf-8")
by_name = pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)


def strings(language: str) -> dict[str, str]:
    """Key -> text, of a file that holds nothing else."""
    text = (FOLDER / f"{language}.js").read_text(encoding="utf-8")
    lines = [line.strip() for line in text.partition("export default {")[2].rpartition("};")[0].splitlines()]
    found = [re.fullmatch(r'"?([\w.-]+)"?: "(.*)",', line) for line in lines if line]
    assert all(found), [line for line, one in zip(filter(None, lines), found, strict=True) if one is None]
    pairs = [(one[1], one[2]) for one in found if one]
    assert len(dict(pairs)) == len(pairs)
    return dict(pairs)


def test_the_page_is_at_the_root_and_lets_nothing_else_in(service: RunningService) -> None:
    response = service.client.get("/")
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    assert response.text == INDEX
    policy = dict(directive.split(" ", 1) for directive in response.headers["content-security-policy"].split("; "))
    assert (policy["default-src"], policy["script-src"], policy["style-src"]) == ("'none'", "'self'", "'self'")
    assert (policy["connect-src"], policy["frame-ancestors"]) == ("'self'", "'none'")
    assert "unsafe" not in response.headers["content-security-policy"]
    assert response.headers["x-content-type-options"] == "nosniff"


def test_a_file_is_sent_once(service: RunningService) -> None:
    for path in ("/", *(f"/page/{name}" for name in ASSETS)):
        check_validator(service, path)


def check_validator(service: RunningService, path: str) -> None:
    first = service.client.get(path)
    assert (first.status_code, first.headers["cache-control"]) == (200, "no-cache")
    etag = first.headers["etag"]
    for known in (etag, f"W/{etag}", f'"other", {etag}', "*"):
        again = service.client.get(path, headers={"if-none-match": known})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", etag)
        assert again.headers["content-security-policy"] == first.headers["content-security-policy"]
    assert service.client.get(path, headers={"if-none-match": '"other"'}).content == first.content
    head = service.client.head(path)
    assert (head.status_code, head.content, head.headers["etag"]) == (200, b"", etag)


def test_there_is_nothing_but_the_pages_files(service: RunningService) -> None:
    for name in ("nothing.js", "index.html", "__init__.py", "..%2fmain.py", "%2e%2e"):
        check_problem(service.client.get(f"/page/{name}"), 404, "not_found")


def test_the_page_needs_no_key_and_the_log_stays_quiet_about_its_files(caplog: pytest.LogCaptureFixture) -> None:
    with running(dummy_model(DummyNetwork()), api_keys="one") as service, caplog.at_level("INFO", "app.requests"):
        assert service.client.get("/").status_code == 200
        assert service.client.get("/page/main.js").status_code == 200
    routes = [getattr(record, "route", "") for record in caplog.records]
    assert "/" in routes
    assert "/page/{name}" not in routes


def test_every_file_belongs_to_the_page() -> None:
    """Reached from index.html; every script is fetched at once, not one import after the other."""
    linked = set(re.findall(r'(?:src|href)="page/([\w.-]+)"', INDEX))
    assert linked == set(ASSETS) == set(read_assets()) - {"index.html"}
    preloaded = set(re.findall(r'rel="modulepreload" href="page/([\w.-]+)"', INDEX))
    assert preloaded == {path.name for path in SCRIPTS} - {"main.js"}
    imported = {name for path in SCRIPTS for name in re.findall(r'from "\./([\w.-]+)"', path.read_text("utf-8"))}
    assert imported == preloaded


@by_name
def test_no_file_leads_outside(path: Path) -> None:
    text = path.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
    assert not re.search(r"(?:https?:)?//[\w-]+\.\w", text), "an address"
    assert not re.search(r"@import|\burl\(", text)


@by_name
def test_no_file_needs_what_the_policy_forbids(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    if path.suffix in (".html", ".svg"):
        assert not re.search(r"<script(?![^>]* src=)|<style|\sstyle=|\son\w+=|javascript:", text)
    if path.suffix == ".js":
        assert not re.search(r"\beval\(|new Function|innerHTML|outerHTML|document\.write|insertAdjacentHTML", text)
    assert len(text.splitlines()) <= 250


def test_both_languages_say_the_same_things() -> None:
    english, chinese = strings("en"), strings("zh")
    assert list(english) == list(chinese)
    for key, text in english.items():
        assert text
        assert chinese[key]
        assert set(re.findall(r"{\w+}", text)) == set(re.findall(r"{\w+}", chinese[key])), key


def test_every_word_that_is_asked_for_is_there_and_no_other() -> None:
    code = "\n".join(path.read_text(encoding="utf-8") for path in SCRIPTS if path.name not in ("en.js", "zh.js"))
    prefixes = set(re.findall(r"[`\"]([\w-]+\.)\$\{", code))
    literal = set(re.findall(r'"([a-z-]+(?:\.[\w-]+)?)"', code))
    literal |= set(re.findall(r'data-(?:text|label)="([^"]+)"', INDEX))
    for key in strings("en"):
        assert key in literal or any(key.startswith(prefix) for prefix in prefixes), f"nobody says {key}"
    groups = {key.partition(".")[0] for key in strings("en") if "." in key}
    asked = {key for key in literal if key.partition(".")[0] in groups and "." in key}
    assert asked <= strings("en").keys()


@pytest.mark.parametrize("language", ["en", "zh"])
def test_every_error_has_words_and_advice(language: str) -> None:
    known = strings(language)
    for code in CODES:
        assert known[f"error.{code}"]
        assert known[f"advice.{code}"]
