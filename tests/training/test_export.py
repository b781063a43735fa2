from pathlib import Path

import pytest
import torch

from app.model.labels import read_labels
from app.model.manifest import Manifest, WeightsOrigin, read_manifest
from app.model.store import ModelStore
from app.model.weights import map_tensors
from app.preparing.origin import torchvision_preprocessing
from app.training.export import changed_tensors, export
from tests.dummy import MODELS

LABELS = read_labels(MODELS / "labels" / "catdog.csv")

MANIFEST = Manifest(
    name="new",
    version="1",
    architecture="vgg11",
    preprocessing=torchvision_preprocessing(),
    labels="labels.csv",
    weights=WeightsOrigin(source="training:images"),
)


def staged(folder: Path, text: str) -> Path:
    """What a run leaves: a file, and a folder as TensorBoard makes it."""
    (folder / "staged" / "tensorboard").mkdir(parents=True)
    (folder / "staged" / "labels.csv").write_text(text)
    (folder / "staged" / "tensorboard" / f"events.{text}").write_text(text)
    return folder / "staged"


def test_only_what_differs_from_the_base_is_kept() -> None:
    same, base = torch.arange(4.0), torch.zeros(3)
    trained = {"same": same.clone(), "other": torch.ones(3, requires_grad=True), "shape": base[:2], "new": base}
    found = changed_tensors(trained, {"same": same, "other": base, "shape": base})
    assert found.keys() == {"other", "shape", "new"}
    assert not found["other"].requires_grad


@pytest.mark.parametrize("times", [1, 2])
def test_a_model_is_whole_and_replaces_one_of_its_name(tmp_path: Path, times: int) -> None:
    store = ModelStore(tmp_path / "store", "new")
    for time in range(times):
        receipt = export(
            ModelStore(tmp_path / "store", "new"),
            MANIFEST,
            LABELS,
            {"a": torch.full((2,), time)},
            staged(tmp_path, f"{time}"),
        )
        assert not (tmp_path / "staged").exists()
    with store.open_weights() as (read, _):
        assert read == receipt
    receipt.check(read_manifest(store.manifest), LABELS)
    assert receipt.source == "training:images"
    assert map_tensors(store.weights)["a"].tolist() == [times - 1] * 2
    assert read_manifest(store.manifest) == MANIFEST
    assert (store.folder / "labels.csv").read_text() == f"{times - 1}"
    assert [path.name for path in (store.folder / "tensorboard").iterdir()] == [f"events.{times - 1}"]


def test_a_service_that_is_running_keeps_what_it_has_mapped(tmp_path: Path) -> None:
    export(ModelStore(tmp_path / "store", "new"), MANIFEST, LABELS, {"a": torch.zeros(1000)}, staged(tmp_path, "0"))
    mapped = map_tensors(ModelStore(tmp_path / "store", "new").weights)["a"]
    export(ModelStore(tmp_path / "store", "new"), MANIFEST, LABELS, {"a": torch.ones(1000)}, staged(tmp_path, "1"))
    assert not mapped.any()


def test_the_old_model_stays_until_the_new_one_is_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever fails on the way: there is a model to serve, and after success the old one is kept to go back to."""
    store = ModelStore(tmp_path / "store", "new")
    first = export(store, MANIFEST, LABELS, {"a": torch.zeros(2)}, staged(tmp_path, "0"))

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    second = staged(tmp_path, "1")
    with monkeypatch.context() as patch:
        patch.setattr("app.training.export.write_safetensors", full)
        with pytest.raises(OSError, match="No space"):
            export(store, MANIFEST, LABELS, {"a": torch.ones(2)}, second)
    with store.open_weights() as (receipt, _):
        assert receipt == first
    export(store, MANIFEST, LABELS, {"a": torch.ones(2)}, second)
    assert map_tensors(store.weights)["a"].tolist() == [1, 1]
    assert [path.name for path in (store.folder / "tensorboard").iterdir()] == ["events.1"]
    assert map_tensors(ModelStore(tmp_path / "store" / ".previous", "new").weights)["a"].tolist() == [0, 0]
