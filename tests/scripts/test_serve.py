"""``scripts/install`` and ``scripts/serve``, the first things anybody sees. No test here needs a network."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from tests.pictures import encode, photograph
from tests.running import ROOT, clean_environment, get_status, wait_until

# Nobody listens there: every download fails at once, whether or not this machine has a network.
NO_NETWORK = dict.fromkeys(
    ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy", "ALL_PROXY"), "http://127.0.0.1:9"
)


def environment(store: Path) -> dict[str, str]:
    return clean_environment() | NO_NETWORK | {"VGG_STORE_DIR": str(store), "VGG_DRAIN_DELAY_S": "0"}


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
    )
    url = f"http://127.0.0.1:{port}"
    try:
        wait_until(lambda: process.poll() is not None or get_status(f"{url}/readyz") == httpx.codes.OK, 120)
        answer = httpx.post(f"{url}/predict", files={"file": encode(photograph("chelsea"), "JPEG")}).json()
    finally:
        process.send_signal(signal.SIGINT)
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
    assert "/docs" in output
    assert "curl -F file=@photo.jpg http://127.0.0.1:" in output

    again, output = answers(tmp_path)
    assert again["model"] == model
    assert "could not be downloaded last time; --retry tries again" in output
    assert "Downloading" not in output

    _, output = answers(tmp_path, "--retry")
    assert "Downloading" in output


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


@pytest.mark.parametrize("script", ["serve", "install"])
def test_help(tmp_path: Path, script: str) -> None:
    result = subprocess.run([f"scripts/{script}", "--help"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert f"scripts/{script} [" in result.stdout
    assert "#" not in result.stdout


def test_a_model_that_nobody_knows(tmp_path: Path) -> None:
    result = serve(tmp_path, "--model", "vgg99", "--port", free_port())
    assert result.returncode == 1
    assert "There is no model 'vgg99'" in result.stdout


# scripts/install, in a copy of the checkout


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    (tmp_path / "scripts").mkdir()
    for name in ("scripts/install", "pyproject.toml", "requirements.lock"):
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


def install(checkout: Path, *arguments: str, **changes: str) -> "subprocess.CompletedProcess[str]":
    """pip is told to use no index, so that installing fails where it would begin to download."""
    return subprocess.run(
        ["scripts/install", *arguments],
        cwd=checkout,
        env=os.environ | {"PYTHON": sys.executable, "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": ""} | changes,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
        check=False,
    )


def test_what_is_installed_needs_no_network(tmp_path: Path) -> None:
    result = subprocess.run(
        ["scripts/install", "--extras", "embedded,dev"],
        cwd=ROOT,
        env=os.environ | NO_NETWORK | {"PIP_NO_INDEX": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


def test_a_wrong_python_is_one_line(checkout: Path) -> None:
    old = checkout / "python2"
    old.write_text("#!/bin/sh\n[ $1 = --version ] && echo Python 2.7.18\nexit 1\n")
    old.chmod(0o755)
    result = install(checkout, PYTHON=str(old))
    assert result.returncode == 1
    assert result.stdout.startswith("scripts/install: needs Python 3.11 or newer, found Python 2.7.18;")
    assert result.stdout.count("\n") == 1
    assert not (checkout / ".venv").exists()


def test_a_failed_install_says_so_and_the_next_run_heals_a_half_made_environment(checkout: Path) -> None:
    (checkout / ".venv" / "bin").mkdir(parents=True)
    (checkout / ".venv" / "pyvenv.cfg").touch()
    result = install(checkout)
    assert result.returncode == 1
    assert ".venv is half-made; making it anew" in result.stdout
    assert result.stdout.rstrip().endswith("scripts/install: pip failed (see above); run the same command again")
    assert not (checkout / ".venv" / "installed").exists()
    again = install(checkout)
    assert "half-made" not in again.stdout  # now it is whole, and pip goes on
    assert again.returncode == 1


def test_a_folder_that_is_no_environment_is_left_alone(checkout: Path) -> None:
    (checkout / ".venv").mkdir()
    (checkout / ".venv" / "diary.txt").write_text("precious")
    result = install(checkout)
    assert result.returncode == 1
    assert result.stdout == "scripts/install: .venv is not a virtual environment; move it away\n"
    assert (checkout / ".venv" / "diary.txt").exists()


def test_the_cpu_flavour_needs_its_index(checkout: Path) -> None:
    result = install(checkout, "--cpu", TORCH_INDEX_URL="")
    assert result.returncode == 1
    assert "--cpu needs TORCH_INDEX_URL" in result.stdout


def test_an_unknown_extra(checkout: Path) -> None:
    result = install(checkout, "--extras", "nonsense")
    assert result.returncode == 1
    assert "no such extra: nonsense" in result.stdout


def test_an_interrupted_install_is_one_line(checkout: Path) -> None:
    result = install(checkout)  # makes the environment
    fake_pip = next((checkout / ".venv" / "lib").glob("python*/site-packages/pip/__main__.py"))
    fake_pip.write_text("import time; time.sleep(60)")
    process = subprocess.Popen(
        ["scripts/install"],
        cwd=checkout,
        env=os.environ | {"PYTHON": sys.executable},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    time.sleep(1.5)
    os.killpg(process.pid, signal.SIGINT)  # what Ctrl-C does: to the script and to pip
    output, _ = process.communicate(timeout=20)
    assert process.returncode == 130, result.stdout
    assert output.rstrip().endswith("run the same command again")
    assert not (checkout / ".venv" / "installed").exists()
