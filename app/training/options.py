"""What ``scripts/finetune.py`` was asked for; the command line itself is in ``command_line.py``."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from app.training.augment import Augment, Scale
from app.training.cut import Train
from app.training.recipe import Recipe
from app.training.scratch import Init

Solver = Literal["lbfgs", "sgd"]
SOLVERS: tuple[Solver, ...] = get_args(Solver)
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
