"""The command line of ``scripts/finetune.py``: every option with its default."""

import argparse
import os
import re
from pathlib import Path
from typing import Literal, get_args

from app.heads.thresholds import COVERAGE
from app.model.architectures import VGGS
from app.model.manifest import NAME_PATTERN
from app.training.augment import AUGMENTS, SCALES
from app.training.cut import TRAIN, Train
from app.training.recipe import CLASS_WEIGHTS, MIXES, SCHEDULES
from app.training.scratch import INITS

Solver = Literal["lbfgs", "sgd"]
SOLVERS: tuple[Solver, ...] = get_args(Solver)
# Learning rate, epochs and epochs of warm-up; measured on 1,000 photographs of cats and dogs for head and classifier.
RATES: dict[Train, tuple[float, int, int]] = {
    "head": (3e-2, 20, 0),
    "classifier": (3e-3, 6, 0),
    "block5": (1e-3, 6, 0),
    "fine-tune": (1e-3, 4, 1),
    "all": (1e-3, 6, 0),
}
EPILOG = """
--train says which layers are trained; the rest is frozen, and no gradients are computed for it.
  head        the last linear layer: an export of some tens of kilobytes
  classifier  the three linear layers: an export of 478 MB for VGG16
  block5      the classifier, and the last block of convolutions at --trunk-lr-scale times the rate
  fine-tune   the same layers after a warm-up, in which the rate rises from zero
  all         everything, the trunk at --trunk-lr-scale times the rate

head is fitted at once (L-BFGS) and measured by cross-validation: every picture is answered by a head that has not seen
it, and the exported one is fitted on all of them but --test. --lr, --epochs or --validation ask for gradient steps
instead, as the others take; these start from the fitted head, and measure on a part that is held out.

Unless everything is trained or the augmentation differs in every epoch, the frozen layers see each image once. Their
output is kept on disk by the image's content (for VGG16 16 kB an image with head, 100 kB with classifier, 401 kB with
block5 and fine-tune; four times that with --augment light), so that an epoch takes seconds, and a later run or one that
was killed starts from it. To free the space, remove the folder .training/ in the store.
"""
EXCLUDE = "a list of files to leave out, one per line; # begins a comment"


def make_parser(description: str | None) -> argparse.ArgumentParser:
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
    add("--train", choices=TRAIN, help="the layers to train, see below (default: head)")
    labels = (
        "names of the classes, with the columns of models/labels/*.csv (default: both languages for cat and dog,"
        " else the folders' names)"
    )
    add("--labels", type=Path, metavar="CSV", help=labels)
    nothing = "base: start from --base; none: from nothing, with --architecture and --init (default: %(default)s)"
    add("--weights", choices=("base", "none"), default="base", help=nothing)
    add("--architecture", choices=VGGS, default="vgg11", help="for --weights none (default: %(default)s)")
    init = "for --weights none; paper: normal, standard deviation 0.1 (VGG paper, 3.1) (default: %(default)s)"
    add("--init", choices=INITS, default="kaiming", help=init)
    net_a = "for --weights none: take the first four convolutions and the linear layers of this vgg11 (VGG paper, 3.1)"
    add("--net-a", metavar="MODEL", help=net_a)


def _add_data(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    where = "cat.N.jpg and dog.N.jpg, or one folder per class; either may lie in DIR/train, beside DIR/val and DIR/test"
    add("--data", type=Path, required=True, metavar="DIR", help=where)
    add("--exclude", type=Path, metavar="FILE", help=EXCLUDE)
    held_out = (
        "part of each class held out of training by gradient steps: half of it chooses the best epoch, the other half"
        " fits the temperature and measures (default: 0.2)"
    )
    add("--validation", type=_share, metavar="SHARE", help=held_out)
    test = "part of each class that is held out and only measured (default: %(default)s)"
    add("--test", type=_share, default=0.0, metavar="SHARE", help=test)
    split = "a split.csv to keep to (default: that of an earlier model of this --name, and of the --base)"
    add("--split", type=Path, metavar="CSV", help=split)
    add("--folds", type=_folds, default=5, metavar="K", help="of the cross-validation (default: %(default)s)")
    known = (
        "share of pictures like these that are answered; less certain ones are said to be none of the classes"
        " (default: %(default)s)"
    )
    add("--known-coverage", type=_positive_share, default=COVERAGE, metavar="SHARE", help=known)
    augment = (
        "light: the centre, its mirror image and two more crops, kept; crop: any crop and a flip; paper: that and"
        " a colour shift (VGG paper, 3.1); trivial: that and an operation of TrivialAugmentWide; for the last three the"
        " frozen layers run in every epoch (default: %(default)s)"
    )
    add("--augment", choices=AUGMENTS, default="none", help=augment)
    scale = (
        "short side that the crops of crop, paper and trivial are cut from, for crops of 224; jitter: 256 to 512;"
        " the model is then served at 384 (VGG paper, 3.2) (default: jitter for paper, else 256)"
    )
    add("--scale", choices=tuple(SCALES), help=scale)


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
    warmup = f"the rate rises from zero over N epochs (default: {_defaults(2)})"
    add("--warmup-epochs", type=_whole, metavar="N", help=warmup)
    weights = "balanced: every class counts the same, however many images it has (default: %(default)s)"
    add("--class-weights", choices=CLASS_WEIGHTS, default="none", help=weights)
    mix = "mix the images of a batch, where the trunk learns (default: %(default)s)"
    add("--mix", choices=MIXES, default="none", help=mix)
    solver = "lbfgs: fit the head at once; sgd: by gradient steps (default: lbfgs where it can be, see below)"
    add("--solver", choices=SOLVERS, help=solver)
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


def _whole(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError("must be a whole number")
    return int(text)


def _folds(text: str) -> int:
    if not text.isdecimal() or int(text) < 2:
        raise argparse.ArgumentTypeError("must be a whole number of at least 2")
    return int(text)


def _positive_share(text: str) -> float:
    if not 0 < float(text) <= 1:
        raise argparse.ArgumentTypeError("must be more than 0 and at most 1")
    return float(text)


def _positive_float(text: str) -> float:
    if not float(text) > 0:
        raise argparse.ArgumentTypeError("must be more than 0")
    return float(text)


def _share(text: str) -> float:
    if not 0 <= float(text) < 1:
        raise argparse.ArgumentTypeError("must be at least 0 and less than 1")
    return float(text)
