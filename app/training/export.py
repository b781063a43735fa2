"""From a trained network to a model in the store: what changed, and everything that says how it came to be."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import torch
from torch import Tensor

from app.model.files import replace_folder, sha256_of, write_atomically
from app.model.labels import Label
from app.model.manifest import Manifest
from app.model.receipt import Receipt, meaning_of
from app.model.store import PREVIOUS, ModelStore
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

    The folder is made whole beside it, with its receipt, and then changes places with the one that is there: at every
    moment there is one that can be served, and ``prepare_model.py --roll-back`` finds the old one. A service that is
    running keeps what it has mapped. Raises ``ModelError`` when the disk is full.
    """
    weights, folder = staged / store.weights.name, store.folder
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
    write_atomically(staged / store.receipt.name, receipt)
    with store.locked(PATIENCE_S):
        replace_folder(staged, folder, folder.parent / PREVIOUS / folder.name)
    return receipt
