"""From an upload's bytes to an upright sRGB picture, or to the error that says what is wrong with it."""

import io
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Generic, NamedTuple, TypeVar

from PIL import ExifTags, Image

import app.image.pillow  # noqa: F401 - sets Pillow up
from app.errors import TooCostly, TooManyPixels, UndecodableImage, UnsupportedMediaType
from app.image.color import to_srgb
from app.image.formats import SUPPORTED, Format, sniff_format, webp_size
from app.image.guards import is_costly

# Pillow plugins to try for a format. Pillow calls a JPEG that holds more than one picture (many phones) MPO.
PLUGINS: dict[Format, tuple[str, ...]] = {name: ("JPEG", "MPO") if name == "JPEG" else (name,) for name in SUPPORTED}

# What undoes each EXIF orientation (CIPA DC-008, 4.6.4).
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
SIDEWAYS = (
    Image.Transpose.TRANSPOSE,
    Image.Transpose.ROTATE_270,
    Image.Transpose.TRANSVERSE,
    Image.Transpose.ROTATE_90,
)
MAX_SIDE = 100_000
# A JPEG decoded at less than its size keeps so many times the length that is needed. With 1 the best class changed on 5
# of 150 photographs of 12 megapixels, with 4 on none, at twice the time (scripts/benchmark.py large, for 4).
DETAIL = 4
SHRINKAGES = (8, 4, 2)

# What the decoders raise on bytes that are broken, whichever way they are broken.
BROKEN = (
    *(OSError, SyntaxError, ValueError, TypeError, LookupError, EOFError, AttributeError, ArithmeticError),
    *(RuntimeError, MemoryError, struct.error, AssertionError),
)


Decoded = TypeVar("Decoded")


class ImageInfo(NamedTuple):
    """What is known of an image once it is decoded; sizes in pixels, upright (after EXIF rotation)."""

    format: Format
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Photograph(Generic[Decoded]):
    """A decoded image: upright, in sRGB, 8 bits a channel.

    ``pixels`` may be smaller than ``info`` says, see ``decode``.
    """

    pixels: Decoded
    info: ImageInfo


class Opened:
    """An image whose header has been read and whose size has been checked; the pixels come with ``load``."""

    def __init__(self, name: Format, image: Image.Image, data_bytes: int) -> None:
        self.format = name
        self.data_bytes = data_bytes
        self.width, self.height = image.size
        self._image: Image.Image | None = image

    @property
    def image(self) -> Image.Image:
        """Until ``load`` has taken it."""
        assert self._image is not None  # nobody asks twice
        return self._image

    def take(self) -> Image.Image:
        """The image, kept alive by nobody but the caller: some decoders hold as much memory as the pixels take."""
        image, self._image = self.image, None
        return image


def decode(data: bytes, max_pixels: int, short_side: int | None = None) -> Photograph[Image.Image]:
    """Decode the first frame of an image, to mode ``RGB``.

    EXIF orientation is applied, wide-gamut colours are converted to sRGB, transparency is laid over white. With
    ``short_side``, to which the picture will be resized, a large JPEG may be decoded at a half, a quarter or an eighth
    of its size, which its DCT gives almost for free.

    Raises ``UnsupportedMediaType`` when the content is none of the formats in ``SUPPORTED``, ``TooManyPixels`` when the
    header announces more than ``max_pixels`` (nothing is decoded then), ``TooCostly`` when it is built to take more
    than its picture could and ``UndecodableImage`` when it is truncated or corrupt.
    """
    return load(open_image(data, max_pixels), short_side)


def open_image(data: bytes, max_pixels: int) -> Opened:
    """Read an image's header and check what it says. Raises as ``decode`` does."""
    name = sniff_format(data)
    if name is None:
        raise UnsupportedMediaType(f"The content is not an image in a supported format ({', '.join(SUPPORTED)}).")
    if name == "WEBP":
        _check_size(webp_size(data), max_pixels)
    if is_costly(data, name):
        raise TooCostly(f"The {name} image is built to take unreasonably long to decode.")
    with _guarded(name):
        image: Image.Image = Image.open(io.BytesIO(data), formats=PLUGINS[name])
    _check_size(image.size, max_pixels)
    return Opened(name, image, len(data))


def load(opened: Opened, short_side: int | None) -> Photograph[Image.Image]:
    """Decode what ``open_image`` has opened, once. Raises ``TooCostly`` and ``UndecodableImage``."""
    name, width, height = opened.format, opened.width, opened.height
    image = opened.take()
    with _guarded(name):
        if short_side is not None and name == "JPEG":
            divisor = shrinkage(width, height, short_side)
            image.draft(image.mode, (width // divisor, height // divisor))
        image.load()
        if name == "HEIF":  # a crop that reaches over the edge leaves less than the header announces
            width, height = image.size
        turn = turn_of(name, image)
        if turn is not None:
            image = image.transpose(turn)  # lets go of the decoder and its buffers, too
        if turn in SIDEWAYS:
            width, height = height, width
        return Photograph(to_srgb(image), ImageInfo(name, width, height))


def shrinkage(width: int, height: int, short_side: int) -> int:
    """What a JPEG's sides may be divided by in decoding, and be detailed enough: 1, 2, 4 or 8."""
    enough = DETAIL * short_side
    return next((divisor for divisor in SHRINKAGES if min(width, height) >= divisor * enough), 1)


def turn_of(name: Format, image: Image.Image) -> Image.Transpose | None:
    """What the EXIF orientation asks for; damaged metadata is not damaged pixels, and asks for nothing.

    HEIF and AVIF carry their orientation in the container, and the decoders have applied it already.
    """
    if name in ("HEIF", "AVIF"):
        return None
    try:
        orientation = image.getexif().get(ExifTags.Base.Orientation)
    except BROKEN:
        return None
    return TURNS.get(orientation) if isinstance(orientation, int) else None


def _check_size(size: tuple[int, int] | None, max_pixels: int) -> None:
    if size is None or min(size) < 1:
        raise UndecodableImage("The image's header is broken.")
    width, height = size
    if max(width, height) > MAX_SIDE:
        raise TooManyPixels(f"The image has {width}x{height} pixels; a side may have at most {MAX_SIDE:,}.")
    if width * height > max_pixels:
        raise TooManyPixels(f"The image has {width}x{height} pixels; at most {max_pixels:,} are accepted.")


@contextmanager
def _guarded(name: str) -> Iterator[None]:
    """Turn whatever a decoder raises on broken bytes into one clear error."""
    try:
        yield
    except BROKEN as error:
        if is_shortage(error):
            raise TooCostly(f"The {name} image takes more memory to decode than its size accounts for.") from error
        raise UndecodableImage(f"The {name} image is truncated or corrupt.") from error


def is_shortage(error: Exception) -> bool:
    """Whether a decoder ran out of memory; those written in C say so in the text of another error.

    The picture's size has been checked by then: what was asked for is what the file claims beside it.
    """
    return isinstance(error, MemoryError) or "memory" in str(error).lower()
