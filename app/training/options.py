"""The command line of ``scripts/finetune.py``: every option with its default."""

import argparse
import os
import re
from dataclasses import dataclass, fields
from pathlib import Path

from app.model.manifest import NAME_PATTERN
from app.training.cut import TRAIN, Train
from app.training.recipe import SCHEDULES, Recipe

# Learning rate and epochs; measured on 1,000 photographs of cats and dogs for head and classifier.
RATES: dict[Train, tuple[float, int]] = {
    "head": (3e-2, 20),
    "classifier": (3e-3, 6),
    "block5": (1e-3, 6),
    "all": (1e-3, 6),
}
EPILOG = """
--train says which layers are trained; the rest is frozen, and no gradients are computed for it.
  head        the last linear layer: an export of some tens of kilobytes
  classifier  the three linear layers: an export of 478 MB for VGG16
  block5      the classifier, and the last block of convolutions at --trunk-lr-scale times the rate
  all         everything, the trunk at --trunk-lr-scale times the rate

With head or classifier, and without augmentation, the frozen layers see each image once. Their output is kept on disk
by the image's content (for VGG16, 100 kB an image with classifier and 16 kB with head: 2.5 GB and 0.4 GB for Kaggle's
25,000), so that an epoch takes seconds, and a later run or one that was killed starts from it. To free the space,
remove the folder .training/ in the store.
"""
EXCLUDE = "a list of files to leave out, one per line; # begins a comment"


@dataclass(frozen=True, slots=True)
class Options:
    data: Path
    base: str
    name: str
    train: Train
    augment: str
    recipe: Recipe
    validation: float
    test: float
    exclude: Path | None
    labels: Path | None
    ten_crop: bool
    resume: bool
    workers: int
    feature_batch_size: int
    checkpoint_seconds: float
    cache_features: bool


