import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from app.heads.cross_fit import Problem, cross_fit, fits_needed
from app.heads.folds import group_folds
from app.heads.logistic import RIDGES, fit_head
from tests.heads.data import clouds, problem


def test_out_of_fold_answers_are_as_good_as_those_to_new_rows() -> None:
    features, targets = clouds(200, 30, 2, 1.5)
    new, shown = clouds(4000, 30, 2, 1.5, seed=1)
    found = cross_fit(problem(features, targets, 2), 0)
    out_of_fold = (found.logits.argmax(1) == targets).double().mean()
    fresh = (found.head.logits(new).argmax(1) == shown).double().mean()
    assert abs(out_of_fold - fresh) < 0.06
    assert len(found.fold_heads) == 5
    assert found.ridge in RIDGES
    same = fit_head(features, targets, 2, found.ridge)
    assert torch.allclose(same.logits(new), found.head.logits(new), atol=1e-2)


def test_labels_that_mean_nothing_cannot_be_guessed() -> None:
    """Three hundred features of a hundred rows can be told apart at will; whoever peeks scores above chance."""
    right = []
    for seed in range(6):
        features, _ = clouds(100, 300, 1, 0.0, seed)
        targets = torch.randperm(100, generator=torch.Generator().manual_seed(seed)) % 2
        assert (fit_head(features, targets, 2, RIDGES[-1]).logits(features).argmax(1) == targets).all()
        right.append(float((cross_fit(problem(features, targets, 2), 0).logits.argmax(1) == targets).double().mean()))
    assert 0.4 < sum(right) / len(right) < 0.58


def test_each_answer_is_by_the_head_of_its_fold_and_changes_with_no_label_in_it() -> None:
    features, targets = clouds(60, 20, 2, 1.0)
    one = problem(features, targets, 2)
    found = cross_fit(one, 0)
    for fold in range(5):
        mine = torch.from_numpy(one.folds == fold)
        assert torch.allclose(found.fold_heads[fold].logits(features[mine]), found.logits[mine], atol=1e-3)
        flipped = torch.where(mine, 1 - targets, targets)
        again = cross_fit(Problem(one.features, flipped, 2, one.folds, one.groups), 0)
        assert torch.allclose(again.logits[mine], found.logits[mine], atol=1e-4)


def test_the_curve_falls_with_more_rows_and_ends_at_the_whole() -> None:
    features, targets = clouds(400, 60, 4, 0.4)
    calls: list[None] = []
    found = cross_fit(problem(features, targets, 4), 0, lambda: calls.append(None))
    assert len(calls) == fits_needed(5)
    assert [round(point.count) for point in found.curve] == [pytest.approx(n, abs=3) for n in (40, 80, 160, 320)]
    assert found.curve[0].error > found.curve[-1].error
    assert found.curve[-1].error == float((found.logits.argmax(1) != targets).double().mean())


def test_of_several_views_all_teach_and_the_first_is_judged() -> None:
    features, targets = clouds(80, 10, 2, 3.0)
    views = torch.stack([features, features + 0.01, torch.zeros_like(features)], 1)
    groups = np.arange(80)
    found = cross_fit(Problem(views, targets, 2, group_folds(targets.numpy(), groups, 4, 0), groups), 0)
    assert (found.logits.argmax(1) == targets).double().mean() > 0.9


def test_balanced_a_rare_class_is_answered_more_often() -> None:
    features, targets = clouds(400, 10, 2, 0.8)
    kept = torch.cat([torch.where(targets == 0)[0], torch.where(targets == 1)[0][:20]])
    features, targets = features[kept], targets[kept]
    plain = cross_fit(problem(features, targets, 2), 0).logits.argmax(1)
    even = cross_fit(problem(features, targets, 2, balanced=True), 0).logits.argmax(1)
    assert (even == 1).sum() > (plain == 1).sum()
    recall = [float((answers[targets == 1] == 1).double().mean()) for answers in (plain, even)]
    assert recall[1] > recall[0]


def test_two_folds_and_a_class_that_a_pair_of_folds_leaves_out() -> None:
    features, targets = clouds(24, 6, 2, 4.0)
    assert cross_fit(problem(features, targets, 2, folds=2), 0).logits.shape == (24, 2)
    rare = torch.cat([targets[targets == 0], torch.ones(2, dtype=torch.long)])
    rows = torch.cat([features[targets == 0], features[targets == 1][:2]])
    assert torch.isfinite(cross_fit(problem(rows, rare, 2), 0).logits).all()


def test_every_fold_has_the_temperature_of_its_own_head_and_no_say_in_it() -> None:
    features, targets = clouds(150, 40, 2, 0.7)
    one = problem(features, targets, 2)
    found = cross_fit(one, 0)
    mine = torch.from_numpy(one.folds == 2)
    again = cross_fit(Problem(one.features, torch.where(mine, 1 - targets, targets), 2, one.folds, one.groups), 0)
    assert len(set(found.temperatures[mine].tolist())) == 1
    assert torch.equal(found.temperatures[mine], again.temperatures[mine])
    assert not torch.equal(found.temperatures[~mine], again.temperatures[~mine])
    new, shown = clouds(4000, 40, 2, 0.7, seed=1)
    logits = found.head.logits(new)
    assert cross_entropy(logits / found.temperature, shown) < cross_entropy(logits, shown) + 0.01
