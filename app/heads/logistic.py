"""A linear head by multinomial logistic regression with a ridge, fitted by L-BFGS: the same answer every time."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from app.heads.basis import Basis

# Over features of mean squared length 1. Strong to weak: each fit begins at the one before it.
RIDGES = (1e2, 1e1, 1.0, 1e-1, 1e-2, 1e-3)
ABSENT = 10.0  # nats below the commonest class: where a class lies that a fold has no row of
ITERATIONS = 60


@dataclass(frozen=True)
class Head:
    """``weight`` (classes, width) and ``bias`` (classes,), fp32."""

    weight: Tensor
    bias: Tensor

    def logits(self, features: Tensor) -> Tensor:
        """(N, width) -> (N, classes)."""
        return features @ self.weight.T + self.bias

    @classmethod
    def zeros(cls, classes: int, width: int) -> Self:
        return cls(torch.zeros(classes, width), torch.zeros(classes))

    def is_finite(self) -> bool:
        return bool(torch.isfinite(self.weight).all() and torch.isfinite(self.bias).all())


def fit_head(features: Tensor, targets: Tensor, classes: int, ridge: float, weights: Tensor | None = None) -> Head:
    """The head with the least ``sum(weights * cross entropy) + ridge / 2 * |weight|^2``.

    ``features`` (N, width), ``targets`` (N,), ``weights`` (N,) or ``None`` for ones. The ridge is measured over
    features that are centred and scaled to a mean squared length of 1, so that it means the same for any network.
    """
    basis = Basis.of(features)
    found = fit_path(basis.project(features), targets, classes, [r for r in RIDGES if r > ridge] + [ridge], weights)
    return lift(found[-1], basis)


def lift(head: Head, basis: Basis) -> Head:
    """A head over projected features as one over the features themselves."""
    weight = basis.lift(head.weight)
    return Head(weight, head.bias - weight @ basis.mean)


def fit_path(
    projected: Tensor, targets: Tensor, classes: int, ridges: Sequence[float], weights: Tensor | None = None
) -> list[Head]:
    """One head for each ridge, from the strongest on; each starts from the one before it."""
    row_weights = torch.ones(len(targets)) if weights is None else weights.float()
    present = torch.bincount(targets, minlength=classes) > 0
    place = present.long().cumsum(0) - 1
    head, found = Head.zeros(int(present.sum()), projected.shape[1]), []
    for ridge in ridges:
        head = _minimise(head, projected, place[targets], ridge, row_weights)
        found.append(head if present.all() else _spread(head, present))
    return found


def _spread(head: Head, present: Tensor) -> Head:
    """A head for all classes from one for some: the others are hardly ever answered, and not impossible."""
    weight, bias = torch.zeros(len(present), head.weight.shape[1]), torch.full(present.shape, -ABSENT)
    weight[present], bias[present] = head.weight, head.bias - head.bias.max()
    return Head(weight, bias)


@contextmanager
def one_thread() -> Iterator[None]:
    """A fit is thousands of operations too small to divide: on a busy machine two threads wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _minimise(start: Head, rows: Tensor, targets: Tensor, ridge: float, row_weights: Tensor) -> Head:
    weight, bias = start.weight.clone(), start.bias.clone()
    total = row_weights.sum()
    shown = torch.nn.functional.one_hot(targets, len(bias)).to(rows.dtype)
    optimizer = torch.optim.LBFGS(
        [weight, bias], max_iter=ITERATIONS, tolerance_grad=1e-5, tolerance_change=1e-7, line_search_fn="strong_wolfe"
    )

    def closure() -> Tensor:
        """The mean over the rows and its gradient, written out: autograd would take longer than the arithmetic."""
        log_p = torch.log_softmax(rows @ weight.T + bias, 1)
        loss = -(row_weights * (log_p * shown).sum(1)).sum()
        slope = (log_p.exp() - shown) * row_weights[:, None]
        weight.grad = (slope.T @ rows + ridge * weight) / total
        bias.grad = slope.sum(0) / total
        return (loss + ridge / 2 * weight.square().sum()) / total

    # LBFGS turns gradients on around the closure; there is nothing for them to follow.
    with one_thread():
        optimizer.step(torch.no_grad()(closure))  # type: ignore[no-untyped-call]
    return Head(weight.detach(), bias.detach())


def class_weights(targets: Tensor, classes: int) -> Tensor:
    """(N,): rows of every class weigh the same together, and 1 on average."""
    counts = torch.bincount(targets, minlength=classes).clamp(min=1).double()
    present = int((torch.bincount(targets, minlength=classes) > 0).sum())
    return (len(targets) / (present * counts))[targets]
