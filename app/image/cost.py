"""What reading an image may take: the CPU and memory of the costliest honest picture of its kind, with room to spare.

A process that reads one picture is ended when it takes more. The bounds follow from what is known before any pixel is
decoded: whatever a file is built to do, it costs no more than a picture of its kind, size and number of bytes could.

Measured on one core of an AMD EPYC 9004 (2.6 GHz) with pictures of 0.2, 3 and 12 megapixels made to be costly: noise
over a photograph, qualities of 90 to 98, full chroma, progressive where there is such a thing, transparency, a colour
profile, turned by EXIF. Each was read by ``Reader.read``, exact and fast, in a process of its own: its CPU time, and
how far ``VmPeak`` in ``/proc/self/status`` rose. Two terms explain both, one by pixels and one by bytes; the constants
lie above every picture's. ``tests/image/test_cost.py`` holds that honest pictures stay inside.
"""

from typing import NamedTuple

from app.image.decode import Opened
from app.image.formats import Format, webp_size
from app.image.preprocess import MOST_RESIZED
from app.image.views import Part, Views, Wanted, resized_size

# A slow, loaded machine may take so many times the CPU that was measured.
FACTOR = 6
BASE_CPU_S = 0.3
# Reading a header is Python: some microseconds for each of the pieces that the guards allow for.
HEADER_NS_PER_BYTE = 5
# Stacks, the allocator's own rounding, code tables, modules that are imported late.
BASE_BYTES = 48 * 2**20
# The upload itself is held up to three times: as bytes, as what Pillow reads, and as what a decoder has taken over.
COPIES = 3


class Rate(NamedTuple):
    """Nanoseconds of CPU for each pixel and each byte, and bytes of memory for each pixel."""

    ns_per_pixel: float
    ns_per_byte: float
    bytes_per_pixel: float


RATES: dict[Format, Rate] = {
    "JPEG": Rate(30, 40, 12),
    "PNG": Rate(35, 12, 16),
    "WEBP": Rate(40, 60, 24),
    "GIF": Rate(25, 20, 16),
    "BMP": Rate(20, 2, 16),
    "TIFF": Rate(35, 10, 16),
    "AVIF": Rate(40, 120, 28),
    "HEIF": Rate(50, 100, 24),
}
# What comes on top. Four inks are converted by a table of four dimensions; the others are named by Pillow's
# ``info["compression"]``: run lengths of a BMP are undone in Python.
CMYK = Rate(60, 0, 4)
COMPRESSIONS: dict[object, Rate] = {1: Rate(200, 350, 0), 2: Rate(200, 350, 0), "lzma": Rate(0, 60, 0)}
# Pillow makes room for two whole pictures as soon as it opens a WebP.
WEBP_CANVAS_BYTES = 9


# Each part of what is wanted of a photograph: resized to the size that its views lie in, cut, and stacked.
VIEWS_NS_PER_PIXEL = 30
VIEWS_BYTES_PER_PIXEL = 9
MOST_VIEWS_BYTES = VIEWS_BYTES_PER_PIXEL * (MOST_RESIZED + 12_000_000)


def header_cpu_seconds(size: int) -> float:
    """What ``open_image`` may take for so many bytes, when nothing else is known."""
    return BASE_CPU_S + FACTOR * size * HEADER_NS_PER_BYTE / 1e9


def header_memory_bytes(data: bytes, max_pixels: int) -> int:
    """What ``open_image`` may take beyond what the process has; a WebP that is too large is refused before it opens."""
    width, height = (data[8:12] == b"WEBP" and webp_size(data)) or (0, 0)
    return BASE_BYTES + COPIES * len(data) + WEBP_CANVAS_BYTES * min(width * height, max_pixels)


def cpu_seconds(opened: Opened) -> float:
    """What ``Reader.read`` may take for such an image, reading its header again included."""
    cpu_ns = sum(
        rate.ns_per_pixel * opened.width * opened.height + rate.ns_per_byte * opened.data_bytes
        for rate in _rates(opened)
    )
    return header_cpu_seconds(opened.data_bytes) + FACTOR * cpu_ns / 1e9


def memory_bytes(opened: Opened) -> int:
    """What ``Reader.read`` may take beyond what the process had before the image was opened."""
    per_pixel = sum(rate.bytes_per_pixel for rate in _rates(opened))
    return BASE_BYTES + COPIES * opened.data_bytes + int(per_pixel * opened.width * opened.height)


def views_cost(opened: Opened, wanted: Wanted) -> tuple[float, int]:
    """What several views of an image take more than one does: seconds of the CPU, and bytes."""
    pixels = [_pixels(opened, part) for part in wanted.parts]
    if len(pixels) == 1 and isinstance(wanted.parts[0], Views) and len(wanted.parts[0].places) == 1:
        return 0.0, 0
    cut = sum(views for _, views in pixels)
    resized = [least for least, _ in pixels]
    memory = VIEWS_BYTES_PER_PIXEL * (max(resized) + cut)
    return FACTOR * VIEWS_NS_PER_PIXEL * (sum(resized) + cut) / 1e9, min(memory, MOST_VIEWS_BYTES)


def _pixels(opened: Opened, part: Part) -> tuple[int, int]:
    """Of the resized photograph, and of the views of it."""
    width, height = resized_size(opened.width, opened.height, part.short_side)
    resized = min(width * height, MOST_RESIZED)
    if isinstance(part, Views):
        return resized, len(part.places) * part.crop**2
    return resized, part.count * resized


def most_memory_bytes(max_pixels: int, max_bytes: int) -> int:
    """What ``memory_bytes`` and ``views_cost`` are for the costliest image of so many pixels and bytes."""
    return (
        MOST_VIEWS_BYTES
        + BASE_BYTES
        + COPIES * max_bytes
        + int(max(rate.bytes_per_pixel for rate in RATES.values()) * max_pixels)
    )


def _rates(opened: Opened) -> list[Rate]:
    image = opened.image
    more = COMPRESSIONS.get(image.info.get("compression"))
    return [RATES[opened.format], *([CMYK] if image.mode == "CMYK" else []), *([more] if more else [])]
