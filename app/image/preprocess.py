"""Resize and crop with Pillow: the reference for what a network is shown.

Normalising is the network's first layer, so that an item travels as uint8, in 150 kB instead of 602.
"""

from collections.abc import Iterable, Iterator

import numpy as np
from PIL import Image

from app.image.views import Pixels, Views, Whole, resized_size

RESAMPLING = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}
# Longer than this many short sides, or larger than this, a photograph is resized only where a crop will look.
EXTREME_ASPECT = 16
MOST_RESIZED = 2**22


def preprocess(image: Image.Image, views: Views) -> Pixels:
    """The views of a photograph in mode ``RGB``: uint8 of shape (views, crop, crop, 3).

    The centre view has the same pixels as torchvision's ``Resize`` and ``CenterCrop`` give for a PIL image, up to an
    aspect ratio of 16. Beyond, the whole resized photograph could need gigabytes (a 1 x 20,000 one: four) for a crop of
    224 pixels, so only the crops are computed; Pillow may order its two passes otherwise then, a matter of rounding.
    """
    size = resized_size(image.width, image.height, views.short_side)
    if is_extreme(size, views):
        return _stack(views, [_only(image, size, left, upper, views) for left, upper in corners(size, views)])
    return cut(np.asarray(image.resize(size, RESAMPLING[views.interpolation])), size, views)


def preprocess_whole(image: Image.Image, size: tuple[int, int], view: Whole) -> Pixels:
    """The whole photograph, resized to ``size``: uint8 of shape (1, height, width, 3), or 2 with its mirror image."""
    return with_mirror_image(np.asarray(image.resize(size, RESAMPLING[view.interpolation])), view)


def with_mirror_image(resized: Pixels, view: Whole) -> Pixels:
    return np.stack([resized, resized[:, ::-1]]) if view.mirrored else resized[None]


def is_extreme(size: tuple[int, int], views: Views) -> bool:
    """Whether a resized photograph would be too long to be made as a whole."""
    return max(size) > EXTREME_ASPECT * views.short_side or size[0] * size[1] > MOST_RESIZED


def corners(size: tuple[int, int], views: Views) -> Iterator[tuple[int, int]]:
    """Left and upper edge of each view in a photograph of that width and height, rounded as torchvision rounds."""
    width, height = size
    for place in views.places:
        yield round((width - views.crop) * place.x), round((height - views.crop) * place.y)


def cut(resized: Pixels, size: tuple[int, int], views: Views, origin: tuple[int, int] = (0, 0)) -> Pixels:
    """The views of a photograph resized to ``size``.

    What no view needs of it may be missing: ``origin`` is the left and upper edge of what is there.
    """
    side, places = views.crop, [(left - origin[0], upper - origin[1]) for left, upper in corners(size, views)]
    return _stack(views, [resized[upper : upper + side, left : left + side] for left, upper in places])


def _only(image: Image.Image, size: tuple[int, int], left: int, upper: int, views: Views) -> Pixels:
    """One view of the photograph resized to ``size``, without resizing the rest of it."""
    side, resampling = views.crop, RESAMPLING[views.interpolation]
    x, y = image.width / size[0], image.height / size[1]
    box = (left * x, upper * y, (left + side) * x, (upper + side) * y)
    return np.asarray(image.resize((side, side), resampling, box=box))


def _stack(views: Views, crops: Iterable[Pixels]) -> Pixels:
    """One array, in which the mirrored views are mirrored."""
    places = zip(views.places, crops, strict=True)
    return np.stack([crop[:, ::-1] if place.mirrored else crop for place, crop in places])
