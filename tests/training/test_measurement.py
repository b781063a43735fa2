import math

import pytest
import torch
from torch import Tensor

from app.model.labels import Label
from app.training.measurement import Measurement, measure
from app.training.split import Part, Sample

LABELS = [Label(0, None, "cat", "猫", (), ()), Label(1, None, "dog", "狗", (), ())]
PARTS: tuple[Part, ...] = (*("validation",) * 4, *("calibration",) * 6, *("test",) * 2)
SAMPLES = [Sample(n, part, n % 2, ["cat", "dog"][n % 2], f"{n}.jpg", f"{n}") for n, part in enumerate(PARTS)]


def answers(wrong: tuple[int, ...], confidence: float = 3.0) -> Tensor:
    """Logits that are right by ``confidence`` except for those that are ``wrong``, more so the later they come."""
    logits = torch.zeros(len(SAMPLES), 2)
    for sample in SAMPLES:
        answer = sample.class_index if sample.index not in wrong else 1 - sample.class_index
        logits[sample.index, answer] = confidence + 0.1 * sample.index
    return logits


def measured(wrong: tuple[int, ...] = (1, 5, 10)) -> Measurement:
    return measure(LABELS, SAMPLES, answers(wrong), None)


def test_each_part_is_counted_by_itself() -> None:
    found = measured()
    assert (found.held_out.right, found.held_out.count) == (9, 12)
    shares = {part: (share.right, share.count) for part, share in found.by_part.items()}
    assert shares == {"validation": (3, 4), "calibration": (5, 6), "test": (1, 2)}
    assert found.matrix.tolist() == [[5, 1], [2, 4]]
    assert found.ten_crop is None


def test_the_worst_mistake_comes_first() -> None:
    mistakes = measured().mistakes
    assert [one.sample.index for one in mistakes] == [10, 5, 1]
    assert [one.answered for one in mistakes] == [1, 0, 0]
    assert mistakes[0].probability == pytest.approx(1 / (1 + math.exp(-4.0 / measured().temperature)))


def test_the_temperature_is_fitted_on_the_calibration_part_alone() -> None:
    found = measured()
    assert found.temperature > 1
    assert measured(wrong=(5,)).temperature == found.temperature
    assert measured(wrong=(1, 4, 5, 10)).temperature > found.temperature
    assert found.after.nll < found.before.nll
    # and what it does is judged on the others: 4 of validation and 2 of test
    assert sum(one.count for one in found.after.bins) == 6


def test_ten_crops_are_averaged_as_probabilities() -> None:
    """Nine crops that are hardly wrong against one that is sure: the mean is right."""
    crops = torch.zeros(len(SAMPLES), 10, 2)
    for sample in SAMPLES:
        crops[sample.index, :9, 1 - sample.class_index] = 0.01
        crops[sample.index, 9, sample.class_index] = 9
    found = measure(LABELS, SAMPLES, answers((1,)), crops)
    assert found.ten_crop is not None
    assert found.ten_crop.value == 1
    assert found.summary()["top1_ten_crop"] == 1
    assert any(line.startswith("ten crops    top-1 100.00%") for line in found.lines())


def test_the_summary_leaves_out_what_could_not_be_measured() -> None:
    only = [sample for sample in SAMPLES if sample.part == "calibration"]
    found = measure(LABELS, only, answers((5,))[4:10], None).summary()
    assert found["top1"] == found["top1_calibration"] == round(5 / 6, 6)
    assert not {"nll", "calibration_error", "top1_test", "top1_ten_crop"} & found.keys()
    assert measured().summary().keys() > found.keys()


def test_the_terminal_is_told_each_share_with_its_interval() -> None:
    lines = measured().lines()
    assert lines[0] == "held out     top-1 75.00% (9/12, 95% 46.77% to 91.11%)"
    assert lines[1].startswith("validation   top-1 75.00% (3/4,")
    assert lines[1].endswith("chose the best epoch")
    assert "temperature" in lines[-1]
