import pytest
import torch

from app.heads.thresholds import fit_threshold, risk_coverage

SCORES = torch.tensor([0.9, 0.5, 0.7, 0.7, 0.99])
RIGHT = torch.tensor([True, False, True, False, True])


def test_every_score_is_a_threshold_from_the_strictest_on() -> None:
    found = risk_coverage(SCORES, RIGHT)
    assert [one.value for one in found] == pytest.approx([0.99, 0.9, 0.7, 0.5])
    assert [one.coverage for one in found] == pytest.approx([0.2, 0.4, 0.8, 1.0])
    assert [one.risk for one in found] == pytest.approx([0, 0, 0.25, 0.4])
    assert risk_coverage(SCORES[:0], RIGHT[:0]) == []


def test_as_strict_as_the_coverage_allows() -> None:
    half, all_of_them = fit_threshold(SCORES, RIGHT, 0.5), fit_threshold(SCORES, RIGHT, 1.0)
    assert half is not None
    assert all_of_them is not None
    assert (half.value, half.coverage, half.risk) == pytest.approx((0.7, 0.8, 0.25))
    assert (all_of_them.value, all_of_them.coverage, all_of_them.risk) == pytest.approx((0.5, 1.0, 0.4))
    assert float((half.value <= SCORES).double().mean()) == pytest.approx(0.8)
    assert fit_threshold(SCORES[:0], RIGHT[:0]) is None
