import torch

from app.heads.centroid import centroid_head, leave_one_out
from tests.heads.data import clouds


def test_the_nearest_mean_answers() -> None:
    features, targets = clouds(60, 12, 3, 3.0)
    rows = torch.nn.functional.normalize(features)
    means = torch.stack([rows[targets == one].mean(0) for one in range(3)])
    nearest = torch.cdist(rows, means).argmin(1)
    assert torch.equal(centroid_head(features, targets, 3).logits(rows).argmax(1), nearest)


def test_leaving_one_out_is_what_it_says_for_whole_groups() -> None:
    features, targets = clouds(30, 8, 2, 0.5)
    groups = torch.arange(30) // 3
    found = leave_one_out(features, targets, groups, 2)
    for row in (0, 7, 29):
        rest = groups != groups[row]
        head = centroid_head(features[rest], targets[rest], 2)
        expected = head.logits(torch.nn.functional.normalize(features[row : row + 1]))[0]
        assert torch.allclose(found[row].float(), expected, atol=1e-5)


def test_a_class_with_nothing_else_cannot_be_answered() -> None:
    features, targets = clouds(5, 8, 2, 0.5)
    alone = leave_one_out(features, torch.tensor([0, 0, 0, 0, 1]), torch.arange(5), 2)
    assert alone[4, 1] == -torch.inf
    assert torch.isfinite(alone[:4]).all()
    assert targets.shape == (5,)
