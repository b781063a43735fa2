import torch

from app.heads.cross_fit import cross_fit
from app.heads.suspects import find_suspects
from tests.heads.data import clouds, problem


def test_flipped_labels_are_found_and_honest_ones_are_not() -> None:
    features, targets = clouds(400, 20, 3, 4.0)
    flipped = torch.randperm(400, generator=torch.Generator().manual_seed(1))[:16]
    given = targets.clone()
    given[flipped] = (given[flipped] + 1) % 3
    found = find_suspects(torch.softmax(cross_fit(problem(features, given, 3), 0).logits.double(), 1), given)
    rows = {one.row for one in found}
    assert len(rows & set(flipped.tolist())) >= 11
    assert len(rows - set(flipped.tolist())) <= 6
    assert all(one.predicted == int(targets[one.row]) for one in found[:8])
    assert [one.probability - one.of_label for one in found] == sorted(
        (one.probability - one.of_label for one in found), reverse=True
    )


def test_doubt_alone_is_no_suspicion() -> None:
    even = torch.tensor([[0.55, 0.45], [0.45, 0.55], [0.9, 0.1], [0.1, 0.9]], dtype=torch.float64)
    assert find_suspects(even, torch.tensor([1, 0, 0, 1])) == []
    assert [one.row for one in find_suspects(even, torch.tensor([0, 1, 1, 1]))] == [2]
