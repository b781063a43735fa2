"""The one way in: from an upload's bytes to what a network is shown. Service, training and evaluation all use it."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Self, TypeVar

from PIL import Image

from app.image.decode import ImageInfo, Photograph, decode
from app.image.preprocess import preprocess
from app.image.views import Pixels, Views
from app.settings import Settings

Decoded = TypeVar("Decoded")


@dataclass(frozen=True, slots=True)
class Reading:
    """What was read of one image: ``pixels`` is uint8 of shape (views, crop, crop, 3), times are in seconds."""

    pixels: Pixels
    image: ImageInfo
    decode_s: float
    preprocess_s: float


class Reader:
    """Decodes and preprocesses. Keeps nothing between two images, so that any number of threads may share one.

    ``exact`` gives, bit for bit, what torchvision's published transform would; without it, every pixel lies within a
    level of 255 of that, and large JPEGs are decoded at a fraction of their size.

    Both methods raise ``UnsupportedMediaType`` when the content is none of the formats in ``formats.SUPPORTED``,
    ``TooManyPixels`` when the header announces more than ``max_pixels`` (nothing is decoded then) and
    ``UndecodableImage`` when the image is truncated or corrupt.
    """

    def __init__(self, max_pixels: int, *, exact: bool) -> None:
        self._max_pixels = max_pixels
        self._exact = exact

    @classmethod
    def from_settings(cls, settings: Settings) -> Self:
        return cls(settings.max_pixels, exact=settings.decode == "exact")

    def read(self, data: bytes, views: Views) -> Reading:
        """The views of an image. Pillow and torch let go of the GIL while they decode and resize."""
        if self._exact:
            return _read(lambda: decode(data, self._max_pixels), lambda image: preprocess(image, views))
        # Imports torch, which a network has imported by then; at the top it would hold up /livez for seconds.
        from app.image.fast import decode_fast, preprocess_fast

        return _read(
            lambda: decode_fast(data, self._max_pixels, views.short_side),
            lambda picture: preprocess_fast(picture, views),
        )

    def photograph(self, data: bytes, short_side: int | None = None) -> Image.Image:
        """The whole first frame, upright, in mode ``RGB`` and sRGB; a large JPEG may be smaller than it is in its file
        when a ``short_side`` says that this is detail enough."""
        return decode(data, self._max_pixels, short_side).pixels


def _read(decode_image: Callable[[], Photograph[Decoded]], show: Callable[[Decoded], Pixels]) -> Reading:
    began = time.perf_counter()
    photograph = decode_image()
    decoded = time.perf_counter()
    pixels = show(photograph.pixels)
    return Reading(pixels, photograph.info, decoded - began, time.perf_counter() - decoded)
