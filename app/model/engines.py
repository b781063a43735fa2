"""Engines: who computes a trunk's convolutions on a processor. Each gives the same answers, at another speed.

``eager`` is PyTorch as it is, whose convolutions are direct sums. The others save multiplications as Winograd did:
``winograd`` in plain torch, ``ncnn`` with kernels written for the processor. They have fp32 only.
"""

import importlib.util
from collections.abc import Iterable
from typing import Literal, get_args

import torch
from torch import nn

from app.model.ncnn import NcnnTrunk
from app.model.trunk import Convolution, Step, read_trunk
from app.model.winograd import WinogradConv2d

Engine = Literal["eager", "winograd", "ncnn"]
ENGINES: tuple[Engine, ...] = get_args(Engine)


def is_installed(engine: Engine) -> bool:
    """``ncnn`` is an extra."""
    return engine != "ncnn" or importlib.util.find_spec("ncnn") is not None


def engines_for(architecture: str, device: torch.device, precision: str) -> tuple[Engine, ...]:
    """Those that can compute this network there; ``eager`` can compute every one."""
    if architecture.startswith("vgg") and device.type == "cpu" and precision == "fp32":
        return ENGINES
    return ("eager",)


def with_engine(layers: Iterable[nn.Module], engine: Engine) -> nn.Sequential:
    """The same network, its 3×3 convolutions in another engine, up to the first layer that is none of a trunk's.

    ``layers`` are fp32 on the processor: convolutions, batch normalisation, ReLU and pools, and after them anything,
    which is taken over as it is. Neither they nor their weights are changed or kept.
    """
    layers = list(layers)
    if engine == "eager":
        return nn.Sequential(*layers)
    steps, taken = read_trunk(layers)
    trunk = [NcnnTrunk(steps)] if engine == "ncnn" else [layer for step in steps for layer in _in_torch(step)]
    return nn.Sequential(*trunk, *layers[taken:]).eval().requires_grad_(requires_grad=False)


def pays(convolution: Convolution) -> bool:
    """Whether Winograd's transforms cost less than they save.

    A multiplication in place of four, but with C channels in and K out 16/C + 36/K more of them for the transforms.
    Where these add up to more than half, memory decides, and direct sums read the least.
    """
    channels_out, channels_in = convolution.weight.shape[:2]
    return 16 / channels_in + 36 / channels_out <= 1 / 2


def _in_torch(step: Step) -> list[nn.Module]:
    if not isinstance(step, Convolution):
        return [nn.MaxPool2d(2)]
    if pays(step):
        return [WinogradConv2d(step.weight, step.bias, step.padding, relu=step.relu)]
    channels_out, channels_in = step.weight.shape[:2]
    direct = nn.Conv2d(channels_in, channels_out, 3, padding=step.padding, device="meta")
    weight = step.weight.clone(memory_format=torch.channels_last)
    direct.load_state_dict({"weight": weight, "bias": step.bias.clone()}, assign=True)
    return [direct, nn.ReLU(inplace=True)] if step.relu else [direct]
