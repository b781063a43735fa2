"""From an upload's bytes to an upright sRGB picture, or to the error that says what is wrong with it."""

import io
import logging
import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pillow_heif
from PIL import Image, ImageFile, ImageOps

from app.errors import TooManyPixels, UndecodableImage, UnsupportedMediaType
from app.image.color import to_srgb
from app.image.formats import SUPPORTED, sniff_format, webp_size

pillow_heif.register_heif_opener()
# Pillow's own limit is a warning at one size and an error at another; ours is one number, checked before any pixel.
Image.MAX_IMAGE_PIXELS = None
ImageFile.LOAD_TRUNCATED_IMAGES = False
# The library's loggers print what they find inside uploads.
logging.getLogger("PIL").setLevel(logging.WARNING)

# Pillow plugins to try for a format. Pillow calls a JPEG that holds more than one picture (many phones) MPO.
PLUGINS = {name: ("JPEG", "MPO") if name == "JPEG" else (name,) for name in SUPPORTED}

# What the decoders raise on bytes that are broken, whichever way they are broken. MemoryError is a decoder's answer to
# a size that its file only claims: the picture's real size has been checked by then.
BROKEN = (OSError, SyntaxError, ValueError, TypeError, KeyError, IndexError, EOFError, AttributeError, OverflowError,
          RuntimeError, NotImplementedError, MemoryError, ZeroDivisionError, struct.error, AssertionError)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Decoded:
    """An upright picture in mode ``RGB`` (sRGB, 8 bits a channel), and the format it came in."""

    image: Image.Image
    format: str

    @property
    def width(self) -> int:
        return self.image.width

    @property
    def height(self) -> int:
        return self.image.height


def decode(data: bytes, max_pixels: int) -> Decoded:
    """Decode the first frame of an image.

    EXIF orientation is applied, wide-gamut colours are converted to sRGB, transparency is laid over white.

    Raises ``UnsupportedMediaType`` when the content is none of the formats in ``SUPPORTED``, ``TooManyPixels`` when the
    header announces more than ``max_pixels`` (nothing is decoded then) and ``UndecodableImage`` when it is truncated
    or corrupt.
    """
    name = sniff_format(data)
    if name is None:
        raise UnsupportedMediaType(f"The content is not an image in a supported format ({', '.join(SUPPORTED)}).")
    if name == "WEBP":
        _check_size(webp_size(data), max_pixels)
    with _guarded(name):
        # Opening reads the header only; the pixels come with load(), inside the same guard.
        image = Image.open(io.BytesIO(data), formats=PLUGINS[name])
    _check_size(image.size, max_pixels)
    with _guarded(name):
        image.load()
        # HEIF and AVIF carry their orientation in the container; the decoders have applied it already.
        if name not in ("HEIF", "AVIF"):
            ImageOps.exif_transpose(image, in_place=True)
        return Decoded(to_srgb(image), name)


def _check_size(size: tuple[int, int] | None, max_pixels: int) -> None:
    if size is None or min(size) < 1:
        raise UndecodableImage("The image's header is broken.")
    width, height = size
    if width * height > max_pixels:
        raise TooManyPixels(f"The image has {width}x{height} pixels; at most {max_pixels:,} are accepted.")


@contextmanager
def _guarded(name: str) -> Iterator[None]:
    """Turn whatever a decoder raises on broken bytes into one clear error."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about metadata of the upload; the pixels decide
            yield
    except BROKEN as error:
        raise UndecodableImage(f"The {name} image is truncated or corrupt.") from error
