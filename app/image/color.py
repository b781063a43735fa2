"""From any of Pillow's modes and any ICC profile to 8-bit sRGB."""

import io
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageCms

from app.errors import UndecodableImage
from app.image.profile import MatrixProfile, ToSrgb
from app.image.views import Pixels

SRGB = ImageCms.createProfile("sRGB")
SRGB_MATRIX = MatrixProfile(ImageCms.ImageCmsProfile(SRGB).tobytes())
# A conversion that moves no colour by more than this many levels of 255 is left out: the profile is sRGB in all but
# name, and the pixels stay what every other tool sees.
INVISIBLE = 2
# So many levels of 255 our own conversion may differ from lcms's, and is then used because it is quicker.
ROUNDING = 1
# Cached profiles stay in memory; real ones have some kilobytes, those of printers a megabyte or two.
CACHED_PROFILES = 8
MAX_PROFILE_BYTES = 4 * 2**20


def to_srgb(image: Image.Image) -> Image.Image:
    """The picture in mode ``RGB``: profile converted to sRGB, transparency over white, 16 bits scaled to 8.

    Raises ``UndecodableImage`` for modes that have no colours of a screen (floating point, 32-bit integers, CIELAB).
    """
    profile = image.info.get("icc_profile")
    image = _eight_bits(image)
    if image.mode == "RGB" and "transparency" not in image.info:
        return _apply_profile(image, profile)
    if image.mode == "CMYK":
        return _apply_profile(image, profile).convert("RGB")
    if image.mode in ("1", "L", "YCbCr") and "transparency" not in image.info:
        return image.convert("RGB")
    if image.mode in ("L", "LA", "P", "PA", "RGB", "RGBA", "RGBa", "RGBX"):
        return _apply_profile(_over_white(image if image.mode == "RGBA" else image.convert("RGBA")), profile)
    raise UndecodableImage("Images of floating-point numbers, of 32-bit integers and in CIELAB are not supported.")


def convert_to_srgb(pixels: Pixels, profile: bytes | None) -> None:
    """Convert an ``RGB`` picture, of shape (height, width, 3), in place; without a profile, it is sRGB already."""
    conversion = _conversion(profile, "RGB")
    if conversion is None:
        return
    if conversion.tables is not None:
        conversion.tables.convert(pixels)
    else:
        pixels[:] = np.asarray(_transformed(Image.fromarray(pixels), conversion.transform))


def _eight_bits(image: Image.Image) -> Image.Image:
    """16-bit gray to 8-bit gray; Pillow's own conversion would clip instead of scaling."""
    if not image.mode.startswith("I;16"):
        return image
    values = np.asarray(image)
    return Image.fromarray((values >> 8).astype(np.uint8))


def _over_white(image: Image.Image) -> Image.Image:
    canvas = Image.new("RGB", image.size, "white")
    canvas.paste(image, mask=image.getchannel("A"))
    return canvas


def _apply_profile(image: Image.Image, profile: bytes | None) -> Image.Image:
    conversion = _conversion(profile, image.mode)
    if conversion is None:
        return image
    if conversion.tables is None:
        return _transformed(image, conversion.transform)
    pixels = np.array(image)
    conversion.tables.convert(pixels)
    return Image.fromarray(pixels)


class Conversion(NamedTuple):
    """lcms's way from a profile to sRGB, and, for the profiles that most photographs have, a quicker one."""

    transform: ImageCms.ImageCmsTransform
    tables: ToSrgb | None


def _conversion(profile: bytes | None, mode: str) -> Conversion | None:
    return _build_conversion(profile, mode) if profile and len(profile) <= MAX_PROFILE_BYTES else None


@lru_cache(maxsize=CACHED_PROFILES)
def _build_conversion(profile: bytes, mode: str) -> Conversion | None:
    """The conversion to sRGB, or ``None`` where there is none to make.

    Like in browsers, a profile that cannot be read or is for another kind of picture is passed over.
    """
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        transform = ImageCms.buildTransform(source, SRGB, mode, "RGB")
        if mode != "RGB":
            return Conversion(transform, None)
        coarse = _grid(9)
        if _apart(coarse, _transformed(coarse, transform)) <= INVISIBLE:
            return None
    except (ImageCms.PyCMSError, OSError, ValueError):
        return None
    return Conversion(transform, _tables(profile, transform))


def _tables(profile: bytes, transform: ImageCms.ImageCmsTransform) -> ToSrgb | None:
    """``None`` where they would not do what ``transform`` does."""
    try:
        tables = ToSrgb(MatrixProfile(profile), SRGB_MATRIX)
    except ValueError:
        return None
    for sample in (_grid(18), _ramps()):
        pixels = np.array(sample)
        tables.convert(pixels)
        if _apart(Image.fromarray(pixels), _transformed(sample, transform)) > ROUNDING:
            return None
    return tables


def _transformed(image: Image.Image, transform: ImageCms.ImageCmsTransform) -> Image.Image:
    converted = ImageCms.applyTransform(image, transform)
    assert converted is not None  # None is for in-place conversions only
    return converted


def _grid(steps: int) -> Image.Image:
    """All colours of so many levels a channel, evenly spaced, in one row."""
    levels = np.linspace(0, 255, steps).astype(np.uint8)
    return Image.fromarray(np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(1, -1, 3))


def _ramps() -> Image.Image:
    """Every gray, and every level of each channel alone: four rows."""
    colors = np.array([[1, 1, 1], [1, 0, 0], [0, 1, 0], [0, 0, 1]], np.uint8)[:, None]
    return Image.fromarray(colors * np.arange(256, dtype=np.uint8)[None, :, None])


def _apart(one: Image.Image, other: Image.Image) -> int:
    return int(np.abs(np.asarray(one).astype(int) - np.asarray(other).astype(int)).max())
