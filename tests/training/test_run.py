from pathlib import Path

import pytest
import torch
from PIL import Image

from app.errors import ModelError
from app.settings import Settings
from app.training.distributed import Ranks
from app.training.options import parse_options
from app.training.run import Run, prepare_run
from tests.training.conftest import BASE, draw


@pytest.fixture
def data(tmp_path: Path) -> Path:
    for number in range(6):
        draw(tmp_path / "data" / f"cat.{number}.png", "cat", number)
        draw(tmp_path / "data" / f"dog.{number}.png", "dog", number)
    return tmp_path / "data"


def prepare(store: Path, data: Path, *arguments: str) -> Run:
    given = ["--data", str(data), "--base", BASE, "--train", "head", "--validation", "0.4", *arguments]
    return prepare_run(parse_options(given, None), Settings(store_dir=store), Ranks(torch.device("cpu")))


def test_base_data_and_network_belong_together(store: Path, data: Path) -> None:
    (data / "notes.txt").touch()
    (data / "cat.9.png").write_bytes((data / "cat.0.png").read_bytes())
    run = prepare(store, data)
    assert [label.label_zh for label in run.labels] == ["猫", "狗"]
    assert len(run.split.samples) == 12
    assert {one.path for one in run.refused} == {"notes.txt", "cat.9.png"}
    pixels = torch.zeros((1, 3, 160, 160), dtype=torch.uint8)
    assert run.network.trained.eval()(run.network.frozen(pixels)).shape == (1, 2)
    assert run.work == store / ".training"
    assert (run.work / "looks.jsonl").is_file()


def test_images_that_look_alike_lie_on_one_side(store: Path, data: Path) -> None:
    for number in range(6):
        Image.open(data / f"cat.{number}.png").save(data / f"cat.{number + 10}.bmp")
    run = prepare(store, data)
    part_of = {sample.path: sample.part for sample in run.split.samples}
    assert run.split.alike() == [2] * 6
    assert all(part_of[f"cat.{number}.png"] == part_of[f"cat.{number + 10}.bmp"] for number in range(6))


def test_half_precision_is_for_cuda_alone(store: Path, data: Path) -> None:
    assert prepare(store, data, "--amp").options.recipe.amp is False


def test_a_class_with_too_few_images_is_told(store: Path, data: Path) -> None:
    for number in range(1, 6):
        (data / f"dog.{number}.png").unlink()
    with pytest.raises(ModelError, match="Class 'dog' has too few usable images that do not look alike: 1"):
        prepare(store, data)
