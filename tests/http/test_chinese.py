"""Every error can be said in Chinese, and is, to whoever asks for it."""

import ast
import json
import re
import socket
from collections.abc import Iterator
from contextlib import closing
from itertools import chain
from pathlib import Path

import httpx
import pytest

from app import errors
from app.http.chinese import SENTENCES, TITLES, WORDS, translated, wording
from app.http.upload import HOW_TO_SEND
from app.serving.lifecycle import Lifecycle, State
from tests.contract import check_problem
from tests.dummy import DummyNetwork, dummy_model
from tests.pictures import png
from tests.running import ROOT, RunningService, running

RED = png((200, 10, 10))
CHINESE = {"Accept-Language": "zh-CN,zh;q=0.9,en;q=0.8"}
ERRORS = {name for name, one in vars(errors).items() if isinstance(one, type) and issubclass(one, errors.ServiceError)}
RAISED = ERRORS | {"Malformed", "CannotEvaluate"}

# What callers are told is then another error's detail, or nothing: it is for the log.
SAID_ELSEWHERE = {
    "error.title + '.'",
    "str(ours)",
    "str(error)",
    "traceback.format_exc()[-4000:]",
    "self.detail",
    "detail",
}


class Module:
    """The sentences that a module gives to its errors, a figure in each place that is filled in."""

    def __init__(self, path: Path) -> None:
        self._tree = ast.parse(path.read_text(encoding="utf-8"))
        self._constants = {
            target.id: node.value
            for node in self._tree.body
            if isinstance(node, ast.Assign)
            for target in node.targets
            if isinstance(target, ast.Name)
        }
        self._functions = {node.name: node for node in ast.walk(self._tree) if isinstance(node, ast.FunctionDef)}
        self.unresolved: set[str] = set()

    def sentences(self) -> Iterator[str]:
        for node in ast.walk(self._tree):
            if isinstance(node, ast.Call) and name_of(node.func) in RAISED and node.args:
                yield from self._resolve(node.args[0])

    def _resolve(self, node: ast.expr) -> Iterator[str]:
        match node:
            case ast.Constant(value=str(text)):
                yield text
            case ast.JoinedStr(values=parts):
                yield "".join(str(part.value) if isinstance(part, ast.Constant) else "7" for part in parts)
            case ast.IfExp(body=one, orelse=other):
                yield from chain(self._resolve(one), self._resolve(other))
            case ast.Name(id=name) if name in self._constants:
                yield from self._resolve(self._constants[name])
            case ast.Call(func=function) if name_of(function) in self._functions:
                yield from self._returned(self._functions[name_of(function)])
            case _:
                self.unresolved.add(ast.unparse(node))

    def _returned(self, function: ast.FunctionDef) -> Iterator[str]:
        inside = list(ast.walk(function))
        for node in inside:
            if isinstance(node, ast.Return) and isinstance(node.value, ast.Name):
                assigned = [one for one in inside if isinstance(one, ast.Assign)]
                for one in assigned:
                    if ast.unparse(one.targets[0]) == node.value.id:
                        yield from self._resolve(one.value)
            elif isinstance(node, ast.Return) and node.value is not None:
                yield from self._resolve(node.value)


def name_of(function: ast.expr) -> str:
    match function:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
    return ""


MODULES = [Module(path) for path in sorted((ROOT / "app").rglob("*.py"))]
SAID = sorted({sentence for module in MODULES for sentence in module.sentences()})


@pytest.mark.parametrize("sentence", SAID)
def test_what_the_code_says_to_callers_can_be_said_in_chinese(sentence: str) -> None:
    chinese = translated(sentence)
    assert chinese, f"app/http/chinese.py lacks: {sentence}"
    assert sentence.count("7") <= chinese.count("7") or "'file'" in sentence, "something that was filled in is lost"


def test_no_sentence_escapes_the_test_above_and_none_is_left_over() -> None:
    assert len(SAID) > 60
    assert set().union(*(module.unresolved for module in MODULES)) <= SAID_ELSEWHERE
    for english in SENTENCES:
        pattern = re.compile(".+".join(map(re.escape, english.split("{}"))))
        assert any(pattern.fullmatch(sentence) for sentence in SAID), f"nobody says: {english}"


