"""Resizing by torchvision's vector code for uint8: what the service uses, unless it is told to be exact."""

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from app.image.preprocess import EXTREME_ASPECT, preprocess, resized_size
from app.model.manifest import Preprocessing


def preprocess_fast(image: Image.Image, preprocessing: Preprocessing) -> NDArray[np.uint8]:
    """As ``preprocess``, to within a level of 255, in a third of the time.

    uint8 of shape (crop, crop, 3) for a picture in mode ``RGB``.
    """
    width, height = resized_size(image.width, image.height, preprocessing.resize)
    side = preprocessing.crop
    if max(width, height) > EXTREME_ASPECT * preprocessing.resize:
        return preprocess(image, preprocessing)
    left, upper = round((width - side) / 2), round((height - side) / 2)
    resized = resize_fast(image, (width, height), preprocessing.interpolation)
    return resized[upper : upper + side, left : left + side]


def resize_fast(image: Image.Image, size: tuple[int, int], interpolation: str) -> NDArray[np.uint8]:
    """uint8 (height, width, 3) for a picture in mode ``RGB`` and a size as Pillow gives it: width, height."""
    # A copy, since torch wants to be allowed to write; (height, width, 3) is torch's channels_last.
    pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1)[None]
    resized = torch.nn.functional.interpolate(pixels, size=size[::-1], mode=interpolation, antialias=True)
    result: NDArray[np.uint8] = resized[0].permute(1, 2, 0).numpy()
    return result
