"""From a folder of pictures to a served model: the steps, one after the other."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from app.image.reader import Reader
from app.image.views import Pixels
from app.model.labels import Label
from app.model.library import Library
from app.settings import Settings
from app.training.ahead import map_ahead
from app.training.augment import SHIFT_STD, jittered, shift_colour, ten_crops
from app.training.backbone import CutNetwork, cut_network
from app.training.base import Starting, read_base
from app.training.checkpoint import CheckpointFile
from app.training.classes import choose_labels, class_names
from app.training.data import Refused, list_pictures, read_exclusions
from app.training.distributed import Ranks
from app.training.features import FeatureCache, cache_key, compute_rows, feature_shape
from app.training.inspection import alike_across_parts, inspect
from app.training.loop import Trainer, gather_logits
from app.training.metrics import nll, top_share
from app.training.options import Options
from app.training.outcome import write_model
from app.training.results import measure
from app.training.sources import CachedSource, PictureSource, Source
from app.training.split import Sample, Split, make_split

WORK = ".training"


@dataclass(frozen=True)
class Run:
    """Everything that the steps share."""

    options: Options
    settings: Settings
    ranks: Ranks
    start: Starting
    labels: list[Label]
    split: Split
    refused: list[Refused]
    alike: list[tuple[str, str]]
    network: CutNetwork
    reader: Reader
    library: Library

    def centre_crop(self, path: Path) -> Pixels:
        """uint8 (crop, crop, 3), exactly as the service with these settings would see an upload of the file.

        Raises ``ServiceError`` when the service would refuse it.
        """
        pixels: Pixels = self.reader.read(path.read_bytes(), self.start.manifest.preprocessing.centre_crop()).pixels[0]
        return pixels

    @property
    def device(self) -> torch.device:
        return self.ranks.device

    @property
    def work(self) -> Path:
        return self.settings.store_dir / WORK

    def say(self, text: str) -> None:
        if self.ranks.is_first:
            print(text, flush=True)


def prepare_run(options: Options, settings: Settings, ranks: Ranks) -> Run:
    """Read the base and the data. Raises ``ModelError`` with what is wrong with either."""
    reader, library = Reader.from_settings(settings), Library.from_settings(settings)
    start = read_base(options.base, options.name, library)
    listing = list_pictures(options.data, read_exclusions(options.exclude))
    with ranks.one_after_the_first():
        work = settings.store_dir / WORK
        usable, broken = inspect(listing, work / "inspected.jsonl", reader, options.workers)
    refused = [*listing.refused, *broken]
    labels = choose_labels(listing.classes, options.labels, settings.models_dir)
    names = class_names(listing.classes, labels)
    split = make_split(usable, names, options.recipe.seed, options.validation, options.test)
    part_of = {sample.path: sample.part for sample in split.samples}
    alike = alike_across_parts([(part_of[picture.path], picture) for picture in usable])
    network = cut_network(
        start.manifest.architecture,
        start.tensors,
        start.manifest.preprocessing,
        len(labels),
        options.train,
        dropout=options.recipe.dropout,
        seed=options.recipe.seed,
        keep_head=tuple(labels) == start.labels,
    )
    network.front.to(ranks.device)
    network.tail.to(ranks.device)
    amp = options.recipe.amp and ranks.device.type == "cuda"
    options = replace(options, recipe=replace(options.recipe, amp=amp))
    return Run(options, settings, ranks, start, labels, split, refused, alike, network, reader, library)


def tell_data(run: Run) -> None:
    """What was found, what was left out and why."""
    for part, counts in run.split.counts().items():
        if counts:
            each = ", ".join(f"{count} {name}" for name, count in sorted(counts.items()))
            run.say(f"{part:12} {counts.total():6} pictures: {each}")
    if run.refused:
        run.say(f"{len(run.refused)} files are left out; excluded.csv beside the model names them all:")
        for one in run.refused[:5]:
            run.say(f"    {one.path}: {one.reason}")
    if run.alike:
        run.say(f"{len(run.alike)} pairs of pictures look alike and lie in different parts; report.html names them.")


def picture_source(run: Run) -> PictureSource:
    """Pictures from their files, augmented while training if that is wanted."""
    crop = run.start.manifest.preprocessing.crop
    load = augmented_loader(run)
    return PictureSource(
        run.options.data, load, run.network.front, crop=crop, device=run.device, workers=run.options.workers
    )


def augmented_loader(run: Run) -> Callable[[Path, tuple[int, int] | None], Pixels]:
    """The service's pixels where nothing is to be augmented, a random crop of the paper's kind elsewhere."""
    preprocessing, seed = run.start.manifest.preprocessing, run.options.recipe.seed

    def load(path: Path, place: tuple[int, int] | None) -> Pixels:
        if place is None or run.options.augment == "none":
            return run.centre_crop(path)
        generator = np.random.default_rng([seed, *place])
        (pixels,) = run.reader.read(path.read_bytes(), jittered(preprocessing, generator)).pixels
        return shift_colour(pixels, generator.normal(0, SHIFT_STD, 3))

    return load


def ten_crop_logits(run: Run, samples: list[Sample]) -> Tensor:
    """fp32 (N, 10, classes) for the samples, the same in every process."""
    views, options = ten_crops(run.start.manifest.preprocessing), run.options

    def load(sample: Sample) -> Pixels:
        return run.reader.read((options.data / sample.path).read_bytes(), views).pixels

    mine = samples[run.ranks.share(len(samples))]
    found = []
    run.network.tail.eval()
    with torch.no_grad():
        for crops in tqdm(
            map_ahead(load, mine, options.workers, 2 * options.workers), desc="Ten crops", total=len(mine),
            unit="image", disable=not run.ranks.is_first,
        ):  # fmt: skip
            batch = torch.from_numpy(crops).permute(0, 3, 1, 2).to(run.device)
            found.append(run.network.tail(run.network.front(batch)).float().cpu())
    everyone = [tensor for tensors in run.ranks.gather(found) for tensor in tensors]
    return torch.stack(everyone)


def cached_source(run: Run, samples: list[Sample]) -> CachedSource:
    """The features of these samples, computed where they are missing."""
    options, preprocessing = run.options, run.start.manifest.preprocessing
    key = cache_key(
        tensors=run.start.root.weights_sha256, model=options.base, architecture=run.start.manifest.architecture,
        cut=options.train, preprocessing=preprocessing.model_dump(mode="json"), decode=run.settings.decode,
    )  # fmt: skip
    folder = run.work / f"features-{key}"
    with run.ranks.holding(folder / ".lock"):
        cache = FeatureCache(folder, feature_shape(run.network.front, preprocessing.crop, run.device))
        compute_missing(run, cache, {sample.sha256: options.data / sample.path for sample in samples})
    cache.refresh()
    return CachedSource(cache, run.device)


def compute_missing(run: Run, cache: FeatureCache, paths: dict[str, Path]) -> None:
    """The rows that the cache lacks, for pictures by digest: each process computes its share, into its own shard."""
    options = run.options
    missing = cache.missing(paths)
    run.ranks.barrier()  # everyone has looked before anyone writes
    mine = missing[run.ranks.share(len(missing))]
    if not mine:
        return
    pictures = map_ahead(
        lambda digest: run.centre_crop(paths[digest]),
        mine, options.workers, 2 * options.feature_batch_size,
    )  # fmt: skip
    with tqdm(total=len(mine), desc="Frozen layers", unit="image", disable=not run.ranks.is_first) as bar:
        rows = compute_rows(
            run.network.front, mine, pictures, batch_size=options.feature_batch_size, device=run.device, bar=bar
        )
        cache.append(run.ranks.rank, rows)


def train(run: Run, source: Source, held_out: Source) -> Trainer:
    """Train, or go on training, and leave the best epoch's weights in the network."""
    options = run.options
    validation = run.split.part("validation")
    targets = torch.tensor([sample.class_index for sample in validation])
    checkpoint = checkpoint_file(run)

    def validate() -> tuple[float, float]:
        logits = gather_logits(run.network, held_out, validation, options.feature_batch_size, run.ranks)
        return top_share(logits, targets).value, nll(logits, targets)

    trainer = Trainer(
        run.network, options.recipe, source, run.split.part("train"), run.ranks,
        validate=validate, save=checkpoint.write, save_every_s=options.checkpoint_seconds,
    )  # fmt: skip
    state = checkpoint.read() if options.resume else None
    if state is not None:
        trainer.load_state(state)
        run.say(f"Resumed in epoch {state['epoch'] + 1} after {state['step']} steps.")
    elif options.resume:
        run.say("There is no checkpoint to resume from; starting at the beginning.")
    trainer.run()
    return trainer


