"""Cross-fitting: an answer to every row by a head that has seen neither the row nor anything that it chose.

Each fold is held out in turn. The ridge for the others is chosen among them alone, by holding out a second fold; a head
without folds i and j serves both ways, so that this takes half as many fits as it sounds.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import cross_entropy

from app.heads.basis import Basis
from app.heads.folds import Ints
from app.heads.logistic import RIDGES, Head, class_weights, fit_path, lift
from app.heads.temperature import fit_temperature

CURVE_SHARES = (0.125, 0.25, 0.5)
Mask = NDArray[np.bool_]
Floats = NDArray[np.float64]
Progress = Callable[[], object]


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """Trained on so many pictures, so many of the held-out ones are answered wrong."""

    count: float
    error: float


@dataclass(frozen=True)
class CrossFit:
    """``logits`` (N, classes) are out of fold, by ``fold_heads``; ``head`` is fitted on all rows with ``ridge``.

    ``temperature`` is the head's. ``temperatures`` (N,) are those of the heads of the folds: each fitted on rows that
    the fold's head would be trained on, as answered by heads without them.
    """

    logits: Tensor
    temperatures: Tensor
    temperature: float
    fold_heads: tuple[Head, ...]
    head: Head
    ridge: float
    curve: tuple[CurvePoint, ...]


@dataclass(frozen=True)
class Problem:
    """``features`` (N, views, width): the first view of a row is what it is judged by, all of them teach.

    ``folds`` (N,) as ``group_folds`` gives them; with ``balanced`` every class weighs the same.
    """

    features: Tensor
    targets: Tensor
    classes: int
    folds: Ints
    groups: Ints
    balanced: bool = False

    @property
    def fold_count(self) -> int:
        return int(self.folds.max()) + 1


def fits_needed(fold_count: int) -> int:
    """How often ``cross_fit`` calls its ``progress``."""
    return fold_count * (fold_count - 1) // 2 + fold_count * (1 + len(CURVE_SHARES)) + 1


def cross_fit(problem: Problem, seed: int, progress: Progress = lambda: None) -> CrossFit:
    """Out-of-fold answers, a learning curve, and the head to use."""
    fitter = _Fitter(problem, progress)
    folds = range(problem.fold_count)
    single = {i: fitter.path(problem.folds != i) for i in folds}
    pairs = {
        frozenset(pair): fitter.path((problem.folds != pair[0]) & (problem.folds != pair[1]))
        for pair in combinations(folds, 2)
        if len(folds) > 2
    }
    logits = torch.zeros(len(problem.targets), problem.classes)
    temperatures = torch.ones(len(problem.targets), dtype=torch.float64)
    chosen: list[int] = []
    for i in folds:
        best = len(RIDGES) // 2  # two folds leave no second one to choose by
        if pairs:
            losses = [fitter.loss(pairs[frozenset((i, j))], problem.folds == j) for j in folds if j != i]
            best = int(torch.stack(losses).sum(0).argmin())
            inner = {j: pairs[frozenset((i, j))][best] for j in folds if j != i}
            temperatures[problem.folds == i] = fitter.temperature(inner)
        chosen.append(best)
        logits[problem.folds == i] = single[i][best].logits(fitter.shown(problem.folds == i))
    overall = int(torch.stack([fitter.loss(single[i], problem.folds == i) for i in folds]).sum(0).argmin())
    temperature = fitter.temperature({i: single[i][overall] for i in folds})
    head = fitter.path(np.ones(len(problem.folds), bool), RIDGES[: overall + 1])[-1]
    curve = tuple(_learning_curve(fitter, chosen, seed, logits))
    fold_heads = tuple(lift(single[i][chosen[i]], fitter.basis) for i in folds)
    return CrossFit(logits, temperatures, temperature, fold_heads, lift(head, fitter.basis), RIDGES[overall], curve)


class _Fitter:
    """One set of rows in the coordinates of its fit."""

    def __init__(self, problem: Problem, progress: Progress) -> None:
        count, views, width = problem.features.shape
        flat = problem.features.reshape(count * views, width)
        self.problem, self.progress = problem, progress
        self.basis = Basis.of(flat)
        self.rows = self.basis.project(flat).view(count, views, -1)

    def path(self, chosen: Mask, ridges: Sequence[float] = RIDGES) -> list[Head]:
        """Heads for some of the rows, one for each ridge."""
        rows, targets = self.rows[chosen], self.problem.targets[chosen]
        views = rows.shape[1]
        weights = class_weights(targets, self.problem.classes) if self.problem.balanced else torch.ones(len(targets))
        found = fit_path(
            rows.flatten(0, 1),
            targets.repeat_interleave(views),
            self.problem.classes,
            ridges,
            (weights / views).repeat_interleave(views),
        )
        self.progress()
        return found

    def shown(self, chosen: Mask) -> Tensor:
        return self.rows[chosen][:, 0]

    def temperature(self, heads: Mapping[int, Head]) -> float:
        """What the rows of some folds ask for, each answered by the head beside its fold."""
        answers = [head.logits(self.shown(self.problem.folds == fold)) for fold, head in heads.items()]
        targets = [self.problem.targets[self.problem.folds == fold] for fold in heads]
        return fit_temperature(torch.cat(answers), torch.cat(targets))

    def loss(self, heads: Sequence[Head], chosen: Mask) -> Tensor:
        """(ridges,): the cross entropy over the rows, summed; balanced as the fit is."""
        rows, targets = self.shown(chosen), self.problem.targets[chosen]
        weights = class_weights(targets, self.problem.classes) if self.problem.balanced else torch.ones(len(targets))
        each = [cross_entropy(head.logits(rows), targets, reduction="none") for head in heads]
        return torch.stack([(one * weights).sum() for one in each])


def _learning_curve(fitter: _Fitter, chosen: Sequence[int], seed: int, logits: Tensor) -> list[CurvePoint]:
    """The error after some of the training groups, each share within the next; all of them come last."""
    problem = fitter.problem
    draw = dict(zip(np.unique(problem.groups).tolist(), _ranks(problem, seed), strict=True))
    rank = np.array([draw[group] for group in problem.groups.tolist()])
    points = []
    for share in CURVE_SHARES:
        counts, wrong = 0, 0
        for i in range(problem.fold_count):
            some, held_out = (problem.folds != i) & (rank < share), problem.folds == i
            targets = problem.targets[some]
            if int(targets.bincount(minlength=problem.classes).min()) == 0:
                fitter.progress()
                continue
            head = fitter.path(some, RIDGES[: chosen[i] + 1])[-1]
            wrong += int((head.logits(fitter.shown(held_out)).argmax(1) != problem.targets[held_out]).sum())
            counts += len(targets) * int(held_out.sum())
        if counts and _shows_all(problem, rank, share):
            points.append(CurvePoint(counts / len(problem.targets), wrong / len(problem.targets)))
    whole = len(problem.targets) * (1 - 1 / problem.fold_count)
    wrong = int((logits.argmax(1) != problem.targets).sum())
    return [*points, CurvePoint(whole, wrong / len(problem.targets))]


def _shows_all(problem: Problem, rank: Floats, share: float) -> bool:
    """Whether a share of the training rows shows every class, whichever fold is held out."""
    return all(
        bool(problem.targets[(problem.folds != i) & (rank < share)].bincount(minlength=problem.classes).min() > 0)
        for i in range(problem.fold_count)
    )


def _ranks(problem: Problem, seed: int) -> list[float]:
    """For each group its place, from 0 to 1, among those of its class: shares are taken of every class."""
    names, first = np.unique(problem.groups, return_index=True)
    target = problem.targets.numpy()[first]
    draw, ranks = np.random.default_rng([seed, 1]).random(len(names)), np.zeros(len(names))
    for one in np.unique(target):
        mine = np.flatnonzero(target == one)
        ranks[mine[np.argsort(draw[mine])]] = np.arange(len(mine)) / len(mine)
    return ranks.tolist()
