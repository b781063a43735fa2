"""Augmentations as functions of a generator or a seed, and the ten crops of evaluation.

Sources: Simonyan & Zisserman 2015, section 3.1 (scale jitter, random crop of the whole rescaled image, flip) and
Krizhevsky et al. 2012, section 4.1 (colour shift along the principal components of ImageNet's pixels, ten crops).
"""

from typing import Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torchvision.transforms.v2 import TrivialAugmentWide

from app.image.views import CENTRE, Pixels, Place, Views
from app.model.evaluation import PLACES
from app.model.manifest import Preprocessing
from app.training.seeded import drawing_from

Augment = Literal["none", "light", "crop", "paper", "trivial"]
AUGMENTS: tuple[Augment, ...] = get_args(Augment)
Scale = Literal["256", "384", "jitter"]
# Of S in the paper, the short side of the photograph that a crop of 224 is cut from: fixed, or any from a range.
SCALES: dict[Scale, tuple[int, int]] = {"256": (256, 256), "384": (384, 384), "jitter": (256, 512)}
PAPER_CROP = 224
# Of RGB in 0..1, from facebook's fb.resnet.torch. Rows are R, G, B; columns are the components.
EIGENVALUES = np.array([0.2175, 0.0188, 0.0045])
EIGENVECTORS = np.array([[-0.5675, 0.7192, 0.4009], [-0.5808, -0.0045, -0.8140], [-0.5836, -0.6948, 0.4203]])
SHIFT_STD = 0.1


def scaled(preprocessing: Preprocessing, scale: Scale) -> Preprocessing:
    """What a model trained at a scale is shown when it answers: as large as on average in training (section 3.2)."""
    smallest, largest = SCALES[scale]
    side = smallest if smallest == largest else (smallest + largest) // 2
    return preprocessing.model_copy(update={"resize": round(side * preprocessing.crop / PAPER_CROP)})


def random_crop(preprocessing: Preprocessing, scale: Scale, generator: np.random.Generator) -> Views:
    """One crop anywhere in the photograph, mirrored or not, at a scale of the range: another one for every state of the
    generator.

    For another crop than the paper's 224 the range of scales moves in proportion.
    """
    smallest, largest = (round(side * preprocessing.crop / PAPER_CROP) for side in SCALES[scale])
    side = int(generator.integers(smallest, largest + 1))
    x, y = generator.random(2)
    place = Place(float(x), float(y), mirrored=bool(generator.integers(2)))
    return Views(side, preprocessing.crop, preprocessing.interpolation, (place,))


def light_views(preprocessing: Preprocessing) -> Views:
    """Few enough to be kept: the centre, that mirrored, and a crop to either side of it, one of them mirrored."""
    places = (CENTRE, CENTRE._replace(mirrored=True), Place(0.2, 0.2), Place(0.8, 0.8, mirrored=True))
    return Views(preprocessing.resize, preprocessing.crop, preprocessing.interpolation, places)


def trivial(pixels: Pixels, seed: int) -> Pixels:
    """One operation at a random strength (Müller & Hutter 2021) on an image (side, side, 3), as torchvision does it."""
    with drawing_from(seed):
        changed = TrivialAugmentWide()(torch.from_numpy(pixels.copy()).permute(2, 0, 1))
    return np.ascontiguousarray(changed.permute(1, 2, 0).numpy())


def shift_colour(pixels: Pixels, alpha: NDArray[np.float64]) -> Pixels:
    """Add one colour to a whole image: the components, each by its eigenvalue times ``alpha`` (3,)."""
    shift = EIGENVECTORS @ (alpha * EIGENVALUES) * 255
    shifted: Pixels = np.clip(np.rint(pixels + shift), 0, 255).astype(np.uint8)
    return shifted


def ten_crops(preprocessing: Preprocessing) -> Views:
    """The corners and the centre of the resized photograph, and all five mirrored."""
    return Views(preprocessing.resize, preprocessing.crop, preprocessing.interpolation, PLACES["10"])
