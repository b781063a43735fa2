"""The command as users run it, against local servers: real state dicts, the real download, real errors."""

import hashlib
import json
import math
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
import torch

from app.preparing.command import main
from tests.file_host import hosting
from tests.running import ROOT, clean_environment, wait_until

Prepare = Callable[..., "Outcome"]

ARCHITECTURE = "timm:test_vit"


@pytest.fixture(scope="module")
def state_dict(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small state dict with 1,000 classes, as torch.save writes it."""
    import timm

    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("source") / "net.pth"
    torch.save(timm.create_model("test_vit", num_classes=1000).state_dict(), path)
    return path


def command(*arguments: str) -> list[str]:
    return [sys.executable, "scripts/prepare_model.py", *arguments]


def environment(store: Path, **changes: str) -> dict[str, str]:
    return clean_environment() | {"VGG_STORE_DIR": str(store)} | changes


class Outcome(NamedTuple):
    returncode: int
    stdout: str
    stderr: str


@pytest.fixture
def prepare(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Outcome]:
    """The script's main, in this process: importing torch and timm anew takes seconds."""

    def run(store: Path, *arguments: str, **changes: str) -> Outcome:
        for name, value in environment(store, **changes).items():
            monkeypatch.setenv(name, value)
        try:
            status = main("", ["--no-measure", *arguments])
        except SystemExit as end:
            status = int(end.code or 0)
        return Outcome(status, *capsys.readouterr())

    return run


def manifest_dir(tmp_path: Path, weights: dict[str, object]) -> Path:
    """A models folder with one model, `net`, whose weights are said to be published by torchvision."""
    models = tmp_path / "models"
    manifest = json.loads((ROOT / "models" / "vgg16" / "manifest.json").read_text())
    manifest |= {"name": "net", "architecture": ARCHITECTURE, "weights": weights}
    (models / "net").mkdir(parents=True)
    (models / "net" / "manifest.json").write_text(json.dumps(manifest))
    (models / "labels").symlink_to(ROOT / "models" / "labels")
    return models


def published(data: bytes) -> dict[str, object]:
    return {
        "source": "torchvision:VGG16_Weights.IMAGENET1K_V1",
        "sha256": hashlib.sha256(data).hexdigest(),
        "size_bytes": len(data),
    }


def test_a_broken_download_is_resumed_verified_and_converted(
    prepare: Prepare, state_dict: Path, tmp_path: Path
) -> None:
    data = state_dict.read_bytes()
    models, store = manifest_dir(tmp_path, published(data)), tmp_path / "store"
    with hosting(data) as host:
        host.break_off_after = [len(data) // 2]
        result = prepare(store, "net", "--url", host.url, VGG_MODELS_DIR=str(models))
        assert result.returncode == 0, result.stderr
        assert len(host.requests) == 2
    assert "Downloading" in result.stderr
    receipt = json.loads((store / "net" / "receipt.json").read_text())
    assert receipt["source_sha256"] == hashlib.sha256(data).hexdigest()
    assert receipt["source_check"] == "sha256"
    weights = (store / "net" / "weights.safetensors").read_bytes()
    assert receipt["weights_sha256"] == hashlib.sha256(weights).hexdigest()
    assert {path.name for path in (store / "net").iterdir()} - {".lock"} == {"receipt.json", "weights.safetensors"}


def test_a_wrong_file_is_thrown_away(prepare: Prepare, state_dict: Path, tmp_path: Path) -> None:
    data = state_dict.read_bytes()
    models, store = manifest_dir(tmp_path, published(data)), tmp_path / "store"
    with hosting(b"x" * len(data)) as host:
        result = prepare(store, "net", "--url", host.url, VGG_MODELS_DIR=str(models))
    assert result.returncode == 3
    assert "not the published file" in result.stderr
    assert "--from-file" in result.stderr
    assert {path.name for path in (store / "net").iterdir()} - {".lock"} == {"unavailable.json"}


@pytest.mark.parametrize("status", [403, 404])
def test_a_refused_download_says_what_to_do(prepare: Prepare, tmp_path: Path, status: int) -> None:
    with hosting(b"") as host:
        host.status = status
        result = prepare(tmp_path, "vgg16", "--url", host.url)
    assert result.returncode == 3
    assert str(status) in result.stderr
    assert "scripts/serve --retry" in result.stderr
    assert "Traceback" not in result.stderr


def test_an_interrupted_download_is_resumed_by_the_next_run(prepare: Prepare, state_dict: Path, tmp_path: Path) -> None:
    data = state_dict.read_bytes()
    models, store = manifest_dir(tmp_path, published(data)), tmp_path / "store"
    with hosting(data) as host:
        host.break_off_after, host.answers = [len(data) // 2], 1
        process = subprocess.Popen(
            command("net", "--no-measure", "--url", host.url),
            cwd=ROOT,
            env=environment(store, VGG_MODELS_DIR=str(models)),
            stderr=subprocess.PIPE,
            text=True,
        )
        wait_until(lambda: len(host.requests) == 2, 60)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=30)
        assert process.returncode == 130, errors
        assert errors.rstrip().endswith("Interrupted; the next run continues from here.")
        assert not (store / "net" / "receipt.json").exists()
        host.answers = math.inf
        again = prepare(store, "net", "--url", host.url, VGG_MODELS_DIR=str(models))
        assert again.returncode == 0, again.stderr
        assert (host.requests[-1] or "").startswith("bytes=")


def test_a_file_from_elsewhere_must_be_the_published_one(prepare: Prepare, state_dict: Path, tmp_path: Path) -> None:
    result = prepare(tmp_path, "vgg16", "--from-file", str(state_dict))
    assert result.returncode == 1
    assert "is not the published file" in result.stderr
    assert state_dict.exists()
    assert not (tmp_path / "vgg16" / "receipt.json").exists()


def test_anybodys_own_weights_become_a_model(prepare: Prepare, state_dict: Path, tmp_path: Path) -> None:
    labels = tmp_path / "mine.csv"
    labels.write_text((ROOT / "models" / "labels" / "imagenet1k.csv").read_text(encoding="utf-8"), encoding="utf-8")
    arguments = ["--name", "mine", "--architecture", ARCHITECTURE, "--from-file", str(state_dict)]
    result = prepare(tmp_path / "store", *arguments, "--labels", str(labels))
    assert result.returncode == 0, result.stderr
    manifest = json.loads((tmp_path / "store" / "mine" / "manifest.json").read_text())
    assert manifest["weights"]["source"] == "file:net.pth"
    assert manifest["labels"] == "labels.csv"
    assert manifest["preprocessing"]["crop"] == 160  # what timm says of this architecture


def test_a_supplied_file_does_not_vouch_for_itself_by_its_name(
    prepare: Prepare, state_dict: Path, tmp_path: Path
) -> None:
    for name in (f"vgg11-{hashlib.sha256(state_dict.read_bytes()).hexdigest()[:8]}.pth", "anything.pth"):
        (tmp_path / name).write_bytes(state_dict.read_bytes())
        result = prepare(tmp_path, "vgg11", "--from-file", str(tmp_path / name))
        assert result.returncode == 1
        assert "is not the published file" in result.stderr
        assert "--name NAME" in result.stderr
    result = prepare(tmp_path, "vgg16", "--from-file", str(state_dict), "--sha256", "0" * 64)
    assert result.returncode == 1
    assert "has the SHA-256 397923af" in result.stderr


def own(state_dict: Path) -> list[str]:
    return ["--name", "mine", "--architecture", ARCHITECTURE, "--from-file", str(state_dict)]


def test_a_manifest_that_was_edited_is_taken_by_the_same_command(
    prepare: Prepare, state_dict: Path, tmp_path: Path
) -> None:
    assert prepare(tmp_path, *own(state_dict)).returncode == 0
    path = tmp_path / "mine" / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"temperature": 2.0}))
    result = prepare(tmp_path, "mine")
    assert result.returncode == 0, result.stderr
    assert "The manifest of mine has changed" in result.stdout
    assert "Converting" not in result.stdout
    assert "already prepared" in prepare(tmp_path, "mine").stdout


