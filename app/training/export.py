"""From a trained network to a model in the store: what changed, and everything that says how it came to be."""

import shutil
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import torch
from torch import Tensor

from app.model.files import sha256_of, write_atomically
from app.model.labels import Label
from app.model.manifest import Manifest
from app.model.receipt import Receipt, meaning_of
from app.model.store import ModelStore
from app.model.weights import write_safetensors

PATIENCE_S = 60.0  # for who else is changing the same model


def changed_tensors(trained: Mapping[str, Tensor], base: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """What the base does not have, bit for bit."""
    return {
        name: tensor.detach().cpu()
        for name, tensor in trained.items()
        if name not in base or not (tensor.shape == base[name].shape and torch.equal(tensor.cpu(), base[name]))
    }


def export(
    store: ModelStore, manifest: Manifest, labels: Sequence[Label], tensors: Mapping[str, Tensor], staged: Path
) -> Receipt:
    """Make ``models/<name>/`` of the files staged so far, the weights and the manifest.

    Everything is written whole beside it first and then moved in; the receipt comes last, and nobody loads a model
    without one. A service that is running keeps what it has mapped. Raises ``ModelError`` when the disk is full.
    """
    weights = staged / store.weights.name
    write_safetensors(tensors, weights)
    write_atomically(staged / store.manifest.name, manifest)
    digest, size = sha256_of(weights), weights.stat().st_size
    receipt = Receipt(
        source=manifest.weights.source,
        source_sha256=digest,
        source_size_bytes=size,
        source_check="none",
        weights_sha256=digest,
        weights_size_bytes=size,
        prepared_at=datetime.now(UTC),
        torch_version=torch.__version__,
        manifest_sha256=meaning_of(manifest, labels),
    )
    with store.locked(PATIENCE_S):
        store.folder.mkdir(exist_ok=True)
        store.receipt.unlink(missing_ok=True)
        for path in staged.iterdir():
            if path.is_dir():  # which no rename replaces
                shutil.rmtree(store.folder / path.name, ignore_errors=True)
            path.replace(store.folder / path.name)
        write_atomically(store.receipt, receipt)
    return receipt
