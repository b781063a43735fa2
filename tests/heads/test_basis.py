import torch

from app.heads.basis import Basis
from tests.heads.data import clouds


def test_few_rows_are_projected_to_as_many_coordinates_and_keep_their_products() -> None:
    features, _ = clouds(30, 400, 2, 1.0)
    basis = Basis.of(features)
    rows = basis.project(features)
    assert rows.shape[1] <= 30
    centred = (features - features.mean(0)) * basis.scale
    assert torch.allclose(rows @ rows.T, centred @ centred.T, atol=1e-4)
    assert torch.allclose(rows.square().sum(1).mean(), torch.tensor(1.0), atol=1e-4)


def test_what_is_lifted_answers_as_what_was_projected() -> None:
    for count in (30, 900):
        features, _ = clouds(count, 100, 2, 1.0)
        basis = Basis.of(features)
        rows = basis.project(features)
        weight = torch.randn(3, rows.shape[1], generator=torch.Generator().manual_seed(1))
        lifted = (features - basis.mean) @ basis.lift(weight).T
        assert torch.allclose(lifted, rows @ weight.T, atol=1e-4)


def test_rows_that_do_not_differ_are_no_error() -> None:
    basis = Basis.of(torch.ones(4, 20))
    assert torch.equal(basis.project(torch.ones(4, 20)), torch.zeros(4, 1))
