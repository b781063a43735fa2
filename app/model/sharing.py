"""A model's tensors on a device: joined from its base and what training changed, and shared between models."""

from collections.abc import Iterator
from weakref import WeakValueDictionary

import torch
from torch import Tensor

from app.errors import ModelError
from app.model.library import Library
from app.model.manifest import Manifest
from app.model.network import PRECISIONS, place
from app.model.store import ModelStore, Receipt
from app.model.weights import map_tensors

# What lies on a device, by (digest of its file, its name, device, precision). The networks hold the tensors, this only
# finds them: when the last network that uses one is gone, so is its memory.
_placed: WeakValueDictionary[tuple[str, str, str, str], Tensor] = WeakValueDictionary()


def shared_tensors(library: Library, manifest: Manifest, device: torch.device, precision: str) -> dict[str, Tensor]:
    """Every tensor of a model, placed; those that another loaded model has already are the same memory.

    Raises ``ModelError`` when the weights are damaged, or the base is missing or not the one it was trained from.
    """
    return {
        name: _share((digest, name, str(device), precision), tensor, device)
        for digest, name, tensor in _joined(library, manifest)
    }


def joined_tensors(library: Library, manifest: Manifest) -> dict[str, Tensor]:
    """Every tensor of a model, mapped into memory. Raises as ``shared_tensors`` does."""
    return {name: tensor for _, name, tensor in _joined(library, manifest)}


def _joined(library: Library, manifest: Manifest) -> Iterator[tuple[str, str, Tensor]]:
    """Digest of the file, name and tensor: the model's own, and of its base what it has not changed."""
    store = library.store(manifest.name)
    receipt = store.check_weights()
    own = map_tensors(store.weights)
    if manifest.base is not None:
        base = library.store(manifest.base.model)
        base_receipt = _check_base(base, manifest)
        for name, tensor in map_tensors(base.weights).items():
            if name not in own:
                yield base_receipt.weights_sha256, name, tensor
    for name, tensor in own.items():
        yield receipt.weights_sha256, name, tensor


def _check_base(base: ModelStore, manifest: Manifest) -> Receipt:
    assert manifest.base is not None  # the caller has looked
    wanted = manifest.base.weights_sha256
    if not base.is_prepared():
        raise ModelError(
            f"{manifest.name!r} was trained from {manifest.base.model!r} (weights {wanted[:12]}…), which is not "
            f"prepared: {base.folder} has no weights. Prepare it with scripts/prepare_model.py."
        )
    receipt = base.check_weights()
    if receipt.weights_sha256 != wanted:
        raise ModelError(
            f"{manifest.name!r} was trained from other weights than {base.folder.name!r} has now: it needs SHA-256 "
            f"{wanted}, {base.weights} has {receipt.weights_sha256}."
        )
    return receipt


def _share(key: tuple[str, str, str, str], tensor: Tensor, device: torch.device) -> Tensor:
    found = _placed.get(key)
    if found is None:
        found = _placed[key] = place(tensor, device, PRECISIONS[key[3]])
    return found
