"""The process as it is run: starting, refusing to start, leaving."""

import json
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from app.model.files import write_atomically
from app.model.manifest import read_manifest
from app.model.store import ModelStore
from tests.dummy import MODELS
from tests.pictures import encode, photograph
from tests.running import ROOT, clean_environment, running_process, wait_until

NAME = "efficientnet_lite0"
CAT = encode(photograph("chelsea"), "JPEG")


def start(**environment: str) -> "subprocess.CompletedProcess[str]":
    """A start that is expected to fail."""
    return subprocess.run(
        [sys.executable, "-m", "app"],
        cwd=ROOT,
        env=clean_environment() | {"VGG_PORT": "0"} | environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_what_fell_back_says_so_everywhere(embedded_store: Path) -> None:
    with running_process({"VGG_STORE_DIR": str(embedded_store), "VGG_FALLBACK_MODEL": NAME}) as (url, process):
        answer = httpx.post(f"{url}/predict", files={"file": CAT}).json()
        assert answer["model"]["name"] == NAME
        assert answer["model"]["fallback"] is True
        assert "猫" in answer["predictions"][0]["label_zh"]
        assert httpx.get(f"{url}/readyz").json() == {"status": "ready", "model": NAME, "fallback": True}
        assert httpx.get(f"{url}/models").json()["models"][0]["fallback"] is True
        # never an answer under another name
        assert httpx.post(f"{url}/predict?model=vgg16", files={"file": CAT}).status_code == 404
        log = process.end()
    assert f"Serving {NAME} instead of vgg16" in log
    lines = [json.loads(line) for line in log.splitlines()]
    (request,) = [line for line in lines if line.get("route") == "/predict" and line["status"] == 200]
    assert request["timing_ms"].keys() == {"decode", "preprocess", "queue", "inference", "total"}
    assert request["upload_bytes"] > len(CAT)
    assert request["batch_size"] == 1
    assert process.status == 0


def test_without_weights_and_fallback_the_process_explains_itself(tmp_path: Path) -> None:
    result = start(VGG_STORE_DIR=str(tmp_path), VGG_LOG_FORMAT="text")
    assert result.returncode == 1
    assert "The weights of 'vgg16' are missing" in result.stderr
    assert "--from-file" in result.stderr
    assert "Traceback" not in result.stderr


def test_damaged_weights_end_the_process(embedded_store: Path, tmp_path: Path) -> None:
    shutil.copytree(embedded_store, tmp_path, dirs_exist_ok=True)
    weights = ModelStore(tmp_path, NAME).weights
    weights.write_bytes(weights.read_bytes()[:-1] + b"?")
    result = start(VGG_STORE_DIR=str(tmp_path), VGG_MODEL=NAME, VGG_LOG_FORMAT="text")
    assert result.returncode == 1
    assert "is damaged" in result.stderr
    assert "Traceback" not in result.stderr


def test_odd_folders_in_the_store_do_not_stop_the_service(embedded_store: Path, tmp_path: Path) -> None:
    """A copy that somebody made for safety, and a model that is damaged: neither was asked for by name."""
    for name in (NAME, f"{NAME}.bak", "damaged"):
        shutil.copytree(embedded_store / NAME, tmp_path / name)
    manifest = read_manifest(MODELS / NAME / "manifest.json").model_copy(update={"name": "damaged"})
    damaged = ModelStore(tmp_path, "damaged")
    write_atomically(damaged.manifest, manifest)
    damaged.weights.write_bytes(damaged.weights.read_bytes()[:-1] + b"?")
    environment = {"VGG_STORE_DIR": str(tmp_path), "VGG_MODEL": NAME}
    with running_process(environment) as (url, process):
        listed = httpx.get(f"{url}/models").json()
        assert [model["name"] for model in listed["models"]] == [NAME]
        assert listed["unavailable"] == [
            {"name": "damaged", "reason": "Its weights or their receipt are damaged."},
            {"name": f"{NAME}.bak", "reason": "It has no manifest."},
        ]
        assert httpx.post(f"{url}/predict", files={"file": CAT}).status_code == 200
        log = process.end()
    assert f"Not serving {NAME}.bak, which nobody asked for by name" in log
    assert "Not serving damaged, which nobody asked for by name" in log
    assert process.status == 0
    asked = start(**environment, VGG_MODELS="damaged")
    assert asked.returncode == 1
    assert "is damaged" in asked.stderr


def test_a_manifest_that_has_changed_since_is_said_with_the_command_that_mends_it(
    embedded_store: Path, tmp_path: Path
) -> None:
    shutil.copytree(embedded_store, tmp_path, dirs_exist_ok=True)
    manifest = read_manifest(MODELS / NAME / "manifest.json")
    weights = manifest.weights.model_copy(update={"sha256": "0" * 64})
    write_atomically(ModelStore(tmp_path, NAME).manifest, manifest.model_copy(update={"weights": weights}))
    result = start(VGG_STORE_DIR=str(tmp_path), VGG_MODEL=NAME, VGG_LOG_FORMAT="text")
    assert result.returncode == 1
    assert "names other weights than those that are prepared" in result.stderr
    assert f"scripts/prepare_model.py {NAME} --force" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    ("name", "value"),
    [("VGG_PORT", "http"), ("VGG_DEVICE", "tpu"), ("VGG_MAX_QUEUE_SIZE", "0"), ("VGG_PRECISION", "int8")],
)
def test_a_wrong_setting_is_one_clear_line(name: str, value: str) -> None:
    result = start(**{name: value})
    assert result.returncode == 2
    assert result.stderr.startswith(f"Wrong settings: {name}: ")
    assert result.stderr.count("\n") == 1


def test_a_taken_port_is_one_clear_line(embedded_store: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        result = start(VGG_STORE_DIR=str(embedded_store), VGG_MODEL=NAME, VGG_PORT=port, VGG_LOG_FORMAT="text")
    assert result.returncode == 1
    assert f"Cannot listen on 127.0.0.1:{port}" in result.stderr
    assert result.stderr.count("\n") == 1


def test_livez_answers_while_the_network_is_still_loading(embedded_store: Path) -> None:
    with running_process({"VGG_STORE_DIR": str(embedded_store), "VGG_MODEL": NAME}, ready=False) as (url, _):
        wait_until(lambda: httpx.get(f"{url}/livez").status_code == 200)
        first = httpx.get(f"{url}/readyz")
        assert first.status_code == 503  # torch alone takes longer to import than the server to listen
        wait_until(lambda: httpx.get(f"{url}/readyz").status_code == 200, 60)
