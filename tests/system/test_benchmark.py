"""Each benchmark, for a moment: what it measures is worth nothing here, that it measures and checks is."""

import json
import os
import re
import subprocess
from pathlib import Path

import numpy as np
import pytest

from tests.pictures import encode, photograph
from tests.running import ROOT, clean_environment
from tests.system.load import servers
from tests.system.load.benchmarks import engines
from tests.system.load.benchmarks.precision import compare
from tests.system.load.command import main

MODEL = "efficientnet_lite0"


@pytest.fixture
def images(tmp_path: Path) -> Path:
    for name in ("chelsea", "coffee"):
        (tmp_path / f"{name}.jpg").write_bytes(encode(photograph(name), "JPEG"))
    return tmp_path


@pytest.fixture
def prepared(embedded_store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("VGG_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("VGG_STORE_DIR", str(embedded_store))
    monkeypatch.setenv("VGG_DEVICE", "cpu")


def test_service() -> None:
    command = ["scripts/benchmark.py", "service", "--connections", "2", "--seconds", "0.5", "--rounds", "1"]
    result = subprocess.run(
        command, cwd=ROOT, env=clean_environment(), capture_output=True, text=True, check=False, timeout=120
    )
    assert result.returncode == 0, result.stderr
    lines = result.stdout.splitlines()
    assert [line.partition(":")[0] for line in lines[1:]] == [
        "plain loop",
        "ours, idle, all processes",
        "ours, 2 connections, multipart",
        "ours, 2 connections, raw",
    ]
    assert re.search(r": [1-9]\d* MiB of memory, of it [1-9]\d* MiB not from files$", lines[2]), lines[2]
    for line in lines[3:]:
        assert re.search(r"x its CPU \([\d.]+ ms: fronts [\d.]+, decoders [\d.]+\)", line), line
        assert re.search(r"; \d+ x 200$", line), line  # nothing else came back, nothing was wrong


@pytest.mark.parametrize("name", ["mosec", "triton"])
@pytest.mark.parametrize("benchmark", ["service", "overload"])
def test_a_server_that_is_not_installed_gets_one_clear_line(
    name: str, benchmark: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(servers, "PEERS", tmp_path)
    assert main("", [benchmark, "--against", name]) == 1
    line = f"scripts/benchmark.py: {name} is not installed; scripts/install-peers installs it where it can be had.\n"
    assert capsys.readouterr().err == line


@pytest.mark.parametrize("name", ["mosec", "triton"])
def test_a_server_to_compare_with_answers_right(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    try:
        servers.require_installed([name])
    except FileNotFoundError as error:
        pytest.skip(str(error))
    asked = ["--against", name, "--connections", "2", "--seconds", "0.5", "--rounds", "1"]
    assert main("", ["service", *asked]) == 0
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith(f"{name}, 2 connections")]
    assert re.search(r"; \d+ x 200$", line), line


def test_profiles(images: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main("", ["profiles", "--images", str(images), "--rounds", "1"]) == 0
    _, found, *lines = capsys.readouterr().out.splitlines()
    assert found == "2 photographs without a profile of their own"
    assert len(lines) == 6
    for line in lines:
        assert re.fullmatch(r"(none|sRGB|Adobe RGB), decode( and preprocess)?: [\d.]+ ms, [\d.]+ of that without", line)
    assert [line.rpartition(", ")[2] for line in lines[:2]] == ["1.00 of that without"] * 2


@pytest.mark.usefixtures("prepared")
def test_large(images: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main("", ["large", "--model", MODEL, "--images", str(images)]) == 0
    output = capsys.readouterr().out
    assert "the same best class on 2 of 2" in output
    assert re.search(r"fast: [\d.]+ ms of CPU, 0\.\d\d of the plain loop", output)


@pytest.mark.usefixtures("prepared")
def test_engines(images: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Of a network that has no choice there is eager alone."""
    monkeypatch.setattr(engines, "THREADS", (1,))
    monkeypatch.setattr(engines, "SIZES", (1, 2))
    arguments = ["engines", "--model", MODEL, "--images", str(images), "--rounds", "1"]
    assert main("", [*arguments, "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [(row["threads"], row["batch_size"]) for row in rows] == [(1, 1), (1, 2)]
    for row in rows:
        assert (row["engine"], row["ratio_to_eager"], row["largest_difference"]) == ("eager", 1, 0)
        assert row["ms"] > 0
        assert row["resident_mb"] > 100


def test_precision_compares_answers_as_callers_see_them() -> None:
    exact = np.array([[0.6, 0.3, 0.1], [0.5, 0.4, 0.1]], np.float32)
    other = np.array([[0.5, 0.4, 0.1], [0.4, 0.5, 0.1]], np.float32)
    assert compare(exact, exact) == (
        "of 2 photographs the same best class on 2, the same 3 best on 2 (in the same order on 2); "
        "largest difference of a probability 0.0000"
    )
    assert compare(exact, other) == (
        "of 2 photographs the same best class on 1, the same 3 best on 2 (in the same order on 1); "
        "largest difference of a probability 0.1000"
    )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["network", "--model", "nothing"], "There is no model 'nothing'"),
        (["large", "--model", "vgg16"], "The weights of 'vgg16' are missing"),
        (["service", "--images", "/nowhere"], "There is no folder /nowhere"),
        (["service", "--images", "/dev"], "There are no JPEGs in /dev"),
    ],
)
@pytest.mark.usefixtures("prepared")
def test_mistakes_get_one_clear_line(arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main("", arguments) == 1
    assert f"scripts/benchmark.py: {said}" in capsys.readouterr().err
