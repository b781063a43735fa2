"""The network to train, cut in two: a front that is really frozen, and a tail that learns."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, Protocol, cast, get_args

import torch
from torch import Tensor, nn

from app.errors import ModelError
from app.model.manifest import Preprocessing
from app.model.network import TORCHVISION_VGGS, Normalise, build_backbone, load_tensors, place

Train = Literal["head", "classifier", "block5", "all"]
TRAIN: tuple[Train, ...] = get_args(Train)
HEAD_STD = 0.01  # torchvision's own initialisation of VGG's linear layers


class RowDropout(nn.Module):
    """Dropout whose mask for a picture depends on its place in the batch and not on which process computes it.

    Every process draws the mask of the whole batch from a generator that is seeded for the step, and uses its own
    rows: two processes train what one would, and a resumed run draws what the uninterrupted one drew.
    """

    def __init__(self, p: float, salt: int) -> None:
        super().__init__()
        self.p = p
        self.salt = salt
        self.seed = 0
        self.rows = slice(0, 0)
        self.batch_size = 0

    def set_step(self, seed: int, rows: slice, batch_size: int) -> None:
        """Which rows of which batch the next forward is given."""
        self.seed, self.rows, self.batch_size = seed, rows, batch_size

    def forward(self, inputs: Tensor) -> Tensor:
        if not self.training or self.p == 0:
            return inputs
        generator = torch.Generator().manual_seed((self.seed + 7919 * self.salt) % 2**63)
        drawn = torch.rand(self.batch_size, *inputs.shape[1:], generator=generator)[self.rows]
        return inputs * (drawn >= self.p).to(inputs.device, inputs.dtype) / (1 - self.p)


class Front(nn.Module):
    """The frozen part: no gradients, no dropout, no running statistics moved, whatever mode is asked for."""

    def __init__(self, layers: nn.Sequential) -> None:
        super().__init__()
        self.layers = layers.requires_grad_(requires_grad=False).eval()

    def train(self, mode: bool = True) -> "Front":  # noqa: ARG002 - torch's signature
        return self

    @torch.no_grad()
    def forward(self, pixels: Tensor) -> Tensor:
        features: Tensor = self.layers(pixels)
        return features


@dataclass(frozen=True)
class CutNetwork:
    """``tail(front(pixels))`` are the logits; both are parts of ``backbone``, whose tensors have the model's names."""

    backbone: nn.Module
    front: Front
    tail: nn.Sequential

    def trained_names(self) -> list[str]:
        """The names of the tensors that training may change, running statistics included."""
        own = {id(tensor) for tensor in (*self.tail.parameters(), *self.tail.buffers())}
        state = self.backbone.state_dict(keep_vars=True)
        return [name for name, tensor in state.items() if id(tensor) in own]

    def trained_tensors(self) -> dict[str, Tensor]:
        state = self.backbone.state_dict()
        return {name: state[name] for name in self.trained_names()}

    def load_trained(self, tensors: Mapping[str, Tensor]) -> None:
        state = self.backbone.state_dict()
        with torch.no_grad():
            for name, tensor in tensors.items():
                state[name].copy_(tensor)

    def dropouts(self) -> Iterator[RowDropout]:
        return (layer for layer in self.tail.modules() if isinstance(layer, RowDropout))


def cut_network(
    architecture: str,
    tensors: Mapping[str, Tensor],
    preprocessing: Preprocessing,
    classes: int,
    train: Train,
    *,
    dropout: float = 0.5,
    seed: int = 0,
    keep_head: bool = False,
) -> CutNetwork:
    """The base's network with a new last layer for ``classes``, cut where ``train`` says.

    The new layer is drawn from ``seed``; with ``keep_head`` the base's own is kept. Raises ``ModelError`` for an
    architecture that cannot be cut there.
    """
    backbone = build_backbone(architecture, classes)
    weights, biases = _head_names(backbone)
    given = {name: place(tensor, torch.device("cpu"), torch.float32) for name, tensor in tensors.items()}
    if not keep_head:
        width = backbone.state_dict()[weights].shape[1]
        generator = torch.Generator().manual_seed(seed)
        given[weights] = torch.randn(classes, width, generator=generator) * HEAD_STD
        given[biases] = torch.zeros(classes)
    load_tensors(backbone, given, architecture)
    front, tail = _cut_vgg(backbone, train) if architecture in TORCHVISION_VGGS else _cut_timm(backbone, train)
    _own_memory(tail)
    _replace_dropout(tail, dropout)
    layers = nn.Sequential(Normalise(preprocessing), *front)
    return CutNetwork(backbone, Front(layers), nn.Sequential(*tail).requires_grad_(requires_grad=True))


def _head_names(backbone: nn.Module) -> tuple[str, str]:
    """The last matrix and its bias."""
    weights = [name for name, tensor in backbone.state_dict().items() if tensor.ndim == 2]  # noqa: PLR2004
    return weights[-1], weights[-1].removesuffix("weight") + "bias"


def _cut_vgg(backbone: nn.Module, train: Train) -> tuple[list[nn.Module], list[nn.Module]]:
    features = list(cast(nn.Sequential, backbone.features))
    classifier = list(cast(nn.Sequential, backbone.classifier))
    layers = [*features, cast(nn.Module, backbone.avgpool), nn.Flatten(1), *classifier]
    pools = [number for number, layer in enumerate(layers) if isinstance(layer, nn.MaxPool2d)]
    cut = {
        "head": len(layers) - 2,  # the last dropout learns nothing, but it works on what the head is shown
        "classifier": len(layers) - len(classifier),
        "block5": pools[-2] + 1,
        "all": 0,
    }[train]
    return layers[:cut], layers[cut:]


class _TimmFeatures(nn.Module):
    """Everything of a timm network before its last layer."""

    def __init__(self, backbone: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone

    def forward(self, normalised: Tensor) -> Tensor:
        network = cast(_Timm, self.backbone)
        return network.forward_head(network.forward_features(normalised), pre_logits=True)


class _Timm(Protocol):
    """The part of timm's interface that is used here."""

    def forward_features(self, normalised: Tensor) -> Tensor: ...
    def forward_head(self, features: Tensor, *, pre_logits: bool) -> Tensor: ...
    def get_classifier(self) -> nn.Module: ...


def _cut_timm(backbone: nn.Module, train: Train) -> tuple[list[nn.Module], list[nn.Module]]:
    if train not in ("head", "classifier"):
        raise ModelError(
            f"--train {train} needs one of torchvision's VGGs; of other networks the last layer is trained."
        )
    return [_TimmFeatures(backbone)], [nn.Dropout(), cast(_Timm, backbone).get_classifier()]


def _own_memory(tail: list[nn.Module]) -> None:
    """What is trained must not lie in a file that is mapped into memory."""
    for layer in tail:
        for tensor in (*layer.parameters(), *layer.buffers()):
            tensor.data = tensor.data.clone()


def _replace_dropout(tail: list[nn.Module], p: float) -> None:
    for number, layer in enumerate(tail):
        if isinstance(layer, nn.Dropout):
            tail[number] = RowDropout(p, salt=number)
