"""What the frozen layers make of the images: read from their files in every epoch, or computed once and kept."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from app.errors import ModelError, ServiceError
from app.image.views import Pixels, Views
from app.training.ahead import map_ahead
from app.training.augment import SHIFT_STD, light_views, random_crop, shift_colour, trivial
from app.training.features import FeatureCache, cache_key, compute_rows, feature_shape, tensors_digest
from app.training.recipe import seed_for
from app.training.run import Run
from app.training.sources import CachedSource, ImageSource, Source
from app.training.split import Sample
from app.training.terminal import progress_bar


def choose_sources(run: Run) -> tuple[Source, Source]:
    """For training, and for answers."""
    if run.options.keeps_features:
        kept = cached_source(run, run.split.samples)
        return kept, kept
    images = image_source(run)
    keeps = run.options.cache_features and run.options.train != "all"
    return images, cached_source(run, run.split.samples) if keeps else images


def image_source(run: Run) -> ImageSource:
    """Images from their files, augmented while training if that is wanted."""
    crop = run.preprocessing.crop
    load = augmented_loader(run)
    return ImageSource(
        run.options.data, load, run.network.frozen, crop=crop, device=run.device, workers=run.options.workers
    )


def augmented_loader(run: Run) -> Callable[[Path, tuple[int, int] | None], Pixels]:
    """The service's pixels where nothing is to be augmented, elsewhere what ``--augment`` says."""
    preprocessing, options = run.preprocessing, run.options
    seed, augment = options.recipe.seed, options.augment

    def load(path: Path, place: tuple[int, int] | None) -> Pixels:
        if place is None or augment == "none":
            centre: Pixels = read_views(run, path, preprocessing.centre_crop())[0]
            return centre
        generator = np.random.default_rng([seed, *place])
        if augment == "light":
            views = light_views(preprocessing)
            chosen = views.places[int(generator.integers(len(views.places)))]
            views = Views(views.short_side, views.crop, views.interpolation, (chosen,))
        else:
            views = random_crop(preprocessing, options.scale, generator)
        pixels = read_views(run, path, views)[0]
        if augment == "paper":
            return shift_colour(pixels, generator.normal(0, SHIFT_STD, 3))
        return trivial(pixels, seed_for(seed, *place)) if augment == "trivial" else pixels

    return load


def read_views(run: Run, path: Path, views: Views) -> Pixels:
    """uint8 (views, crop, crop, 3), as the service with these settings would see an upload of the file.

    Raises ``ModelError`` when it has changed since it was inspected, and cannot be read any more.
    """
    try:
        pixels: Pixels = run.reader.read(path.read_bytes(), views).pixels
    except (OSError, ServiceError) as error:
        raise ModelError(f"{path} could be read a moment ago, and cannot now. Run the same command again.") from error
    return pixels


def cached_source(run: Run, samples: Sequence[Sample]) -> CachedSource:
    """The features of these samples, computed where they are missing."""
    folder, views = run.work / f"features-{cache_key(**feature_facts(run))}", kept_views(run)
    with run.ranks.holding(folder / ".lock"):
        shape = feature_shape(run.network.frozen, run.preprocessing.crop, run.device)
        cache = FeatureCache(folder, (len(views.places), *shape))
        compute_missing(run, cache, {sample.sha256: run.options.data / sample.path for sample in samples}, views)
    cache.refresh()
    return CachedSource(cache, run.device, run.options.recipe.seed)


def kept_views(run: Run) -> Views:
    return light_views(run.preprocessing) if run.options.augment == "light" else run.preprocessing.centre_crop()


def feature_facts(run: Run) -> dict[str, object]:
    """Everything that decides what a row of features holds: the very tensors that compute it, and how they do."""
    device = run.device
    return {
        "tensors": tensors_digest(run.network.frozen_tensors()),
        "architecture": run.base.manifest.architecture,
        "cut": "block5" if run.options.train == "fine-tune" else run.options.train,
        "preprocessing": run.preprocessing.model_dump(mode="json"),
        "views": str(kept_views(run)),
        "decode": run.settings.decode,
        "engine": run.engine,
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
        "precision": "fp32",
    }


def compute_missing(run: Run, cache: FeatureCache, paths: dict[str, Path], views: Views) -> None:
    """The rows that the cache lacks, for images by digest: each process computes its share, into its own shard."""
    options = run.options
    missing = cache.missing(paths)
    run.ranks.barrier()  # everyone has looked before anyone writes
    mine = missing[run.ranks.share(len(missing))]
    if not mine:
        return

    def load(digest: str) -> Pixels:
        return read_views(run, paths[digest], views)

    size = max(1, options.feature_batch_size // len(views.places))
    images = map_ahead(load, mine, options.workers, 2 * size)
    with progress_bar("Frozen layers", len(mine), "image") as bar:
        rows = compute_rows(run.network.frozen, mine, images, batch_size=size, device=run.device, bar=bar)
        cache.append(run.ranks.rank, rows)


@torch.no_grad()
def head_features(run: Run, source: Source, samples: Sequence[Sample]) -> Tensor:
    """fp32 (N, views, width): what the last layer is shown of each sample, the same in every process."""
    network, ranks, size = run.network, run.ranks, run.options.feature_batch_size
    network.trained.eval()
    mine = samples[ranks.share(len(samples))]
    batches = [mine[start : start + size] for start in range(0, len(mine), size)]
    found = []
    if isinstance(source, CachedSource):
        for batch in batches:
            rows = source.all_views(batch)
            shown = network.before_head(rows.flatten(0, 1).to(run.device))
            found.append(shown.float().cpu().view(len(batch), rows.shape[1], -1))
    else:
        with progress_bar("Whole network", len(mine), "image") as bar:
            for batch, inputs in zip(batches, source.batches(None, batches), strict=True):
                found.append(network.before_head(inputs).float().cpu().flatten(1)[:, None])
                bar.update(len(batch))
    return torch.cat([tensor for tensors in ranks.gather(found) for tensor in tensors])
