"""The VGG paper's augmentation, as a function of a generator, and the ten crops of evaluation.

Sources: Simonyan & Zisserman 2015, section 3.1 (scale jitter, random crop of the whole rescaled image, flip) and
Krizhevsky et al. 2012, section 4.1 (colour shift along the principal components of ImageNet's pixels, ten crops).
"""

import numpy as np
from numpy.typing import NDArray

from app.image.views import Pixels, Place, Views
from app.model.evaluation import PLACES
from app.model.manifest import Preprocessing

SMALLEST_SIDE, LARGEST_SIDE = 256, 512  # of S in the paper, for crops of 224
PAPER_CROP = 224
# Of RGB in 0..1, from facebook's fb.resnet.torch. Rows are R, G, B; columns are the components.
EIGENVALUES = np.array([0.2175, 0.0188, 0.0045])
EIGENVECTORS = np.array([[-0.5675, 0.7192, 0.4009], [-0.5808, -0.0045, -0.8140], [-0.5836, -0.6948, 0.4203]])
SHIFT_STD = 0.1


def jittered(preprocessing: Preprocessing, generator: np.random.Generator) -> Views:
    """One crop anywhere in the photograph at any scale, mirrored or not: another one for every state of the generator.

    For another crop than the paper's 224 the range of scales moves in proportion.
    """
    smallest, largest = (round(side * preprocessing.crop / PAPER_CROP) for side in (SMALLEST_SIDE, LARGEST_SIDE))
    side = int(generator.integers(smallest, largest + 1))
    x, y = generator.random(2)
    place = Place(float(x), float(y), mirrored=bool(generator.integers(2)))
    return Views(side, preprocessing.crop, preprocessing.interpolation, (place,))


def shift_colour(pixels: Pixels, alpha: NDArray[np.float64]) -> Pixels:
    """Add one colour to a whole image: the components, each by its eigenvalue times ``alpha`` (3,)."""
    shift = EIGENVECTORS @ (alpha * EIGENVALUES) * 255
    shifted: Pixels = np.clip(np.rint(pixels + shift), 0, 255).astype(np.uint8)
    return shifted


def ten_crops(preprocessing: Preprocessing) -> Views:
    """The corners and the centre of the resized photograph, and all five mirrored."""
    return Views(preprocessing.resize, preprocessing.crop, preprocessing.interpolation, PLACES["10"])
