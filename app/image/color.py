"""From any of Pillow's modes and any ICC profile to 8-bit sRGB."""

import io
from functools import lru_cache

import numpy as np
from PIL import Image, ImageCms

from app.errors import UndecodableImage

SRGB = ImageCms.createProfile("sRGB")
# A conversion that moves no colour by more than this many levels of 255 is left out: the profile is sRGB in all but
# name, and the pixels stay what every other tool sees.
INVISIBLE = 2
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


def is_srgb(image: Image.Image) -> bool:
    """Whether an ``RGB`` picture is sRGB as it stands: it has no profile, or one that changes nothing visible."""
    return _conversion(image.info.get("icc_profile"), "RGB") is None


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
    transform = _conversion(profile, image.mode)
    if transform is None:
        return image
    converted = ImageCms.applyTransform(image, transform)
    assert converted is not None  # None is for in-place conversions only
    return converted


def _conversion(profile: bytes | None, mode: str) -> ImageCms.ImageCmsTransform | None:
    return _transform(profile, mode) if profile and len(profile) <= MAX_PROFILE_BYTES else None


@lru_cache(maxsize=CACHED_PROFILES)
def _transform(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """The conversion to sRGB, or ``None`` where there is none to make.

    Like in browsers, a profile that cannot be read or is for another kind of picture is passed over.
    """
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        transform = ImageCms.buildTransform(source, SRGB, mode, "RGB")
        if mode == "RGB" and _is_invisible(transform):
            return None
    except (ImageCms.PyCMSError, OSError, ValueError):
        return None
    return transform


def _is_invisible(transform: ImageCms.ImageCmsTransform) -> bool:
    levels = np.linspace(0, 255, 9).astype(np.uint8)
    colors = np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(1, -1, 3)
    converted = ImageCms.applyTransform(Image.fromarray(colors), transform)
    return int(np.abs(np.asarray(converted).astype(int) - colors.astype(int)).max()) <= INVISIBLE
