"""Pictures for tests: real photographs that a package ships, and plain colours for the dummy network."""

import io
import struct
import zlib
from typing import Any

import numpy as np
from PIL import Image
from skimage import data


def photograph(name: str = "chelsea") -> Image.Image:
    """``chelsea`` is a tabby cat, ``coffee`` an espresso, ``rocket`` a missile on its launch pad."""
    return Image.fromarray(getattr(data, name)())


def plain(color: tuple[int, int, int], size: tuple[int, int] = (300, 260)) -> Image.Image:
    return Image.new("RGB", size, color)


def encode(image: Image.Image, image_format: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, image_format, **options)
    return buffer.getvalue()


def png(color: tuple[int, int, int]) -> bytes:
    return encode(plain(color))


def huge_png(width: int, height: int) -> bytes:
    """A header that announces so many pixels, and none of them."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", bytes(16))


def difference(one: Image.Image, other: Image.Image) -> float:
    """Mean absolute difference of two RGB pictures of one size, in levels of 255."""
    assert one.size == other.size
    assert one.mode == other.mode == "RGB"
    return float(np.abs(np.asarray(one).astype(float) - np.asarray(other).astype(float)).mean())
