"""Features whose classes can be told apart more or less well."""

import numpy as np
import torch
from torch import Tensor

from app.heads.cross_fit import Problem
from app.heads.folds import group_folds


def clouds(count: int, width: int, classes: int, distance: float, seed: int = 0) -> tuple[Tensor, Tensor]:
    """``count`` rows around one mean for each class, and what each is."""
    generator = torch.Generator().manual_seed(seed)
    means = torch.randn(classes, width, generator=torch.Generator().manual_seed(99)) * distance / width**0.5
    targets = torch.arange(count) % classes
    return torch.randn(count, width, generator=generator) / width**0.5 + means[targets], targets


def problem(features: Tensor, targets: Tensor, classes: int, folds: int = 5, balanced: bool = False) -> Problem:
    groups = np.arange(len(targets))
    return Problem(
        features[:, None], targets, classes, group_folds(targets.numpy(), groups, folds, 0), groups, balanced
    )
