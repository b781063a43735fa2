"""Where a batch of the trained side's inputs comes from: the feature cache, or images through the frozen side."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from app.image.views import Pixels
from app.training.ahead import map_ahead
from app.training.cut import Frozen
from app.training.features import FeatureCache
from app.training.split import Sample

# An image's file and (epoch, index), or None for no augmentation -> pixels
Load = Callable[[Path, tuple[int, int] | None], Pixels]


class Source(Protocol):
    def batches(self, epoch: int | None, batches: Sequence[Sequence[Sample]]) -> Iterator[Tensor]:
        """The trained side's inputs for each batch, in order; ``epoch`` seeds the augmentation, ``None`` means none."""
        ...


class CachedSource:
    """Features that were computed before, of one view of each image or of several (``FeatureCache`` of (views, …))."""

    def __init__(self, cache: FeatureCache, device: torch.device, seed: int = 0) -> None:
        self._cache = cache
        self._device = device
        self._seed = seed

    def batches(self, epoch: int | None, batches: Sequence[Sequence[Sample]]) -> Iterator[Tensor]:
        """In training any of the views, drawn for the epoch; otherwise the first."""
        for batch in batches:
            rows = self._cache.read([sample.sha256 for sample in batch])
            views = torch.tensor([self._view(epoch, sample) for sample in batch], dtype=torch.long)
            yield rows[torch.arange(len(batch)), views].to(self._device)

    def all_views(self, samples: Sequence[Sample]) -> Tensor:
        """fp32 (N, views, …)."""
        return self._cache.read([sample.sha256 for sample in samples])

    def _view(self, epoch: int | None, sample: Sample) -> int:
        views = self._cache.shape[0]
        if epoch is None or views == 1:
            return 0
        return int(np.random.default_rng([self._seed, epoch, sample.index]).integers(views))


class ImageSource:
    """Images from their files, decoded ahead in threads, through the frozen side."""

    def __init__(
        self, root: Path, load: Load, frozen: Frozen, *, crop: int, device: torch.device, workers: int
    ) -> None:
        self._root = root
        self._load = load
        self._frozen = frozen
        self._crop = crop
        self._device = device
        self._workers = workers

    def batches(self, epoch: int | None, batches: Sequence[Sequence[Sample]]) -> Iterator[Tensor]:
        def load(sample: Sample) -> Pixels:
            return self._load(self._root / sample.path, None if epoch is None else (epoch, sample.index))

        largest = max((len(batch) for batch in batches), default=0)
        images = map_ahead(load, (sample for batch in batches for sample in batch), self._workers, 2 * largest + 1)
        for batch in batches:
            pixels = np.empty((len(batch), self._crop, self._crop, 3), np.uint8)
            for row in pixels:
                row[:] = next(images)
            yield self._frozen(torch.from_numpy(pixels).permute(0, 3, 1, 2).to(self._device, non_blocking=True))
