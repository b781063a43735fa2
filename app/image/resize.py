"""Part of a resized picture, computed with vector instructions, and only as much of it as is needed.

The library, fast_image_resize, has no build for Linux on ARM; ``AVAILABLE`` says whether it is there.
"""

import math

import numpy as np

from app.image.views import Interpolation, Pixels

try:
    from cykooz_resizer import CropBox, FilterType, ImageData, PixelType, ResizeAlg, ResizeOptions, Resizer

    AVAILABLE = True
except ImportError:
    AVAILABLE = False

# The library's name for each filter (Pillow's bicubic is Catmull and Rom's), and how many pixels beyond an output
# pixel's own it reaches, in units of the scale.
FILTERS = {"bilinear": ("bilinear", 1.0), "bicubic": ("catmull_rom", 2.0)}


Size = tuple[int, int]  # width, height
Box = tuple[int, int, int, int]  # left, upper, right, lower


def seen(given: Size, size: Size, box: Box, interpolation: Interpolation) -> Box:
    """What of a picture decides over ``box`` once the picture is resized from the size ``given`` to ``size``."""
    support = FILTERS[interpolation][1]
    scales = given[0] / size[0], given[1] / size[1]
    left, upper = (max(0, math.floor(at * x - support * max(1.0, x))) for at, x in zip(box[:2], scales, strict=True))
    right, lower = (
        min(end, math.ceil(at * x + support * max(1.0, x))) for at, x, end in zip(box[2:], scales, given, strict=True)
    )
    return left, upper, right, lower


def resize_part(picture: Pixels, size: Size, box: Box, interpolation: Interpolation) -> Pixels:
    """What lies in ``box`` of the picture resized to ``size``.

    Takes and gives pixels of shape (height, width, 3). Nearly all of them are what Pillow gives, a few are one level of
    255 off. As in Pillow, rows are done before columns: where a bicubic filter overshoots it is cut off in between, and
    the other order would be many levels off.
    """
    given_height, given_width, _ = picture.shape
    left, upper, right, lower = box
    x, y = given_width / size[0], given_height / size[1]
    _, first, _, last = seen((given_width, given_height), size, box, interpolation)
    rows, width, height = last - first, right - left, lower - upper
    source = ImageData(given_width, rows, PixelType.U8x3, picture[first:last].tobytes())
    narrowed, resized = ImageData(width, rows, PixelType.U8x3), ImageData(width, height, PixelType.U8x3)
    # Rounding must not let a box reach over the edge: the library refuses that.
    columns = CropBox(left * x, 0, min(width * x, given_width - left * x), rows)
    above = upper * y - first
    lines = CropBox(0, above, width, min(height * y, rows - above))
    algorithm, resizer = ResizeAlg.convolution(FilterType[FILTERS[interpolation][0]]), Resizer()
    resizer.resize(source, narrowed, ResizeOptions(algorithm, crop_box=columns))
    resizer.resize(narrowed, resized, ResizeOptions(algorithm, crop_box=lines))
    return np.frombuffer(resized.get_buffer(), np.uint8).reshape(height, width, 3)
