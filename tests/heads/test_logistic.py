import pytest
import torch
from torch.nn.functional import cross_entropy

from app.heads.logistic import Head, class_weights, fit_head
from tests.heads.data import clouds


def test_no_head_nearby_is_better() -> None:
    """The objective, computed anew: what was found must be its minimum."""
    features, targets = clouds(200, 20, 3, 1.5)
    head = fit_head(features, targets, 3, ridge=0.5)
    centred = features - features.mean(0)
    length = float(centred.square().sum(1).mean().sqrt())

    def objective(one: Head) -> float:
        loss = cross_entropy(one.logits(features).double(), targets, reduction="sum")
        return float(loss + 0.5 / 2 * (one.weight.double() * length).square().sum())

    best, generator = objective(head), torch.Generator().manual_seed(0)
    for _ in range(20):
        step = torch.randn(3, 20, generator=generator) * 0.02 * head.weight.std()
        assert objective(Head(head.weight + step, head.bias)) > best
    assert head.weight.sum(0).abs().max() < 1e-2 * head.weight.abs().max()  # softmax knows no common shift


@pytest.mark.parametrize("count", [20, 300])
def test_the_same_with_more_features_than_rows_and_in_other_units(count: int) -> None:
    features, targets = clouds(count, 150, 2, 2.0)
    head, scaled = fit_head(features, targets, 2, 0.1), fit_head(features * 1000 + 7, targets, 2, 0.1)
    new, _ = clouds(50, 150, 2, 2.0, seed=5)
    assert torch.allclose(head.logits(new), scaled.logits(new * 1000 + 7), atol=2e-2)
    assert head.is_finite()
    assert not Head(head.weight * torch.inf, head.bias).is_finite()


def test_weights_count_as_copies_do() -> None:
    features, targets = clouds(60, 10, 2, 1.0)
    twice = fit_head(torch.cat([features, features[::2]]), torch.cat([targets, targets[::2]]), 2, 1.0)
    weights = torch.ones(60)
    weights[::2] = 2
    weighted = fit_head(features, targets, 2, 1.0, weights)
    assert torch.allclose(twice.logits(features).argmax(1).float(), weighted.logits(features).argmax(1).float())
    assert class_weights(torch.tensor([0, 0, 0, 1]), 3).tolist() == pytest.approx([2 / 3] * 3 + [2])
