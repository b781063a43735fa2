"""The one way in: from an upload's bytes to what a network is shown. Service, training and evaluation all use it."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

from PIL import Image

from app.image.decode import ImageInfo, Opened, load, open_image
from app.image.fast import load_fast, preprocess_fast, preprocess_whole_fast
from app.image.preprocess import preprocess, preprocess_whole
from app.image.resize import AVAILABLE
from app.image.views import Part, Pixels, Shape, Views, Wanted

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Reading:
    """What was read of one image: ``pixels`` is uint8 of shape (views, crop, crop, 3), times are in seconds."""

    pixels: Pixels
    image: ImageInfo
    decode_s: float
    preprocess_s: float


@dataclass(frozen=True, slots=True)
class ReadParts:
    """As ``Reading``, of several parts: one array for each."""

    parts: list[Pixels]
    image: ImageInfo
    decode_s: float
    preprocess_s: float


class Reader:
    """Decodes and preprocesses. Keeps nothing between two images, so that any number of threads may share one.

    ``exact`` gives, bit for bit, what torchvision's published transform would; without it, every value lies within a
    level of 255 of that (a few in a million two), and large JPEGs are decoded at a fraction of their size.

    ``before_decoding`` is called with each image whose header was read and found acceptable, before its pixels are
    decoded; what it raises, the methods raise.

    Both methods raise ``UnsupportedMediaType`` when the content is none of the formats in ``formats.SUPPORTED``,
    ``TooManyPixels`` when the header announces more than ``max_pixels`` (nothing is decoded then) and
    ``UndecodableImage`` when the image is truncated or corrupt.
    """

    def __init__(
        self, max_pixels: int, *, exact: bool, before_decoding: Callable[[Opened], None] = lambda _: None
    ) -> None:
        self._max_pixels = max_pixels
        self._exact = exact
        self._before_decoding = before_decoding
        if not exact and not AVAILABLE:
            _say_that_pillow_resizes()

    def read(self, data: bytes, views: Views) -> Reading:
        """The views of an image. The decoders, and most of resizing, let go of the GIL."""
        found = self.read_parts(data, Wanted((views,)), views.shape[0] * views.crop**2)
        return Reading(found.parts[0], found.image, found.decode_s, found.preprocess_s)

    def read_parts(self, data: bytes, wanted: Wanted, most_pixels: int) -> ReadParts:
        """Several views of an image, which is decoded once. Raises ``EvaluationTooLarge``, too: before it decodes."""
        began = time.perf_counter()
        opened = open_image(data, self._max_pixels)
        wanted.shapes(opened.width, opened.height, most_pixels)
        open_s = time.perf_counter() - began
        self._before_decoding(opened)  # whose time is not the decoder's
        began = time.perf_counter()
        if self._exact:
            photograph = load(opened, None)
            decoded, info = time.perf_counter(), photograph.info
            shapes = wanted.shapes(info.width, info.height, most_pixels)
            parts = [_exactly(photograph.pixels, *pair) for pair in zip(wanted.parts, shapes, strict=True)]
        else:
            found = load_fast(opened, data, *wanted.parts)
            decoded, info = time.perf_counter(), found.info
            shapes = wanted.shapes(info.width, info.height, most_pixels)
            parts = [_fast(found.pixels, *pair) for pair in zip(wanted.parts, shapes, strict=True)]
        return ReadParts(parts, info, open_s + decoded - began, time.perf_counter() - decoded)

    def photograph(self, data: bytes, short_side: int | None = None) -> Image.Image:
        """The whole first frame, upright, in mode ``RGB`` and sRGB; a large JPEG may be smaller than it is in its file
        when a ``short_side`` says that this is detail enough."""
        opened = open_image(data, self._max_pixels)
        self._before_decoding(opened)
        return load(opened, short_side).pixels


def _exactly(photograph: Image.Image, part: Part, shape: Shape) -> Pixels:
    if isinstance(part, Views):
        return preprocess(photograph, part)
    return preprocess_whole(photograph, (shape[2], shape[1]), part)


def _fast(picture: Pixels, part: Part, shape: Shape) -> Pixels:
    if isinstance(part, Views):
        return preprocess_fast(picture, part)
    return preprocess_whole_fast(picture, (shape[2], shape[1]), part)


@cache
def _say_that_pillow_resizes() -> None:
    """Once in a process: nothing is wrong, but an operator who compares machines will want to know."""
    logger.info("cykooz.resizer is not installed: Pillow resizes, which is exact and takes longer.")
