"""The network to train, cut in two: one side is really frozen, the other is trained."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, Protocol, cast, get_args

import torch
from torch import Tensor, nn

from app.errors import ModelError
from app.model.architectures import VGGS
from app.model.manifest import Preprocessing
from app.model.network import Normalise, build_architecture, load_tensors, place
from app.training.dropout import RowDropout, replace_dropout

Train = Literal["head", "classifier", "block5", "fine-tune", "all"]
TRAIN: tuple[Train, ...] = get_args(Train)
HEAD_STD = 0.01  # torchvision's own initialisation of VGG's linear layers


class Frozen(nn.Module):
    """The frozen side: no gradients, no dropout, no running statistics moved, whatever mode is asked for."""

    def __init__(self, layers: nn.Sequential) -> None:
        super().__init__()
        self.layers = layers.requires_grad_(requires_grad=False).eval()

    def train(self, mode: bool = True) -> "Frozen":  # noqa: ARG002 - torch's signature
        return self

    @torch.no_grad()
    def forward(self, pixels: Tensor) -> Tensor:
        features: Tensor = self.layers(pixels)
        return features


@dataclass(frozen=True)
class CutNetwork:
    """``trained(frozen(pixels))`` are the logits; both are parts of the ``whole``, which names the tensors."""

    whole: nn.Module
    frozen: Frozen
    trained: nn.Sequential
    learns_statistics: bool = False

    def to(self, device: torch.device) -> None:
        self.frozen.to(device)
        self.trained.to(device)

    def train_mode(self) -> None:
        """Dropout works. Batch norm keeps the base's statistics: those of a small batch are worse, and would depend on
        how many processes or passes share it. From scratch there are none to keep."""
        self.trained.train()
        if not self.learns_statistics:
            for layer in self.trained.modules():
                if isinstance(layer, nn.modules.batchnorm._BatchNorm):
                    layer.eval()

    @property
    def before_head(self) -> nn.Sequential:
        """The trained layers up to the last dropout: what the head is shown."""
        return self.trained[:-2]

    @property
    def head(self) -> nn.Linear:
        return cast(nn.Linear, self.trained[-1])

    def trained_names(self) -> list[str]:
        """The names of the tensors that training may change, running statistics included."""
        own = {id(tensor) for tensor in (*self.trained.parameters(), *self.trained.buffers())}
        state = self.whole.state_dict(keep_vars=True)
        return [name for name, tensor in state.items() if id(tensor) in own]

    def frozen_tensors(self) -> dict[str, Tensor]:
        """Those that decide what the frozen side makes of an image."""
        trained = set(self.trained_names())
        return {name: tensor for name, tensor in self.whole.state_dict().items() if name not in trained}

    def trained_tensors(self) -> dict[str, Tensor]:
        state = self.whole.state_dict()
        return {name: state[name] for name in self.trained_names()}

    def load_trained(self, tensors: Mapping[str, Tensor]) -> None:
        state = self.whole.state_dict()
        with torch.no_grad():
            for name, tensor in tensors.items():
                state[name].copy_(tensor)

    def dropouts(self) -> Iterator[RowDropout]:
        return (layer for layer in self.trained.modules() if isinstance(layer, RowDropout))


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
    learns_statistics: bool = False,
) -> CutNetwork:
    """The base's network with a new head for ``classes``, cut where ``train`` says.

    The new head is drawn from ``seed``; with ``keep_head`` the base's own is kept. Raises ``ModelError`` for an
    architecture that cannot be cut there.
    """
    network = build_architecture(architecture, classes)
    given = {name: place(tensor, torch.device("cpu"), torch.float32) for name, tensor in tensors.items()}
    if not keep_head:
        given |= _draw_head(network, classes, seed)
    load_tensors(network, given, architecture)
    frozen, trained = _cut_vgg(network, train) if architecture in VGGS else _cut_timm(network, train)
    _own_memory(trained)
    replace_dropout(trained, dropout)
    layers = nn.Sequential(Normalise(preprocessing), *frozen)
    frozen_side = Frozen(layers)  # which may hold the others as well, and comes first
    trained_side = nn.Sequential(*trained).requires_grad_(requires_grad=True)
    return CutNetwork(network, frozen_side, trained_side, learns_statistics)


def _draw_head(network: nn.Module, classes: int, seed: int) -> dict[str, Tensor]:
    """The last matrix and its bias, anew."""
    matrices = [name for name, tensor in network.state_dict().items() if tensor.ndim == 2]
    weight = matrices[-1]
    width = network.state_dict()[weight].shape[1]
    drawn = torch.randn(classes, width, generator=torch.Generator().manual_seed(seed)) * HEAD_STD
    return {weight: drawn, weight.removesuffix("weight") + "bias": torch.zeros(classes)}


def _cut_vgg(network: nn.Module, train: Train) -> tuple[list[nn.Module], list[nn.Module]]:
    trunk = list(cast(nn.Sequential, network.features))
    classifier = list(cast(nn.Sequential, network.classifier))
    layers = [*trunk, cast(nn.Module, network.avgpool), nn.Flatten(1), *classifier]
    pools = [number for number, layer in enumerate(layers) if isinstance(layer, nn.MaxPool2d)]
    cut = {
        "head": len(layers) - 2,  # the last dropout learns nothing, but it works on what the head is shown
        "classifier": len(layers) - len(classifier),
        "block5": pools[-2] + 1,
        "fine-tune": pools[-2] + 1,
        "all": 0,
    }[train]
    return layers[:cut], layers[cut:]


class _BeforeHead(nn.Module):
    """Everything of a timm network before its head."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, normalised: Tensor) -> Tensor:
        network = cast(_Timm, self.network)
        return network.forward_head(network.forward_features(normalised), pre_logits=True)


class _Timm(Protocol):
    """The part of timm's interface that is used here."""

    def forward_features(self, normalised: Tensor) -> Tensor: ...
    def forward_head(self, features: Tensor, *, pre_logits: bool) -> Tensor: ...
    def get_classifier(self) -> nn.Module: ...


def _cut_timm(network: nn.Module, train: Train) -> tuple[list[nn.Module], list[nn.Module]]:
    if train not in ("head", "classifier"):
        raise ModelError(f"--train {train} needs a VGG; of any other network only the head can be trained.")
    return [_BeforeHead(network)], [nn.Dropout(), cast(_Timm, network).get_classifier()]


def _own_memory(trained: list[nn.Module]) -> None:
    """What is trained must not lie in a file that is mapped into memory."""
    for layer in trained:
        for tensor in (*layer.parameters(), *layer.buffers()):
            tensor.data = tensor.data.clone()