def checkpoint_file(run: Run) -> CheckpointFile:
    """Where this run's state lies; settings that do not change the result are no part of its fingerprint."""
    facts = {name: str(value) for name, value in asdict(run.options.recipe).items()} | {
        "train": run.options.train, "augment": run.options.augment, "base": run.start.root.weights_sha256,
        "data": run.split.sha256, "cache": str(run.options.cache_features), "torch": str(torch.__version__),
    }  # fmt: skip
    return CheckpointFile(run.work / run.options.name / "checkpoint.pt", facts)


def finetune(options: Options, settings: Settings, ranks: Ranks) -> None:
    """All of it. Raises ``ModelError`` with what is wrong with the data, the base or the disk."""
    busy = f"another process is training {options.name!r} now."
    with ranks.holding(settings.store_dir / WORK / f"{options.name}.lock", busy):
        run_steps(options, settings, ranks)


def run_steps(options: Options, settings: Settings, ranks: Ranks) -> None:
    """Data, frozen layers, training, measuring, export."""
    run = prepare_run(options, settings, ranks)
    tell_data(run)
    held_out_samples = run.split.part("validation", "calibration", "test")
    pictures = picture_source(run)
    # What the frozen layers make of a picture that is not augmented never changes.
    keeps_features = options.cache_features and options.train in ("head", "classifier")
    held_out = cached_source(run, held_out_samples) if keeps_features else pictures
    cached = keeps_features and options.augment == "none"
    source = cached_source(run, run.split.part("train")) if cached else pictures
    trainer = train(run, source, held_out)
    logits = gather_logits(run.network, held_out, held_out_samples, options.feature_batch_size, ranks)
    ten_crop = ten_crop_logits(run, held_out_samples) if options.ten_crop else None
    if ranks.is_first:
        results = measure(run.labels, held_out_samples, logits, ten_crop)
        for line in results.lines():
            print(line)
        write_model(run, trainer.progress, results)
        checkpoint_file(run).remove()
