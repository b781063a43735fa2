"""The examples of the README and the API's page, run against a service with the embedded model."""

import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.docs.documents import API, README
from tests.pictures import encode, photograph
from tests.running import ROOT

ESPRESSO = "90.5% espresso 浓缩咖啡"
CURL = sorted({command for one in (README, API) for command in one.commands() if command.startswith("curl ")})
MANAGEMENT = [command for command in CURL if command.endswith("/load")]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A reader's folder, with the photographs that the examples send."""
    for name in ("photo.jpg", "one.jpg", "two.jpg"):
        (tmp_path / name).write_bytes(encode(photograph("coffee"), "JPEG"))
    return tmp_path


def example(language: str, url: str) -> str:
    (code,) = README.blocks(language)
    assert "http://localhost:8000" in code
    return code.replace("http://localhost:8000", url)


def run(command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, check=False)


def test_the_python_example(real_service: str, folder: Path) -> None:
    command = [sys.executable, "-c", example("python", real_service)]
    answered = run(command, folder)
    assert answered.stdout.splitlines()[0] == ESPRESSO, answered.stderr
    assert len(answered.stdout.splitlines()) == 5
    (folder / "photo.jpg").write_text("not a photograph", encoding="utf-8")
    refused = run(command, folder)
    assert refused.returncode == 1
    assert refused.stderr.startswith("unsupported_media_type: ")


@pytest.mark.skipif(shutil.which("node") is None, reason="needs node; without it only the example's call is checked")
def test_the_javascript_example(real_service: str, folder: Path) -> None:
    (folder / "example.mjs").write_text(example("javascript", real_service), encoding="utf-8")
    answered = run(["node", "example.mjs"], folder)
    assert answered.stdout.splitlines()[0] == ESPRESSO, answered.stderr
    (folder / "photo.jpg").write_text("not a photograph", encoding="utf-8")
    assert "unsupported_media_type: " in run(["node", "example.mjs"], folder).stderr


def test_the_javascript_example_calls_the_right_endpoint_with_the_right_field() -> None:
    code = example("javascript", "")
    assert re.findall(r'fetch\("([^"]+)", \{ method: "(\w+)"', code) == [("/predict", "POST")]
    assert re.findall(r'form\.append\("(\w+)"', code) == ["file"]


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
@pytest.mark.parametrize("command", [command for command in CURL if command not in MANAGEMENT])
def test_a_curl_example(real_service: str, folder: Path, command: str) -> None:
    words = shlex.split(command.replace("localhost:8000", real_service))
    answered = run([*words, "--silent", "--show-error", "--fail-with-body"], folder)
    assert answered.returncode == 0, answered.stdout + answered.stderr
    assert "label_zh" in answered.stdout or '"models"' in answered.stdout


def test_management_examples_call_an_endpoint_that_exists(real_service: str) -> None:
    assert MANAGEMENT
    for command in MANAGEMENT:
        path = command.split()[-1].removeprefix("localhost:8000")
        refused = httpx.post(real_service + path)
        assert (refused.status_code, refused.json()["code"]) == (403, "forbidden")  # no key is configured


def test_the_readmes_answer_is_a_real_one(real_service: str) -> None:
    (shown,) = map(json.loads, README.blocks("json"))
    answer = predict_coffee(real_service)
    assert shown.keys() == answer.keys()
    assert shown["timing_ms"].keys() == answer["timing_ms"].keys()
    assert shown["image"] == answer["image"]
    assert shown["model"] == answer["model"] | {"fallback": True}  # which it says where VGG16 was asked for
    first, more = shown["predictions"]
    assert more == "…"
    real = answer["predictions"][0]
    assert first == real | {"probability": pytest.approx(real["probability"], abs=0.005)}


def test_the_apis_answer_and_problem_have_the_real_form(real_service: str) -> None:
    shown, problem = map(json.loads, API.blocks("json"))
    assert form(shown) == form(predict_coffee(real_service))
    refused = httpx.post(f"{real_service}/predict", files={"file": (ROOT / "README.md").read_bytes()}).json()
    assert problem | {"request_id": ""} == refused | {"request_id": ""}


def test_every_field_of_an_answer_is_explained(real_service: str) -> None:
    explained = {name for cell, _ in API.rows("field") for name in re.findall(r"[\w.\[\]]+", cell)}
    assert set(predict_coffee(real_service)) <= explained


def predict_coffee(url: str) -> dict[str, Any]:
    coffee = encode(photograph("coffee"), "JPEG")
    answer: dict[str, Any] = httpx.post(f"{url}/predict", files={"file": coffee}).raise_for_status().json()
    return answer


def form(value: object) -> object:
    """The keys and types, of lists those of the first entry."""
    if isinstance(value, dict):
        return {key: form(inner) for key, inner in value.items()}
    return [form(value[0])] if isinstance(value, list) else type(value)
