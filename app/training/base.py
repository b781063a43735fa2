"""The model that training starts from: prepared, verified, and the one that an export will name as its base."""

from dataclasses import dataclass

from torch import Tensor

from app.errors import ModelError
from app.model.labels import Label
from app.model.library import Library
from app.model.manifest import Base, Manifest, WeightsOrigin
from app.model.receipt import Receipt
from app.model.sharing import read_weights
from app.training.lineage import Lineage, read_lineage
from app.training.scratch import Init, borrow, draw_weights


@dataclass(frozen=True)
class PreparedBase:
    """``tensors`` are the model's own; ``root`` is what an export refers to, with ``root_tensors``.

    The root is the model itself unless that is an export in turn: exports never stand on each other. From scratch there
    is none, and the export is whole. ``lineage`` tells which pictures the model has seen.
    """

    manifest: Manifest
    labels: tuple[Label, ...]
    tensors: dict[str, Tensor]
    root: Base | None
    root_tensors: dict[str, Tensor]
    lineage: Lineage
    receipts: tuple[Receipt, ...] = ()
    """Its own and its root's, which say what was measured in preparation."""

    @property
    def is_scratch(self) -> bool:
        return self.root is None

    def trained_trunk(self) -> bool:
        """Whether the pictures that it has seen have changed more of it than its last layer."""
        changed = [name for name, tensor in self.tensors.items() if tensor is not self.root_tensors.get(name)]
        return len(changed) > 2


def read_base(name: str, new_name: str, library: Library) -> PreparedBase:
    """Raises ``ModelError`` when there is no such model, it is not prepared, or would be overwritten by its child."""
    manifest = library.manifest(name)
    library.require_prepared(name)
    files = read_weights(library, manifest)
    labels = library.labels(manifest)
    root = manifest.base or Base(model=name, weights_sha256=files.own.receipt.weights_sha256)
    if new_name in (name, root.model):
        raise ModelError(f"--name {new_name} is the base itself; choose another name for the new model.")
    lineage = read_lineage(library.store(name).folder)
    receipts = tuple(checked.receipt for checked in (files.own, files.base) if checked is not None)
    return PreparedBase(manifest, labels, files.joined(), root, (files.base or files.own).tensors, lineage, receipts)


def draw_base(  # noqa: PLR0917
    pattern: str,
    architecture: str,
    labels: tuple[Label, ...],
    init: Init,
    seed: int,
    net_a: str | None,
    library: Library,
) -> PreparedBase:
    """A network that knows nothing, which sees images as the model ``pattern`` does.

    With ``net_a`` its first and its last layers are those of that model, which was trained before. Raises
    ``ModelError`` when there is no such model or it has no such layers.
    """
    tensors, lineage = draw_weights(architecture, len(labels), init, seed), Lineage()
    if net_a:
        smaller = library.manifest(net_a)
        library.require_prepared(net_a)
        if smaller.architecture != "vgg11":
            raise ModelError(f"--net-a {net_a} is a {smaller.architecture}: net A of the paper is vgg11.")
        tensors = borrow(tensors, architecture, read_weights(library, smaller).joined(), smaller.architecture)
        lineage = read_lineage(library.store(net_a).folder)
    manifest = Manifest(
        name=architecture,
        version="scratch",
        architecture=architecture,
        preprocessing=library.manifest(pattern).preprocessing,
        labels="labels.csv",
        weights=WeightsOrigin(source="training:scratch"),
    )
    return PreparedBase(manifest, labels, tensors, None, {}, lineage)
