"""One number that makes probabilities mean what they say (Guo et al. 2017), held back where little was seen."""

import torch
from torch import Tensor

from app.heads.folds import Ints

# Standard deviation of log T before anything was seen. A set without mistakes would like to be infinitely sure; this
# lets it say so only as loudly as it is large.
PRIOR = 0.3
COOLEST, HOTTEST = -3.0, 4.0  # of log T: beyond, a network is of no use
STEPS = 60


def fit_temperature(logits: Tensor, targets: Tensor) -> float:
    """The most probable temperature for ``logits`` (N, classes), with a normal prior on its logarithm; 1 for none.

    By bisection of the slope of ``sum NLL + (log T)^2 / (2 PRIOR^2)`` in log T.
    """
    low, high = COOLEST, HOTTEST
    for _ in range(STEPS):
        middle = (low + high) / 2
        if _slope(logits.double(), targets, middle) > 0:
            high = middle
        else:
            low = middle
    return float(torch.tensor((low + high) / 2, dtype=torch.float64).exp())


def _slope(logits: Tensor, targets: Tensor, log_t: float) -> float:
    """d/d(log T): with s = 1/T the NLL's slope in s is (expected logit - the right one's), and ds/d(log T) = -s."""
    inverse = float(torch.tensor(-log_t, dtype=torch.float64).exp())
    expected = (torch.softmax(logits * inverse, 1) * logits).sum(1)
    right = logits.gather(1, targets[:, None])[:, 0]
    return -inverse * float((expected - right).sum()) + log_t / PRIOR**2


def cross_fitted(logits: Tensor, targets: Tensor, folds: Ints) -> Tensor:
    """(N,): for each row the temperature that the rows of the other folds ask for."""
    temperatures = torch.ones(len(targets), dtype=torch.float64)
    for fold in range(int(folds.max()) + 1 if len(folds) else 0):
        held_out = torch.from_numpy(folds == fold)
        temperatures[held_out] = fit_temperature(logits[~held_out], targets[~held_out])
    return temperatures
