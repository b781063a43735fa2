"""From a trained network to a model in the store: what changed, and everything that says how it came to be."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import torch
from torch import Tensor

from app.model.manifest import Manifest
from app.model.store import ModelStore, Receipt, sha256_of, write_atomically
from app.model.weights import write_safetensors


def changed_tensors(trained: Mapping[str, Tensor], base: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """What the base does not have, bit for bit."""
    return {
        name: tensor.detach().cpu()
        for name, tensor in trained.items()
        if name not in base or not (tensor.shape == base[name].shape and torch.equal(tensor.cpu(), base[name]))
    }


def export(store_dir: Path, manifest: Manifest, tensors: Mapping[str, Tensor], staged: Path) -> Receipt:
    """Write ``models/<name>/``: the files staged so far move in, then weights, manifest and, last, the receipt.

    A service that is running keeps the tensors it has mapped; until the receipt is there, nobody would load the new
    ones. Raises ``ModelError`` when the disk is full.
    """
    store = ModelStore(store_dir, manifest.name)
    store.folder.mkdir(parents=True, exist_ok=True)
    store.receipt.unlink(missing_ok=True)
    write_safetensors(tensors, store.weights)
    for path in staged.iterdir():
        path.replace(store.folder / path.name)
    write_atomically(store.manifest, manifest)
    digest, size = sha256_of(store.weights), store.weights.stat().st_size
    receipt = Receipt(
        source=manifest.weights.source,
        source_sha256=digest,
        source_size_bytes=size,
        source_check="none",
        weights_sha256=digest,
        weights_size_bytes=size,
        prepared_at=datetime.now(UTC),
        torch_version=torch.__version__,
    )
    write_atomically(store.receipt, receipt)
    return receipt
