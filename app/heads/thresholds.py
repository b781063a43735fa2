"""When to say "none of these": how many answers are given, and how many of those are wrong."""

from dataclasses import dataclass

import torch
from torch import Tensor

COVERAGE = 0.95


@dataclass(frozen=True, slots=True)
class Threshold:
    """At a probability of ``value`` or more an answer is given: to ``coverage`` of the pictures, ``risk`` of them
    wrongly."""

    value: float
    coverage: float
    risk: float


def risk_coverage(scores: Tensor, right: Tensor) -> list[Threshold]:
    """Every threshold there is, from the strictest on: one for each score (N,) that occurs."""
    order = scores.argsort(descending=True, stable=True)
    ranked, wrong = scores[order].double(), (~right[order]).double().cumsum(0)
    last = torch.cat([ranked[1:] < ranked[:-1], torch.tensor([True])]) if len(ranked) else torch.zeros(0).bool()
    total = len(scores)
    return [
        Threshold(float(ranked[place]), (place + 1) / total, float(wrong[place]) / (place + 1))
        for place in last.nonzero()[:, 0].tolist()
    ]


def fit_threshold(scores: Tensor, right: Tensor, coverage: float = COVERAGE) -> Threshold | None:
    """The strictest threshold that still answers that share of pictures like these; ``None`` where there are none."""
    return next((one for one in risk_coverage(scores, right) if one.coverage >= coverage), None)
