"""``scripts/serve``, the first thing anybody sees. No test here needs a network."""

import json
import os
import shutil
import signal
import socket
import subprocess
from pathlib import Path

import httpx
import pytest

from tests.pictures import encode, photograph
from tests.running import NO_NETWORK, ROOT, clean_environment, get_status, wait_until


def environment(store: Path) -> dict[str, str]:
    """One thread for torch: where others use the cores as well, measuring batch sizes with more takes minutes."""
    ours = {"VGG_STORE_DIR": str(store), "VGG_DRAIN_DELAY_S": "0", "OMP_NUM_THREADS": "1"}
    return clean_environment() | NO_NETWORK | ours


def serve(store: Path, *arguments: str, **changes: str) -> "subprocess.CompletedProcess[str]":
    """A start that is expected to end by itself."""
    return subprocess.run(
        ["scripts/serve", *arguments],
        cwd=ROOT,
        env=environment(store) | changes,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
        check=False,
    )


def free_port() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])


def answers(store: Path, *arguments: str) -> tuple[dict[str, object], str]:
    """Start the script, ask for a prediction, stop it; the answer and all it printed."""
    port = free_port()
    process = subprocess.Popen(
        ["scripts/serve", "--port", port, *arguments],
        cwd=ROOT,
        env=environment(store),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    url = f"http://127.0.0.1:{port}"
    try:
        wait_until(lambda: process.poll() is not None or get_status(f"{url}/readyz") == httpx.codes.OK, 120)
        answer = httpx.post(f"{url}/predict", files={"file": encode(photograph("chelsea"), "JPEG")}).json()
    finally:
        os.killpg(process.pid, signal.SIGINT)  # what Ctrl-C does: to the script and to whatever it runs
        output, _ = process.communicate(timeout=30)
    assert process.returncode == 0, output
    return answer, output


def test_without_vgg16s_weights_the_embedded_default_answers_and_says_so(tmp_path: Path) -> None:
    answer, output = answers(tmp_path)
    model = answer["model"]
    assert isinstance(model, dict)
    assert (model["name"], model["fallback"]) == ("efficientnet_lite0", True)
    assert "The weights of 'vgg16' are missing" in output
    assert "scripts/prepare_model.py vgg16 --from-file PATH" in output
    assert "  Page   http://127.0.0.1:" in output
    assert "/docs" in output
    assert "curl -F file=@photo.jpg http://127.0.0.1:" in output

    again, output = answers(tmp_path)
    assert again["model"] == model
    assert "could not be downloaded last time; --retry tries again" in output
    assert "Downloading" not in output

    _, output = answers(tmp_path, "--retry")
    assert "Downloading" in output


def test_a_manifest_that_came_with_an_upgrade_is_taken_at_the_next_start(embedded_store: Path, tmp_path: Path) -> None:
    """As if the weights had been prepared for the manifest of the version before."""
    shutil.copytree(embedded_store, tmp_path, dirs_exist_ok=True)
    path = tmp_path / "efficientnet_lite0" / "receipt.json"
    receipt = json.loads(path.read_text())
    receipt["manifest_sha256"]["preprocessing"] = "0" * 64
    path.write_text(json.dumps(receipt | {"best_batch_size": {"cpu x1 fp32": 2}}))
    answer, output = answers(tmp_path, "--model", "efficientnet_lite0")
    assert answer["model"]["fallback"] is False  # type: ignore[index]
    assert "The manifest of efficientnet_lite0 has changed since it was prepared." in output
    assert "Converting" not in output
    again, output = answers(tmp_path, "--model", "efficientnet_lite0")
    assert again["model"] == answer["model"]
    assert "has changed" not in output


def test_strict_never_falls_back(tmp_path: Path) -> None:
    result = serve(tmp_path, "--strict", "--port", free_port())
    assert result.returncode == 3
    assert "The weights of 'vgg16' are missing" in result.stdout
    assert not (tmp_path / "efficientnet_lite0").exists()


def test_a_taken_port_is_said_before_anything_is_downloaded(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        result = serve(tmp_path, "--port", port)
    assert result.returncode == 1
    assert result.stdout.startswith(f"scripts/serve: Cannot listen on 127.0.0.1:{port}")
    assert result.stdout.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--nonsense"], "unknown option --nonsense"),
        (["--port", "99999"], "Wrong settings: VGG_PORT"),
        (["--port"], "needs a value"),
    ],
)
def test_wrong_options_are_one_line(tmp_path: Path, arguments: list[str], words: str) -> None:
    result = serve(tmp_path, *arguments)
    assert result.returncode in (1, 2)
    assert words in result.stdout
    assert result.stdout.count("\n") == 1


def test_help() -> None:
    result = subprocess.run(["scripts/serve", "--help"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "scripts/serve [" in result.stdout
    assert "--cuda" in result.stdout
    assert "#" not in result.stdout


def test_a_model_that_nobody_knows(tmp_path: Path) -> None:
    result = serve(tmp_path, "--model", "vgg99", "--port", free_port())
    assert result.returncode == 1
    assert "There is no model 'vgg99'" in result.stdout
