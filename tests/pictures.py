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


def wide_gamut_profile() -> bytes:
    """Adobe RGB (1998) as an ICC profile."""
    return _matrix_profile(gamma=2.2, red=(0.60974, 0.31111, 0.01947), green=(0.20528, 0.62567, 0.06087),
                           blue=(0.14919, 0.06322, 0.74457))  # fmt: skip


def _matrix_profile(gamma: float, **primaries: tuple[float, float, float]) -> bytes:
    """An ICC v2 matrix profile (ICC.1:2001-04), written by hand: Pillow makes sRGB ones only."""

    def fixed(value: float) -> bytes:
        return struct.pack(">i", round(value * 65536))

    def xyz(values: tuple[float, float, float]) -> bytes:
        return b"XYZ \0\0\0\0" + b"".join(map(fixed, values))

    curve = b"curv\0\0\0\0" + struct.pack(">IH", 1, round(gamma * 256)) + b"\0\0"
    text = b"desc\0\0\0\0" + struct.pack(">I", 5) + b"test\0" + bytes(78)
    tags = {
        b"desc": text + bytes(-len(text) % 4),
        b"cprt": b"text\0\0\0\0none\0\0\0\0",
        b"wtpt": xyz((0.9642, 1.0, 0.8249)),
        b"rXYZ": xyz(primaries["red"]),
        b"gXYZ": xyz(primaries["green"]),
        b"bXYZ": xyz(primaries["blue"]),
        b"rTRC": curve,
        b"gTRC": curve,
        b"bTRC": curve,
    }
    table, body, offset = struct.pack(">I", len(tags)), b"", 128 + 4 + 12 * len(tags)
    for name, content in tags.items():
        table += name + struct.pack(">II", offset + len(body), len(content))
        body += content
    size = offset + len(body)
    header = struct.pack(">I4sI4s4s4s12s4s", size, b"none", 0x02100000, b"mntr", b"RGB ", b"XYZ ", bytes(12), b"acsp")
    header += bytes(28) + fixed(0.9642) + fixed(1.0) + fixed(0.8249)
    return header.ljust(128, b"\0") + table + body
