"""A network measured layer by layer, without weights and without arithmetic: a forward pass of shapes alone."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from torchvision.models import VGG

from app.errors import ModelError
from app.model.network import build_architecture


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer, for a batch of ``Table.batch_size`` pictures in fp32 where bytes are concerned.

    ``output`` is (channels, height, width) or (values,) of one picture, ``multiply_adds`` are of one picture.
    ``receptive_field`` and ``stride`` are in pixels of the picture; ``None`` where a layer sees all of it.
    ``output_bytes`` is 0 where a layer writes over its input. ``kept_bytes`` is what training keeps of this layer until
    the backward pass and has not kept for an earlier one.
    """

    name: str
    kind: str
    kernel: int | None
    output: tuple[int, ...]
    parameters: int
    multiply_adds: int
    receptive_field: int | None
    stride: int | None
    output_bytes: int
    kept_bytes: int


@dataclass(frozen=True, slots=True)
class Table:
    architecture: str
    classes: int
    size: int
    batch_size: int
    layers: list[Layer]

    @property
    def parameters(self) -> int:
        return sum(layer.parameters for layer in self.layers)

    @property
    def multiply_adds(self) -> int:
        """Of one picture."""
        return sum(layer.multiply_adds for layer in self.layers)

    @property
    def weight_layers(self) -> int:
        """As the paper counts them: convolutions and fully connected layers."""
        return sum(layer.kind in ("conv", "linear") for layer in self.layers)

    @property
    def forward_bytes(self) -> int:
        """The largest input and output that are there together: what inference needs beside the weights."""
        sizes = [layer.output_bytes for layer in self.layers if layer.output_bytes]
        picture = 4 * 3 * self.size**2 * self.batch_size
        return max(before + after for before, after in zip([picture, *sizes], sizes, strict=False))

    @property
    def kept_bytes(self) -> int:
        """What training keeps for the backward pass, the picture included."""
        return sum(layer.kept_bytes for layer in self.layers)


KINDS: dict[type[nn.Module], str] = {
    nn.Conv2d: "conv",
    nn.Linear: "linear",
    nn.MaxPool2d: "max pool",
    nn.AdaptiveAvgPool2d: "average pool",
    nn.ReLU: "relu",
    nn.BatchNorm2d: "batch norm",
    nn.LocalResponseNorm: "response norm",
    nn.Dropout: "dropout",
}


def inspect(architecture: str, classes: int = 1000, size: int = 224, batch_size: int = 1) -> Table:
    """Raises ``ModelError`` for anything but a VGG."""
    network = build_architecture(architecture, classes)
    if not isinstance(network, VGG):
        raise ModelError(f"{architecture} is no VGG; only these are one layer behind the other.")
    return Table(architecture, classes, size, batch_size, _Walk(network, size, batch_size).layers)


class _Walk:
    """One pass in training mode, on torch's device for shapes without values."""

    def __init__(self, network: VGG, size: int, batch_size: int) -> None:
        self.layers: list[Layer] = []
        self._batch_size = batch_size
        self._field, self._stride = 1, 1
        self._saved: list[Tensor] = []  # kept alive, so that no other has its place in memory
        self._known = {_place(parameter) for parameter in network.parameters()}
        self._outputs: list[Tensor] = []
        with torch.device("meta"):
            pictures = torch.empty(batch_size, 3, size, size)
        with self._watching(network.train()), torch.random.fork_rng(devices=[]):
            network(pictures)

    @contextmanager
    def _watching(self, network: VGG) -> Iterator[None]:
        named = [(name, layer) for name, layer in network.named_modules() if type(layer) in KINDS]
        names = _names([layer for _, layer in named])
        hooks = [layer.register_forward_hook(self._hook(name)) for name, (_, layer) in zip(names, named, strict=True)]
        try:
            with saved_tensors_hooks(self._keep, lambda saved: saved):
                yield
        finally:
            for hook in hooks:
                hook.remove()

    def _keep(self, tensor: Tensor) -> Tensor:
        self._saved.append(tensor)
        return tensor

    def _hook(self, name: str) -> Any:
        def after(layer: nn.Module, _inputs: tuple[Tensor, ...], output: Tensor) -> None:
            writes_over = bool(self._outputs) and _place(self._outputs[-1]) == _place(output)
            self._outputs.append(output)
            self._see(layer)
            linear = isinstance(layer, nn.Linear)
            self.layers.append(
                Layer(
                    name=name,
                    kind=KINDS[type(layer)],
                    kernel=_first(layer.kernel_size) if isinstance(layer, nn.Conv2d | nn.MaxPool2d) else None,
                    output=tuple(output.shape[1:]),
                    parameters=sum(parameter.numel() for parameter in layer.parameters()),
                    multiply_adds=_multiply_adds(layer, output),
                    receptive_field=None if linear or output.ndim == 2 else self._field,
                    stride=None if linear or output.ndim == 2 else self._stride,
                    output_bytes=0 if writes_over else _bytes(output),
                    kept_bytes=self._newly_kept(),
                )
            )

        return after

    def _see(self, layer: nn.Module) -> None:
        if isinstance(layer, nn.Conv2d | nn.MaxPool2d):
            self._field += (_first(layer.kernel_size) - 1) * self._stride
            self._stride *= _first(layer.stride)

    def _newly_kept(self) -> int:
        """Bytes of what was saved since the last layer, each place in memory counted once; parameters are there
        anyway."""
        total = 0
        for tensor in self._saved:
            if _place(tensor) not in self._known:
                self._known.add(_place(tensor))
                total += tensor.untyped_storage().nbytes()
        return total


def _first(value: int | tuple[int, ...]) -> int:
    """Of both dimensions, which are alike."""
    return int(value[0] if isinstance(value, tuple) else value)


def _multiply_adds(layer: nn.Module, output: Tensor) -> int:
    """Of one picture; additions of biases, comparisons and normalising are not counted."""
    if isinstance(layer, nn.Conv2d):
        return layer.weight[0].numel() * output[0].numel()
    return layer.weight.numel() if isinstance(layer, nn.Linear) else 0


def _bytes(tensor: Tensor) -> int:
    return tensor.numel() * tensor.element_size()


def _place(tensor: Tensor) -> int:
    return int(tensor.untyped_storage()._cdata)


def _names(layers: list[nn.Module]) -> list[str]:
    """The paper's names: conv3_1 is the first convolution of the third block, fc6 the first linear layer."""
    names = []
    block, within, last = 1, 0, "conv1_1"
    linear = 5
    for layer in layers:
        if isinstance(layer, nn.Conv2d):
            within += 1
            last = f"conv{block}_{within}"
            names.append(last)
        elif isinstance(layer, nn.MaxPool2d):
            names.append(f"pool{block}")
            block, within = block + 1, 0
        elif isinstance(layer, nn.Linear):
            linear += 1
            last = f"fc{linear}"
            names.append(last)
        else:
            names.append(f"{last} {KINDS[type(layer)]}" if not isinstance(layer, nn.AdaptiveAvgPool2d) else "average")
    return names
