"""What must hold of ``decode`` and ``preprocess`` for any bytes whatever."""

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from app.errors import ServiceError, TooManyPixels, UndecodableImage, UnsupportedMediaType
from app.image.decode import Decoded, decode
from app.image.fast import decode_fast, preprocess_fast
from app.image.preprocess import preprocess
from app.model.manifest import Preprocessing, read_manifest
from app.settings import CHECKOUT

MAX_PIXELS = 4_000_000
# The README's bound on a picture being decoded, and room for what the allocator holds on to.
MAX_GROWTH_BYTES = 18 * MAX_PIXELS + 64 * 2**20
Picture = TypeVar("Picture", Image.Image, NDArray[np.uint8])
REFUSALS = (UnsupportedMediaType, TooManyPixels, UndecodableImage)
VGG16: Preprocessing = read_manifest(CHECKOUT / "models" / "vgg16" / "manifest.json").preprocessing
STATUS = Path("/proc/self/status")
RESET_PEAK = Path("/proc/self/clear_refs")


def check_everything(data: bytes) -> str:
    """The answer that both paths give to some bytes, as ``answer`` words it.

    Raises ``AssertionError`` when they differ, when a picture is not what it says or does not become a network's input,
    and lets through whatever else is raised: nothing else may be.
    """
    exact = _outcome(lambda: decode(data, MAX_PIXELS))
    fast = _outcome(lambda: decode_fast(data, MAX_PIXELS, VGG16.resize))
    assert _answer(exact) == _answer(fast), f"exact: {_answer(exact)}, fast: {_answer(fast)}"
    if isinstance(exact, Decoded) and isinstance(fast, Decoded):
        assert exact.image.size == (exact.width, exact.height)
        assert exact.width * exact.height <= MAX_PIXELS
        assert exact.image.mode == "RGB"
        for pixels in (preprocess(exact.image, VGG16), preprocess_fast(fast.image, VGG16)):
            assert pixels.shape == (VGG16.crop, VGG16.crop, 3)
            assert pixels.dtype == np.uint8
    return _answer(exact)


def check_memory(data: bytes) -> None:
    """As ``check_everything``, and the process must not have grown beyond the bound at any moment. On Linux only."""
    RESET_PEAK.write_text("5")  # proc(5): the peak begins anew at what is resident now
    before = _peak_bytes()
    check_everything(data)
    growth = _peak_bytes() - before
    assert growth <= MAX_GROWTH_BYTES, f"decoding {len(data)} bytes took {growth / 2**20:.0f} MiB"


def _outcome(way: Callable[[], Decoded[Picture]]) -> Decoded[Picture] | ServiceError:
    try:
        return way()
    except REFUSALS as error:
        return error


def _answer(outcome: Decoded[Picture] | ServiceError) -> str:
    if isinstance(outcome, ServiceError):
        return outcome.code
    return f"{outcome.format} {outcome.width}x{outcome.height}"


def _peak_bytes() -> int:
    """The most that was resident at once; proc(5), ``VmHWM``."""
    (line,) = (line for line in STATUS.read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024
