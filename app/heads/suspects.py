"""Pictures whose label is probably wrong: the confident joint of Northcutt, Jiang & Chuang 2021 (section 3.1)."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Suspect:
    """``row`` is labelled one way and looks the other: how probable its own label and the other one are."""

    row: int
    predicted: int
    probability: float
    of_label: float


def find_suspects(probabilities: Tensor, targets: Tensor) -> list[Suspect]:
    """The most suspicious first. ``probabilities`` (N, classes) must be out of fold.

    A row is suspicious when another class is as probable as that class usually is where it is right, and more so than
    the row's own label.
    """
    rows = torch.arange(len(targets))
    own = probabilities[rows, targets]
    usual = torch.stack(
        [
            own[targets == one].mean() if (targets == one).any() else torch.tensor(1.0, dtype=own.dtype)
            for one in range(probabilities.shape[1])
        ]
    )
    others = probabilities.clone()
    others[rows, targets] = 0
    others[others < usual] = 0
    highest, predicted = others.max(1)
    found = (highest > own).nonzero()[:, 0].tolist()
    found.sort(key=lambda row: float(own[row] - highest[row]))
    return [Suspect(row, int(predicted[row]), float(highest[row]), float(own[row])) for row in found]
