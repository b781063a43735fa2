"""The head that is fitted at once: by itself a model, for the other ways to train where they start, and for every
picture an answer by a head that has not seen it."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from app.errors import ModelError
from app.heads.centroid import leave_one_out
from app.heads.cross_fit import CrossFit, Problem, cross_fit, fits_needed
from app.heads.folds import Ints, group_folds, groups_per_class
from app.heads.logistic import Head, class_weights, fit_head
from app.heads.suspects import Suspect, find_suspects
from app.training.run import Run
from app.training.scores import Share, top_share
from app.training.split import Sample
from app.training.terminal import progress_bar

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class HeadStudy:
    """``features`` (N, views, width) and out-of-fold answers for every sample that is not for the test."""

    samples: list[Sample]
    features: Tensor
    targets: Tensor
    folds: Ints
    fit: CrossFit
    suspects: list[Suspect]
    centroids: Share

    @property
    def share(self) -> Share:
        return top_share(self.fit.logits, self.targets)

    def head_without(self, run: Run, held_out: frozenset[str]) -> Head:
        """The head for training to start from: fitted on what is trained on, and nothing else."""
        rows = [row for row, sample in enumerate(self.samples) if sample.sha256 not in held_out]
        features, targets = self.features[rows, 0], self.targets[rows]
        classes = len(run.labels)
        weights = class_weights(targets, classes) if run.options.recipe.class_weights == "balanced" else None
        return fit_head(features, targets, classes, self.fit.ridge, weights)


def study_head(run: Run, samples: Sequence[Sample], features: Tensor) -> HeadStudy:
    """Fit and cross-fit the head on features (N, views, width).

    Raises ``ModelError`` when a class has a single group of pictures, which no second one could be measured by, or the
    features are not finite.
    """
    targets = torch.tensor([sample.class_index for sample in samples], dtype=torch.long)
    groups = np.unique([sample.group for sample in samples], return_inverse=True)[1].astype(np.int64)
    _require_enough(run, targets.numpy(), groups)
    if not torch.isfinite(features).all():
        raise ModelError(f"The features of base {run.base.manifest.name!r} are not finite; its weights cannot be used.")
    seed, folds = run.options.recipe.seed, min(run.options.folds, len(np.unique(groups)))
    problem = Problem(
        features,
        targets,
        len(run.labels),
        group_folds(targets.numpy(), groups, folds, seed),
        groups,
        balanced=run.options.recipe.class_weights == "balanced",
    )
    with progress_bar("Fitting heads", fits_needed(folds), "fit") as bar:
        fit = cross_fit(problem, seed, bar.update)
    if not (fit.head.is_finite() and torch.isfinite(fit.logits).all()):
        raise ModelError("The fitted head is not finite. Nothing is exported.")
    probabilities = torch.softmax(fit.logits.double() / fit.temperatures[:, None], 1)
    nearest = leave_one_out(features[:, 0], targets, torch.from_numpy(groups), len(run.labels))
    return HeadStudy(
        samples=list(samples),
        features=features,
        targets=targets,
        folds=problem.folds,
        fit=fit,
        suspects=find_suspects(probabilities, targets),
        centroids=top_share(nearest, targets),
    )


def install_head(run: Run, head: Head) -> None:
    """Put a head into the network."""
    with torch.no_grad():
        run.network.head.weight.copy_(head.weight)
        run.network.head.bias.copy_(head.bias)


def _require_enough(run: Run, targets: Ints, groups: Ints) -> None:
    counts = groups_per_class(targets, groups, len(run.labels))
    few = [label.label_en for label, count in zip(run.labels, counts, strict=True) if count < 2]
    if few:
        raise ModelError(
            f"Too few images to measure anything by: of {', '.join(few[:5])} there are not two that do not look alike."
        )
