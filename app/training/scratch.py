"""A network that starts from nothing, as the VGG paper trained its own (section 3.1)."""

from collections.abc import Mapping
from typing import Literal, cast, get_args

import torch
from torch import Tensor, nn

from app.errors import ModelError
from app.model.architectures import VGGS
from app.model.network import build_architecture

Init = Literal["paper", "xavier", "kaiming"]
INITS: tuple[Init, ...] = get_args(Init)
PAPER_STD = 0.1  # "a normal distribution with the zero mean and 10^-2 variance"
BORROWED_CONVOLUTIONS, BORROWED_LINEAR = 4, 3  # "the first four convolutional layers and the last three"


def draw_weights(architecture: str, classes: int, init: Init, seed: int) -> dict[str, Tensor]:
    """Every tensor of a VGG. Biases are 0, batch norms do nothing yet.

    ``paper``: normal; ``xavier``: Glorot & Bengio 2010, which the paper names as the way to do without a smaller net;
    ``kaiming``: He et al. 2015. Raises ``ModelError`` for another architecture.
    """
    if architecture not in VGGS:
        raise ModelError(f"--weights none needs one of the VGGs ({', '.join(VGGS)}).")
    network = build_architecture(architecture, classes).to_empty(device="cpu")
    generator = torch.Generator().manual_seed(seed)
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            _draw(layer.weight, init, generator)
            nn.init.zeros_(cast(Tensor, layer.bias))
        elif isinstance(layer, nn.BatchNorm2d):
            layer.reset_parameters()
    return dict(network.state_dict())


def _draw(weight: Tensor, init: Init, generator: torch.Generator) -> None:
    if init == "paper":
        nn.init.normal_(weight, 0, PAPER_STD, generator=generator)
    elif init == "xavier":
        nn.init.xavier_normal_(weight, generator=generator)
    else:
        nn.init.kaiming_normal_(weight, nonlinearity="relu", generator=generator)


def borrow(
    tensors: Mapping[str, Tensor], architecture: str, smaller: Mapping[str, Tensor], its: str
) -> dict[str, Tensor]:
    """``tensors`` of a deep network with the first convolutions and the linear layers of a trained shallow one.

    Layers answer to each other by their block and their place in it. A linear layer for other classes is not taken.
    """
    pairs = list(zip(_convolutions(architecture), _convolutions(its), strict=True))
    taken = [(mine, theirs) for block in pairs for mine, theirs in zip(*block, strict=False)][:BORROWED_CONVOLUTIONS]
    linear = [f"classifier.{place}" for place in (0, 3, 6)][:BORROWED_LINEAR]
    found = dict(tensors)
    for mine, theirs in [*taken, *((name, name) for name in linear)]:
        for kind in ("weight", "bias"):
            tensor = smaller[f"{theirs}.{kind}"]
            if tensor.shape == found[f"{mine}.{kind}"].shape:
                found[f"{mine}.{kind}"] = tensor.float().clone()
    return found


def _convolutions(architecture: str) -> list[list[str]]:
    """The names of the convolutions, block by block."""
    blocks: list[list[str]] = [[]]
    for place, layer in enumerate(cast(nn.Sequential, build_architecture(architecture, 2).features)):
        if isinstance(layer, nn.Conv2d):
            blocks[-1].append(f"features.{place}")
        elif isinstance(layer, nn.MaxPool2d):
            blocks.append([])
    return blocks[:-1]
