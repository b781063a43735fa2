"""What ``scripts/finetune.py`` was asked for; the command line itself is in ``arguments.py``."""

import argparse
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Literal

from app.training.arguments import RATES, Solver, make_parser
from app.training.augment import Augment, Scale
from app.training.cut import Train
from app.training.recipe import Recipe
from app.training.scratch import Init

# Augmentations of which a few views are kept; the others are drawn anew in every epoch.
KEPT: frozenset[Augment] = frozenset({"none", "light"})


@dataclass(frozen=True, slots=True)
class Options:
    data: Path
    base: str
    weights: Literal["base", "none"]
    architecture: str
    init: Init
    net_a: str | None
    name: str
    train: Train
    solver: Solver
    augment: Augment
    scale: Scale
    recipe: Recipe
    validation: float | None
    test: float
    split: Path | None
    folds: int
    known_coverage: float
    exclude: Path | None
    labels: Path | None
    ten_crop: bool
    resume: bool
    workers: int
    feature_batch_size: int
    checkpoint_seconds: float
    cache_features: bool

    @property
    def is_cross_fitted(self) -> bool:
        """Whether the head is fitted at once and measured by cross-validation, and no part is held out to choose."""
        return self.solver == "lbfgs"

    @property
    def held_out(self) -> float:
        """The share of each class that chooses the epoch and fits the temperature."""
        if self.is_cross_fitted:
            return 0.0
        return self.validation if self.validation is not None else 0.2

    @property
    def keeps_features(self) -> bool:
        """Whether what the frozen side makes of an image is the same in every epoch, and worth its place on disk."""
        return self.cache_features and self.train != "all" and self.augment in KEPT


def parse_options(arguments: list[str] | None, description: str | None) -> Options:
    parser = make_parser(description)
    given = parser.parse_args(arguments)
    fault = _choose(given)
    if fault:
        parser.error(fault)
    rate, epochs, warmup = RATES[given.train]
    given.lr = given.lr or rate
    given.epochs = given.epochs or epochs
    given.warmup_epochs = given.warmup_epochs if given.warmup_epochs is not None else warmup
    given.step_epochs = given.step_epochs or max(1, given.epochs * 2 // 3)
    recipe = Recipe(**{one.name: getattr(given, one.name) for one in fields(Recipe)})
    others = {one.name: getattr(given, one.name) for one in fields(Options) if one.name != "recipe"}
    return Options(recipe=recipe, **others)


def _choose(given: argparse.Namespace) -> str | None:
    """Fill in what follows from the other options, or say what does not go together."""
    from_scratch = given.weights == "none"
    given.train = given.train or ("all" if from_scratch else "head")
    if from_scratch and given.train != "all":
        return "--weights none leaves nothing to freeze: it needs --train all"
    if given.net_a and not from_scratch:
        return "--net-a is for --weights none"
    by_steps = given.train != "head" or given.augment not in KEPT or not given.cache_features
    by_steps = by_steps or any(one is not None for one in (given.lr, given.epochs, given.validation))
    given.solver = given.solver or ("sgd" if by_steps else "lbfgs")
    if given.solver == "lbfgs" and by_steps:
        return (
            "--solver lbfgs fits a head to features that are kept: it has no --lr, --epochs or --validation, and goes "
            "with --train head and --augment none or light"
        )
    given.scale = given.scale or ("jitter" if given.augment == "paper" else "256")
    return None
