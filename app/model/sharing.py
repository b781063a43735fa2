"""A model's tensors on a device: joined from its base and what training changed, and shared between models."""

from collections.abc import Callable, Iterator
from typing import NamedTuple
from weakref import WeakValueDictionary

import torch
from torch import Tensor, nn

from app.errors import ModelError
from app.model.library import Library
from app.model.manifest import Manifest
from app.model.network import PRECISIONS, place
from app.model.receipt import Receipt
from app.model.store import ModelStore
from app.model.weights import map_open

# What lies on a device, by (digest of its file, its name, device, precision). The networks hold the tensors, this only
# finds them: when the last network that uses one is gone, so is its memory.
_placed: WeakValueDictionary[tuple[str, str, str, str], Tensor] = WeakValueDictionary()
_trunks: WeakValueDictionary[tuple[str, int, frozenset[tuple[str, str]]], nn.Module] = WeakValueDictionary()
"""Trunks in an engine, their weights transformed, by engine, threads, and (digest, name) of every tensor in them."""

TRUNK = "features."  # what the names of a VGG's convolutions begin with


class Checked(NamedTuple):
    """A weights file: what vouches for it, and its tensors, mapped from the very file that was compared with that."""

    receipt: Receipt
    tensors: dict[str, Tensor]


class WeightsFiles(NamedTuple):
    """What a model's tensors lie in: its own file, and its base's where it has one."""

    own: Checked
    base: Checked | None

    def joined(self) -> dict[str, Tensor]:
        """Every tensor of the model, mapped into memory."""
        return {name: tensor for _, name, tensor in self.tensors()}

    def tensors(self) -> Iterator[tuple[str, str, Tensor]]:
        """Digest of the file, name and tensor: the model's own, and of its base what it has not changed."""
        if self.base is not None:
            for name, tensor in self.base.tensors.items():
                if name not in self.own.tensors:
                    yield self.base.receipt.weights_sha256, name, tensor
        for name, tensor in self.own.tensors.items():
            yield self.own.receipt.weights_sha256, name, tensor


def read_weights(library: Library, manifest: Manifest, store: ModelStore | None = None) -> WeightsFiles:
    """A model's weights, each file read once to be checked and mapped into memory.

    ``store`` is where it lies if it is not in the library yet. Raises ``ModelError`` when the weights are damaged, or
    the base is missing or not the one it was trained from.
    """
    own = _read(store or library.store(manifest.name))
    return WeightsFiles(own, _read_base(library.store(manifest.base.model), manifest) if manifest.base else None)


def shared_tensors(files: WeightsFiles, device: torch.device, precision: str) -> dict[str, Tensor]:
    """Every tensor of a model, placed; those that another loaded model has already are the same memory."""
    return {
        name: _share((digest, name, str(device), precision), tensor, device) for digest, name, tensor in files.tensors()
    }


def shared_trunk(files: WeightsFiles, engine: str, make: Callable[[], nn.Module]) -> nn.Module:
    """A model's trunk in an engine: the one that another loaded model has already, or the one that ``make`` makes."""
    parts = frozenset((digest, name) for digest, name, _ in files.tensors() if name.startswith(TRUNK))
    key = (engine, torch.get_num_threads(), parts)
    found = _trunks.get(key)
    if found is None:
        found = _trunks[key] = make()
    return found


def _read(store: ModelStore) -> Checked:
    with store.open_weights() as (receipt, file):
        return Checked(receipt, map_open(file))


def _read_base(base: ModelStore, manifest: Manifest) -> Checked:
    assert manifest.base is not None  # the caller has looked
    wanted = manifest.base.weights_sha256
    if not base.is_prepared():
        raise ModelError(
            f"{manifest.name!r} was trained from {manifest.base.model!r} (weights {wanted[:12]}…), which is not "
            f"prepared: {base.folder} has no weights. Prepare it with scripts/prepare_model.py."
        )
    checked = _read(base)
    if checked.receipt.weights_sha256 != wanted:
        raise ModelError(
            f"{manifest.name!r} was trained from other weights than {base.folder.name!r} has now: it needs SHA-256 "
            f"{wanted}, {base.weights} has {checked.receipt.weights_sha256}."
        )
    return checked


def _share(key: tuple[str, str, str, str], tensor: Tensor, device: torch.device) -> Tensor:
    found = _placed.get(key)
    if found is None:
        found = _placed[key] = place(tensor, device, PRECISIONS[key[3]])
    return found
