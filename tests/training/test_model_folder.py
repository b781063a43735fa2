import csv
import hashlib
import sys
from pathlib import Path
from types import ModuleType
from typing import Any, Self

import numpy as np
import pytest
import torch

from app.model.manifest import read_manifest
from app.model.store import ModelStore
from app.training import model_folder
from app.training.loop import Progress
from app.training.measurement import Answers, Measurement, measure
from app.training.model_folder import facts_of, write_metrics, write_model, write_tensorboard
from app.training.run import Run
from tests.training.conftest import BASE
from tests.training.test_run import prepare

HISTORY = [
    {"epoch": n, "train_loss": 1 / n, "validation_nll": 1.5 / n, "train_accuracy": 0.5, "validation_accuracy": 0.6}
    for n in (1, 2)
]
PROGRESS = Progress(epoch=2, history=HISTORY, best={"epoch": 2})


@pytest.fixture
def run(store: Path, pictures: Path) -> Run:
    return prepare(store, pictures, "--name", "new")


def measured(run: Run) -> Measurement:
    """As if every answer had been "cat"."""
    samples = run.split.part("calibration")
    logits = torch.tensor([[1.0, 0.0]] * len(samples))
    return measure(
        run.labels, Answers(samples, ["calibration"] * len(samples), logits, np.arange(len(samples)) % 3), 1.0
    )


def test_a_run_becomes_a_folder_that_tells_all_about_it(run: Run, store: Path) -> None:
    leftover = run.work / "new" / "staged" / "half"
    leftover.mkdir(parents=True)
    write_model(run, PROGRESS, measured(run), None)
    folder = ModelStore(store, "new")
    manifest = read_manifest(folder.manifest)
    assert manifest.base == run.base.root
    assert manifest.version == f"head-{run.split.sha256[:8]}"
    assert manifest.weights.source == f"training:{run.options.data.name}"
    assert manifest.training is not None
    shown = [sample.class_name for sample in run.split.part("calibration")]
    assert manifest.training.metrics["top1"] == round(shown.count("cat") / len(shown), 6)
    assert manifest.training.classes is not None
    assert manifest.training.classes["dog"]["recall"] == 0
    assert manifest.known is not None
    assert manifest.known.curve[-1][1] == 1
    rows = list(csv.DictReader((folder.folder / "predictions.csv").read_text().splitlines()))
    assert [row["path"] for row in rows] == [sample.path for sample in run.split.part("calibration")]
    assert {row["predicted"] for row in rows} == {"cat"}
    seen = list(csv.DictReader((folder.folder / "seen.csv").read_text().splitlines()))
    assert len(seen) == len(run.split.samples)
    assert manifest.training.split_sha256 == hashlib.sha256((folder.folder / "split.csv").read_bytes()).hexdigest()
    with folder.open_weights() as (receipt, _):
        assert receipt.weights_size_bytes == folder.weights.stat().st_size
    run.library.require_prepared("new")
    left_out = dict(csv.reader((folder.folder / "excluded.csv").read_text(encoding="utf-8").splitlines()))
    assert left_out == {"path": "reason"} | {one.path: one.reason for one in run.refused}
    assert not (folder.folder / "half").exists()
    assert not leftover.parent.exists()


def test_the_facts_are_enough_to_make_it_again(run: Run) -> None:
    facts = facts_of(run, PROGRESS)
    assert run.base.root is not None
    assert facts["base"].startswith(f"{BASE}, weights SHA-256 {run.base.root.weights_sha256}")
    assert "seed 620" in facts["recipe"]
    assert facts["best epoch"] == "2, by the validation part"
    counts = run.split.counts()
    assert facts["images"] == ", ".join(f"{part} {count.total()}" for part, count in counts.items() if count)
    assert facts["split"].endswith(run.split.sha256)
    assert facts["look alike"] == "0 images in 0 groups, each in one part and one fold"


def test_metrics_have_one_row_per_epoch(tmp_path: Path) -> None:
    write_metrics(HISTORY, tmp_path / "metrics.csv")
    rows = list(csv.DictReader((tmp_path / "metrics.csv").read_text().splitlines()))
    assert [row["epoch"] for row in rows] == ["1", "2"]
    assert float(rows[1]["validation_nll"]) == 0.75


class Writer:
    """What stands for TensorBoard's where that is not installed."""

    def __init__(self, folder: str) -> None:
        self.scalars: list[tuple[str, float, int]] = []
        Path(folder).mkdir()
        _writers.append(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None: ...

    def add_scalar(self, name: str, value: float, step: int) -> None:
        self.scalars.append((name, value, step))


_writers: list[Any] = []


def test_tensorboard_gets_the_same_numbers_where_it_is_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model_folder, "find_spec", lambda _: None)
    write_tensorboard(HISTORY, tmp_path / "none")
    assert not (tmp_path / "none").exists()
    module = ModuleType("torch.utils.tensorboard")
    module.__dict__["SummaryWriter"] = Writer
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setattr(model_folder, "find_spec", lambda _: object())
    write_tensorboard(HISTORY, tmp_path / "some")
    assert ("train_loss", 0.5, 2) in _writers.pop().scalars
