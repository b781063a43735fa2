import numpy as np

from app.heads.folds import group_folds, groups_per_class

TARGETS = np.array([0] * 50 + [1] * 20)


def test_every_fold_has_its_share_of_each_class() -> None:
    folds = group_folds(TARGETS, np.arange(70), 5, 3)
    assert np.bincount(folds[:50]).tolist() == [10] * 5
    assert np.bincount(folds[50:]).tolist() == [4] * 5
    assert np.array_equal(folds, group_folds(TARGETS, np.arange(70), 5, 3))
    assert not np.array_equal(folds, group_folds(TARGETS, np.arange(70), 5, 4))


def test_groups_stay_whole_however_uneven() -> None:
    groups = np.concatenate([np.zeros(20), np.arange(1, 31), np.full(3, 40), np.arange(50, 67)]).astype(np.int64)
    folds = group_folds(TARGETS, groups, 4, 0)
    assert all(len(set(folds[groups == group])) == 1 for group in np.unique(groups))
    assert set(folds) == {0, 1, 2, 3}


def test_a_class_of_two_groups_is_in_two_folds() -> None:
    folds = group_folds(np.array([0] * 9 + [1, 1, 1]), np.array([*range(9), 20, 20, 21]), 5, 0)
    assert folds[9] == folds[10] != folds[11]


def test_groups_are_counted_once_a_class() -> None:
    assert groups_per_class(np.array([0, 0, 1, 1]), np.array([5, 5, 5, 6]), 3).tolist() == [1, 2, 0]
