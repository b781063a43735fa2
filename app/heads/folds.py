"""Folds for cross-validation: classes in the same shares, groups whole."""

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]


def group_folds(targets: Ints, groups: Ints, count: int, seed: int) -> Ints:
    """(N,): a fold from 0 to ``count - 1`` for each row; rows of one group share theirs.

    The largest groups go first, each to the fold that has the fewest of its commonest class; in between the order is
    drawn from ``seed``.
    """
    classes = int(targets.max()) + 1
    names, place = np.unique(groups, return_inverse=True)
    members = np.zeros((len(names), classes), np.int64)
    np.add.at(members, (place, targets), 1)
    order = np.random.default_rng(seed).permutation(len(names))
    order = order[np.argsort(-members[order].sum(1), kind="stable")]
    filled, fold_of = np.zeros((count, classes), np.int64), np.zeros(len(names), np.int64)
    for group in order:
        commonest = int(members[group].argmax())
        fold = min(range(count), key=lambda one: (filled[one, commonest], filled[one].sum(), one))
        fold_of[group] = fold
        filled[fold] += members[group]
    return fold_of[place]


def groups_per_class(targets: Ints, groups: Ints, classes: int) -> Ints:
    """(classes,): how many groups show each class."""
    pairs = np.unique(np.stack([targets, groups], 1), axis=0)
    return np.bincount(pairs[:, 0], minlength=classes).astype(np.int64)
