"""How good a classifier is, with how sure one may be of it: intervals, confusion, calibration."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import cross_entropy

Counts = NDArray[np.int64]
BINS = 15
Z_95 = 1.959964


@dataclass(frozen=True, slots=True)
class Share:
    """Right answers among all, with the 95% interval of Wilson's score (it stays inside 0..1, also near its ends)."""

    right: int
    count: int

    @property
    def value(self) -> float:
        return self.right / self.count if self.count else math.nan

    @property
    def interval(self) -> tuple[float, float]:
        if not self.count:
            return math.nan, math.nan
        z2 = Z_95**2
        middle = (self.value + z2 / (2 * self.count)) / (1 + z2 / self.count)
        spread = math.sqrt(self.value * (1 - self.value) / self.count + z2 / (4 * self.count**2))
        half = Z_95 * spread / (1 + z2 / self.count)
        return middle - half, middle + half

    def __str__(self) -> str:
        low, high = self.interval
        return f"{self.value:.2%} ({self.right}/{self.count}, 95% {low:.2%} to {high:.2%})"


def top_share(logits: Tensor, targets: Tensor, k: int = 1) -> Share:
    """How often the right class is among the ``k`` first."""
    if not len(targets):
        return Share(0, 0)
    first = logits.topk(min(k, logits.shape[1]), dim=1).indices
    return Share(int((first == targets[:, None]).any(1).sum()), len(targets))


def confusion(targets: Tensor, predicted: Tensor, classes: int) -> Counts:
    """(classes, classes): rows are what the images show, columns what was answered."""
    flat = np.bincount((targets * classes + predicted).numpy(), minlength=classes**2)
    return flat.reshape(classes, classes).astype(np.int64)


@dataclass(frozen=True, slots=True)
class ClassQuality:
    precision: float
    recall: float
    f1: float
    count: int


def class_qualities(matrix: Counts) -> list[ClassQuality]:
    """``nan`` where a class was never answered or never shown."""
    found = []
    for index in range(len(matrix)):
        right, answered, shown = matrix[index, index], matrix[:, index].sum(), matrix[index].sum()
        precision = float(right / answered) if answered else math.nan
        recall = float(right / shown) if shown else math.nan
        f1 = float(2 * right / (answered + shown)) if answered + shown else math.nan
        found.append(ClassQuality(precision, recall, f1, int(shown)))
    return found


def balanced_accuracy(qualities: Sequence[ClassQuality]) -> float:
    """The mean recall of the classes that are shown."""
    return _mean([one.recall for one in qualities if one.count])


def macro_f1(qualities: Sequence[ClassQuality]) -> float:
    """The mean F1 of the classes that are shown."""
    return _mean([one.f1 for one in qualities if one.count])


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else math.nan


def nll(logits: Tensor, targets: Tensor) -> float:
    """Mean negative log likelihood in nats."""
    return float(cross_entropy(logits.double(), targets)) if len(targets) else math.nan


@dataclass(frozen=True, slots=True)
class Bin:
    """Answers whose probability lies in one fifteenth of 0..1."""

    count: int
    confidence: float
    accuracy: float


def reliability(probabilities: Tensor, targets: Tensor, bins: int = BINS) -> list[Bin]:
    """Filled bins only, from the least confident on."""
    confidence, predicted = probabilities.max(1)
    right = (predicted == targets).double()
    place = (confidence * bins).long().clamp(max=bins - 1)
    chosen = [place == index for index in range(bins)]
    return [Bin(int(c.sum()), float(confidence[c].mean()), float(right[c].mean())) for c in chosen if c.any()]


def calibration_error(bins: Sequence[Bin]) -> float:
    """Expected calibration error: how far confidence and accuracy part, weighted by how many answers it concerns."""
    total = sum(one.count for one in bins)
    return sum(one.count * abs(one.confidence - one.accuracy) for one in bins) / total if total else math.nan
