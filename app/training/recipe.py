"""How to train, in numbers, and the optimiser and schedule that they mean."""

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import torch
from torch.optim import SGD
from torch.optim.lr_scheduler import CosineAnnealingLR, LRScheduler, ReduceLROnPlateau, StepLR

from app.training.cut import CutNetwork

Schedule = Literal["step", "plateau", "cosine"]
SCHEDULES: tuple[Schedule, ...] = get_args(Schedule)
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


def seed_for(*numbers: int) -> int:
    """One 63-bit seed for several numbers, such as (seed, epoch, step)."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> np.uint64(1))


def make_optimizer(network: CutNetwork, recipe: Recipe) -> SGD:
    """SGD over every trained parameter, each in one group: the trunk's at a fraction of the classifier's rate."""
    names = dict(network.whole.named_parameters())
    trained = set(network.trained_names())
    trunk = [p for name, p in names.items() if name in trained and name.startswith(TRUNK_PREFIX)]
    classifier = [p for name, p in names.items() if name in trained and not name.startswith(TRUNK_PREFIX)]
    groups = [{"params": classifier, "lr": recipe.lr}]
    if trunk:
        groups.append({"params": trunk, "lr": recipe.lr * recipe.trunk_lr_scale})
    return SGD(groups, lr=recipe.lr, momentum=recipe.momentum, weight_decay=recipe.weight_decay)


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
    else:
        scheduler.step()
