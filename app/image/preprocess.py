"""Resize and centre crop, as the manifest says: the one way a picture becomes a network's input.

The service and the scripts both use it. Normalising is the network's first layer, so that an item travels as uint8, in
150 kB instead of 602.
"""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from app.model.manifest import Preprocessing

RESAMPLING = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}
# Longer than this many short sides, a picture is resized only where the crop will look.
EXTREME_ASPECT = 16


def preprocess(image: Image.Image, preprocessing: Preprocessing) -> NDArray[np.uint8]:
    """The network's input, uint8 of shape (crop, crop, 3), for a picture in mode ``RGB``.

    The same pixels as torchvision's ``Resize(resize)`` and ``CenterCrop(crop)`` give for a PIL image, up to an aspect
    ratio of 16. Beyond, the whole resized picture could need gigabytes (a 1 x 20,000 one: four) for a crop of 224
    pixels, so only the crop is computed; Pillow may order its two passes otherwise then, a matter of rounding.
    """
    resampling = RESAMPLING[preprocessing.interpolation]
    width, height = resized_size(image.width, image.height, preprocessing.resize)
    side = preprocessing.crop
    left, upper = round((width - side) / 2), round((height - side) / 2)
    if max(width, height) <= EXTREME_ASPECT * preprocessing.resize:
        resized = image.resize((width, height), resampling)
        return np.asarray(resized)[upper : upper + side, left : left + side]
    scale_x, scale_y = image.width / width, image.height / height
    box = (left * scale_x, upper * scale_y, (left + side) * scale_x, (upper + side) * scale_y)
    return np.asarray(image.resize((side, side), resampling, box=box))


def resized_size(width: int, height: int, resize: int) -> tuple[int, int]:
    """Width and height when the short side becomes ``resize``, rounded as torchvision rounds."""
    if width <= height:
        return resize, int(resize * height / width)
    return int(resize * width / height), resize
