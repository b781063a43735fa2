import numpy as np
import torch

from app.model.network import FromPixels
from app.predicting.shown import GAP, given_to, sheet
from tests.dummy import DummyNetwork, dummy_model
from tests.model.narrow import narrow_vgg, noise


def test_the_transforms_are_inverted_to_the_very_pixels() -> None:
    preprocessing = dummy_model(DummyNetwork()).manifest.preprocessing
    pixels = noise(3, 40, 60, 3)
    before = pixels.copy()
    assert np.array_equal(given_to(FromPixels(narrow_vgg(), preprocessing, torch.float32), pixels), pixels)
    assert np.array_equal(pixels, before)


def test_lower_precision_loses_less_than_a_level() -> None:
    preprocessing = dummy_model(DummyNetwork()).manifest.preprocessing
    pixels = noise(1, 40, 60, 3)
    found = given_to(FromPixels(narrow_vgg(), preprocessing, torch.bfloat16), pixels)
    assert np.abs(found.astype(int) - pixels).max() <= 1


def test_a_sheet_has_every_view() -> None:
    crops, whole = noise(12, 20, 20, 3), noise(1, 30, 50, 3)
    picture = np.asarray(sheet([crops, whole]))
    assert picture.shape == (2 * 20 + GAP + GAP + 30, 10 * 20 + 9 * GAP, 3)
    assert np.array_equal(picture[:20, :20], crops[0])
    assert np.array_equal(picture[20 + GAP : 40 + GAP, 20 + GAP : 40 + GAP], crops[11])
    assert np.array_equal(picture[40 + 2 * GAP :, :50], whole[0])
