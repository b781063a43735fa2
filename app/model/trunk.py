"""A VGG's trunk as what every engine has to compute: 3×3 convolutions, batch normalisation folded in, and pools."""

from collections.abc import Iterable
from typing import NamedTuple

import torch
from torch import Tensor, nn


class Convolution(NamedTuple):
    """A 3×3 convolution of stride 1. ``weight`` is fp32 (out, in, 3, 3), ``bias`` fp32 (out)."""

    weight: Tensor
    bias: Tensor
    padding: tuple[int, int]
    relu: bool


class Pool(NamedTuple):
    """The largest of each 2×2 pixels."""


Step = Convolution | Pool


def read_trunk(layers: Iterable[nn.Module]) -> tuple[list[Step], int]:
    """The steps that a network begins with, and how many of its layers they take: up to the first of another kind."""
    steps: list[Step] = []
    taken = 0
    for layer in layers:
        last = steps[-1] if steps else None
        if isinstance(layer, nn.Conv2d) and _is_plain(layer):
            steps.append(_convolution(layer))
        elif isinstance(layer, nn.MaxPool2d) and _halves(layer):
            steps.append(Pool())
        elif isinstance(layer, nn.BatchNorm2d) and isinstance(last, Convolution) and not last.relu:
            steps[-1] = _fold(last, layer)
        elif isinstance(layer, nn.ReLU) and isinstance(last, Convolution):
            steps[-1] = last._replace(relu=True)
        else:
            break
        taken += 1
    return steps, taken


def _is_plain(layer: nn.Conv2d) -> bool:
    same = (layer.kernel_size, layer.stride, layer.dilation, layer.groups) == ((3, 3), (1, 1), (1, 1), 1)
    return same and layer.padding_mode == "zeros" and not isinstance(layer.padding, str)


def _halves(layer: nn.MaxPool2d) -> bool:
    pairs = [value if isinstance(value, tuple) else (value, value) for value in (layer.kernel_size, layer.stride)]
    return pairs == [(2, 2), (2, 2)] and layer.padding == 0 and layer.dilation == 1 and not layer.ceil_mode


def _convolution(layer: nn.Conv2d) -> Convolution:
    bias = torch.zeros(layer.out_channels) if layer.bias is None else layer.bias.detach()
    down, right = (int(size) for size in layer.padding)
    return Convolution(layer.weight.detach(), bias, (down, right), relu=False)


def _fold(convolution: Convolution, norm: nn.BatchNorm2d) -> Convolution:
    """Batch normalisation with its running statistics multiplies a channel and adds to it: so do weights and bias.

    In fp64, so that each is rounded once.
    """
    assert norm.running_mean is not None
    assert norm.running_var is not None
    scale = (norm.running_var.double() + norm.eps).rsqrt() * norm.weight.detach().double()
    bias = (convolution.bias.double() - norm.running_mean.double()) * scale + norm.bias.detach().double()
    weight = convolution.weight.double() * scale[:, None, None, None]
    return convolution._replace(weight=weight.float(), bias=bias.float())