def test_a_manifest_that_names_other_weights_has_them_fetched(
    prepare: Prepare, state_dict: Path, tmp_path: Path
) -> None:
    data, store = state_dict.read_bytes(), tmp_path / "store"
    tensors = torch.load(state_dict, weights_only=True)
    torch.save({name: tensor * 2 for name, tensor in tensors.items()}, tmp_path / "other.pth")
    models, other = manifest_dir(tmp_path, published(data)), (tmp_path / "other.pth").read_bytes()
    with hosting(data) as host:
        assert prepare(store, "net", "--url", host.url, VGG_MODELS_DIR=str(models)).returncode == 0
    shutil.rmtree(models)
    manifest_dir(tmp_path, published(other))
    with hosting(other) as host:
        result = prepare(store, "net", "--url", host.url)
    assert result.returncode == 0, result.stderr
    receipt = json.loads((store / "net" / "receipt.json").read_text())
    assert receipt["source_sha256"] == hashlib.sha256(other).hexdigest()


def test_a_model_of_another_store_is_installed_and_taken_back(
    prepare: Prepare, state_dict: Path, tmp_path: Path
) -> None:
    assert prepare(tmp_path / "a", *own(state_dict)).returncode == 0
    store, folder = tmp_path / "b", str(tmp_path / "a" / "mine")
    assert "is no earlier version" in prepare(store, "--rollback", "mine").stderr
    result = prepare(store, "--install", folder)
    assert result.returncode == 0, result.stderr
    assert "mine, version 1, is installed. A running service" in result.stdout
    assert "POST /models/mine/load" in result.stdout
    assert "is installed already" in prepare(store, "--install", folder).stdout
    assert prepare(store, "--install", folder, "--name", "other").returncode == 0
    assert json.loads((store / "other" / "manifest.json").read_text())["name"] == "other"
    path = tmp_path / "a" / "mine" / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"version": "2"}))
    result = prepare(store, "--install", folder)
    assert result.returncode == 1
    assert result.stderr.startswith(f"Cannot install {folder}: The manifest of 'mine' has changed")
    assert prepare(tmp_path / "a", "mine").returncode == 0
    assert prepare(store, "--install", folder).returncode == 0
    assert "mine is version 1 again" in prepare(store, "--rollback", "mine").stdout
    assert json.loads((store / "mine" / "manifest.json").read_text())["version"] == "1"


