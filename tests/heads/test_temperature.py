import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from app.heads.temperature import cross_fitted, fit_temperature


def drawn(count: int, seed: int) -> tuple[Tensor, Tensor]:
    """Logits that mean what they say: the targets are drawn from their softmax."""
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(count, 2, generator=generator, dtype=torch.float64) * 3
    return logits, torch.multinomial(torch.softmax(logits, 1), 1, generator=generator)[:, 0]


def test_it_undoes_overconfidence() -> None:
    """Answers drawn from the softmax of logits that are then multiplied by 2.5: the fit must find 2.5."""
    logits, targets = drawn(20000, 0)
    assert fit_temperature(logits * 2.5, targets) == pytest.approx(2.5, rel=0.03)


@pytest.mark.parametrize("count", [0, 1, 12])
def test_few_answers_without_a_mistake_change_little(count: int) -> None:
    sure = torch.tensor([[4.0, 0.0]]).repeat(count, 1)
    assert 0.9 < fit_temperature(sure, torch.zeros(count, dtype=torch.long)) <= 1.0
    assert fit_temperature(sure.repeat(200, 1), torch.zeros(200 * count, dtype=torch.long)) <= 1.0


def test_fitted_on_fifty_it_rarely_does_harm() -> None:
    """The whole point of the prior. Without one, half of the draws make calibrated answers worse, by up to a tenth."""
    fresh, shown = drawn(20000, 1)
    before = float(cross_entropy(fresh, shown))
    after = [float(cross_entropy(fresh / fit_temperature(*drawn(50, 10 + n)), shown)) for n in range(40)]
    assert max(after) < before * 1.08
    assert sum(after) / 40 < before * 1.015


def test_no_row_has_a_say_in_its_own_temperature() -> None:
    logits, targets = drawn(60, 3)
    folds = np.arange(60) % 3
    found = cross_fitted(logits, targets, folds)
    mine = torch.from_numpy(folds == 1)
    other = cross_fitted(logits, torch.where(mine, 1 - targets, targets), folds)
    assert torch.equal(found[mine], other[mine])
    assert not torch.equal(found[~mine], other[~mine])
    assert cross_fitted(logits[:0], targets[:0], folds[:0]).shape == (0,)
