"""libjpeg-turbo called straight, torch's vector code for resizing: what the service uses, unless it is to be exact."""

import logging
import math

import numpy as np
import simplejpeg
import torch
from PIL import Image

from app.image.color import is_srgb
from app.image.decode import ImageInfo, Opened, Photograph, load, open_image, shrinkage, turn_of
from app.image.preprocess import corners, cut, is_extreme, preprocess, resized_size
from app.image.views import Interpolation, Pixels, Views

logger = logging.getLogger(__name__)

# Pixels beyond an output pixel's own that its filter reaches, in units of the scale; see Image.Resampling.
SUPPORT = {"bilinear": 1.0, "bicubic": 2.0}


def decode_fast(data: bytes, max_pixels: int, short_side: int) -> Photograph[Pixels]:
    """As ``decode`` with ``short_side``; the pixels are uint8 of shape (height, width, 3).

    Most photographs are plain JPEGs, whose pixels simplejpeg gives bit by bit as Pillow does (the library underneath is
    the same), without the copies on the way. Whatever is not plain, or not flawless, is for Pillow to decode, or to
    refuse.
    """
    opened = open_image(data, max_pixels)
    width, height = opened.width, opened.height
    if _is_plain(opened):
        divisor = shrinkage(width, height, short_side)
        least = {"min_width": math.ceil(width / divisor), "min_height": math.ceil(height / divisor)}
        try:
            return Photograph(simplejpeg.decode_jpeg(data, **least), ImageInfo(opened.format, width, height))
        except ValueError:
            logger.debug("A JPEG with flaws: left to Pillow.")
    decoded = load(opened, short_side)
    return Photograph(np.asarray(decoded.pixels), decoded.info)


def _is_plain(opened: Opened) -> bool:
    """Whether an image is a JPEG in sRGB that needs no turning and no converting."""
    image = opened.image
    return (
        opened.format == image.format == "JPEG"
        and image.mode == "RGB"
        and is_srgb(image)
        and ("exif" not in image.info or turn_of(opened.format, image) is None)
    )


def preprocess_fast(picture: Pixels, views: Views) -> Pixels:
    """As ``preprocess``, to within a level of 255, in a third of the time; for pixels of shape (height, width, 3)."""
    height, width, _ = picture.shape
    size = resized_size(width, height, views.short_side)
    if is_extreme(size, views):
        return preprocess(Image.fromarray(picture), views)
    lowest = max(upper for _, upper in corners(size, views)) + views.crop
    return cut(resize_fast(picture, size, views.interpolation, lowest), size, views)


def resize_fast(picture: Pixels, size: tuple[int, int], interpolation: Interpolation, rows: int) -> Pixels:
    """A picture of shape (height, width, 3) in another size, given as Pillow gives it: width, height.

    Only so many ``rows`` from the top have to be there: what lies below a crop need not be resized. (Leaving out
    columns, too, would take a copy.)
    """
    given_height, given_width, _ = picture.shape
    width, height = size
    scale = given_height / height
    reach = SUPPORT[interpolation] * max(1.0, scale)
    needed = min(given_height, math.ceil(rows * scale + reach) + 1)
    # torch rounds the size it computes down: a factor a hair too small would cost the last row.
    factors = (math.nextafter(height / given_height, math.inf), math.nextafter(width / given_width, math.inf))
    resized = torch.nn.functional.interpolate(
        torch.from_numpy(picture)[None, :needed].permute(0, 3, 1, 2),  # torch's channels_last: nothing is copied
        scale_factor=factors,
        mode=interpolation,
        antialias=True,
    )
    result: Pixels = resized[0].permute(1, 2, 0).numpy()
    return result
