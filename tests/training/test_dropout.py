import pytest
import torch
from torch import nn

from app.training.dropout import RowDropout, replace_dropout


def test_dropout_is_the_same_for_a_row_however_the_batch_is_divided() -> None:
    layer = RowDropout(0.5, salt=3).train()
    ones = torch.ones(6, 1000)
    layer.set_step(9, slice(0, 6), 6)
    whole = layer(ones)
    layer.set_step(9, slice(4, 6), 6)
    assert torch.equal(layer(ones[4:]), whole[4:])
    assert set(whole.unique().tolist()) == {0.0, 2.0}
    assert float(whole.mean()) == pytest.approx(1, abs=0.05)
    layer.set_step(10, slice(0, 6), 6)
    assert not torch.equal(layer(ones), whole)
    assert torch.equal(layer.eval()(ones), ones)


def test_without_a_share_to_drop_nothing_is_drawn() -> None:
    ones = torch.ones(2, 5)
    assert torch.equal(RowDropout(0.0, salt=1).train()(ones), ones)


def test_two_dropouts_of_a_network_draw_different_masks() -> None:
    layers: list[nn.Module] = [nn.Linear(2, 2), nn.Dropout(0.1), nn.ReLU(), nn.Dropout(0.2)]
    replace_dropout(layers, 0.5)
    assert [type(layer) for layer in layers] == [nn.Linear, RowDropout, nn.ReLU, RowDropout]
    masks = []
    for layer in layers:
        if isinstance(layer, RowDropout):
            assert layer.p == 0.5
            layer.train().set_step(4, slice(0, 3), 3)
            masks.append(layer(torch.ones(3, 100)))
    assert not torch.equal(masks[0], masks[1])
