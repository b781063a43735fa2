"""The same network over a whole photograph: one answer for each place of it, instead of one for a square.

Of a VGG the paper turns the three fully connected layers into convolutions, the first with a kernel of 7x7, the others
with 1x1. That is the classifier applied to every window of 7x7 features, which is how it is computed here: with the
very layers that answer for a square, so that nothing is copied, and at 224 pixels the answer is the same.

A network that averages its last features and has one linear layer is linear behind them: that layer, applied to the
features of each place, gives scores whose mean is the network's answer (class activation mapping, Zhou et al. 2016).
"""

from typing import NamedTuple, Protocol, cast

import torch
from torch import Tensor, nn
from torch.nn.functional import unfold
from torchvision.models import VGG

WINDOW = 7  # features on each side that the classifier sees
STRIDE = 32  # pixels from one feature to the next
CROP = STRIDE * WINDOW
TOLERANCE = 1e-3


class Box(NamedTuple):
    """Edges, as fractions of a picture's width and height."""

    left: float
    upper: float
    right: float
    lower: float


class Places(nn.Module):
    """Normalised pictures (N, 3, height, width) -> logits for each place (N, rows, columns, classes)."""

    dense = False

    def box(self, height: int, width: int) -> Box:  # noqa: ARG002 - here it is all of it
        """What the places divide evenly among them."""
        return Box(0.0, 0.0, 1.0, 1.0)


class Windows(Places):
    """A VGG. A place is the middle of a window of 224 pixels; from one to the next it is 32."""

    dense = True

    def __init__(self, network: VGG) -> None:
        super().__init__()
        self.features, self.classifier = network.features, network.classifier

    def forward(self, normalised: Tensor) -> Tensor:
        features = self.features(normalised)
        count, _, rows, columns = features.shape
        windows = unfold(features, WINDOW)  # in the order of torch.flatten: channel, row, column
        scores: Tensor = self.classifier(windows.transpose(1, 2).flatten(0, 1))
        return scores.view(count, rows - WINDOW + 1, columns - WINDOW + 1, -1)

    def box(self, height: int, width: int) -> Box:
        rows, columns = height // STRIDE - WINDOW + 1, width // STRIDE - WINDOW + 1
        edge = STRIDE * (WINDOW // 2)
        lower, right = edge + STRIDE * rows, edge + STRIDE * columns
        return Box(edge / width, edge / height, right / width, lower / height)


class Activations(Places):
    """A network of timm's that averages its features."""

    def __init__(self, network: "AveragingNetwork") -> None:
        super().__init__()
        self.network = network
        self.head = network.get_classifier()

    def forward(self, normalised: Tensor) -> Tensor:
        features = self.network.forward_features(normalised)
        scores: Tensor = self.head(features.permute(0, 2, 3, 1))
        return scores


class AveragingNetwork(Protocol):
    """The part of timm's interface that is used here."""

    def forward_features(self, normalised: Tensor) -> Tensor: ...
    def get_classifier(self) -> nn.Linear: ...


def places_of(network: nn.Module, crop: int) -> Places | None:
    """What gives the network's logits place by place, with the network's own layers; nothing if it cannot be had."""
    if isinstance(network, VGG):
        return Windows(network) if crop == CROP else None
    if hasattr(network, "forward_features") and isinstance(cast(AveragingNetwork, network).get_classifier(), nn.Linear):
        return Activations(cast(AveragingNetwork, network))
    return None


@torch.inference_mode()
def is_exact(places: Places, network: nn.Module, probe: Tensor) -> bool:
    """Whether the mean over all places is what the network answers to a normalised probe (1, 3, crop, crop).

    Of timm's many networks not all do nothing but average and apply their last layer.
    """
    try:
        found = places(probe).float().mean(dim=(1, 2))
    except (RuntimeError, ValueError, TypeError):  # features of another form
        return False
    answer = network(probe).float()
    return found.shape == answer.shape and bool((found - answer).abs().max() <= TOLERANCE * answer.abs().max())
