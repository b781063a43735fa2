"""The networks of the VGG paper: those that torchvision has, and the two of its table 1 that torchvision lacks.

Nothing was ever published for the two, A-LRN and C: they are there to be trained. Both are torchvision's own ``VGG``,
with other convolutional layers, so that whatever knows a VGG knows them.
"""

from typing import NamedTuple

import torchvision
from torch import nn
from torchvision.models import VGG

TORCHVISION_VGGS = ("vgg11", "vgg11_bn", "vgg13", "vgg13_bn", "vgg16", "vgg16_bn", "vgg19", "vgg19_bn")
OWN_VGGS = ("vgg11_lrn", "vgg16_c")
VGGS = (*TORCHVISION_VGGS, *OWN_VGGS)
NET_OF = {"vgg11": "A", "vgg11_lrn": "A-LRN", "vgg13": "B", "vgg16_c": "C", "vgg16": "D", "vgg19": "E"}
"""The paper's letters. Its nets know no batch normalisation, which was found a year later."""

WIDTHS = (64, 128, 256, 512, 512)
A_BLOCKS = ((3,), (3,), (3, 3), (3, 3), (3, 3))
C_BLOCKS = ((3, 3), (3, 3), (3, 3, 1), (3, 3, 1), (3, 3, 1))


class Response(NamedTuple):
    """What Krizhevsky et al. (2012) normalise responses with, and the VGG paper after them. torch divides alpha by the
    number of channels, which their formula does not."""

    channels: int = 5
    alpha: float = 1e-4
    beta: float = 0.75
    k: float = 2.0

    def layer(self) -> nn.Module:
        return nn.LocalResponseNorm(self.channels, alpha=self.alpha * self.channels, beta=self.beta, k=self.k)


def build_vgg(architecture: str, classes: int) -> nn.Module:
    """One of ``VGGS``, as torchvision initialises it."""
    if architecture in TORCHVISION_VGGS:
        network: nn.Module = torchvision.models.get_model(architecture, weights=None, num_classes=classes)
        return network
    blocks = C_BLOCKS if architecture == "vgg16_c" else A_BLOCKS
    own: nn.Module = VGG(_trunk(blocks, Response() if architecture == "vgg11_lrn" else None), num_classes=classes)
    return own


def _trunk(blocks: tuple[tuple[int, ...], ...], response: Response | None) -> nn.Sequential:
    """Each block is the kernels of its convolutions. Responses are normalised behind the first of all."""
    layers: list[nn.Module] = []
    channels = 3
    for width, kernels in zip(WIDTHS, blocks, strict=True):
        for kernel in kernels:
            layers += [nn.Conv2d(channels, width, kernel, padding=kernel // 2), nn.ReLU(inplace=True)]
            if response is not None and channels == 3:
                layers.append(response.layer())
            channels = width
        layers.append(nn.MaxPool2d(2, 2))
    return nn.Sequential(*layers)