@pytest.mark.parametrize(
    "arguments",
    [
        ["vgg16", "--weights", "IMAGENET1K_FEATURES"],
        ["vgg16", "--from-file", "vgg16_features-amdegroot-88682ab5.pth"],
        ["--name", "x", "--architecture", "vgg16", "--from-file", "vgg16_features-amdegroot-88682ab5.pth"],
    ],
)
def test_the_features_weights_are_refused_with_the_reason(
    prepare: Prepare, tmp_path: Path, arguments: list[str]
) -> None:
    result = prepare(tmp_path, *arguments)
    assert result.returncode == 1
    assert "has no classifier" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["resnet50"], "There is no model 'resnet50'"),
        (["vgg11", "--weights", "IMAGENET1K_V7"], "does not publish 'torchvision:VGG11_Weights.IMAGENET1K_V7'"),
        (["vgg16", "--from-file", "nowhere.pth"], "There is no file nowhere.pth"),
        (["--name", "x", "--architecture", "resnet50", "--from-file", __file__], "Unknown architecture"),
    ],
)
def test_mistakes_get_one_clear_line(prepare: Prepare, tmp_path: Path, arguments: list[str], words: str) -> None:
    result = prepare(tmp_path, *arguments)
    assert result.returncode == 1
    assert words in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["vgg16", "--name", "x", "--architecture", "vgg16", "--from-file", "x.pth"],
        ["--name", "x"],
        ["vgg16", "--install", "x"],
        ["--install", "x", "--rollback", "x"],
        ["--install", "x", "--name", "../x"],
        ["--rollback", "../x"],
        ["--name", "Bad Name", "--architecture", "vgg16", "--from-file", "x.pth"],
    ],
)
def test_a_wrong_command_line_is_explained(prepare: Prepare, tmp_path: Path, arguments: list[str]) -> None:
    result = prepare(tmp_path, *arguments)
    assert result.returncode == 2
    assert "usage:" in result.stderr


def test_the_best_batch_size_is_measured_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("app.preparing.batch_size.BATCH_SIZES", {"cpu": (1, 2), "cuda": (1, 2)})
    monkeypatch.setenv("VGG_STORE_DIR", str(tmp_path))
    assert main("", ["efficientnet_lite0"]) == 0
    receipt = json.loads((tmp_path / "efficientnet_lite0" / "receipt.json").read_text())
    assert next(iter(receipt["best_batch_size"].values())) in (1, 2)
    assert "Images per second by batch size" in capsys.readouterr().out
    assert main("", ["efficientnet_lite0"]) == 0
    assert "already prepared" in capsys.readouterr().out
    assert json.loads((tmp_path / "efficientnet_lite0" / "receipt.json").read_text()) == receipt
