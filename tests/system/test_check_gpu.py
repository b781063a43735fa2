"""scripts/check-gpu without a device: a part of what a processor can run, and what it says where there is none.

All that a processor can run is a job of .github/workflows/slow.yml.
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.running import ROOT, clean_environment
from tests.system.gpu import command
from tests.system.gpu.bench import Bench
from tests.system.gpu.command import main
from tests.system.gpu.findings import Finding


def check_gpu(*arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Its door, as users open it; what it needs is installed already."""
    return subprocess.run(
        ["scripts/check-gpu", *arguments],
        cwd=ROOT,
        env=clean_environment() | environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=900,
    )


def test_what_of_it_a_processor_can_run_passes(embedded_store: Path) -> None:
    command = ["-m", "tests.system.gpu", "--device", "cpu", "--format", "json", "--only", "memory", "device"]
    environment = {"VGG_STORE_DIR": str(embedded_store), "VGG_MODEL": "efficientnet_lite0"}
    before = (embedded_store / "efficientnet_lite0" / "receipt.json").read_text()
    done = subprocess.run(
        [sys.executable, *command], cwd=ROOT, env=clean_environment() | environment,
        capture_output=True, text=True, check=False, timeout=900,
    )  # fmt: skip
    report = json.loads(done.stdout)
    assert (done.returncode, report["passed"]) == (0, True), done.stdout + done.stderr
    device, memory = report["findings"]
    assert (device["check"], device["outcome"]) == ("device", "info")
    assert (memory["check"], memory["outcome"]) == ("memory", "pass")
    assert memory["detail"].startswith("48 of 48 answered right, in batches shrunk to [")
    assert (embedded_store / "efficientnet_lite0" / "receipt.json").read_text() == before  # nothing was written there


def test_without_a_device_there_is_one_line_and_nothing_is_installed(tmp_path: Path) -> None:
    done = check_gpu(NVIDIA_DEV=str(tmp_path))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    assert "there is no NVIDIA device here" in done.stderr


def test_a_device_that_cannot_be_used_gets_one_line_with_the_reason(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr("torch.version.cuda", "13.0")
    monkeypatch.setattr("torch.cuda.init", lambda: None)
    assert main([]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.count("\n") == 1
    assert "VGG_DEVICE=cuda, but there is no usable CUDA device" in printed.err


def test_a_check_that_breaks_has_failed_and_the_others_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: Bench) -> object:
        raise RuntimeError("CUDA error: device-side assert\ntriggered")

    monkeypatch.setattr(command, "CHECKS", {"one": broken, "two": lambda _: iter([Finding("two", "x", "pass", "y")])})
    bench = Bench("cpu", "m", Path(), [], 1, [], [])
    one, two = command.run(bench, ["one", "two"])
    assert (one.outcome, one.detail) == ("fail", "RuntimeError: CUDA error: device-side assert triggered")
    assert two.outcome == "pass"


@pytest.mark.parametrize("wrong", [["--device", "gpu"], ["--only", "nothing"], ["--format", "xml"]])
def test_wrong_usage(wrong: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(wrong)
    assert ended.value.code == 2
