"""A run: its base, its data and its network, read once and handed from step to step."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from app.errors import ModelError
from app.image.reader import Reader
from app.model.engines import Engine
from app.model.labels import Label
from app.model.library import Library
from app.model.manifest import Preprocessing
from app.settings import Settings
from app.training.augment import scaled
from app.training.base import PreparedBase, draw_base, read_base
from app.training.classes import choose_labels, class_names
from app.training.cut import CutNetwork, cut_network
from app.training.data import Refused, list_images, read_exclusions
from app.training.distributed import Ranks
from app.training.frozen_engine import take_engine
from app.training.inspection import CACHE, UsableImage, inspect
from app.training.lineage import KnownPicture, are_among, read_lineage, read_pictures
from app.training.options import KEPT, Options
from app.training.split import Shares, Split, make_split

WORK = ".training"


@dataclass(frozen=True)
class Run:
    """Everything that the steps share. ``preprocessing`` is the base's, but for the scale that was trained at."""

    options: Options
    settings: Settings
    ranks: Ranks
    library: Library
    reader: Reader
    base: PreparedBase
    labels: list[Label]
    split: Split
    refused: list[Refused]
    network: CutNetwork
    preprocessing: Preprocessing
    engine: Engine
    """Who computes the frozen side."""

    @property
    def device(self) -> torch.device:
        return self.ranks.device

    @property
    def trained_though_held_out(self) -> int:
        """How many images are trained on that the base, or an earlier model of its line, was measured by."""
        held_out = [one for one in self.base.lineage.own if one.part != "train"]
        return sum(are_among([(one.sha256, one.look) for one in self.split.part("train")], held_out))

    @property
    def keeps_head(self) -> bool:
        """Whether training starts from the base's own last layer."""
        return (
            not self.options.is_cross_fitted and self.options.train == "head" and tuple(self.labels) == self.base.labels
        )

    @property
    def work(self) -> Path:
        return self.library.store_dir / WORK


def prepare_run(options: Options, settings: Settings, ranks: Ranks) -> Run:
    """Read the base and the data. Raises ``ModelError`` with what is wrong with either."""
    library, reader = Library.from_settings(settings), Reader(settings.max_pixels, exact=settings.decode == "exact")
    listing = list_images(options.data, read_exclusions(options.exclude))
    labels = choose_labels(listing.classes, options.labels, library.models_dir)
    base = _base(options, labels, library)
    with ranks.one_after_the_first():
        seen = library.store_dir / WORK / CACHE
        usable, broken = inspect(listing, seen, reader, settings.max_pixels, options.workers)
    split, held_back = _split(options, usable, class_names(listing.classes, labels), base, library)
    options = replace(options, recipe=replace(options.recipe, amp=options.recipe.amp and ranks.device.type == "cuda"))
    preprocessing = base.manifest.preprocessing
    if options.augment not in KEPT:
        preprocessing = scaled(preprocessing, options.scale)
    network = _network(base, labels, options, ranks)
    architecture, crop = base.manifest.architecture, preprocessing.crop
    engine = take_engine(network, architecture, crop, settings.cpu_engine, receipts=base.receipts, device=ranks.device)
    return Run(
        options=options,
        settings=settings,
        ranks=ranks,
        library=library,
        reader=reader,
        base=base,
        labels=labels,
        split=split,
        refused=[*listing.refused, *broken, *held_back],
        network=network,
        preprocessing=preprocessing,
        engine=engine,
    )


def _base(options: Options, labels: list[Label], library: Library) -> PreparedBase:
    if options.weights == "base":
        return read_base(options.base, options.name, library)
    if options.name in (options.base, options.net_a):
        raise ModelError(f"--name {options.name} is a model that is needed for this; choose another name.")
    return draw_base(
        options.base, options.architecture, tuple(labels), options.init, options.recipe.seed, options.net_a, library
    )


def _split(
    options: Options, usable: Sequence[UsableImage], names: Sequence[str], base: PreparedBase, library: Library
) -> tuple[Split, list[Refused]]:
    known = known_pictures(options, base, library)
    shares = Shares(options.held_out, options.test, beside_folder=options.validation is not None)
    return make_split(usable, names, options.recipe.seed, shares, known)


def known_pictures(options: Options, base: PreparedBase, library: Library) -> list[KnownPicture]:
    """What is settled already, the strongest last: by the base, by an earlier model of this name, or by ``--split``.

    A base whose features have seen no picture settles nothing for cross-validation, which fits the head anew.
    """
    known = []
    if base.trained_trunk() or not options.is_cross_fitted:
        known += _held_to(base.lineage.own, options)
    if options.split:
        return known + _held_to(read_pictures(options.split), options)
    earlier = read_lineage(library.store(options.name).folder).own
    if options.is_cross_fitted:
        return known + [one for one in earlier if one.part == "test"]
    return known + _held_to(earlier, options)


def _held_to(known: Sequence[KnownPicture], options: Options) -> list[KnownPicture]:
    """What was held out stays so; cross-validation has nothing to choose by a part of its own, and only measures it.

    Where nothing was held out to choose by, "train" only means "not for the test": it settles nothing.
    """
    if options.is_cross_fitted:
        return [one if one.part == "train" else replace(one, part="test") for one in known]
    if any(one.part == "validation" for one in known):
        return list(known)
    return [one for one in known if one.part == "test"]


def _network(base: PreparedBase, labels: Sequence[Label], options: Options, ranks: Ranks) -> CutNetwork:
    """The base's network on the device, with its own head where the classes are the same."""
    if base.is_scratch and ranks.world > 1 and base.manifest.architecture.endswith("_bn"):
        raise ModelError("--weights none with batch norm learns its statistics in one process; leave torchrun out.")
    network = cut_network(
        base.manifest.architecture,
        base.tensors,
        base.manifest.preprocessing,
        len(labels),
        options.train,
        dropout=options.recipe.dropout,
        seed=options.recipe.seed,
        keep_head=base.is_scratch or tuple(labels) == base.labels,
        learns_statistics=base.is_scratch,
    )
    network.to(ranks.device)
    return network
