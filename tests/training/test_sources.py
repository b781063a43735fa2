from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from app.image.views import Pixels
from app.training.cut import Frozen
from app.training.features import FeatureCache
from app.training.sources import CachedSource, ImageSource
from app.training.split import Sample

CPU, CROP = torch.device("cpu"), 4
SAMPLES = [Sample(n, "train", 0, "a", f"{n}.jpg", f"{n:064x}") for n in range(5)]
BATCHES = [SAMPLES[:2], [], SAMPLES[2:]]


class Mean(nn.Module):
    """Two features: the mean of the image, and that of its first row."""

    def forward(self, pixels: Tensor) -> Tensor:
        rows = pixels.float().mean((1, 3))
        return torch.stack([rows.mean(1), rows[:, 0]], 1)


FROZEN = Frozen(nn.Sequential(Mean()))


def load(path: Path, place: tuple[int, int] | None) -> Pixels:
    """An image that tells its file's number in every pixel, and its (epoch, index) in the first row."""
    pixels = np.full((CROP, CROP, 3), int(path.stem), np.uint8)
    if place is not None:
        pixels[0] = 10 * place[0] + place[1]
    return pixels


def images() -> ImageSource:
    return ImageSource(Path("data"), load, FROZEN, crop=CROP, device=CPU, workers=2)


def test_images_come_in_the_samples_order_through_the_frozen_side() -> None:
    found = list(images().batches(None, BATCHES))
    assert [batch[:, 0].tolist() for batch in found] == [[0, 1], [], [2, 3, 4]]
    assert found[1].shape == (0, 2)  # a process without a share takes part all the same


def test_each_epoch_and_image_has_an_augmentation_of_its_own() -> None:
    found = list(images().batches(7, BATCHES))
    assert [batch[:, 1].tolist() for batch in found] == [[70, 71], [], [72, 73, 74]]


def test_an_image_that_cannot_be_read_ends_the_epoch() -> None:
    def broken(path: Path, place: tuple[int, int] | None) -> Pixels:
        raise FileNotFoundError(path)

    source = ImageSource(Path("data"), broken, FROZEN, crop=CROP, device=CPU, workers=2)
    with pytest.raises(FileNotFoundError):
        next(source.batches(None, BATCHES))


def test_the_cache_gives_what_the_images_would(tmp_path: Path) -> None:
    cache = FeatureCache(tmp_path, (1, 2))
    (whole,) = images().batches(None, [SAMPLES])
    cache.append(0, iter([([sample.sha256 for sample in SAMPLES], whole.numpy())]))
    cache.refresh()
    cached, computed = (list(each.batches(None, BATCHES)) for each in (CachedSource(cache, CPU), images()))
    assert all(torch.equal(one, other) for one, other in zip(cached, computed, strict=True))


def test_of_several_kept_views_training_draws_one_and_answers_use_the_first(tmp_path: Path) -> None:
    cache = FeatureCache(tmp_path, (3, 1))
    rows = np.array([[10.0 * n + view for view in range(3)] for n in range(5)], np.float32)
    cache.append(0, iter([([sample.sha256 for sample in SAMPLES], rows)]))
    cache.refresh()
    source = CachedSource(cache, CPU, seed=1)
    (first,) = source.batches(None, [SAMPLES])
    assert first[:, 0].tolist() == [0, 10, 20, 30, 40]
    drawn = [next(iter(source.batches(epoch, [SAMPLES])))[:, 0] for epoch in range(20)]
    assert {int(value) for batch in drawn for value in batch % 10} == {0, 1, 2}
    assert torch.equal(drawn[7], next(iter(source.batches(7, [SAMPLES])))[:, 0])
    assert source.all_views(SAMPLES).shape == (5, 3, 1)
