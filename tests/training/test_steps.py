"""The steps on a VGG: its whole classifier is trained, exported, loaded and answers as it was measured."""

import csv
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from app.image.reader import Reader
from app.model.labels import read_labels
from app.model.load import load_model
from app.model.manifest import Manifest, Preprocessing, WeightsOrigin
from app.model.network import TorchNetwork, build_architecture
from app.model.store import ModelStore
from app.model.weights import map_tensors
from app.settings import Settings
from app.training.distributed import Ranks
from app.training.export import export
from app.training.options import parse_options
from app.training.scores import nll, top_share
from app.training.steps import finetune, report_data
from app.training.terminal import terminal
from tests.training.conftest import draw
from tests.training.test_run import prepare

CROP = 32
BASE = Manifest(
    name="small-vgg",
    version="random",
    architecture="vgg11",
    preprocessing=Preprocessing(
        input_size=(3, CROP, CROP), resize=CROP, crop=CROP, interpolation="bilinear", mean=(0.5,) * 3, std=(0.25,) * 3
    ),
    labels="labels.csv",
    weights=WeightsOrigin(source="file:random"),
)
CLASSIFIER = {f"classifier.{layer}.{tensor}" for layer in (0, 3, 6) for tensor in ("weight", "bias")}


def random_vgg() -> dict[str, Tensor]:
    """Weights through which a signal passes: He's initialisation."""
    state = build_architecture(BASE.architecture, 3).state_dict()
    generator = torch.Generator().manual_seed(0)
    return {
        name: torch.empty(tensor.shape).normal_(0, (2 / tensor[0].numel()) ** 0.5, generator=generator)
        if tensor.ndim > 1
        else torch.zeros(tensor.shape)
        for name, tensor in state.items()
    }


@pytest.fixture
def vgg_store(tmp_path: Path) -> Iterator[Path]:
    """A store with a VGG-11 for three classes; it is a gigabyte by the end, and goes."""
    store, staged = tmp_path / "store", tmp_path / "staged"
    staged.mkdir()
    header = "class_index,wnid,label_en,label_zh,synonyms_en,synonyms_zh"
    (staged / "labels.csv").write_text(f"{header}\n0,,one,一,,\n1,,two,二,,\n2,,three,三,,\n", encoding="utf-8")
    export(ModelStore(store, BASE.name), BASE, read_labels(staged / "labels.csv"), random_vgg(), staged)
    yield store
    shutil.rmtree(store)


def test_a_vggs_classifier_is_trained_and_the_export_answers_as_it_was_measured(
    vgg_store: Path, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    for number in range(10):
        for kind in ("cat", "dog"):
            draw(data / f"{kind}.{number}.png", kind, number)
    settings = Settings(store_dir=vgg_store, device="cpu")
    options = parse_options(
        ["--data", str(data), "--base", BASE.name, "--train", "classifier", "--epochs", "2", "--validation", "0.4"],
        None,
    )
    finetune(options, settings, Ranks(torch.device("cpu")))

    model = load_model("catdog", settings)
    assert isinstance(model.network, TorchNetwork)
    assert map_tensors(ModelStore(vgg_store, "catdog").weights).keys() == CLASSIFIER
    assert model.manifest.training is not None
    measured = model.manifest.training.metrics
    with (vgg_store / "catdog" / "split.csv").open(encoding="utf-8") as file:
        held_out = [row for row in csv.DictReader(file) if row["part"] == "calibration"]
    pixels = np.concatenate(
        [
            Reader(settings.max_pixels, exact=settings.decode == "exact")
            .read((data / row["path"]).read_bytes(), BASE.preprocessing.centre_crop())
            .pixels
            for row in held_out
        ]
    )
    targets = torch.tensor([int(row["class_index"]) for row in held_out])
    logits = model.network.logits(pixels)
    assert nll(logits, targets) == pytest.approx(measured["nll_uncalibrated"], abs=1e-5)
    assert top_share(logits, targets).value == pytest.approx(measured["top1_calibration"], abs=1e-6)
    assert "top1_validation" not in measured  # it has chosen the epoch


def kinds(folder: Path, count: int) -> Path:
    for number in range(count):
        for kind in ("cat", "dog"):
            draw(folder / f"{kind}.{number}.png", kind, number)
    return folder


def history(store: Path) -> list[dict[str, str]]:
    with (store / "catdog" / "metrics.csv").open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def run(store: Path, data: Path, *arguments: str) -> Manifest:
    given = ["--data", str(data), "--base", BASE.name, "--validation", "0.4", *arguments]
    finetune(parse_options(given, None), Settings(store_dir=store, device="cpu"), Ranks(torch.device("cpu")))
    return load_model("catdog", Settings(store_dir=store, device="cpu")).manifest


def test_from_scratch_it_learns_and_the_export_stands_alone(vgg_store: Path, tmp_path: Path) -> None:
    """VGG-11 from nothing, tells warm pictures from cold ones after a few passes."""
    steps = ["--epochs", "5", "--lr", "0.01", "--batch-size", "8", "--patience", "0", "--dropout", "0"]
    manifest = run(vgg_store, kinds(tmp_path / "data", 12), "--weights", "none", "--architecture", "vgg11", *steps)
    assert manifest.base is None
    assert manifest.architecture == "vgg11"
    rows = history(vgg_store)
    assert float(rows[-1]["train_loss"]) < 0.5 * float(rows[0]["train_loss"])
    assert float(rows[-1]["train_accuracy"]) > 0.9


def test_fine_tuning_begins_with_the_fitted_head_and_mixes_maps(vgg_store: Path, tmp_path: Path) -> None:
    """What was fitted beforehand answers right from the first epoch on, while the rate is still rising."""
    steps = ["--train", "fine-tune", "--mix", "mixup", "--epochs", "1", "--batch-size", "8", "--dropout", "0"]
    manifest = run(vgg_store, kinds(tmp_path / "data", 12), *steps)
    assert manifest.training is not None
    assert manifest.training.metrics["top1"] == 1
    changed = map_tensors(ModelStore(vgg_store, "catdog").weights).keys()
    assert changed > CLASSIFIER
    assert {name for name in changed if name.startswith("features.")} == {
        f"features.{layer}.{kind}" for layer in (16, 18) for kind in ("weight", "bias")
    }


def test_what_was_found_and_left_out_is_told_before_anything_is_trained(
    store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = tmp_path / "data"
    for number in range(6):
        draw(data / "val" / "cat" / f"{number}.png", "cat", number)
        draw(data / "val" / "dog" / f"{number}.png", "dog", number)
        draw(data / "train" / "dog" / f"{number + 6}.png", "dog", number + 6)
        (data / "train" / "cat").mkdir(exist_ok=True)
        Image.open(data / "val" / "cat" / f"{number}.png").save(data / "train" / "cat" / f"{number}.bmp")
    for number in range(7):
        (data / "train" / f"{number}.txt").touch()
    with terminal():
        report_data(prepare(store, data))
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("train ")
    assert any(line.startswith("left out ") for line in lines)
    assert any(line.strip().startswith("train/0.txt: not one of") for line in lines)
