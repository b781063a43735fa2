import math

import numpy as np
import pytest
import torch
from torch import Tensor

from app.heads.cross_fit import CurvePoint
from app.model.labels import Label
from app.training.measurement import NO_FOLD, Answers, Measurement, Origin, measure
from app.training.split import Sample

LABELS = [Label(0, None, "cat", "猫", (), ()), Label(1, None, "dog", "狗", (), ())]
ORIGINS: list[Origin] = ["test" if n > 9 else "cross-validation" for n in range(12)]
FOLDS = np.array([0, 0, 1, 1, 2, 2, 3, 3, 4, 4, NO_FOLD, NO_FOLD])
SAMPLES = [Sample(n, "train", n % 2, ["cat", "dog"][n % 2], f"{n}.jpg", f"{n}") for n in range(12)]
ALL = 1.0


def logits(wrong: tuple[int, ...], confidence: float = 3.0) -> Tensor:
    """Logits that are right by ``confidence`` except for those that are ``wrong``, more so the later they come."""
    found = torch.zeros(len(SAMPLES), 2)
    for sample in SAMPLES:
        answer = sample.class_index if sample.index not in wrong else 1 - sample.class_index
        found[sample.index, answer] = confidence + 0.1 * sample.index
    return found


def measured(wrong: tuple[int, ...] = (1, 5, 10), crops: Tensor | None = None, seen: int = 0) -> Measurement:
    return measure(LABELS, Answers(SAMPLES, ORIGINS, logits(wrong), FOLDS, seen), ALL, crops)


def test_what_was_held_out_in_another_way_is_counted_by_itself() -> None:
    found = measured()
    assert (found.held_out.right, found.held_out.count) == (9, 12)
    shares = {origin: (share.right, share.count) for origin, share in found.by_origin.items()}
    assert shares == {"cross-validation": (8, 10), "test": (1, 2)}
    assert found.matrix.tolist() == [[5, 1], [2, 4]]
    assert found.ten_crop is None


def test_the_worst_mistake_comes_first() -> None:
    mistakes = measured().mistakes
    assert {one.sample.index: one.answered for one in mistakes} == {10: 1, 5: 0, 1: 0}
    assert [one.probability for one in mistakes] == sorted((one.probability for one in mistakes), reverse=True)
    tested = next(one for one in mistakes if one.sample.index == 10)
    assert tested.probability == pytest.approx(1 / (1 + math.exp(-4.0 / measured().temperature)))


def test_no_answer_is_judged_by_a_temperature_that_it_asked_for() -> None:
    """A fold of mistakes makes all others hotter and not itself; the test makes nothing hotter."""
    found, worse = measured((5,)), measured((5, 10, 11))
    assert worse.temperature == found.temperature
    confidence = {n: float(found.probabilities[n].max()) for n in range(12)}
    cooler = float(torch.softmax(logits((5,))[5] / found.temperature, 0).max())
    assert confidence[5] > cooler  # its own mistake has not made it doubtful
    assert confidence[4] > float(torch.softmax(logits((5,))[4] / found.temperature, 0).max())
    assert confidence[0] < float(torch.softmax(logits((5,))[0] / 1.0, 0).max()) or found.temperature < 1


def test_ten_crops_are_averaged_as_the_probabilities_that_the_service_would_give() -> None:
    """Nine crops that are hardly wrong against one that is sure: the mean is right."""
    crops = torch.zeros(len(SAMPLES), 10, 2)
    for sample in SAMPLES:
        crops[sample.index, :9, 1 - sample.class_index] = 0.01
        crops[sample.index, 9, sample.class_index] = 9
    found = measured((1,), crops)
    assert found.ten_crop is not None
    assert found.ten_crop.value == 1
    assert found.summary()["top1_ten_crop"] == 1
    assert any(line.startswith("ten crops        top-1 100.00%") for line in found.lines())


def test_ten_crops_are_divided_by_the_temperature_too() -> None:
    """One crop that is sure, and two that together outweigh it once their logits are divided by a high temperature."""
    crops = torch.zeros(len(SAMPLES), 10, 2)
    for sample in SAMPLES:
        crops[sample.index, :1, sample.class_index] = 40
        crops[sample.index, 1:, 1 - sample.class_index] = 0.3
    hot, cold = measured(tuple(range(1, 12, 2)), crops), measured((), crops)
    assert hot.temperature > 1.5
    assert cold.temperature < 1
    assert cold.ten_crop is not None
    assert hot.ten_crop is not None
    assert cold.ten_crop.value < 1
    assert hot.ten_crop.value == 1


def test_the_summary_leaves_out_what_could_not_be_measured() -> None:
    answers = Answers(SAMPLES[:10], ORIGINS[:10], logits((5,))[:10], FOLDS[:10], 3)
    found = measure(LABELS, answers, ALL).summary()
    assert found["top1"] == found["top1_cross_validation"] == 0.9
    assert found["balanced_accuracy"] == 0.9
    assert found["pictures_seen_by_base"] == 3
    assert not {"top1_test", "top1_ten_crop", "gain_with_twice_the_pictures"} & found.keys()
    assert measured().summary().keys() > found.keys()
    assert measured().class_summary()["dog"] == {"precision": 0.8, "recall": 0.666667, "f1": 0.727273, "pictures": 6}


def test_the_threshold_answers_the_share_that_was_asked_for() -> None:
    answers = Answers(SAMPLES, ORIGINS, logits((5,)), FOLDS)
    found = measure(LABELS, answers, 0.5)
    assert found.known is not None
    assert float((found.probabilities[:10].max(1).values >= found.known.value).double().mean()) == 0.5
    assert 0.3 < found.known.coverage < 0.9
    assert found.curve[-1].coverage == 1
    everything = measure(LABELS, answers, ALL).known
    assert everything is not None
    assert everything.value < found.known.value


def test_the_terminal_is_told_each_share_with_its_interval_and_what_more_would_bring() -> None:
    curve = tuple(CurvePoint(n, 2 * n**-0.5) for n in (100, 200, 400))
    found = measure(LABELS, Answers(SAMPLES, ORIGINS, logits((1, 5, 10)), FOLDS), ALL, learning=curve)
    lines = found.lines()
    assert lines[0].startswith("cross-validation top-1 80.00% (8/10, 95% 49.02% to 94.33%)")
    assert lines[1].startswith("test             top-1 50.00% (1/2,")
    assert any(line.startswith("temperature") for line in lines)
    assert "with twice as many you would gain about 2.9 points" in lines[-1]
