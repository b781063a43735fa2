"""What a decoder will need, imported and tried once before it is cut off from files."""

import io

import numpy as np
from PIL import Image, ImageCms

from app.image.formats import SUPPORTED, Format
from app.image.reader import Reader
from app.image.views import Views

# pillow-heif would encode with threads, and has nothing left to load.
ENCODED: tuple[Format, ...] = tuple(name for name in SUPPORTED if name != "HEIF")


def warm_up() -> None:
    """Read one small picture of each format, in both ways, with a profile and without."""
    Image.init()  # every plugin, not just the common ones
    picture = Image.fromarray(np.linspace(0, 255, 64 * 64 * 3).astype(np.uint8).reshape(64, 64, 3))
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for name in ENCODED:
        for extras in ({}, {"icc_profile": profile}):
            encoded = io.BytesIO()
            picture.save(encoded, name, **extras)
            for exact in (True, False):
                for interpolation in ("bilinear", "bicubic"):
                    Reader(10_000, exact=exact).read(encoded.getvalue(), Views(32, 28, interpolation))
