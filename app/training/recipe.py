"""How to train, in numbers, and the optimiser and schedule that they mean."""

import warnings
from dataclasses import dataclass
from operator import itemgetter
from typing import Literal, get_args

import numpy as np
import torch
from torch.nn import Parameter
from torch.optim import SGD
from torch.optim.lr_scheduler import CosineAnnealingLR, LRScheduler, ReduceLROnPlateau, StepLR

from app.training.cut import CutNetwork

Schedule = Literal["step", "plateau", "cosine"]
SCHEDULES: tuple[Schedule, ...] = get_args(Schedule)
ClassWeights = Literal["none", "balanced"]
CLASS_WEIGHTS: tuple[ClassWeights, ...] = get_args(ClassWeights)
Mix = Literal["none", "mixup", "cutmix"]
MIXES: tuple[Mix, ...] = get_args(Mix)
TRUNK_PREFIX = "features."


@dataclass(frozen=True, slots=True)
class Recipe:
    seed: int
    epochs: int
    batch_size: int
    accumulate: int
    lr: float
    trunk_lr_scale: float
    momentum: float
    weight_decay: float
    label_smoothing: float
    dropout: float
    schedule: Schedule
    step_epochs: int
    gamma: float
    patience: int
    amp: bool
    warmup_epochs: int = 0
    class_weights: ClassWeights = "none"
    mix: Mix = "none"

    def warmth(self, step: int, steps_per_epoch: int) -> float:
        """The share of the learning rate at a step counted from the beginning: it rises evenly while warming up."""
        return min(1.0, (step + 1) / (self.warmup_epochs * steps_per_epoch)) if self.warmup_epochs else 1.0


def seed_for(*numbers: int) -> int:
    """One 63-bit seed for several numbers, such as (seed, epoch, step)."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> np.uint64(1))


def make_optimizer(network: CutNetwork, recipe: Recipe) -> SGD:
    """SGD over every trained parameter: the trunk's at a fraction of the classifier's rate.

    Only matrices and convolutions decay. A bias, or a batch norm's scale, makes no function more complicated, and drawn
    to zero it is only wrong.
    """
    trained = set(network.trained_names())
    groups: dict[tuple[bool, bool], list[Parameter]] = {}
    for name, parameter in network.whole.named_parameters():
        if name in trained:
            groups.setdefault((name.startswith(TRUNK_PREFIX), parameter.ndim > 1), []).append(parameter)
    return SGD(
        [
            {
                "params": parameters,
                "lr": recipe.lr * (recipe.trunk_lr_scale if in_trunk else 1),
                "weight_decay": recipe.weight_decay if decays else 0.0,
            }
            for (in_trunk, decays), parameters in sorted(groups.items(), key=itemgetter(0))
        ],
        lr=recipe.lr,
        momentum=recipe.momentum,
    )


def make_scheduler(optimizer: torch.optim.Optimizer, recipe: Recipe) -> LRScheduler:
    """Steps once an epoch, after validation."""
    if recipe.schedule == "plateau":
        return ReduceLROnPlateau(optimizer, "min", factor=recipe.gamma, patience=max(1, recipe.patience // 2))
    if recipe.schedule == "cosine":
        return CosineAnnealingLR(optimizer, recipe.epochs)
    return StepLR(optimizer, recipe.step_epochs, recipe.gamma)


def step_scheduler(scheduler: LRScheduler, nll: float) -> None:
    if isinstance(scheduler, ReduceLROnPlateau):
        scheduler.step(nll)
        return
    with warnings.catch_warnings():
        # A run that was interrupted in the last step of an epoch steps here first; the optimiser has, before.
        warnings.filterwarnings("ignore", "Detected call of `lr_scheduler.step", UserWarning)
        scheduler.step()
