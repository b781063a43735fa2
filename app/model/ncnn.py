"""A trunk in ncnn, whose Winograd kernels are written for each processor. An extra: see ``engines.is_installed``.

ncnn has batches of one, and only ``create_extractor`` may be called by several threads: each image gets an extractor.
"""

import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from app.errors import ModelError
from app.model.trunk import Convolution, Step

MAGIC = 7767517  # the first line of a network's description
RELU = 1
FP32 = bytes(4)  # before a convolution's weights: how they are stored


class NcnnTrunk(nn.Module):
    """fp32 (N, in, height, width) -> (N, out, height, width)."""

    def __init__(self, steps: Sequence[Step]) -> None:
        """The weights are transformed; what was given is not kept.

        Raises ``ModelError`` when ncnn cannot be imported here, or refuses the network.
        """
        super().__init__()
        try:
            import ncnn
        except ImportError as error:  # what it is linked with may be missing
            raise ModelError(f"ncnn cannot be imported ({error})") from error
        self._mat = ncnn.Mat
        self._net = ncnn.Net()
        options = self._net.opt
        options.num_threads = torch.get_num_threads()
        options.use_vulkan_compute = False
        options.use_fp16_packed = options.use_fp16_storage = options.use_fp16_arithmetic = False  # fp32 throughout
        options.use_bf16_packed = options.use_bf16_storage = False
        self._output = f"blob{len(steps)}"
        with _weights_file(steps) as path:
            if self._net.load_param_mem(describe(steps)) != 0 or self._net.load_model(path) != 0:
                raise ModelError("ncnn refused the network")

    def forward(self, images: Tensor) -> Tensor:
        planes = images.contiguous().numpy()
        return torch.stack([torch.from_numpy(self._run(image)) for image in planes])

    def _run(self, image: NDArray[np.float32]) -> NDArray[np.float32]:
        extractor = self._net.create_extractor()
        extractor.input("blob0", self._mat(image))
        status, features = extractor.extract(self._output)
        if status != 0:
            raise MemoryError("ncnn could not run the network")
        return np.array(features)


def describe(steps: Sequence[Step]) -> str:
    """The network in ncnn's text form: a line for each layer, of its kind, name, inputs, outputs and parameters."""
    lines = ["Input input 0 1 blob0"]
    for number, step in enumerate(steps):
        blobs = f"1 1 blob{number} blob{number + 1}"
        if isinstance(step, Convolution):
            (down, right), activation = step.padding, RELU if step.relu else 0
            sizes = f"0={step.weight.shape[0]} 1=3 6={step.weight.numel()}"
            lines.append(f"Convolution layer{number} {blobs} {sizes} 4={right} 14={down} 5=1 9={activation}")
        else:
            lines.append(f"Pooling layer{number} {blobs} 0=0 1=2 2=2 5=1")
    return f"{MAGIC}\n{len(lines)} {len(lines)}\n" + "\n".join(lines) + "\n"


@contextmanager
def _weights_file(steps: Sequence[Step]) -> Iterator[str]:
    """Read from a file ncnn owns its weights. Linux has files without a disk; a container's /tmp may be small."""
    if hasattr(os, "memfd_create"):
        with os.fdopen(os.memfd_create("ncnn"), "wb") as file:
            _write(steps, file.fileno())
            yield f"/proc/self/fd/{file.fileno()}"
    else:
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "weights.bin")
            with open(path, "wb") as file:
                _write(steps, file.fileno())
            yield path


def _write(steps: Sequence[Step], descriptor: int) -> None:
    with os.fdopen(descriptor, "wb", closefd=False) as file:
        for step in steps:
            if isinstance(step, Convolution):
                file.write(FP32)
                file.write(step.weight.contiguous().numpy().tobytes())
                file.write(step.bias.contiguous().numpy().tobytes())
