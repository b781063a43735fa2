import re

import numpy as np
import pytest
import torch

from app.model.golden import disagreement, golden_pictures, same_best

EXACT = torch.tensor([[3.0, 2.0, 1.0, 0.5, 0.25, -1.0, -2.0], [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0]])


def test_pictures_are_the_same_everywhere_and_no_two_alike() -> None:
    pictures = golden_pictures(64)
    assert pictures.shape == (4, 64, 64, 3)
    assert pictures.dtype == np.uint8
    assert np.array_equal(pictures, golden_pictures(64))
    assert len({picture.tobytes() for picture in pictures}) == 4
    assert all(picture.std() > 20 for picture in pictures)


def test_what_rounding_does_passes() -> None:
    assert disagreement(EXACT, EXACT) is None
    assert (
        disagreement(EXACT, EXACT + 1e-5 * torch.randn(EXACT.shape, generator=torch.Generator().manual_seed(0))) is None
    )


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (torch.full_like(EXACT, float("nan")), "not finite"),
        (torch.eye(2, 7) * 0.1, r"a probability differs by \d\.\de-0[12]"),
        (-EXACT, "a probability differs"),
    ],
)
def test_what_is_wrong_is_said(change: torch.Tensor, said: str) -> None:
    reason = disagreement(EXACT, EXACT + change)
    assert reason is not None
    assert re.search(said, reason)


def test_a_network_that_is_sure_of_nothing_is_compared_by_its_logits() -> None:
    """A thousand classes at 0.001: no engine can be wrong by 0.001, so that probabilities say nothing."""
    unsure = 0.1 * torch.randn(3, 1000, generator=torch.Generator().manual_seed(0))
    other = unsure + 0.02 * torch.randn(3, 1000, generator=torch.Generator().manual_seed(1))
    reason = disagreement(unsure, other)
    assert reason is not None
    assert "of their range" in reason


def test_only_ties_may_change_places() -> None:
    exact = np.array([0.4, 0.2, 0.20005, 0.1, 0.06, 0.03995], np.float32)
    tied, swapped = exact.copy(), exact.copy()
    tied[[1, 2]] = tied[[2, 1]]
    swapped[[3, 4]] = swapped[[4, 3]]
    assert same_best(exact, tied)
    assert not same_best(exact, swapped)
    assert same_best(np.array([0.7, 0.3], np.float32), np.array([0.7, 0.3], np.float32))
