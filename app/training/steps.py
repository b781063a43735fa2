"""From a folder of images to a served model: the steps, one after the other."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from app.image.views import Pixels
from app.settings import Settings
from app.training.ahead import map_ahead
from app.training.augment import SHIFT_STD, jittered, shift_colour, ten_crops
from app.training.checkpoint import CheckpointFile
from app.training.distributed import Ranks
from app.training.features import FeatureCache, cache_key, compute_rows, feature_shape
from app.training.loop import Trainer, gather_logits
from app.training.measurement import measure
from app.training.model_folder import write_model
from app.training.options import Options
from app.training.run import WORK, Run, prepare_run
from app.training.scores import nll, top_share
from app.training.sources import CachedSource, ImageSource, Source
from app.training.split import Sample
from app.training.terminal import progress_bar

logger = logging.getLogger(__name__)


def finetune(options: Options, settings: Settings, ranks: Ranks) -> None:
    """All of it. Raises ``ModelError`` with what is wrong with the data, the base or the disk."""
    busy = f"Another process is training {options.name!r} now."
    with ranks.holding(settings.store_dir / WORK / f"{options.name}.lock", busy):
        run_steps(prepare_run(options, settings, ranks))


def run_steps(run: Run) -> None:
    """Frozen layers, training, measuring, export."""
    report_data(run)
    held_out = run.split.part("validation", "calibration", "test")
    training_source, held_out_source = choose_sources(run, held_out)
    trainer = train(run, training_source, held_out_source)
    logits = gather_logits(run.network, held_out_source, held_out, run.options.feature_batch_size, run.ranks)
    ten_crop = ten_crop_logits(run, held_out) if run.options.ten_crop else None
    if run.ranks.is_first:
        measurement = measure(run.labels, held_out, logits, ten_crop)
        for line in measurement.lines():
            logger.info(line)
        write_model(run, trainer.progress, measurement)
        checkpoint_file(run).remove()


def report_data(run: Run) -> None:
    """What was found, what was left out and why."""
    for part, counts in run.split.counts().items():
        if counts:
            each = ", ".join(f"{count} {name}" for name, count in sorted(counts.items()))
            logger.info("%-12s %6d images: %s", part, counts.total(), each)
    if run.refused:
        logger.info(
            "%-12s %6d files, all listed in excluded.csv beside the model; such as", "left out", len(run.refused)
        )
        for one in run.refused[:5]:
            logger.info("    %s: %s", one.path, one.reason)
    if run.alike:
        logger.info("%-12s %6d pairs of images across parts; report.html lists them", "look alike", len(run.alike))


def choose_sources(run: Run, held_out: Sequence[Sample]) -> tuple[Source, Source]:
    """For training and for the held-out images.

    What the frozen side makes of an image that is not augmented never changes: with most of the network on that side it
    is computed once and kept.
    """
    images = image_source(run)
    if not (run.options.cache_features and run.options.train in ("head", "classifier")):
        return images, images
    training = cached_source(run, run.split.part("train")) if run.options.augment == "none" else images
    return training, cached_source(run, held_out)


def image_source(run: Run) -> ImageSource:
    """Images from their files, augmented while training if that is wanted."""
    crop = run.base.manifest.preprocessing.crop
    load = augmented_loader(run)
    return ImageSource(
        run.options.data, load, run.network.frozen, crop=crop, device=run.device, workers=run.options.workers
    )


def augmented_loader(run: Run) -> Callable[[Path, tuple[int, int] | None], Pixels]:
    """The service's pixels where nothing is to be augmented, a random crop of the paper's kind elsewhere."""
    preprocessing, seed = run.base.manifest.preprocessing, run.options.recipe.seed

    def load(path: Path, place: tuple[int, int] | None) -> Pixels:
        if place is None or run.options.augment == "none":
            return run.centre_crop(path)
        generator = np.random.default_rng([seed, *place])
        (pixels,) = run.reader.read(path.read_bytes(), jittered(preprocessing, generator)).pixels
        return shift_colour(pixels, generator.normal(0, SHIFT_STD, 3))

    return load


def cached_source(run: Run, samples: Sequence[Sample]) -> CachedSource:
    """The features of these samples, computed where they are missing."""
    folder = feature_folder(run)
    with run.ranks.holding(folder / ".lock"):
        shape = feature_shape(run.network.frozen, run.base.manifest.preprocessing.crop, run.device)
        cache = FeatureCache(folder, shape)
        compute_missing(run, cache, {sample.sha256: run.options.data / sample.path for sample in samples})
    cache.refresh()
    return CachedSource(cache, run.device)


def feature_folder(run: Run) -> Path:
    """Where the features of this frozen side lie."""
    manifest = run.base.manifest
    key = cache_key(
        tensors=run.base.root.weights_sha256,
        model=run.options.base,
        architecture=manifest.architecture,
        cut=run.options.train,
        preprocessing=manifest.preprocessing.model_dump(mode="json"),
        decode=run.settings.decode,
    )
    return run.work / f"features-{key}"


def compute_missing(run: Run, cache: FeatureCache, paths: dict[str, Path]) -> None:
    """The rows that the cache lacks, for images by digest: each process computes its share, into its own shard."""
    options = run.options
    missing = cache.missing(paths)
    run.ranks.barrier()  # everyone has looked before anyone writes
    mine = missing[run.ranks.share(len(missing))]
    if not mine:
        return

    def load(digest: str) -> Pixels:
        return run.centre_crop(paths[digest])

    size = options.feature_batch_size
    images = map_ahead(load, mine, options.workers, 2 * size)
    with progress_bar("Frozen layers", len(mine), "image") as bar:
        rows = compute_rows(run.network.frozen, mine, images, batch_size=size, device=run.device, bar=bar)
        cache.append(run.ranks.rank, rows)


def train(run: Run, source: Source, held_out: Source) -> Trainer:
    """Train, or go on training, and leave the best epoch's weights in the network."""
    options = run.options
    checkpoint = checkpoint_file(run)
    trainer = Trainer(
        run.network,
        options.recipe,
        source,
        run.split.part("train"),
        run.ranks,
        validate=validation(run, held_out),
        save=checkpoint.write,
        save_every_s=options.checkpoint_seconds,
    )
    if options.resume:
        resume(trainer, checkpoint)
    trainer.run()
    return trainer


