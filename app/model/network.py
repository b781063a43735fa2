"""The network on its device: build, normalise, forward, softmax, top-k. The same code on CUDA and on the CPU."""

import logging
import time
from collections.abc import Callable, Mapping
from functools import wraps
from typing import ParamSpec, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from app.errors import BatchTooLarge, ModelError
from app.image.views import Pixels
from app.model import cuda, memory
from app.model.architectures import VGGS, build_vgg
from app.model.dense import Places
from app.model.launch import launch_by
from app.model.manifest import Manifest, Preprocessing
from app.model.receipt import Way
from app.model.registry import ScoreMaps

logger = logging.getLogger(__name__)

P = ParamSpec("P")
Answer = TypeVar("Answer")

PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
UNMEASURED_BATCH_SIZE = {"cuda": 16, "cpu": 4}


def resolve_device(setting: str) -> torch.device:
    """``auto`` is the first CUDA device if there is one that can be used. Raises ``ModelError`` for one that cannot.

    On CUDA, fp32 is fp32 from then on (see ``cuda.compute_exactly``).
    """
    if setting == "cpu":
        return torch.device("cpu")
    device = torch.device("cuda" if setting == "auto" else setting)
    reason = cuda.why_not(device.index or 0)
    if reason is None:
        cuda.compute_exactly()
        return device
    if setting != "auto":
        raise ModelError(f"VGG_DEVICE={setting}, but {reason}.")
    if cuda.is_there():
        logger.warning("There is an NVIDIA device, but the CPU computes: %s.", reason)
    return torch.device("cpu")


def resolve_precision(setting: str, device: torch.device) -> str:
    """``auto`` is fp16 on CUDA and fp32 on the CPU, where less is a matter of the processor and changes close calls."""
    return setting if setting != "auto" else ("fp16" if device.type == "cuda" else "fp32")


def is_emulated(precision: str, device: torch.device) -> bool:
    """Whether a processor has no instructions for a precision, and is several times slower with it than with fp32."""
    if device.type != "cpu" or precision == "fp32":
        return False
    return not any(has for name, has in torch.cpu.get_capabilities().items() if precision in name)


def device_kind(device: torch.device, precision: str, engine: str = "eager") -> str:
    """What a measured batch size holds for: this hardware at this precision, with this engine."""
    hardware = torch.cuda.get_device_name(device) if device.type == "cuda" else f"cpu x{torch.get_num_threads()}"
    return f"{hardware} {precision}" if engine == "eager" else f"{hardware} {precision} {engine}"


def processor_kind() -> str:
    """What a measured engine holds for: the threads and the instructions that this processor has."""
    return f"cpu x{torch.get_num_threads()} {torch.backends.cpu.get_cpu_capability()}"


def build_architecture(architecture: str, classes: int) -> nn.Module:
    """An architecture without weights (on the ``meta`` device: no memory, no initialisation).

    Raises ``ModelError`` for an architecture that is neither one of the VGGs nor one of timm's.
    """
    with torch.device("meta"):
        if architecture in VGGS:
            return build_vgg(architecture, classes)
        if architecture.startswith("timm:"):
            return _build_timm(architecture.removeprefix("timm:"), classes)
    raise ModelError(f"Unknown architecture {architecture!r}: it must be one of {', '.join(VGGS)}, or timm:NAME.")


def _build_timm(name: str, classes: int) -> nn.Module:
    try:
        import timm  # an extra: imported only when a model asks for it
    except ImportError as error:
        raise ModelError("This model needs the package timm: install the extra 'embedded'.") from error
    if not timm.is_model(name):
        raise ModelError(f"timm has no architecture {name!r}.")
    network: nn.Module = timm.create_model(name, pretrained=False, num_classes=classes)
    return network