def parse_options(arguments: list[str] | None, description: str | None) -> Options:
    given = _parser(description).parse_args(arguments)
    rate, epochs = RATES[given.train]
    given.lr = given.lr or rate
    given.epochs = given.epochs or epochs
    given.step_epochs = given.step_epochs or max(1, given.epochs * 2 // 3)
    recipe = Recipe(**{one.name: getattr(given, one.name) for one in fields(Recipe)})
    others = {one.name: getattr(given, one.name) for one in fields(Options) if one.name != "recipe"}
    return Options(recipe=recipe, **others)


def _parser(description: str | None) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=description, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    _add_models(parser.add_argument_group("the model"))
    _add_data(parser.add_argument_group("the data"))
    _add_recipe(parser.add_argument_group("the recipe"))
    _add_running(parser.add_argument_group("the run"))
    return parser


def _add_models(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add("--base", default="vgg16", metavar="MODEL", help="the prepared model to start from (default: %(default)s)")
    add("--name", type=_name, default="catdog", help="the new model, written to models/NAME (default: %(default)s)")
    add("--train", choices=TRAIN, default="classifier", help="the layers to train, see below (default: %(default)s)")
    labels = (
        "names of the classes, with the columns of models/labels/*.csv (default: both languages for cat and dog,"
        " else the folders' names)"
    )
    add("--labels", type=Path, metavar="CSV", help=labels)


def _add_data(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    where = "cat.N.jpg and dog.N.jpg, or one folder per class; either may lie in DIR/train, beside a DIR/val"
    add("--data", type=Path, required=True, metavar="DIR", help=where)
    add("--exclude", type=Path, metavar="FILE", help=EXCLUDE)
    held_out = (
        "part of each class held out of training: half of it chooses the best epoch, the other half fits the"
        " temperature (default: %(default)s)"
    )
    add("--validation", type=_share, default=0.2, metavar="SHARE", help=held_out)
    test = "part of each class that is held out and only measured (default: %(default)s)"
    add("--test", type=_share, default=0.0, metavar="SHARE", help=test)
    augment = (
        "paper: short side scaled to 256..512, random crop, flip, colour shift (VGG paper, 3.1); the frozen layers then"
        " run in every epoch (default: %(default)s)"
    )
    add("--augment", choices=("none", "paper"), default="none", help=augment)


def _add_recipe(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add("--epochs", type=positive, metavar="N", help=f"most passes over the data (default: {_defaults(1)})")
    add(
        "--lr",
        type=_positive_float,
        metavar="RATE",
        help=f"learning rate of what follows the trunk (default: {_defaults(0)})",
    )
    trunk = "the trunk's learning rate, as a share of --lr (default: %(default)s)"
    add("--trunk-lr-scale", type=float, default=0.1, metavar="SHARE", help=trunk)
    batch = "images per update, over all processes (default: %(default)s)"
    add("--batch-size", type=positive, default=32, metavar="N", help=batch)
    pieces = "compute each batch in N passes: less memory, the same gradient (default: %(default)s)"
    add("--accumulate", type=positive, default=1, metavar="N", help=pieces)
    add("--momentum", type=float, default=0.9, metavar="M", help="(default: %(default)s, as in the VGG paper, 3.1)")
    decay = "(default: %(default)s, as in the VGG paper, 3.1)"
    add("--weight-decay", type=float, default=5e-4, metavar="W", help=decay)
    dropout = "before the last two linear layers (default: %(default)s, as in the VGG paper, 3.1)"
    add("--dropout", type=_share, default=0.5, metavar="P", help=dropout)
    add("--label-smoothing", type=_share, default=0.0, metavar="E", help="(default: %(default)s)")
    schedule = (
        "of the learning rate. cosine: down to zero; step: times --gamma every --step-epochs; plateau: times --gamma"
        " when validation stops improving, as in the VGG paper (default: %(default)s)"
    )
    add("--schedule", choices=SCHEDULES, default="cosine", help=schedule)
    add("--step-epochs", type=positive, metavar="N", help="(default: two thirds of the epochs)")
    add("--gamma", type=float, default=0.1, metavar="G", help="(default: %(default)s, as in the VGG paper, 3.1)")
    patience = "stop after N epochs without a better one; 0: never (default: %(default)s)"
    add("--patience", type=int, default=3, metavar="N", help=patience)
    add("--seed", type=int, default=620, metavar="N", help="of every random draw (default: %(default)s)")
    add("--amp", action=argparse.BooleanOptionalAction, default=True, help="compute in fp16 on CUDA (default: yes)")


def _add_running(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add("--resume", action="store_true", help="go on where an interrupted run stopped; the result is the same")
    seconds = "time between two checkpoints (default: %(default)s)"
    add("--checkpoint-seconds", type=float, default=120, metavar="S", help=seconds)
    cache = "keep the output of the frozen layers, see below (default: yes)"
    add("--cache-features", action=argparse.BooleanOptionalAction, default=True, help=cache)
    size = "images per pass where nothing is trained (default: %(default)s)"
    add("--feature-batch-size", type=positive, default=16, metavar="N", help=size)
    cores = "threads that decode (default: one per core)"
    add("--workers", type=positive, default=os.cpu_count() or 1, metavar="N", help=cores)
    add("--ten-crop", action="store_true", help="also measure with the probabilities of ten crops averaged")


def _defaults(place: int) -> str:
    return ", ".join(f"{train} {values[place]:g}" for train, values in RATES.items())


def _name(text: str) -> str:
    if not re.fullmatch(NAME_PATTERN, text):
        raise argparse.ArgumentTypeError(
            "only lower-case letters, digits, _, . and -, beginning with a letter or a digit"
        )
    return text


def positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError("must be a whole number of at least 1")
    return int(text)


def _positive_float(text: str) -> float:
    if not float(text) > 0:
        raise argparse.ArgumentTypeError("must be more than 0")
    return float(text)


def _share(text: str) -> float:
    if not 0 <= float(text) < 1:
        raise argparse.ArgumentTypeError("must be at least 0 and less than 1")
    return float(text)
