"""The simplest head: the class whose mean is nearest. It needs no fit, and two pictures of a class are enough."""

import torch
from torch import Tensor
from torch.nn.functional import normalize

from app.heads.logistic import Head


def centroid_head(features: Tensor, targets: Tensor, classes: int) -> Head:
    """Nearest mean of features of length 1, as a linear head. Every class must have a row.

    Its logits order the classes as their distances do: ``-|x - m|^2 / 2`` without what all of them share. They are not
    calibrated.
    """
    means = _means(normalize(features.double()), targets, classes)
    return Head(means.float(), (-means.square().sum(1) / 2).float())


def leave_one_out(features: Tensor, targets: Tensor, groups: Tensor, classes: int) -> Tensor:
    """(N, classes): each row's logits from means that its whole group had no part in, in closed form.

    Of a class that has nothing else the logit is ``-inf``.
    """
    rows = normalize(features.double())
    shown = torch.nn.functional.one_hot(targets, classes).double()
    place = torch.unique(groups, return_inverse=True)[1]
    count = int(place.max()) + 1
    logits = torch.empty(len(rows), classes, dtype=torch.float64)
    sums, sizes = shown.T @ rows, shown.sum(0)
    for group in range(count):
        mine = place == group
        others = sizes - shown[mine].sum(0)
        means = (sums - shown[mine].T @ rows[mine]) / others.clamp(min=1)[:, None]
        logits[mine] = rows[mine] @ means.T - means.square().sum(1) / 2
        logits[mine] = torch.where(others > 0, logits[mine], -torch.inf)
    return logits


def _means(rows: Tensor, targets: Tensor, classes: int) -> Tensor:
    shown = torch.nn.functional.one_hot(targets, classes).double()
    return (shown.T @ rows) / shown.sum(0)[:, None]
