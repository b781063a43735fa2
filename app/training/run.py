"""A run: its base, its data and its network, read once and handed from step to step."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from app.image.reader import Reader
from app.image.views import Pixels
from app.model.labels import Label
from app.model.library import Library
from app.settings import Settings
from app.training.base import PreparedBase, read_base
from app.training.classes import choose_labels, class_names
from app.training.cut import CutNetwork, cut_network
from app.training.data import Refused, list_images, read_exclusions
from app.training.distributed import Ranks
from app.training.inspection import UsableImage, alike_across_parts, inspect
from app.training.options import Options
from app.training.split import Split, make_split

WORK = ".training"


@dataclass(frozen=True)
class Run:
    """Everything that the steps share."""

    options: Options
    settings: Settings
    ranks: Ranks
    library: Library
    reader: Reader
    base: PreparedBase
    labels: list[Label]
    split: Split
    refused: list[Refused]
    alike: list[tuple[str, str]]
    network: CutNetwork

    @property
    def device(self) -> torch.device:
        return self.ranks.device

    @property
    def work(self) -> Path:
        return self.library.store_dir / WORK

    def centre_crop(self, path: Path) -> Pixels:
        """uint8 (crop, crop, 3), exactly as the service with these settings would see an upload of the file.

        Raises ``ServiceError`` when the service would refuse it.
        """
        pixels: Pixels = self.reader.read(path.read_bytes(), self.base.manifest.preprocessing.centre_crop()).pixels[0]
        return pixels


def prepare_run(options: Options, settings: Settings, ranks: Ranks) -> Run:
    """Read the base and the data. Raises ``ModelError`` with what is wrong with either."""
    library, reader = Library.from_settings(settings), Reader(settings.max_pixels, exact=settings.decode == "exact")
    base = read_base(options.base, options.name, library)
    listing = list_images(options.data, read_exclusions(options.exclude))
    with ranks.one_after_the_first():
        seen = library.store_dir / WORK / "inspected.jsonl"
        usable, refused = inspect(listing, seen, reader, options.workers)
    labels = choose_labels(listing.classes, options.labels, library.models_dir)
    names = class_names(listing.classes, labels)
    split = make_split(usable, names, options.recipe.seed, options.validation, options.test)
    return Run(
        options=_effective(options, ranks.device),
        settings=settings,
        ranks=ranks,
        library=library,
        reader=reader,
        base=base,
        labels=labels,
        split=split,
        refused=[*listing.refused, *refused],
        alike=_alike(split, usable),
        network=_network(base, labels, options, ranks.device),
    )


def _effective(options: Options, device: torch.device) -> Options:
    """The options as they are used: fp16 is for CUDA alone."""
    return replace(options, recipe=replace(options.recipe, amp=options.recipe.amp and device.type == "cuda"))


def _alike(split: Split, usable: Sequence[UsableImage]) -> list[tuple[str, str]]:
    part_of = {sample.path: sample.part for sample in split.samples}
    return alike_across_parts([(part_of[image.path], image) for image in usable])


def _network(base: PreparedBase, labels: Sequence[Label], options: Options, device: torch.device) -> CutNetwork:
    """The base's network on the device, with its own head where the classes are the same."""
    network = cut_network(
        base.manifest.architecture,
        base.tensors,
        base.manifest.preprocessing,
        len(labels),
        options.train,
        dropout=options.recipe.dropout,
        seed=options.recipe.seed,
        keep_head=tuple(labels) == base.labels,
    )
    network.to(device)
    return network
