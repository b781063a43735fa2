"""A VGG11 that is really prepared in a store, and a model that was fine-tuned from it."""

from pathlib import Path

import torch
import torchvision
from torch import Tensor

from app.model.files import sha256_of, write_atomically
from app.model.manifest import Base, Manifest, WeightsOrigin
from app.model.receipt import Receipt
from app.model.store import ModelStore
from app.model.weights import write_safetensors
from app.preparing.origin import torchvision_preprocessing

LABELS = "class_index,wnid,label_en,label_zh,synonyms_en,synonyms_zh\n"


def put_vgg_and_tuned(store_dir: Path) -> None:
    """``vgg`` with seven classes, and ``tuned`` with two, which has a head of its own."""
    torch.manual_seed(0)
    tensors = torchvision.models.vgg11(weights=None, num_classes=7).state_dict()
    put(store_dir, "vgg", dict(tensors), 7)
    base = Base(model="vgg", weights_sha256=ModelStore(store_dir, "vgg").read_receipt().weights_sha256)
    put(store_dir, "tuned", {"classifier.6.weight": torch.randn(2, 4096), "classifier.6.bias": torch.zeros(2)}, 2, base)


def put(store_dir: Path, name: str, tensors: dict[str, Tensor], classes: int, base: Base | None = None) -> None:
    store = ModelStore(store_dir, name)
    store.folder.mkdir(parents=True)
    rows = "".join(f"{number},,c{number},类{number},,\n" for number in range(classes))
    (store.folder / "labels.csv").write_text(LABELS + rows, encoding="utf-8")
    manifest = Manifest(
        name=name, version="1", architecture="vgg11", preprocessing=torchvision_preprocessing(), temperature=1.0,
        labels="labels.csv", weights=WeightsOrigin(source="file:x.pth"), base=base,
    )  # fmt: skip
    write_safetensors(tensors, store.weights)
    write_atomically(store.manifest, manifest)
    digest = sha256_of(store.weights)
    write_atomically(store.receipt, Receipt.model_validate({
        "source": "file:x.pth", "source_sha256": digest, "source_size_bytes": 1, "source_check": "none",
        "weights_sha256": digest, "weights_size_bytes": 1, "prepared_at": "2026-01-01T00:00:00Z", "torch_version": "2",
    }))  # fmt: skip
