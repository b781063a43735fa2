"""A small base that can really be trained, and pictures that can really be told apart."""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tests.running import ROOT, clean_environment

ARCHITECTURE = "timm:test_vit"
BASE = "tiny"


@pytest.fixture(scope="session")
def tiny_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with a small network of random weights, prepared by the script that users run. Tests copy it."""
    import timm

    store = tmp_path_factory.mktemp("tiny")
    torch.manual_seed(0)
    torch.save(timm.create_model("test_vit", num_classes=1000).state_dict(), store / "net.pth")
    model = ["--name", BASE, "--architecture", ARCHITECTURE, "--from-file", str(store / "net.pth")]
    subprocess.run(
        [sys.executable, "scripts/prepare_model.py", "--no-measure", *model],
        cwd=ROOT,
        env=clean_environment() | {"VGG_STORE_DIR": str(store)},
        check=True,
        capture_output=True,
    )
    return store


@pytest.fixture
def store(tiny_store: Path, tmp_path: Path) -> Path:
    """A store of the test's own, with the small network in it."""
    shutil.copytree(tiny_store / BASE, tmp_path / "store" / BASE)
    return tmp_path / "store"


def draw(path: Path, kind: str, seed: int) -> None:
    """Cats are warm and dogs are cold here, in noise that makes every picture another one."""
    generator = np.random.default_rng([seed, kind == "dog"])
    pixels = generator.integers(0, 120, (170, 200, 3))
    pixels[:, :, 0 if kind == "cat" else 2] += 70
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels.astype(np.uint8)).save(path)


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Thirty of each kind, named as Kaggle names them, and some files that nobody can label."""
    folder = tmp_path_factory.mktemp("pictures")
    for number in range(30):
        for kind in ("cat", "dog"):
            draw(folder / f"{kind}.{number}.png", kind, number)
    (folder / "1.jpg").write_bytes((folder / "cat.0.png").read_bytes())
    (folder / "cat.77.jpg").write_bytes(b"\xff\xd8\xff broken")
    return folder
