"""The VGG paper's augmentation, as a function of a generator, and the ten crops of evaluation.

Sources: Simonyan & Zisserman 2015, section 3.1 (scale jitter, random crop of the whole rescaled picture, flip) and
Krizhevsky et al. 2012, section 4.1 (colour shift along the principal components of ImageNet's pixels, ten crops).
"""

import numpy as np
from numpy.typing import NDArray

from app.image.fast import decode_fast, resize_fast
from app.image.preprocess import EXTREME_ASPECT, resized_size
from app.model.manifest import Preprocessing
from app.model.registry import Pixels

SMALLEST_SIDE, LARGEST_SIDE = 256, 512  # of S in the paper, for crops of 224
PAPER_CROP = 224
# Of RGB in 0..1, from facebook's fb.resnet.torch. Rows are R, G, B; columns are the components.
EIGENVALUES = np.array([0.2175, 0.0188, 0.0045])
EIGENVECTORS = np.array([[-0.5675, 0.7192, 0.4009], [-0.5808, -0.0045, -0.8140], [-0.5836, -0.6948, 0.4203]])
SHIFT_STD = 0.1


def augmented(data: bytes, preprocessing: Preprocessing, max_pixels: int, generator: np.random.Generator) -> Pixels:
    """uint8 (crop, crop, 3): another one for every state of the generator.

    For another crop than the paper's 224 the range of scales moves in proportion. Raises ``ServiceError`` when the
    picture cannot be decoded.
    """
    crop = preprocessing.crop
    smallest, largest = (round(side * crop / PAPER_CROP) for side in (SMALLEST_SIDE, LARGEST_SIDE))
    side = int(generator.integers(smallest, largest + 1))
    picture = _bounded(decode_fast(data, max_pixels, side).image)
    width, height = resized_size(picture.shape[1], picture.shape[0], side)
    resized = resize_fast(picture, (width, height), preprocessing.interpolation)
    left, upper = (int(generator.integers(0, length - crop + 1)) for length in (width, height))
    pixels = resized[upper : upper + crop, left : left + crop]
    if generator.random() < 0.5:  # noqa: PLR2004 - a fair coin
        pixels = pixels[:, ::-1]
    return shift_colour(pixels, generator.normal(0, SHIFT_STD, 3))


def shift_colour(pixels: Pixels, alpha: NDArray[np.float64]) -> Pixels:
    """Add one colour to a whole picture: the components, each by its eigenvalue times ``alpha`` (3,)."""
    shift = EIGENVECTORS @ (alpha * EIGENVALUES) * 255
    shifted: Pixels = np.clip(np.rint(pixels + shift), 0, 255).astype(np.uint8)
    return shifted


def ten_crops(data: bytes, preprocessing: Preprocessing, max_pixels: int) -> Pixels:
    """uint8 (10, crop, crop, 3): the corners and the centre of the resized picture, and all five mirrored.

    Raises ``ServiceError`` when the picture cannot be decoded.
    """
    crop = preprocessing.crop
    picture = _bounded(decode_fast(data, max_pixels, preprocessing.resize).image)
    width, height = resized_size(picture.shape[1], picture.shape[0], preprocessing.resize)
    resized = resize_fast(picture, (width, height), preprocessing.interpolation)
    right, lower = width - crop, height - crop
    corners = [(0, 0), (right, 0), (0, lower), (right, lower), (round(right / 2), round(lower / 2))]
    crops = np.stack([resized[upper : upper + crop, left : left + crop] for left, upper in corners])
    return np.concatenate([crops, crops[:, :, ::-1]])


def _bounded(picture: Pixels) -> Pixels:
    """The middle of a picture (height, width, 3) so long that resizing it whole could need gigabytes."""
    given = picture.shape[:2]
    height, width = (min(side, EXTREME_ASPECT * min(given)) for side in given)
    upper, left = (given[0] - height) // 2, (given[1] - width) // 2
    return picture[upper : upper + height, left : left + width]
