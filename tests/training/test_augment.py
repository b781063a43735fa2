import numpy as np
import pytest
import torch
from PIL import Image

from app.image.reader import Reader
from app.image.views import Pixels
from app.preparing.origin import torchvision_preprocessing
from app.training.augment import (
    EIGENVALUES,
    EIGENVECTORS,
    Scale,
    light_views,
    random_crop,
    scaled,
    shift_colour,
    ten_crops,
    trivial,
)
from tests.pictures import encode, photograph, plain

PREPROCESSING = torchvision_preprocessing()
CAT = encode(photograph("chelsea"))
READER = Reader(10**8, exact=False)


def draw(data: bytes, *seed: int) -> Pixels:
    pixels: Pixels = READER.read(data, random_crop(PREPROCESSING, "jitter", np.random.default_rng(seed))).pixels[0]
    return pixels


def test_the_same_seed_gives_the_same_picture_and_another_one_another() -> None:
    assert draw(CAT, 620, 3, 7).shape == (224, 224, 3)
    assert np.array_equal(draw(CAT, 620, 3, 7), draw(CAT, 620, 3, 7))
    assert not np.array_equal(draw(CAT, 620, 3, 7), draw(CAT, 620, 4, 7))
    assert not np.array_equal(draw(CAT, 620, 3, 7), draw(CAT, 620, 3, 8))


def test_crops_come_from_the_whole_picture_at_every_scale_and_in_both_directions() -> None:
    """A picture whose red tells the column and whose green the row: where a crop lies can be read from it."""
    columns, rows = np.meshgrid(np.arange(900) * 255 / 899, np.arange(600) * 255 / 599)
    ramp = np.stack([columns, rows, np.full_like(rows, 128)], axis=2).astype(np.uint8)
    data = encode(Image.fromarray(ramp))
    crops = [draw(data, 1, n).astype(float) for n in range(150)]
    left, right = [c[:, 0, 0].mean() for c in crops], [c[:, -1, 0].mean() for c in crops]
    widths = [abs(a - b) / 255 * 900 for a, b in zip(left, right, strict=True)]
    assert min(*left, *right) < 12
    assert max(*left, *right) > 243  # the ends of a wide picture are seen
    assert 240 < min(widths) < 300  # S = 512: 224 of 512 rows of 600
    assert 460 < max(widths) < 540  # S = 256
    flipped = sum(a > b for a, b in zip(left, right, strict=True))
    assert 50 < flipped < 100


def test_the_colour_shift_has_the_published_components() -> None:
    assert pytest.approx(np.eye(3), abs=2e-3) == EIGENVECTORS.T @ EIGENVECTORS
    gray = np.full((4, 4, 3), 100, np.uint8)
    shifted = shift_colour(gray, np.array([1.0, 0, 0])).astype(int)[0, 0] - 100
    assert shifted.tolist() == np.rint(255 * 0.2175 * np.array([-0.5675, -0.5808, -0.5836])).tolist()
    assert np.array_equal(shift_colour(gray, np.zeros(3)), gray)
    dark = shift_colour(np.zeros((1, 1, 3), np.uint8), np.array([1.0, 0, 0]))
    assert dark.tolist() == [[[0, 0, 0]]]  # clipped, not wrapped around
    shifts = EIGENVECTORS @ (np.random.default_rng(0).normal(0, 0.1, (3, 20000)) * EIGENVALUES[:, None]) * 255
    assert shifts.std(axis=1) == pytest.approx([3.2, 3.2, 3.2], abs=0.1)


def test_the_fifth_crop_is_the_services_own_and_the_last_five_are_mirrored() -> None:
    crops = READER.read(CAT, ten_crops(PREPROCESSING)).pixels
    assert crops.shape == (10, 224, 224, 3)
    assert np.array_equal(crops[4:5], READER.read(CAT, PREPROCESSING.centre_crop()).pixels)
    assert np.array_equal(crops[5:], crops[:5, :, ::-1])
    assert len({crop.tobytes() for crop in crops}) == 10


@pytest.mark.parametrize("size", [(1, 30000), (30000, 1), (3, 5), (223, 225)])
def test_extreme_pictures_are_cropped_too(size: tuple[int, int]) -> None:
    data = encode(plain((10, 20, 30), size))
    assert draw(data, 1).shape == (224, 224, 3)
    assert READER.read(data, ten_crops(PREPROCESSING)).pixels.shape == (10, 224, 224, 3)


@pytest.mark.parametrize(("scale", "served"), [("256", 256), ("384", 384), ("jitter", 384)])
def test_a_model_is_shown_photographs_as_large_as_it_was_trained_on(scale: Scale, served: int) -> None:
    assert scaled(PREPROCESSING, scale).resize == served
    half = PREPROCESSING.model_copy(update={"crop": 112, "input_size": (3, 112, 112), "resize": 128})
    assert scaled(half, scale).resize == served // 2
    sides = {random_crop(PREPROCESSING, scale, np.random.default_rng(n)).short_side for n in range(40)}
    assert sides == {served} if scale != "jitter" else min(sides) >= 256 and max(sides) <= 512 and len(sides) > 20


def test_of_the_kept_views_the_first_is_the_services_own() -> None:
    views = READER.read(CAT, light_views(PREPROCESSING)).pixels
    assert np.array_equal(views[:1], READER.read(CAT, PREPROCESSING.centre_crop()).pixels)
    assert np.array_equal(views[1], views[0, :, ::-1])
    assert len({view.tobytes() for view in views}) == len(views) == 4


def test_trivial_augmentation_is_a_function_of_its_seed_and_leaves_the_generator_alone() -> None:
    crop, before = draw(CAT, 1), torch.random.get_rng_state()
    found = [trivial(crop, seed) for seed in range(12)]
    assert torch.equal(torch.random.get_rng_state(), before)
    assert all(np.array_equal(one, trivial(crop, seed)) for seed, one in enumerate(found))
    assert len({one.tobytes() for one in found}) > 6
    assert all(one.shape == crop.shape and one.dtype == np.uint8 for one in found)
