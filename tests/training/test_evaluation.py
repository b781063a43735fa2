from pathlib import Path

import pytest
import torch
from PIL import Image

from app.errors import ModelError
from app.model.wish import Wish
from app.settings import Settings
from app.training.evaluation import Evaluation, Question, evaluate
from tests.training.conftest import BASE, draw

CAT, DOG = "n02124075", "n02099601"


def ask(data: Path, store: Path, *, ten_crop: bool = False, batch_size: int | None = None) -> Evaluation:
    question = Question(data, BASE, ten_crop=ten_crop, exclude=None, batch_size=batch_size, workers=2)
    return evaluate(question, Settings(store_dir=store, device="cpu"))


@pytest.fixture
def data(tmp_path: Path) -> Path:
    for number in range(5):
        draw(tmp_path / "data" / CAT / f"{number}.png", "cat", number)
        draw(tmp_path / "data" / DOG / f"{number}.png", "dog", number)
    (tmp_path / "data" / CAT / "2.5.jpg").write_bytes(b"\xff\xd8\xff")
    return tmp_path / "data"


def test_every_image_has_its_answer_whatever_the_batches(tiny_store: Path, data: Path) -> None:
    whole, pieces = ask(data, tiny_store), ask(data, tiny_store, batch_size=3)
    assert [one.path for one in whole.files] == sorted(f"{name}/{n}.png" for name in (CAT, DOG) for n in range(5))
    assert whole.targets.tolist() == [207] * 5 + [285] * 5
    assert whole.logits.shape == (10, 1000)
    assert torch.allclose(whole.logits, pieces.logits, atol=1e-4)
    assert [one.path for one in pieces.refused] == [f"{CAT}/2.5.jpg"]


def test_ten_crops_are_averaged_as_probabilities(tiny_store: Path, data: Path) -> None:
    ten = ask(data, tiny_store, ten_crop=True, batch_size=3)
    assert torch.softmax(ten.logits, 1).sum(1).tolist() == pytest.approx([1] * 10, abs=1e-5)
    assert not torch.allclose(torch.softmax(ten.logits, 1), torch.softmax(ask(data, tiny_store).logits, 1), atol=1e-7)


def test_the_lines_hold_what_was_measured(tiny_store: Path, data: Path) -> None:
    found = ask(data, tiny_store)
    lines = found.lines()
    assert lines[0] == f"top-1 {found.top(1)}"
    assert lines[1] == f"top-5 {found.top(5)}"
    assert lines[2].startswith("NLL ")
    assert lines[3].endswith("images/s on cpu in fp32, decoding included")
    assert lines[4].startswith(f"files left out: 1, such as {CAT}/2.5.jpg: ")


def test_of_few_classes_the_first_five_say_nothing() -> None:
    class Few:
        device, precision = "cpu", "fp32"

    found = Evaluation(Few(), [], [], torch.tensor([0, 1]), torch.eye(2), 1.0)  # type: ignore[arg-type]
    assert [line.split()[0] for line in found.lines()] == ["top-1", "NLL", "0.0"]


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (("cat.0.png", "dog.0.png"), "for: cat, dog"),
        (("nothing/a.png", f"{CAT}/a.png"), "for: nothing"),
    ],
)
def test_classes_that_the_model_does_not_know_are_an_error(
    tiny_store: Path, tmp_path: Path, names: tuple[str, str], words: str
) -> None:
    for name in names:
        (tmp_path / "data" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8)).save(tmp_path / "data" / name)
    with pytest.raises(ModelError, match=words):
        ask(tmp_path / "data", tiny_store)


def test_a_folder_without_one_good_image_is_an_error(tiny_store: Path, tmp_path: Path) -> None:
    for name in (CAT, DOG):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.jpg").write_bytes(b"\xff\xd8\xff")
    with pytest.raises(ModelError, match=r"None of the 2 images in .* can be decoded"):
        ask(tmp_path, tiny_store)


def test_photographs_can_be_looked_at_in_other_ways(tiny_store: Path, data: Path) -> None:
    def by(wish: Wish) -> Evaluation:
        question = Question(data, BASE, ten_crop=False, exclude=None, batch_size=3, workers=2, wish=wish)
        return evaluate(question, Settings(store_dir=tiny_store, device="cpu"))

    ten = by(Wish("multi_crop"))
    assert torch.allclose(ten.logits, ask(data, tiny_store, ten_crop=True).logits, atol=1e-5)
    grid = by(Wish("multi_crop", "5x5", "224,256"))
    assert torch.softmax(grid.logits, 1).sum(1).tolist() == pytest.approx([1] * 10, abs=1e-5)
    assert not torch.allclose(grid.logits, ten.logits, atol=1e-4)
    with pytest.raises(ModelError, match="has no dense form"):
        by(Wish("dense"))
