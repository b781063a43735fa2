import math

import numpy as np
import pytest
import torch

from app.training.scores import (
    Share,
    balanced_accuracy,
    calibration_error,
    class_qualities,
    confusion,
    macro_f1,
    reliability,
    top_share,
)


def test_the_interval_is_wilsons() -> None:
    # Newcombe 1998, table I: 81 of 263 and 0 of 20 by the score method
    assert Share(81, 263).interval == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert Share(0, 20).interval == pytest.approx((0, 0.1611), abs=5e-5)
    nothing = top_share(torch.zeros(0, 2), torch.zeros(0, dtype=torch.long))
    assert nothing == Share(0, 0)
    assert all(map(math.isnan, (nothing.value, *nothing.interval)))


def test_top_shares() -> None:
    logits = torch.tensor([[3.0, 2, 1], [1, 2, 3], [1, 3, 2]])
    targets = torch.tensor([0, 1, 0])
    assert [top_share(logits, targets, k).right for k in (1, 2, 3, 5)] == [1, 2, 3, 3]


def test_confusion_precision_and_recall() -> None:
    matrix = confusion(torch.tensor([0, 0, 0, 1, 1]), torch.tensor([0, 0, 1, 1, 0]), 3)
    assert matrix.tolist() == [[2, 1, 0], [1, 1, 0], [0, 0, 0]]
    first, second, third = class_qualities(matrix)
    assert (first.precision, first.recall, first.count) == pytest.approx((2 / 3, 2 / 3, 3))
    assert second.f1 == pytest.approx(0.5)
    assert math.isnan(third.precision)


def test_the_calibration_error_of_known_answers() -> None:
    probabilities = torch.tensor([[0.9, 0.1]] * 10 + [[0.35, 0.65]] * 4)
    targets = torch.tensor([0] * 6 + [1] * 4 + [1] * 4)
    bins = reliability(probabilities, targets)
    assert [one.count for one in bins] == [4, 10]
    assert calibration_error(bins) == pytest.approx((10 * 0.3 + 4 * 0.35) / 14)


def test_small_classes_count_as_much_as_large_ones() -> None:
    qualities = class_qualities(np.array([[90, 0, 0], [5, 5, 0], [0, 0, 0]]))
    assert balanced_accuracy(qualities) == pytest.approx(0.75)
    assert macro_f1(qualities) == pytest.approx((180 / 185 + 10 / 15) / 2)
    assert math.isnan(balanced_accuracy([]))
