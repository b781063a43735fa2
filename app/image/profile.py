"""ICC profiles of the simple kind, a curve for each channel and a matrix, converted to sRGB with tables and NumPy.

That is the kind that cameras, screens and phones have (ICC.1:2022, 8.3.3: three-component matrix-based profiles). The
conversion is what lcms, the library in Pillow, makes of it, in less than half the time; whoever builds one has to check
that it is (see ``color``), since profiles may hold more than this module knows.
"""

import struct

import numpy as np
from numpy.typing import NDArray

from app.image.views import Pixels

Curves = NDArray[np.float64]
Matrix = NDArray[np.float64]

LEVELS = np.linspace(0, 1, 256)
# Steps of linear light in the last table: as many as lcms has, and in the dark a fifth of a level of sRGB each.
STEPS = 2**14
# Few enough for intermediate results to stay in the processor's cache.
BLOCK_PIXELS = 2**15
HEADER_BYTES, TAG_BYTES = 132, 12
# The parameters of each parametric curve (ICC.1:2022, 10.18), by its number in the file.
PARAMETERS = ("g", "gab", "gabc", "gabcd", "gabcdef")
RGB = "rgb"
MAX_CURVE_ENTRIES = 0x7FFF  # lcms reads no longer ones either


class MatrixProfile:
    """From a device's RGB to linear light in sRGB's primaries.

    ``curves`` are of shape (3, 256), from 0 to 1; ``matrix`` (3, 3) makes XYZ of them, D50 being white.
    """

    def __init__(self, profile: bytes) -> None:
        """Raises ``ValueError`` for a profile that is of another kind, or broken."""
        try:
            tags = _read_tags(profile)
            if profile[16:24] != b"RGB XYZ " or b"A2B0" in tags:
                raise ValueError("The profile is not one of a matrix alone.")
            self.curves = np.stack([_read_curve(tags[f"{name}TRC".encode()]) for name in RGB])
            self.matrix = np.array([_fixed(tags[f"{name}XYZ".encode()], 8, 3) for name in RGB]).T
        except (KeyError, struct.error, ArithmeticError) as error:
            raise ValueError("The profile is incomplete or broken.") from error


class ToSrgb:
    """Converts pixels from one profile to sRGB."""

    def __init__(self, source: MatrixProfile, srgb: MatrixProfile) -> None:
        """Raises ``ValueError`` when the numbers in ``source`` make no sense."""
        mix = STEPS * np.einsum("ij,jk->ik", _inverse(srgb.matrix), source.matrix)  # not by BLAS, see below
        if not (np.isfinite(mix).all() and np.abs(mix).max() < STEPS * STEPS):
            raise ValueError("The profile's numbers are out of all bounds.")
        self._mix = mix.astype(np.float32)
        self._curves = source.curves.astype(np.float32)
        self._encode = _encode((np.arange(STEPS) + 0.5) / STEPS)

    def convert(self, pixels: Pixels) -> None:
        """In place; ``pixels`` are of shape (height, width, 3)."""
        height, width, _ = pixels.shape
        rows = max(1, BLOCK_PIXELS // width)
        for row in range(0, height, rows):
            block = pixels[row : row + rows]
            for column in range(0, width, BLOCK_PIXELS):
                self._convert(block[:, column : column + BLOCK_PIXELS])

    def _convert(self, pixels: Pixels) -> None:
        """Multiplies channel by channel: a product of matrices would be BLAS's, which takes 32 MB of address space for
        good, of which a decoder has little, and may start threads."""
        # Every index lies within its table; "wrap" is the mode that costs least.
        light = [np.take(curve, pixels[..., place], mode="wrap") for place, curve in enumerate(self._curves)]
        total, part = np.empty_like(light[0]), np.empty_like(light[0])
        for place, weights in enumerate(self._mix):
            np.multiply(light[0], weights[0], out=total)
            for other in (1, 2):
                np.add(total, np.multiply(light[other], weights[other], out=part), out=total)
            np.clip(total, 0, STEPS - 1, out=total)
            pixels[..., place] = np.take(self._encode, total.astype(np.uint16), mode="wrap")


def _inverse(matrix: Matrix) -> Matrix:
    """Of a matrix (3, 3). NumPy's would be LAPACK's, with the same cost as BLAS."""
    one, two, three = matrix.T
    inverse: Matrix = np.stack([np.cross(two, three), np.cross(three, one), np.cross(one, two)])
    return inverse / float(one @ np.cross(two, three))


def _encode(light: NDArray[np.float64]) -> Pixels:
    """Linear light from 0 to 1 as sRGB has it (IEC 61966-2-1), in levels of 255."""
    encoded = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    return (255 * encoded).round().astype(np.uint8)


def _read_tags(profile: bytes) -> dict[bytes, bytes]:
    (count,) = struct.unpack_from(">I", profile, HEADER_BYTES - 4)
    if count > (len(profile) - HEADER_BYTES) // TAG_BYTES:
        raise ValueError("The profile announces more tags than it has room for.")
    entries = (struct.unpack_from(">4sII", profile, HEADER_BYTES + TAG_BYTES * place) for place in range(count))
    return {name: profile[offset : offset + size] for name, offset, size in entries}


def _read_curve(tag: bytes) -> NDArray[np.float64]:
    """Of shape (256,), from 0 to 1."""
    if tag[:4] == b"curv":
        (count,) = struct.unpack_from(">I", tag, 8)
        if count == 0:
            return LEVELS
        if count > MAX_CURVE_ENTRIES:
            raise ValueError("The profile has a curve of too many entries.")
        values = np.frombuffer(tag, ">u2", count, 12)
        if count == 1:
            return LEVELS ** float(values[0] / 256)
        return np.interp(LEVELS, np.linspace(0, 1, count), values / 65535)
    if tag[:4] == b"para":
        (kind,) = struct.unpack_from(">H", tag, 8)
        if kind < len(PARAMETERS):
            return _parametric(dict(zip(PARAMETERS[kind], _fixed(tag, 12, len(PARAMETERS[kind])), strict=True)))
    raise ValueError("The profile has an unknown kind of curve.")


def _parametric(given: dict[str, float]) -> NDArray[np.float64]:
    """ICC.1:2022, 10.18: (a x + b)^g + e from x = d on, and c x + f below."""
    p = {"a": 1.0, "b": 0.0, "c": 0.0, "e": 0.0, "f": 0.0} | given
    if len(given) <= len("gabc"):  # types 0 to 2 say it in other words
        p |= {"c": 0.0, "d": -p["b"] / p["a"], "e": p["c"], "f": p["c"]}
    with np.errstate(all="ignore"):
        bent = np.maximum(p["a"] * LEVELS + p["b"], 0) ** p["g"] + p["e"]
    curve = np.where(p["d"] <= LEVELS, bent, p["c"] * LEVELS + p["f"])
    if not np.isfinite(curve).all():
        raise ValueError("The profile has a curve without bounds.")
    return curve.clip(0, 1)


def _fixed(tag: bytes, at: int, count: int) -> list[float]:
    """Numbers of the format s15Fixed16."""
    return [number / 65536 for number in struct.unpack_from(f">{count}i", tag, at)]