class Normalise(nn.Module):
    """The first layer, in service and in training: uint8 (N, 3, height, width) -> fp32.

    The arithmetic is torchvision's ``ToTensor`` and ``Normalize``, step by step, so that fp32 gives the same bits.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, preprocessing: Preprocessing) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(preprocessing.mean).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(preprocessing.std).view(3, 1, 1), persistent=False)

    def forward(self, pixels: Tensor) -> Tensor:
        return pixels.to(torch.float32).div_(255).sub_(self.mean).div_(self.std)


class FromPixels(nn.Module):
    """A network that takes pixels: normalising in fp32, then the layers in their own precision."""

    def __init__(self, network: nn.Module, preprocessing: Preprocessing, dtype: torch.dtype) -> None:
        super().__init__()
        self.normalise = Normalise(preprocessing)
        self.network = network
        self.dtype = dtype

    def forward(self, pixels: Tensor) -> Tensor:
        """uint8 (N, 3, height, width) -> fp32 logits (N, classes)."""
        logits: Tensor = self.network(self.normalise(pixels).to(self.dtype))
        return logits.float()


def _fitting(forward: Callable[P, Answer]) -> Callable[P, Answer]:
    """A device whose memory is full has a remedy: fewer images at a time."""

    @wraps(forward)
    def attempt(*args: P.args, **kwargs: P.kwargs) -> Answer:
        return memory.within(lambda: forward(*args, **kwargs), BatchTooLarge)

    return attempt


class TorchNetwork:
    """A network with weights on a device, behind the interface that the batcher's ``run`` calls."""

    def __init__(
        self,
        module: FromPixels,
        device: torch.device,
        temperature: float = 1.0,
        tensors: Mapping[str, Tensor] | None = None,
        way: Way = "plain",
    ) -> None:
        """``tensors`` are kept, so that models loaded later find them (see ``sharing``). ``way`` is how batches are run
        (see ``launch``)."""
        self.tensors = tensors
        self.module = module.eval().requires_grad_(requires_grad=False)
        self.device = device
        self.temperature = temperature
        self._launch = launch_by(way, self.module, device)
        self.places: Places | None = None
        """For ``score_maps``."""

    @torch.inference_mode()
    def logits(self, pixels: Pixels) -> Tensor:
        """uint8 (N, height, width, 3) -> fp32 logits (N, classes) on the device."""
        logits: Tensor = self.module(_channels_last(pixels).to(self.device))
        return logits

    @_fitting
    @torch.inference_mode()
    def top_k(self, pixels: Pixels, k: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """See ``registry.Network``.

        Raises ``BatchTooLarge`` when the device's memory is full, and ``ArithmeticError`` when the network answers with
        something that is not finite.
        """
        values, indices = self._launch(
            _channels_last(pixels), lambda logits: torch.topk(self._softmax(logits), k, dim=1)
        )
        return indices.numpy(), _finite(values)

    @_fitting
    @torch.inference_mode()
    def probabilities(self, pixels: Pixels) -> NDArray[np.float32]:
        """See ``registry.Network``. Raises as ``top_k`` does."""
        (probabilities,) = self._launch(_channels_last(pixels), lambda logits: [self._softmax(logits)])
        return _finite(probabilities)

    @_fitting
    @torch.inference_mode()
    def score_maps(self, pixels: Pixels) -> ScoreMaps:
        """See ``registry.Network``. Raises as ``top_k`` does."""
        assert self.places is not None  # the model would not say that it has them
        _, height, width, _ = pixels.shape
        normalised = self.module.normalise(_channels_last(pixels).to(self.device)).to(self.module.dtype)
        scores = (self.places(normalised).float() / self.temperature).cpu()
        return ScoreMaps(_finite(scores), self.places.box(height, width))

    def _softmax(self, logits: Tensor) -> Tensor:
        return torch.softmax(logits / self.temperature, dim=1)


def _finite(values: Tensor) -> NDArray[np.float32]:
    if not torch.isfinite(values).all():
        raise ArithmeticError("the network's answer is not finite")
    return values.numpy()


def _channels_last(pixels: Pixels) -> Tensor:
    """Pictures lie in memory as rows of RGB pixels, which is what torch calls channels_last: no copy is made."""
    return torch.from_numpy(pixels).permute(0, 3, 1, 2)


def build_network(
    manifest: Manifest,
    tensors: Mapping[str, Tensor],
    classes: int,
    device: torch.device,
    precision: str,
    *,
    way: Way = "plain",
) -> TorchNetwork:
    """Put weights into an architecture, on a device.

    Tensors that need no change (fp32 on the CPU) are used as they are: a memory-mapped file stays one. Raises
    ``ModelError`` when names or shapes do not fit.
    """
    dtype = PRECISIONS[precision]
    network = build_architecture(manifest.architecture, classes)
    placed = {name: place(tensor, device, dtype) for name, tensor in tensors.items()}
    load_tensors(network, placed, manifest.architecture)
    module = FromPixels(network, manifest.preprocessing, dtype).to(device)
    return TorchNetwork(module, device, manifest.temperature, placed, way)


def load_tensors(network: nn.Module, tensors: Mapping[str, Tensor], architecture: str) -> None:
    """Give a network its weights. Raises ``ModelError`` naming the first tensors that do not fit."""
    expected = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
    given = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    faults = [f"{name} is missing" for name in expected if name not in given]
    faults += [f"{name} does not belong to it" for name in given if name not in expected]
    faults += [
        f"{name} has shape {list(given[name])} instead of {list(shape)}"
        for name, shape in expected.items()
        if name in given and given[name] != shape
    ]
    if faults:
        more = f" and {len(faults) - 3} more" if len(faults) > 3 else ""
        raise ModelError(f"The weights do not fit {architecture}: {'; '.join(faults[:3])}{more}.")
    network.load_state_dict(tensors, strict=True, assign=True)


def place(tensor: Tensor, device: torch.device, dtype: torch.dtype) -> Tensor:
    tensor = tensor.to(device, dtype) if tensor.is_floating_point() else tensor.to(device)
    is_convolution = tensor.ndim == 4
    return tensor.contiguous(memory_format=torch.channels_last) if is_convolution else tensor


def synchronise(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def seconds_per_batch(network: TorchNetwork, crop: int, size: int) -> float:
    """How long one forward of ``size`` gray images takes, softmax and copies included."""
    pixels = np.full((size, crop, crop, 3), 127, dtype=np.uint8)
    synchronise(network.device)
    began = time.perf_counter()
    network.top_k(pixels, 1)
    return time.perf_counter() - began
