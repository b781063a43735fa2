"""Pictures for tests: real photographs that a package ships, and plain colours for the dummy network."""

import io
import struct
import zlib
from collections.abc import Sequence
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


ADOBE_RGB = ((0.60974, 0.31111, 0.01947), (0.20528, 0.62567, 0.06087), (0.14919, 0.06322, 0.74457))


def wide_gamut_profile() -> bytes:
    """Adobe RGB (1998) as an ICC profile."""
    return matrix_profile([curve_tag(2.2)] * 3, ADOBE_RGB)


def curve_tag(*numbers: float) -> bytes:
    """A curve of an ICC profile: an exponent, or what a table holds, from 0 to 1."""
    values = [round(numbers[0] * 256)] if len(numbers) == 1 else [round(number * 65535) for number in numbers]
    return b"curv" + struct.pack(f">II{len(values)}H", 0, len(values), *values)


def parametric_tag(kind: int, *numbers: float) -> bytes:
    """A curve of an ICC profile as a formula."""
    return b"para" + struct.pack(f">IHH{len(numbers)}i", 0, kind, 0, *(round(number * 65536) for number in numbers))


def matrix_profile(curves: Sequence[bytes], primaries: Sequence[tuple[float, float, float]]) -> bytes:
    """An ICC v2 matrix profile (ICC.1:2001-04), written by hand: Pillow makes sRGB ones only."""

    def fixed(value: float) -> bytes:
        return struct.pack(">i", round(value * 65536))

    def xyz(values: tuple[float, float, float]) -> bytes:
        return b"XYZ \0\0\0\0" + b"".join(map(fixed, values))

    text = b"desc\0\0\0\0" + struct.pack(">I", 5) + b"test\0" + bytes(78)
    tags = {
        b"desc": text + bytes(-len(text) % 4),
        b"cprt": b"text\0\0\0\0none\0\0\0\0",
        b"wtpt": xyz((0.9642, 1.0, 0.8249)),
        **{f"{name}XYZ".encode(): xyz(primary) for name, primary in zip("rgb", primaries, strict=True)},
        **{f"{name}TRC".encode(): curve + bytes(-len(curve) % 4) for name, curve in zip("rgb", curves, strict=True)},
    }
    table, body, offset = struct.pack(">I", len(tags)), b"", 128 + 4 + 12 * len(tags)
    for name, content in tags.items():
        table += name + struct.pack(">II", offset + len(body), len(content))
        body += content
    size = offset + len(body)
    header = struct.pack(">I4sI4s4s4s12s4s", size, b"none", 0x02100000, b"mntr", b"RGB ", b"XYZ ", bytes(12), b"acsp")
    header += bytes(28) + fixed(0.9642) + fixed(1.0) + fixed(0.8249)
    return header.ljust(128, b"\0") + table + body
