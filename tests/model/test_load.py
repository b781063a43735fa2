import shutil
from pathlib import Path
from typing import cast

import pytest

from app.errors import ModelError, UnknownModel, WeightsInvalid
from app.image.preprocess import preprocess
from app.model.files import write_atomically
from app.model.load import load_model
from app.model.receipt import Receipt
from app.model.registry import Candidate, Item, run
from app.model.store import ModelStore
from tests.pictures import photograph
from tests.running import settings

NAME = "efficientnet_lite0"


@pytest.fixture
def store(embedded_store: Path, tmp_path: Path) -> Path:
    """A copy of the prepared embedded default that a test may damage."""
    shutil.copytree(embedded_store, tmp_path, dirs_exist_ok=True)
    return tmp_path


def test_a_cat_is_a_cat(store: Path) -> None:
    model = load_model(NAME, settings(store_dir=store, device="cpu"))
    (pixels,) = preprocess(photograph("chelsea"), model.manifest.preprocessing.centre_crop())
    ((first, *_),) = cast(list[list[Candidate]], run(model, [Item(pixels, 5)]))
    assert model.labels[first.class_index].label_en in ("tabby", "tiger cat", "Egyptian cat", "tabby cat")
    assert "猫" in model.labels[first.class_index].label_zh


def test_damaged_weights_are_never_loaded(store: Path) -> None:
    weights = ModelStore(store, NAME).weights
    data = bytearray(weights.read_bytes())
    data[len(data) // 2] ^= 1
    weights.write_bytes(data)
    with pytest.raises(WeightsInvalid, match="damaged"):
        load_model(NAME, settings(store_dir=store))


def test_a_receipt_that_cannot_be_read(store: Path) -> None:
    ModelStore(store, NAME).receipt.write_text("{}")
    with pytest.raises(WeightsInvalid, match="receipt"):
        load_model(NAME, settings(store_dir=store))


def test_an_unknown_model(store: Path) -> None:
    with pytest.raises(UnknownModel):
        load_model("nothing", settings(store_dir=store))


def test_a_device_that_is_not_there(store: Path) -> None:
    with pytest.raises(ModelError, match="CUDA"):
        load_model(NAME, settings(store_dir=store, device="cuda:77"))


def test_the_batch_size_is_set_or_measured_or_a_modest_guess(store: Path) -> None:
    from app.model.network import device_kind, resolve_device

    assert load_model(NAME, settings(store_dir=store, device="cpu")).max_batch_size == 4
    assert load_model(NAME, settings(store_dir=store, device="cpu", max_batch_size=3)).max_batch_size == 3
    path = ModelStore(store, NAME).receipt
    receipt = Receipt.model_validate_json(path.read_bytes())
    measured = {device_kind(resolve_device("cpu"), "fp32"): 2, "another machine fp32": 64}
    write_atomically(path, receipt.model_copy(update={"best_batch_size": measured}))
    assert load_model(NAME, settings(store_dir=store, device="cpu")).max_batch_size == 2
