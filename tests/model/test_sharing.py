"""Two models in one process: what they have in common is in memory once, and gone with the last of them."""

import gc
from pathlib import Path
from typing import BinaryIO

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from app.errors import ManifestChanged, ModelError, WeightsInvalid
from app.model import sharing
from app.model.files import sha256_of, sha256_of_open, write_atomically
from app.model.labels import read_labels
from app.model.load import load_model
from app.model.manifest import Base, Manifest, Preprocessing, WeightsOrigin, read_manifest
from app.model.network import TorchNetwork
from app.model.receipt import Receipt, meaning_of
from app.model.registry import LoadedModel
from app.model.store import ModelStore
from app.model.weights import map_tensors, write_safetensors
from tests.running import settings

ARCHITECTURE = "timm:test_efficientnet"
PREPROCESSING = Preprocessing(
    input_size=(3, 64, 64), resize=64, crop=64, interpolation="bilinear", mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5)
)
DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA"))]


def put(store_dir: Path, name: str, tensors: dict[str, Tensor], base: Base | None = None, classes: int = 5) -> Base:
    """A prepared model in the store; returns how another would name it as its base."""
    store = ModelStore(store_dir, name)
    store.folder.mkdir(parents=True, exist_ok=True)
    save_file(tensors, store.weights)
    rows = "".join(f"{n},,c{n},类{n},,\n" for n in range(classes))
    header = "class_index,wnid,label_en,label_zh,synonyms_en,synonyms_zh\n"
    (store.folder / "labels.csv").write_text(header + rows, encoding="utf-8")
    manifest = Manifest(
        name=name, version="1", architecture=ARCHITECTURE, preprocessing=PREPROCESSING, temperature=1.0,
        labels="labels.csv", weights=WeightsOrigin(source="file:x.pth"), base=base,
    )  # fmt: skip
    write_atomically(store.manifest, manifest)
    digest = sha256_of(store.weights)
    write_atomically(store.receipt, {
        "source": "file:x.pth", "source_sha256": digest, "source_size_bytes": 1, "source_check": "none",
        "weights_sha256": digest, "weights_size_bytes": 1, "prepared_at": "2026-01-01T00:00:00Z", "torch_version": "2",
    })  # fmt: skip
    return Base(model=name, weights_sha256=digest)


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A base, and a model that changed its last layer."""
    import timm

    torch.manual_seed(0)
    tensors = dict(timm.create_model("test_efficientnet", num_classes=5).state_dict())
    base, width = put(tmp_path, "base", tensors), tensors["classifier.weight"].shape[1]
    put(tmp_path, "tuned", {"classifier.weight": torch.randn(2, width), "classifier.bias": torch.zeros(2)}, base, 2)
    return tmp_path


def load(store: Path, name: str, device: str = "cpu", **changes: object) -> LoadedModel:
    return load_model(name, settings(store_dir=store, device=device, **changes))


def network_of(model: LoadedModel) -> nn.Module:
    assert isinstance(model.network, TorchNetwork)
    return model.network.module.network


def places(model: LoadedModel) -> dict[str, int]:
    return {name: tensor.untyped_storage().data_ptr() for name, tensor in network_of(model).state_dict().items()}


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("order", [("base", "tuned"), ("tuned", "base")])
def test_unchanged_tensors_are_in_memory_once(store: Path, order: tuple[str, str], device: str) -> None:
    loaded = {name: load(store, name, device) for name in order}
    base, tuned = places(loaded["base"]), places(loaded["tuned"])
    assert {name for name in base if base[name] == tuned[name]} == base.keys() - {
        "classifier.weight",
        "classifier.bias",
    }
    convolution = network_of(loaded["tuned"]).state_dict()["conv_stem.weight"]
    assert convolution.is_contiguous(memory_format=torch.channels_last)  # the placed copy is what is shared


def test_another_precision_is_another_copy(store: Path) -> None:
    full, half = load(store, "base"), load(store, "tuned", precision="bf16")
    assert not set(places(full).values()) & set(places(half).values())


def test_memory_goes_with_the_last_model_that_uses_it(store: Path) -> None:
    before = len(sharing._placed)
    base, tuned = load(store, "base"), load(store, "tuned")
    held = len(sharing._placed)
    del base
    gc.collect()
    assert before < len(sharing._placed) == held - 2  # the base's own last layer
    del tuned
    gc.collect()
    assert len(sharing._placed) == before


def test_a_replaced_model_shares_with_its_base_again(store: Path) -> None:
    base, old = load(store, "base"), load(store, "tuned")
    new = load(store, "tuned")
    assert places(new) == places(old)
    assert places(new)["conv_stem.weight"] == places(base)["conv_stem.weight"]


@pytest.mark.parametrize("name", ["base", "tuned"])
def test_a_file_that_is_replaced_after_it_was_checked_is_not_what_is_loaded(
    store: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As if ``mv`` ran in the moment between the check and the mapping."""
    expected = {key: tensor.clone() for key, tensor in network_of(load(store, name)).state_dict().items()}
    gc.collect()  # what is loaded next is not what is loaded already

    def replaced_at_once(file: BinaryIO) -> str:
        digest = sha256_of_open(file)
        path = Path(file.name)
        write_safetensors({key: torch.zeros_like(tensor) for key, tensor in map_tensors(path).items()}, path)
        return digest

    monkeypatch.setattr("app.model.store.sha256_of_open", replaced_at_once)
    loaded = network_of(load(store, name)).state_dict()
    assert all(torch.equal(loaded[key], tensor) for key, tensor in expected.items())
    monkeypatch.undo()
    with pytest.raises(WeightsInvalid, match="damaged"):
        load(store, name)


def test_weights_of_another_manifest_are_refused(store: Path) -> None:
    tuned = ModelStore(store, "tuned")
    manifest = read_manifest(tuned.manifest)
    tied = tuned.read_receipt().model_copy(
        update={"manifest_sha256": meaning_of(manifest, read_labels(tuned.folder / "labels.csv"))}
    )
    write_atomically(tuned.receipt, tied)
    load(store, "tuned")
    write_atomically(tuned.manifest, manifest.model_copy(update={"temperature": 2.0}))
    with pytest.raises(ManifestChanged, match=r"temperature.*scripts/prepare_model\.py tuned"):
        load(store, "tuned")


def test_a_missing_base_is_said(store: Path) -> None:
    ModelStore(store, "base").receipt.unlink()
    with pytest.raises(ModelError, match=r"'tuned' was trained from 'base' .* which is not prepared"):
        load(store, "tuned")


def test_another_base_of_the_same_name_is_refused(store: Path) -> None:
    import timm

    put(store, "base", dict(timm.create_model("test_efficientnet", num_classes=5).state_dict()))
    with pytest.raises(ModelError, match="trained from other weights than 'base' has now"):
        load(store, "tuned")


def test_a_damaged_base_is_refused(store: Path) -> None:
    weights = ModelStore(store, "base").weights
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    with pytest.raises(WeightsInvalid, match="damaged"):
        load(store, "tuned")


def test_a_damaged_export_says_how_to_make_it_again(store: Path) -> None:
    tuned = ModelStore(store, "tuned")
    receipt = Receipt.model_validate_json(tuned.receipt.read_bytes())
    write_atomically(tuned.receipt, receipt.model_copy(update={"source": "training:x", "weights_sha256": "0" * 64}))
    with pytest.raises(WeightsInvalid, match=r"Train it again: scripts/finetune\.py --name tuned"):
        load(store, "tuned")