def validation(run: Run, held_out: Source) -> Callable[[], tuple[float, float]]:
    """What measures accuracy and NLL on the part that chooses the best epoch."""
    samples = run.split.part("validation")
    targets = torch.tensor([sample.class_index for sample in samples])

    def validate() -> tuple[float, float]:
        logits = gather_logits(run.network, held_out, samples, run.options.feature_batch_size, run.ranks)
        return top_share(logits, targets).value, nll(logits, targets)

    return validate


def resume(trainer: Trainer, checkpoint: CheckpointFile) -> None:
    """Take up the state of an interrupted run, if there is one."""
    state = checkpoint.read()
    if state is None:
        logger.info("There is no checkpoint to resume from: training starts at the beginning.")
        return
    trainer.load_state(state)
    logger.info("Resuming in epoch %d, after %d steps.", state["epoch"] + 1, state["step"])


def checkpoint_file(run: Run) -> CheckpointFile:
    """Where this run's state lies; settings that do not change the result are no part of its fingerprint."""
    facts = {name: str(value) for name, value in asdict(run.options.recipe).items()} | {
        "train": run.options.train,
        "augment": run.options.augment,
        "base": run.base.root.weights_sha256,
        "data": run.split.sha256,
        "cache": str(run.options.cache_features),
        "torch": str(torch.__version__),
    }
    return CheckpointFile(run.work / run.options.name / "checkpoint.pt", facts)


def ten_crop_logits(run: Run, samples: Sequence[Sample]) -> Tensor:
    """fp32 (N, 10, classes) for the samples, the same in every process."""
    views, options = ten_crops(run.base.manifest.preprocessing), run.options

    def load(sample: Sample) -> Pixels:
        return run.reader.read((options.data / sample.path).read_bytes(), views).pixels

    mine = samples[run.ranks.share(len(samples))]
    found = []
    with progress_bar("Ten crops", len(mine), "image") as bar:
        for crops in map_ahead(load, mine, options.workers, 2 * options.workers):
            found.append(crop_logits(run, crops))
            bar.update()
    everyone = [tensor for tensors in run.ranks.gather(found) for tensor in tensors]
    return torch.stack(everyone)


@torch.no_grad()
def crop_logits(run: Run, crops: Pixels) -> Tensor:
    """fp32 (crops, classes) for the crops of one image."""
    run.network.trained.eval()
    batch = torch.from_numpy(crops).permute(0, 3, 1, 2).to(run.device)
    logits: Tensor = run.network.trained(run.network.frozen(batch))
    return logits.float().cpu()
