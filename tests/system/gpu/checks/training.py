"""Two epochs of the fine-tuner, in fp16 on CUDA, and what it has made answers."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from app.image.reader import Reader
from app.model.architectures import VGGS
from app.model.load import load_model
from app.settings import CHECKOUT
from tests.system.gpu.bench import Bench
from tests.system.gpu.findings import Finding

NAME = "check-gpu"
EACH = 24
KINDS = {"cat": "chelsea", "dog": "coffee"}  # the trainer does not know that one of them is a cup
RIGHT = 0.9
PROGRAM = "import sys; from app.training.finetune import main; sys.exit(main('', sys.argv[1:]))"


def check(bench: Bench) -> Iterator[Finding]:
    deep = bench.manifest.architecture in VGGS
    layers = ["--train", "block5", "--batch-size", "8"] if deep else ["--train", "head", "--lr", "0.05"]
    what = f"two epochs of {layers[1]}" + (", AMP" if bench.is_cuda else "")
    with tempfile.TemporaryDirectory() as folder:
        draw(Path(folder))
        options = ["--data", folder, "--base", bench.model, "--name", NAME, "--epochs", "2", *layers]
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, *options], cwd=CHECKOUT, env=os.environ | bench.environment(),
            capture_output=True, text=True, check=False, timeout=300,
        )  # fmt: skip
        if done.returncode:
            last = " ".join((done.stdout + done.stderr).strip().splitlines()[-1:])
            yield Finding("training", what, "fail", f"exit status {done.returncode}: {last}")
            return
        yield _judge(bench, what, Path(folder))


def draw(folder: Path) -> None:
    """Parts of two photographs, named as Kaggle names them; too far from each other to count as the same picture."""
    from skimage import data

    for kind, name in KINDS.items():
        photograph = Image.fromarray(getattr(data, name)())
        dice = np.random.default_rng(EACH)
        for number in range(EACH):
            side = int(dice.integers(100, min(photograph.size)))
            left, top = (int(dice.integers(0, edge - side + 1)) for edge in photograph.size)
            part = photograph.crop((left, top, left + side, top + side)).rotate(90 * int(dice.integers(4)))
            part.save(folder / f"{kind}.{number}.jpg", quality=95)


def _judge(bench: Bench, what: str, folder: Path) -> Finding:
    """What was trained, loaded as the service does it, on what it was trained on."""
    model = load_model(NAME, bench.settings())
    reader, views = Reader(bench.settings().max_pixels, exact=True), model.manifest.preprocessing.centre_crop()
    right, files = 0, sorted(folder.glob("*.jpg"))
    for file in files:
        indices, _ = model.network.top_k(reader.read(file.read_bytes(), views).pixels, 1)
        right += model.labels[int(indices[0, 0])].label_en == file.name.partition(".")[0]
    words = f"{right} of {len(files)} pictures told apart afterwards"
    return Finding.judged("training", what, right >= RIGHT * len(files), words)
