"""The model that training starts from: prepared, verified, and the one that an export will name as its base."""

from dataclasses import dataclass

from torch import Tensor

from app.errors import ModelError
from app.model.labels import Label
from app.model.library import Library
from app.model.manifest import Base, Manifest
from app.model.sharing import read_weights


@dataclass(frozen=True)
class PreparedBase:
    """``tensors`` are the model's own; ``root`` is what an export refers to, with ``root_tensors``.

    The root is the model itself unless that is an export in turn: exports never stand on each other.
    """

    manifest: Manifest
    labels: tuple[Label, ...]
    tensors: dict[str, Tensor]
    root: Base
    root_tensors: dict[str, Tensor]


def read_base(name: str, new_name: str, library: Library) -> PreparedBase:
    """Raises ``ModelError`` when there is no such model, it is not prepared, or would be overwritten by its child."""
    manifest = library.manifest(name)
    library.require_prepared(name)
    files = read_weights(library, manifest)
    labels = library.labels(manifest)
    root = manifest.base or Base(model=name, weights_sha256=files.own.receipt.weights_sha256)
    if new_name in (name, root.model):
        raise ModelError(f"--name {new_name} is the base itself; choose another name for the new model.")
    return PreparedBase(manifest, labels, files.joined(), root, (files.base or files.own).tensors)
