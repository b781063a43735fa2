"""What must hold of a ``Reader`` for any bytes whatever."""

from pathlib import Path

import numpy as np

from app.errors import ServiceError, TooCostly, TooManyPixels, UndecodableImage, UnsupportedMediaType
from app.image.reader import Reader, Reading
from app.model.manifest import read_manifest
from app.settings import CHECKOUT

MAX_PIXELS = 4_000_000
# The documented bound on an image being decoded, and room for what the allocator holds on to.
MAX_GROWTH_BYTES = 18 * MAX_PIXELS + 64 * 2**20
EXACT, FAST = Reader(MAX_PIXELS, exact=True), Reader(MAX_PIXELS, exact=False)
REFUSALS = (UnsupportedMediaType, TooManyPixels, TooCostly, UndecodableImage)
VIEWS = read_manifest(CHECKOUT / "models" / "vgg16" / "manifest.json").preprocessing.centre_crop()
STATUS = Path("/proc/self/status")
RESET_PEAK = Path("/proc/self/clear_refs")


def check_everything(data: bytes) -> str:
    """The answer that both paths give to some bytes, as ``_answer`` words it.

    Raises ``AssertionError`` when they differ, when an image is not what it says or does not become a network's input,
    and lets through whatever else is raised: nothing else may be.
    """
    exact, fast = _outcome(EXACT, data), _outcome(FAST, data)
    assert _answer(exact) == _answer(fast), f"exact: {_answer(exact)}, fast: {_answer(fast)}"
    if isinstance(exact, Reading) and isinstance(fast, Reading):
        assert exact.image.width * exact.image.height <= MAX_PIXELS
        for pixels in (exact.pixels, fast.pixels):
            assert pixels.shape == (1, VIEWS.crop, VIEWS.crop, 3)
            assert pixels.dtype == np.uint8
        photograph = EXACT.photograph(data)
        assert photograph.size == (exact.image.width, exact.image.height)
        assert photograph.mode == "RGB"
    return _answer(exact)


def check_memory(data: bytes) -> None:
    """As ``check_everything``, and the process must not have grown beyond the bound at any moment. On Linux only."""
    RESET_PEAK.write_text("5")  # proc(5): the peak begins anew at what is resident now
    before = _peak_bytes()
    check_everything(data)
    growth = _peak_bytes() - before
    assert growth <= MAX_GROWTH_BYTES, f"decoding {len(data)} bytes took {growth / 2**20:.0f} MiB"


def _outcome(reader: Reader, data: bytes) -> Reading | ServiceError:
    try:
        return reader.read(data, VIEWS)
    except REFUSALS as error:
        return error


def _answer(outcome: Reading | ServiceError) -> str:
    if isinstance(outcome, ServiceError):
        return outcome.code
    return f"{outcome.image.format} {outcome.image.width}x{outcome.image.height}"


def _peak_bytes() -> int:
    """The most that was resident at once; proc(5), ``VmHWM``."""
    (line,) = (line for line in STATUS.read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024
