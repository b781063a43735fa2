"""The command line of ``scripts/finetune.py``: every option with its default and where that comes from."""

import argparse
import os
import re
from dataclasses import dataclass
from pathlib import Path

from app.model.manifest import NAME_PATTERN
from app.training.backbone import TRAIN, Train
from app.training.recipe import SCHEDULES, Recipe

# Measured on 1,000 photographs of cats and dogs (head and classifier); a whole classifier needs smaller steps.
RATES: dict[Train, tuple[float, int]] = {
    "head": (3e-2, 20),
    "classifier": (3e-3, 6),
    "block5": (1e-3, 6),
    "all": (1e-3, 6),
}
EPILOG = """
--train says what learns; the rest is frozen: no gradients are computed for it.
  head        the last linear layer: an export of some tens of kilobytes
  classifier  the three linear layers: an export of 478 MB for VGG16
  block5      those and the last block of convolutions, at --trunk-lr-scale times the rate
  all         everything, the trunk at --trunk-lr-scale times the rate

With head or classifier and no augmentation the frozen layers see each picture once; what they answer is kept in
memory-mapped files (VGG16: 100 kB a picture for classifier, 16 kB for head; 2.5 GB and 0.4 GB for Kaggle's 25,000),
by the picture's content, so that a run that was killed, or the next one, goes on from there. An epoch then takes
seconds. Removing the folder .training/ in the store frees the space.
"""


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
    recipe = Recipe(
        seed=given.seed,
        epochs=given.epochs or epochs,
        batch_size=given.batch_size,
        accumulate=given.accumulate,
        lr=given.lr or rate,
        trunk_lr_scale=given.trunk_lr_scale,
        momentum=given.momentum,
        weight_decay=given.weight_decay,
        label_smoothing=given.label_smoothing,
        dropout=given.dropout,
        schedule=given.schedule,
        step_epochs=given.step_epochs or max(1, (given.epochs or epochs) * 2 // 3),
        gamma=given.gamma,
        patience=given.patience,
        amp=given.amp,
    )
    return Options(
        data=given.data, base=given.base, name=given.name, train=given.train, augment=given.augment, recipe=recipe,
        validation=given.validation, test=given.test, exclude=given.exclude, labels=given.labels,
        ten_crop=given.ten_crop, resume=given.resume, workers=given.workers,
        feature_batch_size=given.feature_batch_size, checkpoint_seconds=given.checkpoint_seconds,
        cache_features=given.cache_features,
    )  # fmt: skip


def _parser(description: str | None) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=description, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    _add_models(parser.add_argument_group("what is learnt"))
    _add_data(parser.add_argument_group("from which pictures"))
    _add_recipe(parser.add_argument_group("how"))
    _add_running(parser.add_argument_group("where and when"))
    return parser


def _add_models(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add("--base", default="vgg16", help="the prepared model to start from (%(default)s)")
    add("--name", type=_name, default="catdog", help="the new model, written to models/NAME (%(default)s)")
    add("--train", choices=TRAIN, default="classifier", help="what learns, see below (%(default)s)")
    add("--labels", type=Path, metavar="CSV", help="names of the classes, columns as in models/labels")
    add("--ten-crop", action="store_true", help="measure with ten crops as well (mean of the softmax)")


def _add_data(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    where = "cat.N.jpg and dog.N.jpg, or a folder a class; either may lie in DIR/train, beside a DIR/val"
    add("--data", type=Path, required=True, metavar="DIR", help=where)
    add("--exclude", type=Path, metavar="FILE", help="files to leave out, one a line, # for the reason")
    held_out = "held out of each class: one half chooses the epoch, the other fits the temperature (%(default)s)"
    add("--validation", type=_share, default=0.2, metavar="SHARE", help=held_out)
    add("--test", type=_share, default=0.0, metavar="SHARE", help="held out of each class, only measured (%(default)s)")
    augment = (
        "paper: short side drawn from 256..512, random crop, flip, colour shift (VGG paper 3.1, AlexNet's 4.1);"
        " the trunk then runs in every epoch (%(default)s)"
    )
    add("--augment", choices=("none", "paper"), default="none", help=augment)


def _add_recipe(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add("--epochs", type=positive, help=f"({_defaults(1)})")
    add("--lr", type=_positive_float, help=f"rate of what follows the trunk ({_defaults(0)}; the first two measured)")
    add("--trunk-lr-scale", type=float, default=0.1, help="the trunk's share of the rate (%(default)s: the seed notes)")
    add(
        "--batch-size", type=positive, default=32, help="pictures an update, over all processes (%(default)s: measured)"
    )
    pieces = "compute each batch in N passes, for less memory and the same gradient (%(default)s)"
    add("--accumulate", type=positive, default=1, metavar="N", help=pieces)
    add("--momentum", type=float, default=0.9, help="(%(default)s: VGG paper 3.1)")
    add("--weight-decay", type=float, default=5e-4, help="(%(default)s: VGG paper 3.1)")
    add("--dropout", type=_share, default=0.5, help="before the last two linear layers (%(default)s: VGG paper 3.1)")
    add("--label-smoothing", type=_share, default=0.0, help="(%(default)s: none in the paper)")
    schedule = (
        "step: times --gamma every --step-epochs; plateau: when validation stops improving (the VGG paper's);"
        " cosine: to zero (%(default)s: measured)"
    )
    add("--schedule", choices=SCHEDULES, default="cosine", help=schedule)
    add("--step-epochs", type=positive, help="(default: two thirds of the epochs)")
    add("--gamma", type=float, default=0.1, help="(%(default)s: VGG paper 3.1)")
    add("--patience", type=int, default=3, help="epochs without a better one before it stops; 0: never (%(default)s)")
    add("--seed", type=int, default=620, help="of every draw (%(default)s: the seed notes)")
    amp = "fp16 on CUDA; nothing on a CPU (default: yes)"
    add("--amp", action=argparse.BooleanOptionalAction, default=True, help=amp)


def _add_running(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add("--resume", action="store_true", help="go on from the checkpoint of an interrupted run; the result is the same")
    add("--checkpoint-seconds", type=float, default=120, metavar="S", help="time between checkpoints (%(default)s)")
    add("--cache-features", action=argparse.BooleanOptionalAction, default=True, help="see below (default: yes)")
    add("--feature-batch-size", type=positive, default=16, help="pictures a pass where nothing learns (%(default)s)")
    add("--workers", type=positive, default=os.cpu_count() or 1, help="threads that decode (default: cores)")


def _defaults(place: int) -> str:
    return ", ".join(f"{train} {values[place]:g}" for train, values in RATES.items())


def _name(text: str) -> str:
    if not re.fullmatch(NAME_PATTERN, text):
        raise argparse.ArgumentTypeError("lower-case letters, digits, and _ . - after the first")
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