def test_every_code_has_a_title_of_its_own() -> None:
    assert TITLES.keys() == {getattr(errors, name).code for name in ERRORS}
    assert len(set(TITLES.values())) == len(TITLES)


def test_what_is_filled_in_is_chinese_too() -> None:
    assert HOW_TO_SEND in WORDS
    assert {Lifecycle().reason, State.LOADING, State.FAILED} <= WORDS.keys()
    assert translated("The request's head is longer than 64 KiB.") == "请求头超过 64 KiB。"


def test_a_sentence_that_is_not_known_stays_english_and_is_marked() -> None:
    worded = wording(errors.NotFound("Something quite new."))
    assert worded == ("路径不存在", "Something quite new.", "zh-CN, en")


# To whoever asks for it


def test_a_problem_is_written_in_the_callers_language(service: RunningService) -> None:
    chinese = service.client.get("/nothing", headers=CHINESE)
    problem = check_problem(chinese, 404, "not_found")
    assert (problem["title"], problem["detail"]) == ("路径不存在", "该路径不存在；接口说明见 /docs。")
    assert (chinese.headers["content-language"], chinese.headers["vary"]) == ("zh-CN", "Accept-Language")
    english = service.client.get("/nothing")
    assert check_problem(english, 404, "not_found")["title"] == "No such path"
    assert (english.headers["content-language"], english.headers["vary"]) == ("en", "Accept-Language")


def test_what_differs_from_one_occurrence_to_the_next_is_kept(service: RunningService) -> None:
    asked = service.client.post("/predict?top_k=1001", files={"file": RED}, headers=CHINESE)
    assert check_problem(asked, 422, "invalid_parameter")["detail"] == (
        "top_k 必须在 1 到 1000 之间，vgg16 共有 1000 个类别。"
    )
    cut = service.client.post("/predict", files={"file": RED[:40]}, headers=CHINESE)
    assert check_problem(cut, 422, "undecodable_image")["detail"] == "PNG 图片不完整或已损坏。"
    empty = service.client.post("/predict", headers=CHINESE)
    assert str(check_problem(empty, 415, "unsupported_media_type")["detail"]).startswith(
        "请求没有 Content-Type。请以 multipart/form-data"
    )
    unfit = service.client.get("/labels?q=cat&limit=0", headers=CHINESE)
    assert check_problem(unfit, 422, "invalid_parameter")["detail"] == "limit 不能小于 1。"


def test_the_problems_of_a_batch_are_written_in_it_too(service: RunningService) -> None:
    files = [("file", ("a.png", RED)), ("file", ("b.png", b"text"))]
    first, second = service.client.post("/predict/batch", files=files, headers=CHINESE).json()["results"]
    assert first["status"] == 200
    assert (second["code"], second["title"]) == ("unsupported_media_type", "不支持该图片格式")


def test_other_headers_stay(network: DummyNetwork) -> None:
    with running(dummy_model(network), api_keys="secret", cors_origins="https://shop.example") as service:
        headers = CHINESE | {"Origin": "https://shop.example"}
        refused = service.client.get("/models", headers=headers)
        assert check_problem(refused, 401, "unauthorized")["title"] == "需要有效的 API 密钥"
        assert refused.headers["www-authenticate"].startswith("Bearer")
        assert set(refused.headers["vary"].split(", ")) == {"Accept-Language", "Origin"}


def test_what_is_no_http_is_refused_in_chinese_if_it_got_as_far_as_saying_so(service: RunningService) -> None:
    """This problem is made without the application."""
    address = httpx.URL(service.url)
    for header, language, title in ((b"zh", b"zh-CN", "请求格式有误"), (b"en", b"en", "The request is malformed")):
        with closing(socket.create_connection((address.host, address.port or 80), 10)) as connection:
            head = b"GET / HTTP/1.1\r\nAccept-Language: " + header + b"\r\nHost: localhost\r\nno colon\r\n\r\n"
            connection.sendall(head)
            answer = connection.makefile("rb").read()
        head, _, body = answer.partition(b"\r\n\r\n")
        assert b"Content-Language: " + language + b"\r\nVary: Accept-Language\r\n" in head
        assert (json.loads(body)["title"], json.loads(body)["code"]) == (title, "malformed_request")
